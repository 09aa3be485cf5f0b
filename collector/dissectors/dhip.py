"""DHIP and DHDiscover, Dahua's management protocol and its search for devices; and the binary one before it.

No public specification: the forms are those of mcw0/DahuaConsole (net.py: DHIP over TCP 5000, UDP 37810; the binary
headers of TCP 37777 and UDP 5050), of OpenIPC/python-dvr (DeviceManager.py: the fields of an answer on UDP 5050), and
of independent clients of DHDiscover. A DHIP header has 32 bytes: 0x20 0 0 0, "DHIP", session and request number, then
twice the length of the JSON that follows, little-endian, with four bytes after each. The binary header has 32 bytes
too: a command, and at 4 the length of what follows. Who logs in ends it with 05 02, two bytes, 00 00 a1 aa
(DahuaConsole and independent clients); the greeting that answers is text, "Realm:Login to <serial number>", "Random:…".
"""

import re
from collections.abc import Iterator

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import clean, read_object, read_text, text_of

TCP_PORT, SEARCH_PORT, OLD_SEARCH_PORT = 37_777, 37_810, 5_050
MAX_DOCUMENT_BYTES = 1 << 16
MAX_MESSAGES = 16
"""Of a side of a connection: what it is, and who logs in, is said by then."""
MAX_GREETING_BYTES = 1_024
_HEADER_BYTES = 32
_MAGIC = b"\x20\0\0\0DHIP"
_OLD_SEARCH, _OLD_ANSWER = b"\xa3\x01", b"\xb3\0"
_OLD_COMMANDS = {
    b"\xa0\0": "login", b"\xa0\x01": "realm request", b"\xa0\x05": "login", b"\xb0\0": "login answer",
    b"\xb0\x01": "realm answer", b"\xf6\0": "request",
}  # fmt: skip
_LOGINS, _GREETING = (b"\xa0\0", b"\xa0\x01", b"\xa0\x05"), 0xB0
_LOGIN_END = re.compile(rb"\x05\x02..\0\0\xa1\xaa", re.DOTALL)
_OLD_SEARCH_FORM = re.compile(rb"\xa3\x01\0.\0{12}\x02\0{15}", re.DOTALL)
_MAC = re.compile(rb"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
_REALM = re.compile(rb"(?:^|\n)Realm:([^\r\n]{1,128})")


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
    """DHIP's eight bytes; the old search, which has but one form, and its answer with a MAC in its place. On the old
    search's own port the commands and lengths are enough."""
    if first.startswith(_MAGIC):
        return True
    if first.startswith(_OLD_SEARCH):
        return len(first) == _HEADER_BYTES and (
            port == OLD_SEARCH_PORT or _OLD_SEARCH_FORM.fullmatch(first) is not None
        )
    if first.startswith(_OLD_ANSWER) and len(first) >= 137:
        return port == OLD_SEARCH_PORT or _MAC.fullmatch(first, 120, 137) is not None
    return False


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
    """DHIP's eight bytes, or the header of a login in the binary form; on the device's own port any of its commands."""
    if _MAGIC.startswith(first[:8]):
        return True if len(first) >= 8 else None
    commands = _OLD_COMMANDS if port == TCP_PORT else _LOGINS
    if len(first) < 2:
        return None if any(each.startswith(first) for each in commands) else False
    if port == TCP_PORT or first[:2] not in commands:
        return first[:2] in commands
    return None if len(first) < _HEADER_BYTES else _LOGIN_END.fullmatch(first, 24, _HEADER_BYTES) is not None


def read_greeting(body: bytes) -> Announced | None:
    """The realm that a device greets with; None for a body that has none."""
    found = _REALM.search(body)
    realm = read_text(found[1]) if found is not None else None
    return Announced(realm=realm) if realm else None


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
                size, said = int.from_bytes(head[4:8], "little"), None
                if head[0] == _GREETING and size <= MAX_GREETING_BYTES:
                    if position + _HEADER_BYTES + size > len(data):
                        break
                    said = read_greeting(data[position + _HEADER_BYTES :][:size])
                    position += size
                else:
                    self.skip[direction] = min(size, MAX_DOCUMENT_BYTES)
                position += _HEADER_BYTES
                word = _OLD_COMMANDS[head[:2]]
                yield Fact("dhip", backward=direction == FROM_SERVER, action=clean(word), announced=said)
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
