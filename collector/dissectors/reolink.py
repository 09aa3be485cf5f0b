"""Reolink's search for a camera by its id (UDP 2015, 2018, 9999, 58200), and the greeting of Baichuan (TCP 9000).

No public specification: the forms are those of neolink (dissector/baichuan.lua, bcudp), reolink_aio (baichuan) and
several independent clients, which agree. A search datagram has 20 bytes: 3a cf 87 2a, length, 1, transmission number,
checksum, little-endian; then XML, each four bytes turned by a word of a fixed key to which the number is added.
Datagrams of acknowledgement (20 cf 87 2a) and data (10 cf 87 2a) follow on the flow: they are video, and not read. A
Baichuan message begins with f0 de bc 0a, message id and length.
"""

from collections.abc import Iterator

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import read_element

MAX_DATAGRAMS = 8
MAX_DOCUMENT_BYTES = 4_096
_MAGIC = b"\x3a\xcf\x87\x2a"
_OTHERS = (b"\x20\xcf\x87\x2a", b"\x10\xcf\x87\x2a")
_BAICHUAN = b"\xf0\xde\xbc\x0a"
_HEADER_BYTES = 20
_GREETING_BYTES = 20
_KEY = (0x1F2D3C4B, 0x5A6C7F8D, 0x38172E4B, 0x8271635A, 0x863F1A2B, 0xA5C6F7D8, 0x8371E1B4, 0x17F2D3A5)
_LOGIN = 1


def turn(data: bytes, number: int) -> bytes:
    """The XML of a search datagram with this transmission number, out of its bytes or into them."""
    key = b"".join([(word + number & 0xFFFFFFFF).to_bytes(4, "little") for word in _KEY])
    stream = key * (len(data) // len(key) + 1)
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")).to_bytes(len(data), "big")


def recognises_datagram(first: bytes, port: int, direction: int) -> bool:
    """A search datagram's magic number, its 1, and its length."""
    if len(first) <= _HEADER_BYTES or not first.startswith(_MAGIC):
        return False
    size, one = int.from_bytes(first[4:8], "little"), int.from_bytes(first[8:12], "little")
    return one == 1 and size == len(first) - _HEADER_BYTES <= MAX_DOCUMENT_BYTES


class SearchConversation:
    """A flow's first search datagrams."""

    __slots__ = ("_left", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self._left = [MAX_DATAGRAMS, MAX_DATAGRAMS]

    def read(self, direction: int, payload: bytes) -> list[Fact]:
        """A fact of a search datagram, none of the others. Truncated, Malformed."""
        self._left[direction] -= 1
        if payload.startswith(_OTHERS):
            self._left[direction] = 0
        self.wants[direction] = self._left[direction] > 0
        if not payload.startswith(_MAGIC):
            return []
        if len(payload) < _HEADER_BYTES:
            raise Truncated(f"a search datagram has {_HEADER_BYTES} bytes before its XML, here are {len(payload)}")
        number = int.from_bytes(payload[12:16], "little")
        text = turn(payload[_HEADER_BYTES : _HEADER_BYTES + MAX_DOCUMENT_BYTES], number).decode("latin-1")
        if "<P2P>" not in text:
            raise Malformed("a search datagram that holds no P2P document")
        start = text.index("<P2P>") + 5
        action = text[start:].lstrip().removeprefix("<").partition(">")[0]
        identifier = read_element(text, "uid") or read_element(text, "sid")
        return [
            Fact(
                "reolink",
                backward=direction == FROM_SERVER,
                action=action if action.replace("_", "").isalnum() and len(action) <= 32 else None,
                announced=Announced(identifier=identifier) if identifier else None,
            )
        ]


def recognises_stream(first: bytes, port: int, direction: int) -> bool | None:
    """A Baichuan login: magic number and message id; None while they are not whole."""
    whole = _BAICHUAN + _LOGIN.to_bytes(4, "little")
    if not whole.startswith(first[:8]):
        return False
    return True if len(first) >= 8 else None


class GreetingDissection:
    """The first message of each side of a Baichuan connection; what follows is encrypted, or video."""

    __slots__ = ("_held", "skip", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._held = [b"", b""]

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for its first header. Malformed when it is none."""
        data = self._held[direction] + data
        if not self.wants[direction]:
            return
        if not _BAICHUAN.startswith(data[:4]):
            raise Malformed("a Baichuan message does not begin with its four bytes")
        if len(data) < _GREETING_BYTES:
            self._held[direction] = data
            return
        self._held[direction] = b""
        self.wants[direction] = False
        backward = direction == FROM_SERVER
        yield Fact("reolink", backward=backward, action="login answer" if backward else "login")


DISSECTOR = Dissector(name="reolink", recognises=recognises_datagram, converse=SearchConversation, starts=_MAGIC[:1])
OVER_TCP = Dissector(name="reolink", recognises=recognises_stream, begin=GreetingDissection, starts=_BAICHUAN[:1])
