"""TLS over TCP: the ClientHello and, before TLS 1.3, the server's own certificate; nothing that comes after them.

RFC 8446 4.1.2, 4.1.3, 5.1 (TLS 1.3), 5246 7.4.1.2, 7.4.1.3, 7.4.2 (TLS 1.2), 6066 3 (server_name), 7301 3.1 (ALPN),
8701 (GREASE), 9849 (encrypted ClientHello). JA3: Salesforce, "TLS Fingerprinting with JA3 and JA3S". JA4: FoxIO,
"JA4: TLS Client Fingerprinting" (technical_details/JA4.md of FoxIO-LLC/ja4).

After the first hello only the beginning of the server's answer is read. A HelloRetryRequest (RFC 8446 4.1.3) asks the
client for a second one. A ServerHello of TLS 1.2 or below may be followed by a Certificate in clear; of that the first,
which is the server's own, is read, and none of those behind it. Which side is the client is told by its hello, not by
the port.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from struct import Struct, pack, unpack_from
from struct import error as struct_error

from collector.certificate import MAX_CERTIFICATE_BYTES
from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.dissectors.dns import escape
from collector.errors import Malformed, Truncated
from collector.observation import Tls, TlsClient, TlsOffer

MAX_HELLO_BYTES = 65_536
MAX_RECORD_BYTES = 16_384 + 2_048
MAX_EXTENSIONS = 256

VERSIONS = {0x0304: "1.3", 0x0303: "1.2", 0x0302: "1.1", 0x0301: "1.0", 0x0300: "3.0", 0x0002: "2.0"}
"""Numeric versions as ECS `tls.version` has them: 3.0 and 2.0 are SSL."""
GREASE = frozenset(step * 0x1010 + 0x0A0A for step in range(16))
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""SHA-256 of "HelloRetryRequest" (RFC 8446 4.1.3): the random of a ServerHello that is none."""

HANDSHAKE = 22
"""The record type that a TLS connection begins with (RFC 8446 5.1)."""
_CHANGE_CIPHER_SPEC = 20
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE = 1, 2, 11
_OTHER = -1
_HEAD_BYTES = 5
_TLS_1_3 = 0x0304
_SERVER_NAME, _GROUPS, _POINT_FORMATS, _SIGNATURES, _ALPN, _VERSIONS = 0, 10, 11, 13, 16, 43
_ENCRYPTED_HELLO = frozenset((0xFE0D, 0xFFCE))
_JA4_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NONE = "000000000000"
_EXTENSION = Struct(">HH")


@dataclasses.dataclass(slots=True)
class ClientHello:
    """What a ClientHello offers, in its order, with GREASE; `versions` is empty when there is no such extension."""

    version: int
    ciphers: tuple[int, ...]
    extensions: list[int] = dataclasses.field(default_factory=list)
    groups: tuple[int, ...] = ()
    point_formats: bytes = b""
    signatures: tuple[int, ...] = ()
    versions: tuple[int, ...] = ()
    alpn: list[bytes] = dataclasses.field(default_factory=list)
    server_name: bytes | None = None


def read_client_hello(body: bytes) -> ClientHello:
    """The body of a ClientHello, without the four bytes of handshake header (RFC 8446 4.1.2).

    Truncated or Malformed when a length does not fit.
    """
    size = len(body)
    try:
        version = body[0] << 8 | body[1]
        position = 35 + body[34]
        length = body[position] << 8 | body[position + 1]
        position += 2
        end = position + length
        ciphers = _numbers(body, position, end)
        position = end + 1 + body[end]
    except IndexError:
        raise Truncated(f"the ClientHello of {size} bytes ends before its compression methods") from None
    hello = ClientHello(version, ciphers)
    if position == size:
        return hello
    if position + 2 > size:
        raise Truncated(f"the ClientHello of {size} bytes ends before its extensions")
    end = position + 2 + (body[position] << 8 | body[position + 1])
    if end != size:
        raise Malformed(f"the extensions of the ClientHello end at {end} of {size} bytes")
    _read_extensions(hello, body, position + 2, end)
    return hello


