"""Packets → pcapng (draft-ietf-opsawg-pcapng: section header 4.1, interface description 4.2, enhanced packet 4.3,
comments 3.5)."""

from struct import Struct

MAX_PACKET_BYTES = 262_144
"""The longest that Wireshark reads (WTAP_MAX_PACKET_SIZE_STANDARD)."""
MAX_COMMENT_BYTES = 8_192

_SECTION = Struct("<IIIHHqI").pack(0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
_INTERFACE = Struct("<IIHHIHHB3xHHI")
_PACKET = Struct("<IIIIIII")
_LENGTH = Struct("<I")
_OPTION = Struct("<HH")
_COMMENT, _END_OF_OPTIONS = 1, _OPTION.pack(0, 0)
_NANOSECONDS = 9


class PacketWriter:
    """Packets → pcapng: a section header first, an interface description for each link type when it first comes."""

    def __init__(self) -> None:
        self._interfaces: dict[int, int] = {}

    def packet(self, link_type: int, at_ns: int, data: bytes, wire: int, comment: str = "") -> bytes:
        """One packet's blocks; a comment is cut at MAX_COMMENT_BYTES."""
        head = b""
        number = self._interfaces.get(link_type)
        if number is None:
            head = _INTERFACE.pack(1, 32, link_type, 0, MAX_PACKET_BYTES, _NANOSECONDS, 1, _NANOSECONDS, 0, 0, 32)
            head = head if self._interfaces else _SECTION + head
            number = self._interfaces[link_type] = len(self._interfaces)
        data, options = data[:MAX_PACKET_BYTES], b""
        if comment:
            text = comment.encode("utf-8", "replace")[:MAX_COMMENT_BYTES]
            options = b"".join((_OPTION.pack(_COMMENT, len(text)), text, bytes(-len(text) % 4), _END_OF_OPTIONS))
        filler = -len(data) % 4
        size = _PACKET.size + len(data) + filler + len(options) + _LENGTH.size
        high, low = divmod(max(at_ns, 0) & (1 << 64) - 1, 1 << 32)
        begin = _PACKET.pack(6, size, number, high, low, len(data), max(len(data), wire) & 0xFFFF_FFFF)
        return b"".join((head, begin, data, bytes(filler), options, _LENGTH.pack(size)))
