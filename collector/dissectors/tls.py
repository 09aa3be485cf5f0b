"""TLS over TCP: the ClientHello, and nothing that comes after it.

RFC 8446 4.1.2, 5.1 (TLS 1.3), 5246 7.4.1.2 (TLS 1.2), 6066 3 (server_name), 7301 3.1 (ALPN), 8701 (GREASE), 9849
(encrypted ClientHello). JA3: Salesforce, "TLS Fingerprinting with JA3 and JA3S". JA4: FoxIO, "JA4: TLS Client
Fingerprinting" (technical_details/JA4.md of FoxIO-LLC/ja4).

After the first hello only the beginning of the server's answer is read: a HelloRetryRequest (RFC 8446 4.1.3) asks the
client for a second one. Which side is the client is told by its hello, not by the port.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from struct import Struct, pack, unpack_from

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

_CHANGE_CIPHER_SPEC, _HANDSHAKE = 20, 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_HEAD_BYTES = 5
_SERVER_RANDOM_END = 38
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


class HandshakeReader:
    """The first handshake message of one direction, out of records cut anywhere. Holds at most MAX_HELLO_BYTES."""

    __slots__ = ("_head", "_kind", "_left", "_message")

    def __init__(self) -> None:
        self._head = b""
        self._kind = 0
        self._left = 0
        self._message = bytearray()

    def feed(self, data: bytes) -> tuple[int, bytes] | None:
        """Type and body of the message, None while it is not whole; type -1 when other records come in its place.

        Of a ServerHello the body up to its random is enough.
        """
        position, end = 0, len(data)
        while position < end:
            if not self._left:
                wanted = _HEAD_BYTES - len(self._head)
                self._head += data[position : position + wanted]
                position += wanted
                if len(self._head) < _HEAD_BYTES:
                    return None
                if not self._begin_record():
                    return -1, b""
            part = data[position : position + self._left]
            position += len(part)
            self._left -= len(part)
            if self._kind == _HANDSHAKE:
                self._message += part
                if (message := self._whole()) is not None:
                    return message
        return None

    def _begin_record(self) -> bool:
        head, self._head = self._head, b""
        self._kind, self._left = head[0], head[3] << 8 | head[4]
        if head[1] != 3 or self._kind not in (_HANDSHAKE, _CHANGE_CIPHER_SPEC):
            return False
        if not 0 < self._left <= MAX_RECORD_BYTES:
            raise Malformed(f"a TLS record of {self._left} bytes is not between 1 and {MAX_RECORD_BYTES}")
        return True

    def _whole(self) -> tuple[int, bytes] | None:
        message = self._message
        if len(message) < 4:
            return None
        kind, size = message[0], int.from_bytes(message[1:4], "big")
        if kind not in (_CLIENT_HELLO, _SERVER_HELLO):
            return -1, b""
        if size > MAX_HELLO_BYTES:
            raise Malformed(f"a TLS hello of {size} bytes is longer than {MAX_HELLO_BYTES}")
        if kind == _SERVER_HELLO:
            size = min(size, _SERVER_RANDOM_END - 4)
        return (kind, bytes(message[4 : 4 + size])) if len(message) >= 4 + size else None


class TlsDissection:
    """One TLS connection up to its last ClientHello."""

    __slots__ = ("_asker", "_readers", "skip", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._readers = [HandshakeReader(), HandshakeReader()]
        self._asker = -1

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for each ClientHello."""
        if not self.wants[direction]:
            return
        message = self._readers[direction].feed(data)
        if message is None:
            return
        kind, body = message
        self.wants[direction] = False
        if kind == _CLIENT_HELLO:
            if self._asker < 0:
                self._asker = direction
                self._readers[direction] = HandshakeReader()
            else:
                self.wants[1 - direction] = False
            yield read_fact(body, direction == FROM_SERVER)
        elif kind == _SERVER_HELLO and 0 <= self._asker != direction and body[2:34] == RETRY_RANDOM:
            self.wants[self._asker] = True
        elif self._asker >= 0:
            self.wants = [False, False]


DISSECTOR = Dissector(name="tls", recognises=recognises, begin=TlsDissection, starts=b"\x16")
