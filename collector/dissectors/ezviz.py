"""Hik-Connect and EZVIZ: a device's registration with the cloud (TCP 8666), and the messages of the CAS broker (TCP
6500, 9010) and of its address service (UDP 6002).

Registration: EZVIZ's own device SDK, published under the Eclipse licence (lbs_transport.c, dev_protocol_def.h): a
byte with the command in its upper half, a length as MQTT has it, three version bytes, then for the first message the
kind of authentication and the device's serial number behind its length; what follows is encrypted. CAS:
RenierM26/pyEzvizApi (cas.py) and independent clients: 32 bytes, big-endian: 9e ba ac e9, version, sequence, 0,
command, flags, length of the body, 0; then XML where the flags are 0, and a checksum. Where these run inside TLS
(8555, 6500) TLS is what is seen.
"""

import re
from struct import Struct

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.framing import NO_MESSAGE, FramedMessages
from collector.observation import Announced
from collector.texts import read_element

MAGIC = b"\x9e\xba\xac\xe9\x01\0\0\0"
MAX_BODY_BYTES = 1 << 16
MAX_DATAGRAMS = 8
"""Of a side: the address service is asked hundreds of times the same."""
MAX_MESSAGES = 16
REGISTRATION = {
    1: "authentication", 2: "authentication answer", 4: "session key request", 6: "session key answer",
    7: "device id request", 8: "device id answer", 9: "device id confirmation", 10: "server request",
    11: "server answer", 12: "session key", 13: "session key", 14: "session key", 15: "secret key request",
}  # fmt: skip
COMMANDS = {
    0x0811: "address answer", 0x0812: "address request", 0x0813: "address request", 0x0814: "address request",
    0x2001: "direct connection request", 0x2005: "transfer request", 0x2845: "password query",
    0x3003: "local handshake",
}  # fmt: skip
_HEADER = Struct(">4sIIIIIII")
_CHECKSUM_BYTES = 32
_ATTRIBUTE = re.compile(r'\bAddress="([0-9a-fA-F.:]{3,45})"')
_VERSIONS = (b"\1\1\0", b"\1\2\0")
_FLAG = 0x08
_MAX_AUTHENTICATION = 8
_MAX_HEAD_BYTES = 5


def read_message(data: bytes, direction: int) -> Fact:
    """A CAS message, header and body. Malformed when it does not begin as one."""
    if len(data) < _HEADER.size or not data.startswith(MAGIC):
        raise Malformed("a CAS message does not begin with its eight bytes")
    _, _, _, _, command, flags, size, _ = _HEADER.unpack_from(data)
    text = data[_HEADER.size : _HEADER.size + size].decode("utf-8", "replace") if not flags else ""
    found = _ATTRIBUTE.search(text)
    said = Announced(serial_number=read_element(text, "DevSerial"), ip=found[1] if found is not None else None)
    return Fact(
        "ezviz",
        backward=direction == FROM_SERVER,
        action=COMMANDS.get(command) or f"command 0x{command:04x}",
        announced=said if said != Announced() else None,
    )


def recognises_cas_datagram(first: bytes, port: int, direction: int) -> bool:
    """The magic number and version: eight bytes, so that any port will do."""
    return len(first) >= _HEADER.size and first.startswith(MAGIC)


