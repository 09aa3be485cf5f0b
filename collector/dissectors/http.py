"""HTTP/1.x over TCP on any port: each request and each response, its body skipped and never held; of one that may be
firmware, and of a site's icon, the digest is taken as it passes (`collector.digests`).

RFC 9110 (methods 9, fields 5, CONNECT 9.3.6, Upgrade 7.8), 9112 (request line 3, target 3.2, status line 4, fields 5,
body length 6, chunked coding 7.1), 7235 4.1 (WWW-Authenticate), 4918 (WebDAV), UPnP Device Architecture 2.0 (NOTIFY,
SUBSCRIBE, M-SEARCH; device description 2.3).

Which side asks is told by the bytes, not by the port. Of the head, only the fields that an observation has are read.
A field's text is as sent: bytes that are not printable ASCII are \\xNN. A short XML body of a response is kept until
it is whole: it may be a device's description of itself. After CONNECT, a switch of protocols, or a body that runs to
the end of the connection, the bytes are another protocol's and are not wanted.
"""

import re
from collections.abc import Iterator, Sequence

from collector.digests import GAP, MAX_ICON_BYTES, MIN_BINARY_BYTES, PARTIAL, Body, Digests, Icon, may_be_firmware
from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed
from collector.http_head import escape, is_chunked, read_field, read_length, read_mime_type, read_url
from collector.observation import (
    Announced,
    File,
    FileFormat,
    FileHash,
    Http,
    HttpBody,
    HttpRequest,
    HttpResponse,
    Url,
    UserAgent,
)
from collector.texts import clean, read_element, read_mac

MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 200
MAX_METHOD_CHARACTERS = 32
MAX_LINE_BYTES = 8_192
"""A chunk's size line or a trailer line."""
MAX_OUTSTANDING = 64
"""Requests that wait for their response; when there are more, the responses are not read any more."""
MAX_DESCRIPTION_BYTES = 16_384
"""Of an XML body that is looked at; device descriptions have two to eight thousand."""
MAX_UNDECIDED_BYTES = 256
"""A request line that is longer than this is recognised by its method alone."""

METHODS = (
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
    "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKCALENDAR", "ACL",
    "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "M-SEARCH", "PURGE", "BIND", "LINK", "UNLINK",
)  # fmt: skip
"""Methods that are recognised before the request line has ended; others when the line ends in HTTP/1.x."""

HAS_IT = frozenset((200, 401))
"""Codes by which a server says that it has what it was asked for: here it is, or: say first who asks."""

_HEAD, _CHUNK_SIZE, _CHUNK_END, _TRAILER, _DESCRIPTION = range(5)
_XML = frozenset(("text/xml", "application/xml"))
_DESCRIBES = re.compile(rb"urn:schemas-upnp-org:device-1-0|<(?:\w+:)?DeviceInfo[ >]")
_ICON = re.compile(r"/(?:favicon[^/]*|[^/]+\.ico)$", re.IGNORECASE)
_REALM = re.compile(r"""\brealm[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))""", re.IGNORECASE)
_CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_KNOWN = re.compile(f"(?:{'|'.join(METHODS)}) (?:/|[Hh][Tt][Tt][Pp]s?://|[^ /]+:[0-9])".encode("ascii"))
_METHOD_START = re.compile(rb"[A-Z][A-Z0-9_\-]{0,31}(?: |\Z)")
_METHOD = re.compile(r"[A-Z][A-Z0-9_\-]{0,31}")
_VERSIONS = frozenset([f"HTTP/1.{minor}" for minor in range(10)])
# One host at most and one user agent, no body, and no folded line: whatever else there is is not plain.
# Possessive, and an ignored case spelt out where most lines are asked: a quarter faster.
_PLAIN_LINES = re.compile(
    r"(?:(?:GET|HEAD) (/[!->@-~]*+)(?:\?[!-~]*+)? HTTP/1\.[0-9]|[^\r]*(?:\r(?!\n)[^\r]*)*)\r\n"
).findall
_PLAIN_FIELDS = re.compile(
    r"(?:[Hh][Oo][Ss][Tt]:(?(1)(?!)) *+([A-Za-z0-9_.-]*[A-Za-z])(?::[0-9]{1,5})? *+\r\n"
    r"|[Uu][Ss][Ee][Rr]-[Aa][Gg][Ee][Nn][Tt]:(?(2)(?!))([ -~]*+)\r\n"
    r"|(?![HhUuCcTt](?i:ost|ser-agent|ontent-length|ransfer-encoding):)[!-9;-~]++:[ -~]*+\r\n)++\r\n"
).fullmatch
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


