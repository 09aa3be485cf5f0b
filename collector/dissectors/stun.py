"""STUN and TURN over UDP and TCP: how a device finds its way out through an address translation, and by whose help.

RFC 8489 5 (header), 14 (attributes), 18 (registries); RFC 8656 (TURN: methods 17, ChannelData 12.4); RFC 3489 11.1 (the
classic form without a cookie, on its port only). What follows on the flow is media, so that only its beginning is read.
"""

from struct import Struct

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.dissectors.dns import read_ipv6
from collector.errors import Truncated
from collector.framing import NO_MESSAGE, FramedMessages
from collector.observation import Announced
from collector.texts import read_text

PORT = 3478
COOKIE = b"\x21\x12\xa4\x42"
MAX_MESSAGES = 48
"""Of a side; ICE checks go on for as long as a call does, and say nothing new."""
METHODS = {
    1: "binding", 2: "shared secret", 3: "allocate", 4: "refresh", 6: "send", 7: "data", 8: "create permission",
    9: "channel bind", 10: "connect", 11: "connection bind", 12: "connection attempt",
}  # fmt: skip
CLASSES = ("request", "indication", "success", "error")
_HEADER_BYTES = 20
_MAPPED, _REALM, _XOR_MAPPED, _SOFTWARE = 0x0001, 0x0014, 0x0020, 0x8022
_HEADER = Struct(">HH4s12s")
_CLASSIC = frozenset((0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112))


def _is_message(data: bytes, port: int) -> bool:
    """Whether a header may begin here: two zero bits, a length of whole words, the cookie or the classic port."""
    if len(data) < _HEADER_BYTES or data[0] & 0xC0 or data[3] & 3:
        return False
    return data[4:8] == COOKIE or (port == PORT and (data[0] << 8 | data[1]) in _CLASSIC)


def recognises_datagram(first: bytes, port: int, direction: int) -> bool:
    """A header whose length is the datagram's."""
    return _is_message(first, port) and (first[2] << 8 | first[3]) + _HEADER_BYTES == len(first)


def recognises_stream(first: bytes, port: int, direction: int) -> bool | None:
    """A header with the cookie; None while it is not whole and may become one."""
    if len(first) >= _HEADER_BYTES:
        return first[4:8] == COOKIE and _is_message(first, 0)
    fits = COOKIE.startswith(first[4:8]) and first[:1] < b"\x40" and not (len(first) > 3 and first[3] & 3)
    return None if fits else False


def read_message(data: bytes, backward: bool) -> Fact:
    """A whole message, header and attributes. Truncated when an attribute runs past the end."""
    if len(data) < _HEADER_BYTES:
        raise Truncated(f"a STUN header has {_HEADER_BYTES} bytes, here are {len(data)}")
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind >> 14 or length + _HEADER_BYTES > len(data):
        raise Truncated(f"a STUN message of {length} bytes runs past the end")
    said = Announced()
    position, end = _HEADER_BYTES, _HEADER_BYTES + length
    while position < end:
        if position + 4 > end:
            raise Truncated(f"the STUN attribute at {position} runs past the end")
        number, size = data[position] << 8 | data[position + 1], data[position + 2] << 8 | data[position + 3]
        start = position + 4
        if start + size > end:
            raise Truncated(f"the STUN attribute {number} runs past the end")
        value = data[start : start + size]
        position = start + (size + 3 & ~3)
        if number == _SOFTWARE:
            said.software = read_text(value)
        elif number == _REALM:
            said.realm = read_text(value)
        elif number in (_MAPPED, _XOR_MAPPED):
            said.ip = read_address(value, cookie + transaction if number == _XOR_MAPPED else bytes(16)) or said.ip
    method = kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    group = (kind & 0x0010) >> 4 | (kind & 0x0100) >> 7
    word = METHODS.get(method) or f"method {method}"
    return Fact(
        "stun",
        backward=backward,
        action=f"{word} {CLASSES[group]}",
        announced=said if said != Announced() else None,
    )


def read_address(value: bytes, mask: bytes) -> str | None:
    """A MAPPED-ADDRESS, or with its mask an XOR-MAPPED-ADDRESS (RFC 8489 14.1, 14.2)."""
    size = {1: 4, 2: 16}.get(value[1] if len(value) > 1 else 0)
    if size is None or len(value) != 4 + size:
        return None
    plain = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    return ".".join(map(str, plain)) if size == 4 else read_ipv6(plain)


class StunConversation:
    """The first messages of a UDP flow; datagrams that are none pass by and count as well."""

    __slots__ = ("_left", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self._left = [MAX_MESSAGES, MAX_MESSAGES]

    def read(self, direction: int, payload: bytes) -> list[Fact]:
        """A fact of a message; none of media or of DTLS that share the flow (RFC 7983 7)."""
        self._left[direction] -= 1
        self.wants[direction] = self._left[direction] > 0
        if payload[:1] > b"\3" or len(payload) < _HEADER_BYTES:
            return []
        return [read_message(payload, direction == FROM_SERVER)]


def measure(data: bytes, position: int) -> int | None:
    """Where a message over TCP ends; what is none, ChannelData (RFC 8656 12.4) above all, ends the reading."""
    if len(data) - position < _HEADER_BYTES:
        return None
    if not _is_message(data[position : position + _HEADER_BYTES], 0):
        return NO_MESSAGE
    return position + _HEADER_BYTES + (data[position + 2] << 8 | data[position + 3])


def begin() -> FramedMessages:
    """The first messages of a TCP connection."""
    return FramedMessages(
        measure, lambda message, direction: read_message(message, direction == FROM_SERVER), MAX_MESSAGES
    )


_STARTS = bytes(range(0x40))
DISSECTOR = Dissector(name="stun", recognises=recognises_datagram, converse=StunConversation, starts=_STARTS)
OVER_TCP = Dissector(name="stun", recognises=recognises_stream, begin=begin, starts=_STARTS)
