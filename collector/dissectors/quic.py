"""QUIC: the ClientHello in the Initial packets, and nothing that comes after it.

RFC 9000 12.2 (coalesced packets), 16 (variable-length integers), 17.2 (long headers), 19 (frames); RFC 9001 5 (keys,
header and packet protection); RFC 9369 3 (version 2). Drafts 22 to 34 of the IETF and Facebook's versions of them have
version 1's form with other salts (draft-ietf-quic-tls, section 5.2 of each). Google's own QUIC before it is not read.

An Initial packet is encrypted with keys that anybody can make from the connection id which the client chose first.
Which side is the client is told by whose keys open the packet. After a Retry the client's next packet has the keys of
the Retry's connection id (RFC 9001 5.2), which is its own destination then, so that no Retry need be read. What
cannot be opened is let go, as an endpoint does (RFC 9001 5.5); only what was opened can break the protocol.
"""

from collections.abc import Iterator

from collector.cursor import Cursor
from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.dissectors.tls import MAX_HELLO_BYTES, read_fact
from collector.errors import Malformed, Truncated

MAX_CONNECTION_ID_BYTES = 20
MAX_DATAGRAMS = 24
"""Of a side before its hello is whole: a hello with a post-quantum key is in two or three, each perhaps sent again."""
MAX_DATAGRAMS_AFTER = 6
"""Of the client after its hello: the second hello that a HelloRetryRequest asks for."""
MAX_PACKETS = 16
"""Coalesced in one datagram."""
MAX_KEYS = 4
"""Connection ids that keys are made of: the first, and one after each Retry or change of version."""
MAX_PIECES = 128
"""Of a CRYPTO stream that are held because one before them is missing."""

_DRAFT_22 = bytes.fromhex("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")
_DRAFT_23 = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_DRAFT_29 = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
_VERSION_1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_VERSION_2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
_SECOND = 0x6B3343CF
SALTS = {
    1: _VERSION_1,
    _SECOND: _VERSION_2,
    **dict.fromkeys(range(0xFF000021, 0xFF000023), _VERSION_1),
    **dict.fromkeys(range(0xFF00001D, 0xFF000021), _DRAFT_29),
    **dict.fromkeys(range(0xFF000017, 0xFF00001D), _DRAFT_23),
    0xFF000016: _DRAFT_22,
    0xFACEB001: _DRAFT_22,
    0xFACEB002: _DRAFT_23,
    0xFACEB003: _DRAFT_29,
    0xFACEB00E: _DRAFT_23,
    0xFACEB00F: _DRAFT_29,
    0xFACEB010: _DRAFT_29,
}
"""Version → the salt of its Initial keys."""
RESERVED_SALTS = (_VERSION_1, _DRAFT_29)
"""Of versions that ask for a version negotiation (RFC 9000 15): each client makes keys as for its own version."""

_INITIAL, _ZERO_RTT, _HANDSHAKE, _RETRY = range(4)
_TYPES_2 = (_RETRY, _INITIAL, _ZERO_RTT, _HANDSHAKE)
"""Version 2 numbers the packet types anew (RFC 9369 3.2)."""
_SAMPLE_BYTES = 16
_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO, _CLOSE = 0, 1, 2, 3, 6, 0x1C