def recognises(first: bytes, port: int, direction: int) -> bool | None:
    """A request line or a status line of HTTP/1.x; None while it may become one.

    RTSP and SIP share methods with HTTP, so that the end of the line decides where it is there.
    """
    if first[:1] not in _CAPITALS:
        rest = first.lstrip(b"\r\n")
        return False if rest[:1] not in _CAPITALS else recognises(rest, port, direction)
    if first.startswith(b"HTTP/1."):
        return True
    end = first.find(b"\n")
    if end > 10 and first.startswith(b" HTTP/1.", end - 10):
        return True
    if not _METHOD_START.match(first):
        return None if b"HTTP/1.".startswith(first) else False
    if end < 0:
        return None if len(first) < MAX_UNDECIDED_BYTES else _KNOWN.match(first) is not None
    line = first[:end].rstrip()
    return line[-9:-1] == b" HTTP/1." and line[-1:].isdigit()


def _find_empty_line(data: bytes | bytearray, start: int) -> int:
    """The end of the first empty line after a line, 0 when there is none; a bare LF ends a line too (RFC 9112 2.2)."""
    usual = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, usual + 1) if usual >= 0 else data.find(b"\n\n", start)
    return bare + 2 if bare >= 0 else usual + 3 if usual >= 0 else 0


_NOTHING = bytearray()
"""What a side holds while it holds nothing: one for all, never written to."""


class Side:
    """One direction: what part of a message comes next, and the bytes of it that are already here. `body` is the one
    whose digest is taken, `left` how many of its next bytes are sure to come; `told` is what it belongs to."""

    __slots__ = ("body", "held", "left", "lines", "searched", "state", "told")

    def __init__(self) -> None:
        self.state = _HEAD
        self.body: Body | None = None
        self.told: tuple[Url | None, Http] | None = None
        self.left = 0
        self.held = _NOTHING
        self.searched = 0
        self.lines = 0

    def find_end(self, data: bytes | bytearray, position: int) -> int:
        """Where the head, or the line, that begins at `position` ends; 0 when it does not yet. Malformed: too long."""
        start = position + self.searched
        if self.state == _HEAD:
            end, limit = _find_empty_line(data, start), MAX_HEAD_BYTES
        else:
            end, limit = data.find(b"\n", start) + 1, MAX_LINE_BYTES
        self.searched = 0 if end else max(len(data) - position - 2, 0)
        if (end or len(data)) - position > limit:
            raise Malformed(f"a head or line of HTTP is longer than {limit} bytes")
        return end

    def hold(self, data: bytes | bytearray, position: int) -> None:
        """Keeps what is not read yet, which begins at `position`."""
        if data is self.held:
            del self.held[:position]
        elif position < len(data):
            self.held = bytearray(data[position:])


def glance_lines(lines: Sequence[bytes]) -> list[str]:
    """Of first lines, without their ends, the paths in those of plain requests without a body; nothing for what needs a
    closer look.

    What `glance_fields` says of the rest belongs to it: where both say something, the request is read without fault.
    """
    # All at once: for one line the way to the expression and back is longer than the expression's work.
    return _PLAIN_LINES(b"\r\n".join((*lines, b"")).decode("latin-1"))


def glance_fields(fields: bytes) -> tuple[str, str | None] | None:
    """What stands behind the first line of a plain request, and is all of a first segment: the host in lower case, and
    the user agent; None for anything that needs a closer look."""
    said = _PLAIN_FIELDS(fields.decode("latin-1"))
    if said is None or fields.count(b"\n") >= MAX_HEADERS:
        return None
    host, agent = said.groups()
    return None if host is None else (host.lower(), None if agent is None else agent.strip(" "))