class CasConversation:
    """The first messages of a UDP flow; what else shares it is video."""

    __slots__ = ("_left", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self._left = [MAX_DATAGRAMS, MAX_DATAGRAMS]

    def read(self, direction: int, payload: bytes) -> list[Fact]:
        """A fact of a message; none of other datagrams."""
        self._left[direction] -= 1
        self.wants[direction] = self._left[direction] > 0
        return [read_message(payload, direction)] if recognises_cas_datagram(payload, 0, direction) else []


def recognises_cas(first: bytes, port: int, direction: int) -> bool | None:
    """The magic number and version; None while they are not whole."""
    if not MAGIC.startswith(first[:8]):
        return False
    return True if len(first) >= 8 else None


def measure_cas(data: bytes, position: int) -> int | None:
    """Where a CAS message over TCP ends."""
    if len(data) - position < _HEADER.size:
        return None
    if not data.startswith(MAGIC, position):
        return NO_MESSAGE
    size = int.from_bytes(data[position + 24 : position + 28], "big")
    if size > MAX_BODY_BYTES:
        raise Malformed(f"a CAS message of {size} bytes is longer than {MAX_BODY_BYTES}")
    return position + _HEADER.size + size + _CHECKSUM_BYTES


def begin_cas() -> FramedMessages:
    """The first CAS messages of a TCP connection."""
    return FramedMessages(measure_cas, read_message, MAX_MESSAGES)


def read_head(data: bytes) -> tuple[int, int, int] | None:
    """Command, where the rest begins, and where it ends, of a registration message; None while that is not there."""
    size = 0
    for at in range(1, 5):
        if at >= len(data):
            return None
        size |= (data[at] & 0x7F) << 7 * (at - 1)
        if not data[at] & 0x80:
            return data[0] >> 4, at + 1, at + 1 + size
    raise Malformed("the length of a registration message has more than four bytes")


def read_serial(data: bytes, start: int, end: int) -> str:
    """The serial number of a registration's first message. Truncated, Malformed."""
    if data[0] & _FLAG:
        # What else the device can do: the kind of authentication, then a list behind its length.
        start += 2 + (data[start + 1] if start + 1 < end else 0)
    head = data[start : start + 5]
    if len(head) < 5 or head[:3] not in _VERSIONS or head[3] > _MAX_AUTHENTICATION:
        raise Malformed("a registration without its versions")
    if start + 5 + head[4] > end:
        raise Truncated("the serial number of a registration runs past the end")
    serial = data[start + 5 : start + 5 + head[4]]
    if not 8 <= len(serial) <= 72 or not serial.isascii() or not serial.replace(b":", b"").replace(b"-", b"").isalnum():
        raise Malformed("the serial number of a registration is none")
    return serial.decode("ascii")


def recognises_registration(first: bytes, port: int, direction: int) -> bool | None:
    """A first message whose length, versions and serial number fit each other; None while they are not all there."""
    if first and (first[0] >> 4 != 1 or first[0] & 5):
        return False
    try:
        head = read_head(first)
        if head is None:
            return None
        _, start, end = head
        if not 16 <= end - start <= 512:
            return False
        if not first[0] & _FLAG and not any(each.startswith(first[start : start + 3]) for each in _VERSIONS):
            return False
        if len(first) < end:
            return None
        read_serial(first, start, end)
    except Malformed:
        return False
    return True


def measure_registration(data: bytes, position: int) -> int | None:
    """Where a registration message ends."""
    head = read_head(data[position : position + _MAX_HEAD_BYTES])
    if head is None:
        return None
    _, start, end = head
    if end - start > MAX_BODY_BYTES:
        raise Malformed(f"a registration message is longer than {MAX_BODY_BYTES} bytes")
    return position + end


def read_registration(message: bytes, direction: int) -> Fact:
    """A registration message, of which the first says whose it is. Malformed."""
    command, start, end = read_head(message) or (0, 0, 0)
    said = Announced(serial_number=read_serial(message, start, end)) if command == 1 else None
    word = REGISTRATION.get(command) or f"command {command}"
    return Fact("ezviz", backward=direction == FROM_SERVER, action=word, announced=said)


def begin_registration() -> FramedMessages:
    """The messages of a registration."""
    return FramedMessages(measure_registration, read_registration, MAX_MESSAGES)


DISSECTOR = Dissector(name="ezviz", recognises=recognises_cas_datagram, converse=CasConversation, starts=MAGIC[:1])
CAS_OVER_TCP = Dissector(name="ezviz", recognises=recognises_cas, begin=begin_cas, starts=MAGIC[:1])
REGISTRATION_OVER_TCP = Dissector(
    name="ezviz", recognises=recognises_registration, begin=begin_registration, starts=b"\x10\x12\x18\x1a"
)