def _numbers(body: bytes, start: int, end: int) -> tuple[int, ...]:
    if (end - start) % 2:
        raise Malformed(f"a list of two-byte numbers at {start} has {end - start} bytes")
    if end > len(body) or end < start:
        raise Truncated(f"the list at {start} runs past the end")
    return unpack_from(f">{(end - start) // 2}H", body, start)


def _read_extensions(hello: ClientHello, body: bytes, position: int, end: int) -> None:
    unpack, extensions = _EXTENSION.unpack_from, hello.extensions
    while position < end:
        if position + 4 > end:
            raise Truncated(f"the extension at {position} of the ClientHello runs past the end")
        kind, length = unpack(body, position)
        start = position + 4
        position = start + length
        if position > end:
            raise Truncated(f"the extension {kind} of the ClientHello runs past the end")
        if len(extensions) == MAX_EXTENSIONS:
            raise Malformed(f"the ClientHello has more than {MAX_EXTENSIONS} extensions")
        extensions.append(kind)
        if kind not in _READ or not length:
            continue
        if kind == _POINT_FORMATS:
            hello.point_formats = _block(body, start, position, 1)
        elif kind == _VERSIONS:
            hello.versions = _numbers(_block(body, start, position, 1), 0, length - 1)
        elif kind == _GROUPS:
            hello.groups = _numbers(_block(body, start, position, 2), 0, length - 2)
        elif kind == _SIGNATURES:
            hello.signatures = _numbers(_block(body, start, position, 2), 0, length - 2)
        elif kind == _ALPN:
            hello.alpn = _read_protocols(_block(body, start, position, 2))
        else:
            hello.server_name = _read_server_name(_block(body, start, position, 2))


_READ = frozenset((_SERVER_NAME, _GROUPS, _POINT_FORMATS, _SIGNATURES, _ALPN, _VERSIONS))


def _block(body: bytes, start: int, end: int, prefix: int) -> bytes:
    """The list that fills an extension, behind its own length of `prefix` bytes."""
    first = start + prefix
    if first > end or int.from_bytes(body[start:first], "big") != end - first:
        raise Malformed(f"the list in the extension at {start} does not fill it")
    return body[first:end]


def _read_protocols(block: bytes) -> list[bytes]:
    protocols = []
    position = 0
    while position < len(block):
        end = position + 1 + block[position]
        if end > len(block):
            raise Truncated("a protocol name in the ALPN extension runs past the end")
        protocols.append(block[position + 1 : end])
        position = end
    return protocols


def _read_server_name(block: bytes) -> bytes | None:
    """The first name of type host_name (RFC 6066 3)."""
    position = 0
    while position < len(block):
        start = position + 3
        if start > len(block):
            raise Truncated("an entry of the server_name extension runs past the end")
        end = start + (block[position + 1] << 8 | block[position + 2])
        if end > len(block):
            raise Truncated("the name in the server_name extension runs past the end")
        if block[position] == 0:
            return block[start:end]
        position = end
    return None


def ja3(hello: ClientHello) -> str:
    """The JA3 fingerprint: MD5 of version, ciphers, extensions, groups and point formats, without GREASE."""
    parts = [
        str(hello.version),
        "-".join([str(number) for number in hello.ciphers if number not in GREASE]),
        "-".join([str(number) for number in hello.extensions if number not in GREASE]),
        "-".join([str(number) for number in hello.groups if number not in GREASE]),
        "-".join([str(number) for number in hello.point_formats]),
    ]
    return hashlib.md5(",".join(parts).encode("ascii"), usedforsecurity=False).hexdigest()