def read_realm(challenge: str | None) -> str | None:
    """The realm of a WWW-Authenticate field (RFC 7235 2.2)."""
    found = _REALM.search(challenge) if challenge else None
    return clean(escape(found[1] if found[1] is not None else found[2])) if found is not None else None


def read_server(head: str, lower: str) -> Announced | None:
    """What a response's head says of who sent it: Server, and the realm of the first challenge; None for neither."""
    software = read_field(head, lower, "\nserver:")
    realm = read_realm(read_field(head, lower, "\nwww-authenticate:"))
    software = clean(escape(software)) if software else None
    return Announced(software=software, realm=realm) if software or realm else None


def read_description(body: bytes) -> Announced | None:
    """A UPnP device description, or a camera's DeviceInfo of the same purpose; None when the body is neither."""
    if not _DESCRIBES.search(body):
        return None
    text = body.decode("utf-8", "replace")
    said = Announced(
        type=read_element(text, "deviceType"),
        name=read_element(text, "friendlyName") or read_element(text, "deviceName"),
        manufacturer=read_element(text, "manufacturer"),
        model=read_element(text, "modelName") or read_element(text, "model"),
        serial_number=read_element(text, "serialNumber"),
        firmware=read_element(text, "firmwareVersion") or read_element(text, "modelNumber"),
        mac=read_mac(text, "macAddress"),
        identifier=read_element(text, "UDN"),
    )
    return said if said != Announced() else None


def is_icon(asked: Url | None, mime_type: str | None, length: int | None) -> bool:
    """Whether what was asked for is a site's icon, and what is answered may be one: a page in its place is none."""
    if asked is None or asked.path is None or (length or 0) > MAX_ICON_BYTES:
        return False
    return _ICON.search(asked.path) is not None and not (mime_type or "").startswith("text/")


