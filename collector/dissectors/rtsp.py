"""RTSP over TCP on any port: each request and each response; media between them is skipped, and soon no longer read.

RFC 2326 (RTSP 1.0): methods 10, interleaved data 10.12, Server 12.36, WWW-Authenticate 12.44, User-Agent 12.41. RFC
7826 (RTSP 2.0) has the same form. A device may answer and ask on the same connection, so that each side may send
either.
"""

import re
from collections.abc import Iterator

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.dissectors.http import read_server
from collector.errors import Malformed
from collector.http_head import escape, read_authority, read_field
from collector.observation import Http, HttpRequest, HttpResponse, Url, UserAgent

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 1 << 20
MAX_UNDECIDED_BYTES = 512
"""A first line is as long as the address in it; a longer one is not waited for."""
MAX_MEDIA_BYTES = 16_384
"""Of interleaved media that are passed by a side in the hope of another message; then the rest is video."""

METHODS = (
    "OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER",
    "REDIRECT", "RECORD", "PLAY_NOTIFY",
)  # fmt: skip
_STARTS = tuple(f"{method} ".encode("ascii") for method in METHODS)
_ANSWERS = (b"RTSP/1.0 ", b"RTSP/2.0 ")
_REQUEST = re.compile(r"([A-Z][A-Z_]{0,30})[ \t]+([^ \t]+)[ \t]+RTSP/([12]\.[0-9])")
_RESPONSE = re.compile(r"RTSP/([12]\.[0-9])[ \t]+([0-9]{3})(?:[ \t].*)?")
_SCHEME = re.compile(r"rtsp[su]?://", re.IGNORECASE)
_MARK = ord("$")


def recognises(first: bytes, port: int, direction: int) -> bool | None:
    """A status line of RTSP, or a request line that ends in one of its versions; None while it may become one."""
    if first.startswith(_ANSWERS):
        return True
    if not first.startswith(_STARTS):
        return None if any(start.startswith(first) for start in _STARTS + _ANSWERS) else False
    end = first.find(b"\n")
    if end < 0:
        return None if len(first) < MAX_UNDECIDED_BYTES else False
    return first[:end].rstrip().endswith((b" RTSP/1.0", b" RTSP/2.0"))


class RtspDissection:
    """One connection, for as long as messages come more often than media."""

    __slots__ = ("_held", "_media", "skip", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._held = [b"", b""]
        self._media = [0, 0]

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for each message that they complete."""
        data = self._held[direction] + data
        self._held[direction] = b""
        position, size = 0, len(data)
        while position < size and self.wants[direction]:
            if left := self.skip[direction]:
                step = min(left, size - position)
                self.skip[direction] = left - step
                position += step
            elif data[position] == _MARK:
                if size - position < 4:
                    break
                self._pass_by(direction, data[position + 2] << 8 | data[position + 3])
                position += 4
            elif data[position] in b"\r\n":
                position += 1
            else:
                end = data.find(b"\r\n\r\n", position)
                if (end if end >= 0 else size) - position > MAX_HEAD_BYTES:
                    raise Malformed(f"the head of an RTSP message is longer than {MAX_HEAD_BYTES} bytes")
                if end < 0:
                    self._check_start(data[position : position + 32])
                    break
                yield self._read_head(direction, data[position : end + 2].decode("latin-1"))
                position = end + 4
        if self.wants[direction]:
            self._held[direction] = data[position:]

    def _pass_by(self, direction: int, length: int) -> None:
        self.skip[direction] = length
        self._media[direction] += length + 4
        if self._media[direction] > MAX_MEDIA_BYTES:
            self.wants[direction] = False

    def _check_start(self, first: bytes) -> None:
        word = first.partition(b" ")[0]
        if not word.replace(b"_", b"").replace(b"/", b"").replace(b".", b"").isalnum() or len(word) == len(first) == 32:
            raise Malformed("neither an RTSP request nor a response begins here")

    def _read_head(self, direction: int, head: str) -> Fact:
        line = head.partition("\n")[0].rstrip(" \t\r")
        lower = head.lower()
        length = read_field(head, lower, "\ncontent-length:") or "0"
        if not (length.isascii() and length.isdigit()) or len(length) > 7 or int(length) > MAX_BODY_BYTES:
            raise Malformed(f"the Content-Length of an RTSP message is no number up to {MAX_BODY_BYTES}")
        self.skip[direction] = int(length)
        backward = direction == FROM_SERVER
        answer = _RESPONSE.fullmatch(line)
        if answer is not None:
            http = Http(response=HttpResponse(status_code=int(answer[2])), version=answer[1])
            return Fact("rtsp", backward=backward, http=http, announced=read_server(head, lower))
        asked = _REQUEST.fullmatch(line)
        if asked is None:
            raise Malformed("a line where an RTSP request or status line should be is neither")
        agent = read_field(head, lower, "\nuser-agent:")
        url = read_url(asked[2])
        return Fact(
            "rtsp",
            url.domain,
            "rtsp_url" if url.domain else None,
            backward,
            url=url,
            http=Http(request=HttpRequest(method=asked[1]), version=asked[3]),
            user_agent=UserAgent(original=escape(agent)) if agent else None,
        )


def read_url(target: str) -> Url:
    """The address of an RTSP request, or "*"; user and password in it are left out (RFC 2326 3.2, RFC 3986 3.2.1)."""
    scheme = _SCHEME.match(target)
    if scheme is None:
        return Url(original=escape(target), path=escape(target))
    authority, slash, path = target[scheme.end() :].partition("/")
    authority = authority.rpartition("@")[2]
    domain, port = read_authority(authority)
    path, _, query = (slash + path).partition("?")
    original = scheme[0] + authority + path + (f"?{query}" if query else "")
    return Url(
        original=escape(original), domain=domain, port=port, path=escape(path) or None, query=escape(query) or None
    )


DISSECTOR = Dissector(
    name="rtsp", recognises=recognises, begin=RtspDissection, starts=bytes({start[0] for start in _STARTS + _ANSWERS})
)