def ja4(hello: ClientHello, transport: str = "t") -> str:
    """The JA4 fingerprint; `transport` is "t" for TCP, "q" for QUIC, "d" for DTLS. GREASE counts nowhere."""
    ciphers = sorted([number for number in hello.ciphers if number not in GREASE])
    extensions = sorted([number for number in hello.extensions if number not in GREASE])
    signatures = [number for number in hello.signatures if number not in GREASE]
    version = max([number for number in hello.versions if number not in GREASE], default=hello.version)
    named = "d" if _SERVER_NAME in extensions else "i"
    head = (
        f"{transport}{_JA4_VERSIONS.get(version, '00')}{named}"
        f"{min(len(ciphers), 99):02d}{min(len(extensions), 99):02d}{_ja4_alpn(hello.alpn)}"
    )
    listed = [number for number in extensions if number != _SERVER_NAME and number != _ALPN]
    tail = f"{_hex(listed)}_{_hex(signatures)}" if signatures else _hex(listed)
    return f"{head}_{_digest(_hex(ciphers)) if ciphers else _NONE}_{_digest(tail) if listed else _NONE}"


def _hex(numbers: list[int]) -> str:
    """Four hexadecimal digits each, with commas between."""
    return pack(f">{len(numbers)}H", *numbers).hex(",", 2)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12]


def _ja4_alpn(protocols: list[bytes]) -> str:
    """First and last character of the first protocol; of its hexadecimal form when either is not alphanumeric."""
    first = next((protocol for protocol in protocols if not _is_grease(protocol)), b"")
    if not first:
        return "00"
    if first[0] in _ALPHANUMERIC and first[-1] in _ALPHANUMERIC:
        return chr(first[0]) + chr(first[-1])
    text = first.hex()
    return text[0] + text[-1]


def _is_grease(protocol: bytes) -> bool:
    return len(protocol) == 2 and protocol[0] << 8 | protocol[1] in GREASE


def read_fact(body: bytes, backward: bool = False, dataset: str = "tls", transport: str = "t") -> Fact:
    """A ClientHello's body → what it says; `transport` as `ja4` has it. Truncated, Malformed."""
    return tell_hello(read_client_hello(body), backward, dataset, transport)


def tell_hello(hello: ClientHello, backward: bool = False, dataset: str = "tls", transport: str = "t") -> Fact:
    """What a ClientHello says; `transport` as `ja4` has it."""
    versions = [number for number in hello.versions if number not in GREASE] or [hello.version]
    highest = max([number for number in versions if number in VERSIONS], default=hello.version)
    alpn = [escape(protocol) for protocol in hello.alpn if not _is_grease(protocol)]
    name = escape(hello.server_name) if hello.server_name else None
    client = TlsClient(server_name=name)
    return Fact(
        dataset,
        name,
        "tls_sni" if name else None,
        backward,
        tls=Tls(
            version=VERSIONS.get(highest),
            next_protocol=alpn[0] if alpn else None,
            client=client,
        ),
        offer=TlsOffer(
            versions=[VERSIONS.get(number) or f"0x{number:04x}" for number in versions],
            alpn=alpn or None,
            ech=True if not _ENCRYPTED_HELLO.isdisjoint(hello.extensions) else None,
        ),
        finish=functools.partial(_fingerprint, client, hello, transport),
    )


def _fingerprint(client: TlsClient, hello: ClientHello, transport: str) -> None:
    client.ja3, client.ja4 = ja3(hello), ja4(hello, transport)


def recognises(first: bytes, port: int, direction: int) -> bool | None:
    """A handshake record that begins with a ClientHello or a ServerHello; None while six bytes are not there."""
    head = first[:9]
    size = len(head)
    if not head.startswith((b"\x16\x03\0", b"\x16\x03\1", b"\x16\x03\2", b"\x16\x03\3", b"\x16\x03\4")):
        return None if size < 3 and b"\x16\x03".startswith(head) else False
    if size < 6:
        return None
    if head[5] not in (_CLIENT_HELLO, _SERVER_HELLO) or not 0 < (head[3] << 8 | head[4]) <= MAX_RECORD_BYTES:
        return False
    return size < 7 or head[6] <= MAX_HELLO_BYTES >> 16