class HttpDissection:
    """One connection: requests and responses in turn, kept alive and pipelined."""

    __slots__ = ("_asked", "_description_bytes", "_digests", "_may_switch", "_problem", "_sides", "skip", "wants")

    def __init__(self, digests: Digests | None = None) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._problem: Malformed | None = None
        self._sides = (Side(), Side())
        self._asked: list[tuple[str, Url]] = []
        self._digests = digests
        self._may_switch = False
        self._description_bytes = 0

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for each head that they complete."""
        side = self._sides[direction]
        buffer: bytes | bytearray = data
        if side.held:
            side.held += data
            buffer = side.held
        position, size = 0, len(buffer)
        while position < size and self.wants[direction]:
            if left := self.skip[direction]:
                step = min(left, size - position)
                self.skip[direction] = left - step
                position += step
                continue
            if side.left and side.body is not None:
                step = min(side.left, size - position)
                side.left -= step
                if not side.body.feed(buffer[position : position + step]):
                    self._drop_body(direction)
                elif not side.left and side.state == _HEAD:
                    yield from self._finish_body(direction)
                position += step
                continue
            if side.state == _HEAD and buffer[position] in b"\r\n":
                position += 1
                side.searched = 0
                continue
            if side.state == _DESCRIPTION:
                end = position + self._description_bytes
                if end > size:
                    break
                side.state = _HEAD
                if (said := read_description(bytes(buffer[position:end]))) is not None:
                    yield Fact("ssdp", backward=direction == FROM_SERVER, action="description", announced=said)
                position = end
                continue
            end = side.find_end(buffer, position)
            if not end:
                if side.state == _HEAD:
                    self._check_start(bytes(buffer[position : position + MAX_METHOD_CHARACTERS + 1]))
                break
            part = bytes(buffer[position:end])
            position = end
            if side.state == _HEAD:
                fact = self._read_head(direction, part.decode("latin-1"))
                if fact is not None:
                    yield fact
                if self._problem is not None:
                    raise self._problem
            else:
                self._read_line(direction, part)
                if side.body is not None and side.state == _TRAILER:
                    yield from self._finish_body(direction)
        if self.wants[direction]:
            side.hold(buffer, position)
        else:
            side.held = _NOTHING

    def forgo_digest(self, direction: int) -> None:
        """See `Digesting`."""
        if self._sides[direction].body is not None and self._digests is not None:
            self._digests.give_up(GAP)
            self._drop_body(direction)

    def _drop_body(self, direction: int) -> None:
        side = self._sides[direction]
        self.skip[direction], side.left = side.left, 0
        side.body = side.told = None

    def _begin_body(
        self, direction: int, kind: str | None, length: int | None, url: Url | None, http: Http, whole: bool = True,
        sort: type[Body] = Body,
    ) -> None:  # fmt: skip
        """Take the digest of the body that comes next, where it is an icon or may be firmware; what is but a part of
        one is not."""
        side = self._sides[direction]
        comes = self.skip[direction] or side.state == _CHUNK_SIZE
        if self._digests is None or not comes or not (sort is Icon or may_be_firmware(kind, length)):
            return
        if not whole:
            self._digests.let_go[PARTIAL] += 1
            return
        side.body = self._digests.begin(kind, length, sort)
        if side.body is not None:
            side.told = url, http
            side.left, self.skip[direction] = self.skip[direction], 0

    def _finish_body(self, direction: int) -> Iterator[Fact]:
        side = self._sides[direction]
        body, told = side.body, side.told
        side.body = side.told = None
        if body is None or told is None:
            return
        digest, container = body.finish()
        if body.size < MIN_BINARY_BYTES and not isinstance(body, Icon):
            return
        url, http = told
        name = url.path.rpartition("/")[2] if url is not None and url.path else None
        md5, number = body.known_by() if isinstance(body, Icon) else (None, None)
        yield Fact(
            "file" if md5 is None else "favicon",
            url.domain if url is not None else None,
            "http_host" if url is not None and url.domain else None,
            direction == FROM_SERVER,
            url=url,
            http=http,
            action=None if md5 is not None else "download" if http.response is not None else "upload",
            file=File(
                size=body.size, hash=FileHash(sha256=digest, md5=md5), mime_type=body.mime_type, name=name or None
            ),
            format=FileFormat(container=container, mmh3=number) if container is not None or md5 is not None else None,
        )

    def _check_start(self, first: bytes) -> None:
        if _METHOD_START.match(first) or first.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(first):
            return
        if not self._may_switch:
            raise Malformed("neither an HTTP request nor a response begins here")
        self.wants = [False, False]

    def _read_head(self, direction: int, head: str) -> Fact | None:
        end = head.index("\n")
        line = head[:end].rstrip(" \t\r")
        if head.count("\n") > MAX_HEADERS + 2:
            self._problem = Malformed(f"an HTTP head has more than {MAX_HEADERS} lines")
        lower = head.lower()
        if line.startswith("HTTP/1."):
            return self._read_response(direction, line, head, lower)
        method, _, rest = line.partition(" ")
        target, _, version = rest.rpartition(" ")
        target = target.strip(" \t")
        if not target or version not in _VERSIONS or not _METHOD.fullmatch(method):
            if self._may_switch:
                self.wants = [False, False]
                return None
            raise Malformed("a line where an HTTP request line should be is none")
        return self._read_request(direction, method, target, version[5:], head, lower)

    def _read_request(self, direction: int, method: str, target: str, version: str, head: str, lower: str) -> Fact:
        length = self._read_request_length(head, lower)
        chunked = is_chunked(head, lower)
        if method == "CONNECT" or chunked is False:
            self.wants[direction] = False
        self._expect_body(direction, chunked, length or 0)
        if "\nupgrade:" in lower:
            self._may_switch = True
        agent = read_field(head, lower, "\nuser-agent:")
        url = read_url(method, escape(target), read_field(head, lower, "\nhost:"))
        if len(self._asked) < MAX_OUTSTANDING:
            self._asked.append((method, url))
        else:
            self.wants[1 - direction] = False
        http = Http(
            request=HttpRequest(method=method, body=None if length is None else HttpBody(bytes=length)),
            version=version,
        )
        if length or chunked:
            self._begin_body(direction, read_mime_type(head, lower), length, url, http)
        return Fact(
            "http",
            url.domain,
            "http_host" if url.domain else None,
            direction == FROM_SERVER,
            url=url,
            http=http,
            user_agent=None if agent is None else UserAgent(original=escape(agent)),
        )

    def _read_request_length(self, head: str, lower: str) -> int | None:
        """The body's length; one that is none breaks the connection, but only after the request has been told."""
        try:
            return read_length(head, lower)
        except Malformed as error:
            self._problem = error
            return None

    def _read_response(self, direction: int, line: str, head: str, lower: str) -> Fact:
        version, _, rest = line.partition(" ")
        code = rest.lstrip(" \t")[:3]
        if version not in _VERSIONS or len(code) != 3 or not (code.isascii() and code.isdigit()):
            raise Malformed("an HTTP status line without a version or a code of three digits")
        status = int(code)
        length = read_length(head, lower)
        mime_type = read_mime_type(head, lower)
        asked = self._asked[0][1] if self._asked and status >= 200 else None
        self._expect_response_body(direction, status, is_chunked(head, lower), length)
        http = Http(
            response=HttpResponse(
                status_code=status, mime_type=mime_type, body=None if length is None else HttpBody(bytes=length)
            ),
            version=version[5:],
        )
        if status in (200, 206):
            icon = status == 200 and is_icon(asked, mime_type, length) and "\ncontent-encoding:" not in lower
            self._begin_body(direction, mime_type, length, asked, http, status == 200, Icon if icon else Body)
        if mime_type in _XML and 0 < self.skip[direction] <= MAX_DESCRIPTION_BYTES:
            self._description_bytes, self.skip[direction] = self.skip[direction], 0
            self._sides[direction].state = _DESCRIPTION
        return Fact(
            "http",
            backward=direction == FROM_SERVER,
            announced=read_server(head, lower),
            http=http,
            answered=asked if status in HAS_IT else None,
        )

    def _expect_response_body(self, direction: int, status: int, chunked: bool | None, length: int | None) -> None:
        """What comes after a response's head (RFC 9112 6.3)."""
        if status == 101:
            self.wants = [False, False]
            return
        if status < 200:
            return
        method = self._asked.pop(0)[0] if self._asked else ""
        if method == "CONNECT" and status < 300:
            self.wants = [False, False]
        elif method == "HEAD" or status in (204, 304):
            return
        elif chunked is False or (chunked is None and length is None):
            self.wants[direction] = False
        else:
            self._expect_body(direction, chunked, length or 0)

    def _expect_body(self, direction: int, chunked: bool | None, length: int) -> None:
        if chunked:
            self._sides[direction].state = _CHUNK_SIZE
        elif chunked is None:
            self.skip[direction] = length

    def _read_line(self, direction: int, line: bytes) -> None:
        """A line of a chunked body (RFC 9112 7.1): a size, the end of a chunk, or a trailer."""
        side = self._sides[direction]
        if side.state == _CHUNK_SIZE:
            match = _SIZE.fullmatch(line)
            if not match:
                raise Malformed("a chunk of an HTTP body without a size")
            size = int(match[1], 16)
            if side.body is not None:
                side.left = size
            else:
                self.skip[direction] = size
            side.state = _CHUNK_END if size else _TRAILER
            side.lines = 0
        elif side.state == _CHUNK_END:
            if line not in (b"\r\n", b"\n"):
                raise Malformed("a chunk of an HTTP body is longer than its size")
            side.state = _CHUNK_SIZE
        elif line in (b"\r\n", b"\n"):
            side.state = _HEAD
        else:
            side.lines += 1
            if side.lines > MAX_HEADERS:
                raise Malformed(f"an HTTP body has more than {MAX_HEADERS} trailers")


DISSECTOR = Dissector(
    name="http", recognises=recognises, begin=HttpDissection, starts=b"\r\n" + _CAPITALS, digest=HttpDissection
)