class InitialCipher:
    """The client's Initial keys of a connection id (RFC 9001 5.1 to 5.4, RFC 9369 3.3.1)."""

    __slots__ = ("_aead", "_iv", "_mask")

    def __init__(self, salt: bytes, connection_id: bytes) -> None:
        # Imported by the first who meets QUIC: it takes longer to load than all of the other dissectors.
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers import Cipher, modes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.hmac import HMAC
        from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

        def expand(secret: bytes, label: str, size: int) -> bytes:
            name = b"tls13 " + label.encode("ascii")
            info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
            return HKDFExpand(hashes.SHA256(), size, info).derive(secret)

        extract = HMAC(salt, hashes.SHA256())
        extract.update(connection_id)
        secret = expand(extract.finalize(), "client in", 32)
        word = "quicv2" if salt == _VERSION_2 else "quic"
        self._aead = AESGCM(expand(secret, f"{word} key", 16))
        self._iv = int.from_bytes(expand(secret, f"{word} iv", 12), "big")
        self._mask = Cipher(AES(expand(secret, f"{word} hp", 16)), modes.ECB()).encryptor()

    def open(self, packet: bytes, number_at: int) -> bytes | None:
        """Header protection off, then the payload (RFC 9001 5.3, 5.4.1); None when the keys are not the packet's.

        The packet's protected number begins at `number_at`.
        """
        from cryptography.exceptions import InvalidTag

        sample = packet[number_at + 4 : number_at + 4 + _SAMPLE_BYTES]
        mask = self._mask.update(sample)
        first = packet[0] ^ mask[0] & 0x0F
        size = (first & 3) + 1
        number = bytes(a ^ b for a, b in zip(packet[number_at : number_at + size], mask[1:], strict=False))
        header = bytes([first]) + packet[1:number_at] + number
        nonce = (self._iv ^ int.from_bytes(number, "big")).to_bytes(12, "big")
        try:
            return self._aead.decrypt(nonce, packet[number_at + size :], header)
        except InvalidTag:
            return None


class CryptoStream:
    """CRYPTO frames of the Initial level → handshake messages in order, whatever the order of the frames."""

    __slots__ = ("_pieces", "_read", "_whole")

    def __init__(self) -> None:
        self._whole = bytearray()
        self._pieces: dict[int, bytes] = {}
        self._read = 0

    def add(self, offset: int, data: bytes) -> None:
        """One frame's bytes. Malformed when they lie further on than a hello can be long, or in too many pieces."""
        if offset + len(data) > 2 * MAX_HELLO_BYTES:
            raise Malformed(f"a CRYPTO frame ends at {offset + len(data)}, which no ClientHello reaches")
        if len(data) > len(self._pieces.get(offset, b"")):
            self._pieces[offset] = data
        whole = self._whole
        for at in sorted(self._pieces):
            if at > len(whole):
                break
            whole += self._pieces.pop(at)[len(whole) - at :]
        if len(self._pieces) > MAX_PIECES:
            raise Malformed(f"a CRYPTO stream lies in more than {MAX_PIECES} pieces")

    def next_message(self) -> tuple[int, bytes] | None:
        """Type and body of the next handshake message, None while it is not whole (RFC 8446 4)."""
        start = self._read
        head = self._whole[start : start + 4]
        if len(head) < 4:
            return None
        size = int.from_bytes(head[1:], "big")
        if size > MAX_HELLO_BYTES:
            raise Malformed(f"a handshake message of {size} bytes is longer than {MAX_HELLO_BYTES}")
        end = start + 4 + size
        if len(self._whole) < end:
            return None
        self._read = end
        return head[0], bytes(self._whole[start + 4 : end])


def pull_number(cursor: Cursor) -> int:
    """A variable-length integer (RFC 9000 16)."""
    first = cursor.pull_u8()
    rest = cursor.pull_bytes((1 << (first >> 6)) - 1)
    return int.from_bytes(bytes([first & 0x3F]) + rest, "big")