def read_server_version(body: bytes) -> int:
    """The version that a ServerHello's body chooses (RFC 8446 4.1.3, 4.2.1). Truncated, Malformed."""
    size = len(body)
    try:
        version = body[0] << 8 | body[1]
        position = 38 + body[34]
        if position == size:
            return version
        end = position + 2 + (body[position] << 8 | body[position + 1])
    except IndexError:
        raise Truncated(f"the ServerHello of {size} bytes ends before its extensions") from None
    if end != size:
        raise Malformed(f"the extensions of the ServerHello end at {end} of {size} bytes")
    position += 2
    while position < end:
        if position + 4 > end:
            raise Truncated(f"the extension at {position} of the ServerHello runs past the end")
        kind, length = _EXTENSION.unpack_from(body, position)
        start, position = position + 4, position + 4 + length
        if position > end:
            raise Truncated(f"the extension {kind} of the ServerHello runs past the end")
        if kind == _VERSIONS and length == 2:
            version = body[start] << 8 | body[start + 1]
    return version


def glance(payload: bytes) -> tuple[bytes, bytes] | None:
    """Of a ClientHello with a server's name that fills a first segment, whole in one record: the name, and its ALPN
    protocols as they stand, each behind its length; None for anything that needs a closer look. Where it is not None,
    the hello is read without fault."""
    size = len(payload)
    if size < 48 or payload[:2] != b"\x16\x03" or payload[2] > 4 or payload[5] != _CLIENT_HELLO:
        return None
    if int.from_bytes(payload[3:5], "big") != size - 5 or int.from_bytes(payload[6:9], "big") != size - 9:
        return None
    try:
        # Behind versions, random and session.
        position = 44 + payload[43]
        length = payload[position] << 8 | payload[position + 1]
        position += 2 + length
        position += 1 + payload[position]
        if length & 1 or position + 2 + (payload[position] << 8 | payload[position + 1]) != size:
            return None
        return _glance_extensions(payload, position + 2)
    except (IndexError, struct_error):
        return None


def _glance_extensions(payload: bytes, position: int) -> tuple[bytes, bytes] | None:
    """The name and the protocols, from the first extension on; raises what an end of the payload raises."""
    name, protocols, unpack = b"", b"", _EXTENSION.unpack_from
    for _ in range(MAX_EXTENSIONS):
        kind, length = unpack(payload, position)
        start, position = position + 4, position + 4 + length
        if kind in _READ and length:
            if kind == _SERVER_NAME:
                # The list has one entry, and that is a host's name.
                if name or length < 6 or payload[start : start + 5] != pack(">HBH", length - 2, 0, length - 5):
                    return None
                name = payload[start + 5 : position]
            elif kind in (_VERSIONS, _POINT_FORMATS):
                if payload[start] != length - 1 or (kind == _VERSIONS and not length & 1):
                    return None
            elif payload[start] << 8 | payload[start + 1] != length - 2 or (kind != _ALPN and length & 1):
                return None
            elif kind == _ALPN:
                protocols, at = payload[start + 2 : position], start + 2
                while at < position:
                    at += 1 + payload[at]
                if at != position:
                    return None
        if position >= len(payload):
            return (name, protocols) if name and position == len(payload) else None
    return None


