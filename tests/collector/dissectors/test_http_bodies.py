"""Digests of bodies that may be firmware, as HTTP carries them: cut anywhere, chunked, with holes, over the budget."""

import base64
import hashlib

import mmh3
import pytest

from collector.containers import read_containers
from collector.digests import MAX_ICON_BYTES, Digests
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.dissectors.http import HttpDissection, is_icon
from collector.observation import File, FileFormat, FileHash, Url


def feed(dissection: HttpDissection, direction: int, data: bytes) -> list[Fact]:
    return list(dissection.feed(direction, data))


IMAGE = b"SWKH" + bytes(range(256)) * 100
IMAGE_DIGEST = hashlib.sha256(IMAGE).hexdigest()
FETCH = b"GET /a/digicap.dav?x=1 HTTP/1.1\r\nHost: files.example\r\n\r\n"


def digesting(bodies: int = 4) -> tuple[HttpDissection, Digests]:
    digests = Digests(read_containers(), bodies, 1 << 20, 1 << 30)
    return HttpDissection(digests), digests


def told_files(dissection: HttpDissection, data: bytes, piece: int, direction: int = FROM_SERVER) -> list[Fact]:
    facts = [fact for at in range(0, len(data), piece) for fact in dissection.feed(direction, data[at : at + piece])]
    return [fact for fact in facts if fact.file is not None]


def response_of(body: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Type: application/octet-stream", *lines, b"", body))


def chunked(body: bytes, size: int = 1000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 7, 1460, 1 << 20])
@pytest.mark.parametrize("coded", [False, True])
def test_a_firmware_file_has_its_digest_however_it_is_cut(piece: int, coded: bool) -> None:
    dissection, digests = digesting()
    feed(dissection, FROM_CLIENT, FETCH)
    if coded:
        data = response_of(chunked(IMAGE), b"Transfer-Encoding: chunked")
    else:
        data = response_of(IMAGE, b"Content-Length: %d" % len(IMAGE))
    (fact,) = told_files(dissection, data + response_of(b"", b"Content-Length: 0"), piece)
    assert fact.file == File(
        size=len(IMAGE), hash=FileHash(sha256=IMAGE_DIGEST), mime_type="application/octet-stream", name="digicap.dav"
    )
    assert fact.format == FileFormat(container="Hikvision digicap")
    assert (fact.dataset, fact.action, fact.name, fact.backward) == ("file", "download", "files.example", True)
    assert fact.url is not None
    assert fact.url.original == "/a/digicap.dav?x=1"
    assert digests.close() == {}


def test_an_image_that_is_pushed_has_its_digest_too() -> None:
    dissection, _ = digesting()
    head = b"PUT /ISAPI/System/updateFirmware HTTP/1.1\r\nHost: 10.0.0.9\r\nContent-Length: %d\r\n\r\n" % len(IMAGE)
    (fact,) = told_files(dissection, head + IMAGE, 1460, FROM_CLIENT)
    assert (fact.action, fact.backward) == ("upload", False)
    assert fact.file is not None
    assert fact.file.hash.sha256 == IMAGE_DIGEST


def test_a_hole_in_a_body_costs_its_digest_and_no_more() -> None:
    dissection, digests = digesting()
    feed(dissection, FROM_CLIENT, FETCH + FETCH)
    data = response_of(IMAGE, b"Content-Length: %d" % len(IMAGE))
    feed(dissection, FROM_SERVER, data[:5000])
    dissection.forgo_digest(FROM_SERVER)
    assert dissection.skip[FROM_SERVER] == len(data) - 5000
    facts = feed(dissection, FROM_SERVER, data[5000:] + response_of(b"", b"Content-Length: 0"))
    assert [fact.file for fact in facts] == [None]
    assert digests.close() == {"gap": 1}


def test_part_of_a_file_has_no_digest_of_the_file() -> None:
    dissection, digests = digesting()
    feed(dissection, FROM_CLIENT, FETCH)
    data = response_of(IMAGE, b"Content-Length: %d" % len(IMAGE)).replace(b"200 OK", b"206 Partial Content")
    assert told_files(dissection, data, 1460) == []
    assert digests.close() == {"partial": 1}