class QuicConversation:
    """One flow up to its client's last ClientHello."""

    __slots__ = ("_ciphers", "_client", "_left", "_stream", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self._client = -1
        self._left = [MAX_DATAGRAMS, MAX_DATAGRAMS]
        self._ciphers: dict[tuple[bytes, bytes], InitialCipher] = {}
        self._stream = CryptoStream()

    def read(self, direction: int, payload: bytes) -> list[Fact]:
        """A fact for each ClientHello that the datagram completes. Malformed when an opened packet breaks the rules."""
        facts: list[Fact] = []
        try:
            for opened in self._packets(Cursor(payload), direction):
                self._read_frames(opened)
                while (message := self._stream.next_message()) is not None:
                    if message[0] == 1:
                        facts.append(read_fact(message[1], direction == FROM_SERVER, "quic", "q"))
        finally:
            self._count(direction, bool(facts))
        return facts

    def _packets(self, cursor: Cursor, direction: int) -> Iterator[bytes]:
        """What the client's Initial packets of a datagram hold; a packet that is cut off ends it."""
        for _ in range(MAX_PACKETS):
            try:
                packet = self._pull_packet(cursor, direction)
            except Truncated:
                return
            if packet is None:
                return
            yield packet

    def _count(self, direction: int, said: bool) -> None:
        left = self._left
        if said:
            self.wants[1 - direction] = False
            left[direction] = MAX_DATAGRAMS_AFTER
        left[direction] -= 1
        if left[direction] <= 0:
            self.wants[direction] = False

    def _pull_packet(self, cursor: Cursor, direction: int) -> bytes | None:
        """The payload of the next packet, empty when it is none of the client's Initials; None at the datagram's end.

        A packet with a short header runs to the end of the datagram, and padding may follow the last.
        """
        start = cursor.position
        if cursor.remaining() < 7 or not cursor.pull_u8() & 0x80:
            return None
        version = cursor.pull_u32()
        if not salts_of(version):
            return None
        destination = cursor.pull_bytes(cursor.pull_u8())
        cursor.pull_bytes(cursor.pull_u8())
        kind = cursor.data[start] >> 4 & 3
        kind = _TYPES_2[kind] if version == _SECOND else kind
        if kind == _RETRY:
            return None
        if kind == _INITIAL:
            cursor.pull_bytes(pull_number(cursor))
        size = pull_number(cursor)
        number_at = cursor.position
        cursor.pull_bytes(size)
        if kind != _INITIAL or size < 4 + _SAMPLE_BYTES or len(destination) > MAX_CONNECTION_ID_BYTES:
            return b""
        return self._open(
            bytes(cursor.data[start : cursor.position]), number_at - start, version, destination, direction
        )

    def _open(self, packet: bytes, number_at: int, version: int, destination: bytes, direction: int) -> bytes:
        """The payload of a client's Initial; empty when no keys open it."""
        if self._client == 1 - direction:
            return b""
        keys = [(salt, destination) for salt in salts_of(version)]
        for key in [key for key in self._ciphers if key not in keys] + keys:
            if key not in self._ciphers:
                if len(self._ciphers) == MAX_KEYS:
                    break
                self._ciphers[key] = InitialCipher(*key)
            payload = self._ciphers[key].open(packet, number_at)
            if payload is not None:
                self._client = direction
                return payload
        return b""

    def _read_frames(self, payload: bytes) -> None:
        """The frames that an Initial packet may hold (RFC 9000 17.2.2)."""
        cursor = Cursor(payload)
        while cursor.remaining():
            kind = cursor.pull_u8()
            if kind in (_PADDING, _PING):
                continue
            if kind == _CRYPTO:
                offset = pull_number(cursor)
                self._stream.add(offset, cursor.pull_bytes(pull_number(cursor)))
            elif kind in (_ACK, _ACK_ECN):
                _skip_ack(cursor, kind == _ACK_ECN)
            elif kind == _CLOSE:
                return
            else:
                raise Malformed(f"a frame of type {kind} in an Initial packet")


def salts_of(version: int) -> tuple[bytes, ...]:
    """The salts that the Initial keys of a version may have; none when it is not known."""
    salt = SALTS.get(version)
    if salt is not None:
        return (salt,)
    return RESERVED_SALTS if version & 0x0F0F0F0F == 0x0A0A0A0A else ()


def _skip_ack(cursor: Cursor, counts: bool) -> None:
    """An ACK frame (RFC 9000 19.3): largest, delay, ranges, the first range, then two numbers a range, then counts."""
    pull_number(cursor)
    pull_number(cursor)
    ranges = pull_number(cursor)
    for _ in range(min(1 + 2 * ranges, cursor.remaining() + 1) + (3 if counts else 0)):
        pull_number(cursor)


def recognises(first: bytes, port: int, direction: int) -> bool:
    """A long header of a version whose Initial keys are known, with connection ids of a lawful length.

    The version's four bytes are what makes it certain on any port.
    """
    if len(first) < 7 or first[0] & 0xC0 != 0xC0 or not salts_of(int.from_bytes(first[1:5], "big")):
        return False
    size = first[5]
    return size <= MAX_CONNECTION_ID_BYTES and len(first) > 6 + size and first[6 + size] <= MAX_CONNECTION_ID_BYTES


DISSECTOR = Dissector(name="quic", recognises=recognises, converse=QuicConversation, starts=bytes(range(0xC0, 0x100)))