class HandshakeReader:
    """The first handshake messages of one direction, out of records cut anywhere: a ClientHello, or a ServerHello and a
    Certificate. Holds at most MAX_HELLO_BYTES."""

    __slots__ = ("_answered", "_head", "_kind", "_left", "_message")

    def __init__(self) -> None:
        self._answered = False
        self._head = b""
        self._kind = 0
        self._left = 0
        self._message = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Type and body of each message that the bytes complete, of a Certificate the first certificate; type _OTHER
        when something else comes in its place, and then nothing more is to be fed."""
        position, end = 0, len(data)
        while position < end:
            if not self._left:
                wanted = _HEAD_BYTES - len(self._head)
                self._head += data[position : position + wanted]
                position += wanted
                if len(self._head) < _HEAD_BYTES:
                    return
                if not self._begin_record():
                    yield _OTHER, b""
                    return
            part = data[position : position + self._left]
            position += len(part)
            self._left -= len(part)
            if self._kind == HANDSHAKE:
                self._message += part
                while (message := self._whole()) is not None:
                    yield message

    def _begin_record(self) -> bool:
        head, self._head = self._head, b""
        self._kind, self._left = head[0], head[3] << 8 | head[4]
        if head[1] != 3 or self._kind not in (HANDSHAKE, _CHANGE_CIPHER_SPEC):
            return False
        if not 0 < self._left <= MAX_RECORD_BYTES:
            raise Malformed(f"a TLS record of {self._left} bytes is not between 1 and {MAX_RECORD_BYTES}")
        # What a server says after it is encrypted.
        return not (self._answered and self._kind == _CHANGE_CIPHER_SPEC)

    def _whole(self) -> tuple[int, bytes] | None:
        message = self._message
        if len(message) < 4:
            return None
        kind, size = message[0], int.from_bytes(message[1:4], "big")
        if kind == _CERTIFICATE and self._answered:
            return self._first_certificate(size)
        if kind not in (_CLIENT_HELLO, _SERVER_HELLO) or self._answered:
            return _OTHER, b""
        if size > MAX_HELLO_BYTES:
            raise Malformed(f"a TLS hello of {size} bytes is longer than {MAX_HELLO_BYTES}")
        if len(message) < 4 + size:
            return None
        body = bytes(message[4 : 4 + size])
        del message[: 4 + size]
        self._answered = kind == _SERVER_HELLO
        return kind, body

    def _first_certificate(self, size: int) -> tuple[int, bytes] | None:
        """The list's first entry (RFC 5246 7.4.2: the sender's own), _OTHER where there is none or it is too long."""
        message = self._message
        if len(message) < 10:
            return None if size >= 6 else (_OTHER, b"")
        length = int.from_bytes(message[7:10], "big")
        if not 0 < length <= min(size - 6, MAX_CERTIFICATE_BYTES):
            return _OTHER, b""
        return (_CERTIFICATE, bytes(message[10 : 10 + length])) if len(message) >= 10 + length else None


class TlsDissection:
    """One TLS connection up to its last ClientHello, and the server's certificate where it passes in clear."""

    __slots__ = ("_asker", "_readers", "skip", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._readers = [HandshakeReader(), HandshakeReader()]
        self._asker = -1

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for each ClientHello, and for the server's certificate."""
        if not self.wants[direction]:
            return
        for kind, body in self._readers[direction].feed(data):
            if kind == _CLIENT_HELLO:
                yield self._hear(direction, body)
            elif kind == _SERVER_HELLO and direction != self._asker:
                self._answer(direction, body)
            else:
                self._stop(direction)
                if kind == _CERTIFICATE:
                    yield Fact("certificate", backward=direction == FROM_SERVER, certificate=body)
            if not self.wants[direction]:
                return

    def _hear(self, direction: int, body: bytes) -> Fact:
        self.wants[direction] = False
        if self._asker < 0:
            self._asker = direction
            self._readers[direction] = HandshakeReader()
        else:
            self.wants[1 - direction] = False
        return read_fact(body, direction == FROM_SERVER)

    def _answer(self, direction: int, body: bytes) -> None:
        """A ServerHello: what comes next is worth reading where it asks for another hello, or may be a certificate."""
        if body[2:34] == RETRY_RANDOM:
            self._stop(direction)
            if self._asker >= 0:
                self.wants[self._asker] = True
        elif read_server_version(body) >= _TLS_1_3:
            self._stop(direction)

    def _stop(self, direction: int) -> None:
        """Nothing more of this direction is of use; of the other a hello that has not come yet."""
        self.wants[direction] = False
        if self._asker >= 0:
            self.wants[1 - direction] = False


DISSECTOR = Dissector(name="tls", recognises=recognises, begin=TlsDissection, starts=b"\x16")
