"""The parts of an HTTP head: targets, authorities, types, lengths."""

import pytest

from collector.errors import Malformed
from collector.http_head import escape, is_chunked, read_authority, read_field, read_length, read_mime_type, read_url
from collector.observation import Url


@pytest.mark.parametrize(
    ("method", "target", "url"),
    [
        ("OPTIONS", "*", Url(original="*", domain="h", path="*")),
        ("CONNECT", "h.example:443", Url(original="h.example:443", domain="h.example", port=443)),
        ("GET", "http://h.example", Url(original="http://h.example", domain="h.example")),
        ("GET", "http://h.example?q", Url(original="http://h.example?q", domain="h.example", query="q")),
        ("GET", "/?", Url(original="/?", domain="h", path="/", query="")),
        ("GET", "/a?b?c", Url(original="/a?b?c", domain="h", path="/a", query="b?c")),
        ("GET", "//x/y", Url(original="//x/y", domain="h", path="//x/y")),
        ("GET", "/go?to=http://x/", Url(original="/go?to=http://x/", domain="h", path="/go", query="to=http://x/")),
    ],
)
def test_every_form_of_target_is_taken_apart(method: str, target: str, url: Url) -> None:
    assert read_url(method, target, "h") == url


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("A.Example", "a.example", None),
        ("a.example:8080", "a.example", 8080),
        ("a.example:", "a.example", None),
        ("a.example:x", "a.example", None),
        ("a.example:70000", "a.example", None),
        ("[FF02::C]:1900", "[ff02::c]", 1900),
        ("[fe80::1]", "[fe80::1]", None),
        ("fe80::1", "fe80::1", None),
        ("user:secret@a.example:80", "a.example", 80),
        ("evil@good@a.example", "a.example", None),
        ("a\xff\0", "a\\xff\\x00", None),
        ("", None, None),
        (":80", None, 80),
    ],
)
def test_an_authority_is_host_and_port(authority: str, host: str | None, port: int | None) -> None:
    assert read_authority(authority) == (host, port)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Content-Type: Application/Octet-Stream; name=x", "application/octet-stream"),
        ("Content-Type:", None),
        ("Content-Type: ;q", None),
        ("X: y", None),
    ],
)
def test_a_type_is_told_without_its_parameters(line: str, kind: str | None) -> None:
    head = f"HTTP/1.1 200 OK\r\n{line}\r\n\r\n"
    assert read_mime_type(head, head.lower()) == kind


def test_a_field_that_is_folded_is_one_and_the_bytes_that_are_not_ascii_are_escaped() -> None:
    head = "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"
    assert read_field(head, head.lower(), "\nhost:") == "a b"
    assert escape("\xe9t\xe9") == "\\xe9t\\xe9"


def test_a_length_that_is_no_number_is_broken_and_the_last_coding_counts() -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    with pytest.raises(Malformed):
        read_length(head, head.lower())
    assert is_chunked(head, head.lower()) is True
