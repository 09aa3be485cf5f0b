"""DHIP and DHDiscover, Dahua's management protocol and its search for devices; and the binary one before it.

No public specification: the forms are those of mcw0/DahuaConsole (net.py: DHIP over TCP 5000, UDP 37810; the binary
headers of TCP 37777 and UDP 5050), of OpenIPC/python-dvr (DeviceManager.py: the fields of an answer on UDP 5050), and
of independent clients of DHDiscover. A DHIP header has 32 bytes: 0x20 0 0 0, "DHIP", session and request number, then
twice the length of the JSON that follows, little-endian, with four bytes after each. The binary header has 32 bytes
too: a command, and at 4 the length of what follows.
"""

from collections.abc import Iterator

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import clean, read_object, read_text, text_of

TCP_PORT, SEARCH_PORT, OLD_SEARCH_PORT = 37_777, 37_810, 5_050
MAX_DOCUMENT_BYTES = 1 << 16
MAX_MESSAGES = 16
"""Of a side of a connection: what it is, and who logs in, is said by then."""
_HEADER_BYTES = 32
_MAGIC = b"\x20\0\0\0DHIP"
_OLD_SEARCH, _OLD_ANSWER = b"\xa3\x01", b"\xb3\0"
_OLD_COMMANDS = {
    b"\xa0\0": "login", b"\xa0\x01": "realm request", b"\xa0\x05": "login", b"\xb0\0": "login answer",
    b"\xb0\x01": "realm answer", b"\xf6\0": "request",
}  # fmt: skip


def read_document(data: bytes, direction: int) -> Fact:
    """The JSON behind a DHIP header. Malformed when it is no object."""
    document = read_object(data.strip(b"\0\r\n "))
    if document is None:
        raise Malformed("a DHIP message that holds no JSON object")
    params = document.get("params")
    device = params.get("deviceInfo") if isinstance(params, dict) else None
    address = text_of(document, "mac") or text_of(device, "MachineAddress")
    said = Announced(
        type=text_of(device, "DeviceClass"),
        name=text_of(device, "MachineName"),
        manufacturer=text_of(device, "Vendor") or text_of(device, "Manufacturer"),
        model=text_of(device, "DeviceType"),
        serial_number=text_of(device, "SerialNo"),
        firmware=text_of(device, "Version"),
        mac=address.lower() if address and len(address) == 17 else None,
        ip=text_of(device, "IPv4Address", "IPAddress"),
        realm=text_of(params, "realm"),
    )
    return Fact(
        "dhip",
        backward=direction == FROM_SERVER,
        action=text_of(document, "method") or "answer",
        announced=said if said != Announced() else None,
    )


def read_old_answer(data: bytes, direction: int) -> Fact:
    """What a device answers on UDP port 5050: name at 40, address at 56, MAC as text at 120, model behind it."""
    if len(data) < 137:
        raise Truncated(f"an answer to the old search has 137 bytes, here are {len(data)}")
    address = read_text(data[120:137])
    said = Announced(
        name=read_text(data[40:56]),
        ip=".".join(map(str, data[56:60])),
        mac=address.lower() if address else None,
        model=read_text(data[137:]),
    )
    return Fact("dhip", backward=direction == FROM_SERVER, action="search answer", announced=said)


def recognises_datagram(first: bytes, port: int, direction: int) -> bool:
    """DHIP's eight bytes; on the old search's port its commands, with the length that each has."""
    if first.startswith(_MAGIC):
        return True
    if port != OLD_SEARCH_PORT:
        return False
    return (first.startswith(_OLD_SEARCH) and len(first) == _HEADER_BYTES) or (
        first.startswith(_OLD_ANSWER) and len(first) >= 137
    )


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One message. Malformed when it is neither DHIP nor the old search."""
    if payload.startswith(_MAGIC):
        if len(payload) < _HEADER_BYTES:
            raise Truncated(f"a DHIP header has {_HEADER_BYTES} bytes, here are {len(payload)}")
        return [read_document(payload[_HEADER_BYTES:], direction)]
    if payload.startswith(_OLD_SEARCH):
        return [Fact("dhip", backward=direction == FROM_SERVER, action="search")]
    if payload.startswith(_OLD_ANSWER):
        return [read_old_answer(payload, direction)]
    raise Malformed("neither a DHIP message nor one of the old search")


def recognises_stream(first: bytes, port: int, direction: int) -> bool | None:
    """DHIP's eight bytes anywhere; on the device's port also the binary form's commands."""
    if _MAGIC.startswith(first[:8]):
        return True if len(first) >= 8 else None
    if port != TCP_PORT:
        return False
    if len(first) < 2:
        return None if any(each.startswith(first) for each in _OLD_COMMANDS) else False
    return first[:2] in _OLD_COMMANDS


class DhipDissection:
    """The first messages of a connection, in either form."""

    __slots__ = ("_held", "_left", "skip", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._held = [b"", b""]
        self._left = [MAX_MESSAGES, MAX_MESSAGES]

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for each message that they complete."""
        data = self._held[direction] + data
        position = 0
        while self.wants[direction] and position < len(data):
            step = min(self.skip[direction], len(data) - position)
            self.skip[direction] -= step
            position += step
            head = data[position : position + _HEADER_BYTES]
            if self.skip[direction] or len(head) < _HEADER_BYTES:
                break
            if head.startswith(_MAGIC):
                end = position + _HEADER_BYTES + _length_of(head)
                if end > len(data):
                    break
                yield read_document(data[position + _HEADER_BYTES : end], direction)
                position = end
            elif head[:2] in _OLD_COMMANDS:
                position += _HEADER_BYTES
                self.skip[direction] = min(int.from_bytes(head[4:8], "little"), MAX_DOCUMENT_BYTES)
                word = _OLD_COMMANDS[head[:2]]
                yield Fact("dhip", backward=direction == FROM_SERVER, action=clean(word))
            else:
                self.wants[direction] = False
            self._left[direction] -= 1
            if self._left[direction] <= 0:
                self.wants[direction] = False
        self._held[direction] = data[position:] if self.wants[direction] else b""


def _length_of(head: bytes) -> int:
    size = int.from_bytes(head[16:20], "little")
    if size > MAX_DOCUMENT_BYTES:
        raise Malformed(f"a DHIP message of {size} bytes is longer than {MAX_DOCUMENT_BYTES}")
    return size


DISSECTOR = Dissector(name="dhip", recognises=recognises_datagram, read_datagram=read_datagram, starts=b"\x20\xa3\xb3")
OVER_TCP = Dissector(name="dhip", recognises=recognises_stream, begin=DhipDissection, starts=b"\x20\xa0\xb0\xf6")
