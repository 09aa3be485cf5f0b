"""Which calls give a device firmware, and what a table of them must say."""

from pathlib import Path

import pytest

from collector.dissectors.dissector import Fact
from collector.errors import LenswatchError
from collector.observation import Http, HttpRequest, HttpResponse, Url
from collector.pushes import read_pushes

PUSH = '[sources.a]\ntitle = "A"\nkind = "primary_text"\n[[push]]\nkind = "{}"\npattern = "{}"\nsources = [{}]\n'


def request(method: str, path: str, dataset: str = "http") -> Fact:
    return Fact(dataset, url=Url(original=path, path=path), http=Http(request=HttpRequest(method=method)))


@pytest.mark.parametrize(
    ("fact", "is_push"),
    [
        (request("PUT", "/ISAPI/System/updateFirmware"), True),
        (request("POST", "/ISAPI/System/updateFirmware", "file"), True),
        (request("GET", "/ISAPI/System/updateFirmware"), False),
        (request("PUT", "/ISAPI/System/updateFirmwareX"), False),
        (request("GET", "/ISAPI/System/upgradeStatus"), False),
        (request("POST", "/LAPI/V1.0/System/UploadFirmware"), True),
        (request("POST", "/cgi-bin/upgrader.cgi"), True),
        (request("POST", "/x/cgi-bin/upgrader.cgi"), False),
        (Fact("http", backward=True, http=Http(response=HttpResponse(status_code=200))), False),
        (Fact("dhip", action="upgrader.appendData"), True),
        (Fact("dhip", action="upgrader.getState"), False),
        (Fact("dhip", action="upgrader.execute", backward=True), False),
        (Fact("tftp", action="read", url=Url(original="digicap.dav", path="/digicap.dav")), True),
        (Fact("tftp", action="write", url=Url(original="digicap.dav", path="/digicap.dav")), False),
        (Fact("tftp", action="read", url=Url(original="pxe.0", path="/pxe.0")), False),
        (Fact("tftp", action="handshake"), False),
        (Fact("dns", name="updateFirmware"), False),
    ],
)
def test_a_push_is_an_upgrade_call_or_an_image_that_is_fetched(fact: Fact, is_push: bool) -> None:
    assert read_pushes().is_push(fact) is is_push


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PUSH.format("dhip", "x", '"b"'), "names no source"),
        (PUSH.format("http", "x", '"a"'), "methods are for http"),
        (PUSH.format("tftp", "(", '"a"'), "unterminated|missing"),
        (PUSH.format("ftp", "x", '"a"'), "Invalid enum value"),
    ],
)
def test_an_entry_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "pushes.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(LenswatchError, match=f"pushes.toml: .*({says}).*; mend the entry"):
        read_pushes(path)
