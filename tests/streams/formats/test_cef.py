"""CEF as its document says: read back by the rules of escaping, every key in the dictionary, no value longer than the
dictionary has room for."""

import ipaddress
import re
from collections.abc import Callable

import msgspec
import pytest
from cefevent import CEFEvent
from cefevent.extensions import extension_dictionary
from hypothesis import given, settings

from rules.alert import Alert
from streams.formats.cef import LENGTHS, versions, write_cef
from tests.streams.formats.whole import ANY_TEXT

HEADER = ("version", "deviceVendor", "deviceProduct", "deviceVersion", "signatureId", "name", "severity")
KEY = re.compile(r"(?:^| )(\w+)=")
ESCAPED = {"\\\\": "\\", "\\=": "=", "\\|": "|", "\\n": "\n", "\\r": "\r"}


def plain(text: str, allowed: str) -> str:
    """A text without its escapes; only these may be escaped."""

    def one(found: re.Match[str]) -> str:
        assert found[0][1:] in allowed, f"{found[0]!r} is no escape here"
        return ESCAPED[found[0]]

    return re.sub(r"\\.", one, text, flags=re.DOTALL)


def parse(line: str) -> tuple[dict[str, str], dict[str, str]]:
    """Header and extension of a line, by the rules of the format."""
    assert line.startswith("CEF:") and len(line.splitlines()) == 1
    *fields, extension = split(line)
    header = {key: plain(text, "\\|") for key, text in zip(HEADER, fields, strict=True)}
    keys = [found for found in KEY.finditer(extension) if not extension[: found.end() - 1].endswith("\\")]
    ends = [*(found.start() for found in keys[1:]), len(extension)]
    pairs = {found[1]: plain(extension[found.end() : end], "\\=nr") for found, end in zip(keys, ends, strict=True)}
    assert len(pairs) == len(keys), "a key stands twice"
    return header, pairs


def split(line: str) -> list[str]:
    """The seven fields of the header and the extension: at each pipe that is not escaped."""
    fields, start, at = [], len("CEF:"), len("CEF:")
    while len(fields) < len(HEADER):
        if line[at] == "\\":
            at += 1
        elif line[at] == "|":
            fields.append(line[start:at])
            start = at + 1
        at += 1
    return [*fields, line[start:]]


def check(alert: Alert) -> tuple[dict[str, str], dict[str, str]]:
    """Parse what is written, and have the dictionary's own library take each pair."""
    header, pairs = parse(write_cef(alert, "1.2.3"))
    event = CEFEvent(strict=True)
    for key in HEADER[1:]:
        event.set_prefix(key, header[key])
    for key, value in pairs.items():
        kinds = extension_dictionary[key]["data_type"]
        assert event.set_field(key, int(value) if kinds[0] in ("Integer", "Long") else value) is not None
    assert header["version"] == "0" and 0 <= int(header["severity"]) <= 10
    return header, pairs


def test_every_alert_of_the_demo_is_read_back(told: list[Alert]) -> None:
    for alert in told:
        header, pairs = check(alert)
        assert (header["signatureId"], header["name"]) == (alert.rule.id, alert.rule.name)
        assert pairs["msg"] == alert.message[: len(pairs["msg"]) - 1] + pairs["msg"][-1]
        assert (pairs["externalId"], int(pairs["cn1"])) == (alert.event.id, alert.lenswatch.revision)
        assert pairs.get("src", pairs.get("c6a2")) == alert.source.ip
        assert pairs.get("dst", pairs.get("c6a3")) == alert.destination.ip
        assert int(pairs["rt"]) == round(alert.timestamp.timestamp() * 1000)


def test_an_alert_with_every_field_is_read_back(whole: Alert) -> None:
    _, pairs = check(whole)
    assert pairs["fileHash"] == "ab" * 32 and pairs["fsize"] == "4096"
    assert {key for key in pairs if key.endswith("Label")} == {
        f"{key}Label" for key in pairs if f"{key}Label" in extension_dictionary
    }, "every custom field has its label"


def test_lengths_are_those_of_the_dictionary() -> None:
    known = {key: extension_dictionary[key]["length"] for key in LENGTHS}
    assert known == LENGTHS


def test_an_ipv6_address_stands_in_its_custom_field(whole: Alert) -> None:
    six = msgspec.structs.replace(whole.source, ip="2001:db8::1")
    _, pairs = check(msgspec.structs.replace(whole, source=six))
    assert "src" not in pairs and ipaddress.ip_address(pairs["c6a2"]).version == 6
    assert pairs["c6a2Label"] == "Source IPv6 Address"


@pytest.mark.parametrize(
    ("text", "header", "value"),
    [
        ("a|b", "a\\|b", "a|b"),
        ("a=b", "a=b", "a\\=b"),
        ("a\\b", "a\\\\b", "a\\\\b"),
        ("a\nb", "a\\\\nb", "a\\nb"),
        ("a\r\nb", "a\\\\r\\\\nb", "a\\r\\nb"),
        ("a msg=x", "a msg=x", "a msg\\=x"),
        ("a\u202eb", "a\\\\u202eb", "a\\\\u202eb"),
    ],
)
def test_the_header_and_values_are_escaped_each_in_its_way(
    hostile: Callable[[str], Alert], text: str, header: str, value: str
) -> None:
    line = write_cef(hostile(text), "1")
    assert f"|{header}|8|" in line and f" msg={value} reason=" in line


@settings(max_examples=150)
@given(ANY_TEXT)
def test_nothing_that_is_said_breaks_out_of_its_field(hostile: Callable[[str], Alert], text: str) -> None:
    alert = hostile(text)
    header, pairs = check(alert)
    expected = set(parse(write_cef(hostile("x"), "1"))[1])
    assert set(pairs) <= expected and header["signatureId"] == alert.rule.id
    assert (pairs["src"], pairs["externalId"]) == (alert.source.ip, alert.event.id)


@settings(max_examples=40)
@given(ANY_TEXT)
def test_the_last_version_is_small_whatever_is_said(hostile: Callable[[str], Alert], text: str) -> None:
    *_, last = versions(hostile(text * 50), "1")
    assert len(last.encode()) < 1_200 and parse(last)[1]["externalId"] == hostile(text).event.id


def test_a_field_of_a_megabyte_is_cut(hostile: Callable[[str], Alert]) -> None:
    line = write_cef(hostile("=" * 1_000_000), "1")
    assert len(line) < 40_000
    check(hostile("x" * 1_000_000))