def test_a_page_or_a_short_answer_is_skipped_and_never_touched() -> None:
    dissection, digests = digesting()
    feed(dissection, FROM_CLIENT, FETCH)
    feed(dissection, FROM_SERVER, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 500000\r\n\r\n")
    assert dissection.skip[FROM_SERVER] == 500_000
    assert digests.begun == 0


def test_a_body_that_ends_before_it_is_whole_is_counted() -> None:
    dissection, digests = digesting()
    feed(dissection, FROM_SERVER, response_of(IMAGE, b"Content-Length: %d" % (len(IMAGE) + 1)))
    assert digests.close() == {"unfinished": 1}


ICON = b"\0\0\1\0" + bytes(range(256)) * 5
ASK_ICON = b"GET /favicon.ico HTTP/1.1\r\nHost: 10.0.0.9\r\n\r\n"


def icon_response(*lines: bytes, kind: bytes = b"image/x-icon") -> bytes:
    return response_of(ICON, *lines).replace(b"application/octet-stream", kind, 1)


@pytest.mark.parametrize("piece", [1, 56, 57, 1460])
@pytest.mark.parametrize("coded", [False, True])
def test_a_sites_icon_has_the_digests_by_which_scanners_know_it(piece: int, coded: bool) -> None:
    dissection, digests = digesting()
    feed(dissection, FROM_CLIENT, ASK_ICON)
    data = icon_response(b"Content-Length: %d" % len(ICON))
    if coded:
        data = icon_response(b"Transfer-Encoding: chunked").replace(ICON, chunked(ICON))
    (fact,) = told_files(dissection, data, piece)
    assert (fact.dataset, fact.action, fact.backward) == ("favicon", None, True)
    hashes = FileHash(sha256=hashlib.sha256(ICON).hexdigest(), md5=hashlib.md5(ICON).hexdigest())
    assert fact.file == File(size=len(ICON), hash=hashes, mime_type="image/x-icon", name="favicon.ico")
    assert fact.format == FileFormat(mmh3=mmh3.hash(base64.encodebytes(ICON)))
    assert digests.close() == {}


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (b"GET /logo.png HTTP/1.1\r\n\r\n", icon_response(b"Content-Length: %d" % len(ICON))),
        (ASK_ICON, icon_response(b"Content-Length: %d" % len(ICON), kind=b"text/html")),
        (ASK_ICON, icon_response(b"Content-Encoding: gzip", b"Content-Length: %d" % len(ICON))),
        (ASK_ICON, icon_response(b"Content-Length: %d" % len(ICON)).replace(b"200 OK", b"206 Partial")),
        (ASK_ICON.replace(b"GET", b"HEAD"), icon_response(b"Content-Length: %d" % len(ICON)).replace(ICON, b"")),
        (b"", icon_response(b"Content-Length: %d" % len(ICON))),
    ],
    ids=["another picture", "a page", "compressed", "a part", "no body", "nobody asked"],
)
def test_what_is_no_whole_icon_is_not_told_as_one(ask: bytes, answer: bytes) -> None:
    dissection, digests = digesting()
    feed(dissection, FROM_CLIENT, ask)
    assert told_files(dissection, answer, 1460) == []
    assert digests.begun == 0


def test_an_icon_that_grows_too_long_is_given_up() -> None:
    assert not is_icon(Url(original="", path="/favicon.ico"), None, MAX_ICON_BYTES + 1)
    assert not is_icon(Url(original="", path="/a/favicons/x"), None, 9) and not is_icon(None, None, 9)
    dissection, digests = digesting()
    feed(dissection, FROM_CLIENT, ASK_ICON)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    facts = feed(
        dissection, FROM_SERVER, head + chunked(bytes(MAX_ICON_BYTES + 1)) + response_of(b"", b"Content-Length: 0")
    )
    assert [fact.dataset for fact in facts] == ["http", "http"]
    assert digests.close() == {"too_large": 1}


@pytest.mark.parametrize(("code", "has"), [(200, True), (401, True), (404, False), (302, False), (403, False)])
def test_who_has_what_it_is_asked_for_says_so_by_its_code(code: int, has: bool) -> None:
    dissection = HttpDissection()
    feed(dissection, FROM_CLIENT, b"GET /ISAPI/System/deviceInfo HTTP/1.1\r\n\r\n")
    (fact,) = feed(dissection, FROM_SERVER, b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % code)
    assert (fact.answered.path if fact.answered else None) == ("/ISAPI/System/deviceInfo" if has else None)
    assert fact.url is None
