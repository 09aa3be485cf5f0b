"""The head of an HTTP message (RFC 9110 5, RFC 9112 3.2, 5 and 6), and of what is written like it: fields, URL, length.

A field's text is as sent: bytes that are not printable ASCII are \\xNN.
"""

import re
from typing import Final

from collector.errors import Malformed
from collector.observation import Url

MAX_LENGTH_DIGITS: Final = 18
_SPACES = (" ", "\t")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_UNPRINTABLE = re.compile(r"[^ -~]")


def read_field(head: str, lower: str, start: str, position: int = 0) -> str | None:
    """The first field from `position` on that begins with `start`, folded lines joined (RFC 9112 5.2), else None.

    `head` begins with the start line, `lower` is the same in lower case; `start` is as "\\nhost:".
    """
    at = lower.find(start, position)
    if at < 0:
        return None
    at += len(start)
    end = head.find("\n", at)
    value = head[at:end] if head[end + 1 : end + 2] not in _SPACES else _unfold(head, at)
    return value.strip(" \t\r")


def _unfold(head: str, start: int) -> str:
    end = head.find("\n", start)
    while head[end + 1 : end + 2] in _SPACES and end >= 0:
        end = head.find("\n", end + 1)
    lines = (head[start:end] if end >= 0 else head[start:]).split("\n")
    return " ".join([line.strip(" \t\r") for line in lines])


def escape(text: str) -> str:
    """Latin-1 text with each character that is not printable ASCII as \\xNN."""
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def read_authority(authority: str) -> tuple[str | None, int | None]:
    """Host (lower case, an IPv6 address in brackets, as ECS has it) and port of "host:port" (RFC 3986 3.2)."""
    host, digits = authority, ""
    if "@" in host:
        host = host.rpartition("@")[2]
    if host[:1] == "[":
        host, bracket, digits = host.partition("]")
        host, digits = host + bracket, digits.removeprefix(":")
    elif host.count(":") == 1:
        host, _, digits = host.partition(":")
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
    return escape(host).lower() or None, port if 0 < port < 65_536 else None


def read_url(method: str, target: str, host: str | None) -> Url:
    """Request target and Host field → URL; an absolute target's host wins (RFC 9112 3.2.2)."""
    path: str | None = target
    if method == "CONNECT":
        host, path = target, None
    elif target[0] != "/" and (scheme := _SCHEME.match(target)):
        rest = target[scheme.end() :]
        end = min([at for at in (rest.find("/"), rest.find("?")) if at >= 0], default=len(rest))
        host, path = rest[:end], rest[end:]
    domain, port = read_authority(host) if host else (None, None)
    query = None
    if path is not None and "?" in path:
        path, query = path.split("?", 1)
    return Url(original=target, domain=domain, port=port, path=path or None, query=query)


def read_length(head: str, lower: str) -> int | None:
    """Content-Length; the same number several times is that number (RFC 9110 8.6). Malformed when it is none."""
    value = read_field(head, lower, "\ncontent-length:")
    if value is None:
        return None
    if not value.isdigit() or lower.count("\ncontent-length:") > 1:
        values = {part.strip(" \t\r") for part in ",".join(_all_lengths(head, lower)).split(",")}
        value = values.pop() if len(values) == 1 else ""
    if not value.isdigit() or not value.isascii() or len(value) > MAX_LENGTH_DIGITS:
        raise Malformed("the Content-Length is not one number")
    return int(value)


def _all_lengths(head: str, lower: str) -> list[str]:
    values = []
    at = lower.find("\ncontent-length:")
    while at >= 0:
        values.append(read_field(head, lower, "\ncontent-length:", at) or "")
        at = lower.find("\ncontent-length:", at + 1)
    return values


def read_mime_type(head: str, lower: str) -> str | None:
    """Content-Type without its parameters, in lower case."""
    kind = read_field(head, lower, "\ncontent-type:")
    return (escape(kind.partition(";")[0].rstrip(" \t").lower()) or None) if kind else None


def is_chunked(head: str, lower: str) -> bool | None:
    """Whether chunked is the last transfer coding (RFC 9112 6.1); None when there is no coding at all."""
    coding = read_field(head, lower, "\ntransfer-encoding:")
    if coding is None:
        return None
    return coding.lower().rsplit(",", 1)[-1].strip(" \t") == "chunked"
