"""TVT's search for devices: datagrams of their own on UDP port 23456 to 234.55.55.55, answered to 234.55.55.56, and an
XML answer to its SSDP search.

No public specification: "MHED", a version of two bytes, 1, and at 8 the command, little-endian; in an answer name at
12, MAC at 32, port at 38, address at 40; in the longer ones, since version 7, serial number at 140, firmware at 156,
model at 196, customer at 212. So in ipcprobe's PROTOCOL.md and test vectors, from captures of cameras, and in clients
that do not know of each other; commands and versions in a header file (multicast header, 0x10007) published with
another. What the number at 64 says of the kind of device they do not agree on: it is not read. Passwords, which
settings carry, are not kept. `<multicastSearchResult>` holds productInfo and tcpIp (discovery.c of a client; one
source).
"""

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import read_element, read_mac, read_text

PORT = 23_456
MAX_BYTES = 16_384
COMMANDS = {
    1: "search", 2: "search answer", 3: "set address", 4: "set hardware address", 8: "set server", 13: "search one",
    14: "search one answer", 16: "set address answer",
}  # fmt: skip
_MAGIC = b"MHED"
_RESULT = b"<multicastSearchResult"
_ANSWER = 2
_HEADER_BYTES, _SHORT_BYTES, _LONG_BYTES = 12, 44, 228
_MAX_VERSION, _MAX_COMMAND = 64, 255


def recognises(first: bytes, port: int, direction: int) -> bool:
    """The header of a frame, or the root of the XML answer."""
    if first.startswith(_MAGIC):
        return (
            len(first) >= _HEADER_BYTES
            and first[6:8] == b"\1\0"
            and int.from_bytes(first[4:6], "little") <= _MAX_VERSION
            and 0 < int.from_bytes(first[8:12], "little") <= _MAX_COMMAND
        )
    return first[:1] in (b"<", b"H") and _RESULT in first[:MAX_BYTES]


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One message. Truncated, Malformed."""
    backward = direction == FROM_SERVER
    if not payload.startswith(_MAGIC):
        return [read_result(payload[:MAX_BYTES].decode("utf-8", "replace"), backward)]
    if len(payload) < _HEADER_BYTES:
        raise Truncated(f"the header of a frame has {_HEADER_BYTES} bytes, here are {len(payload)}")
    command = int.from_bytes(payload[8:12], "little")
    said = read_answer(payload) if command == _ANSWER else None
    return [Fact("tvt", backward=backward, action=COMMANDS.get(command) or f"command {command}", announced=said)]


def read_answer(payload: bytes) -> Announced:
    """What a device says of itself. Truncated."""
    if len(payload) < _SHORT_BYTES:
        raise Truncated(f"an answer has {_SHORT_BYTES} bytes and more, here are {len(payload)}")
    said = Announced(name=read_text(payload[12:32]), mac=payload[32:38].hex(":"), ip=".".join(map(str, payload[40:44])))
    if len(payload) >= _LONG_BYTES:
        said.serial_number, said.firmware = read_text(payload[140:156]), read_text(payload[156:172])
        said.model, said.manufacturer = read_text(payload[196:212]), read_text(payload[212:228])
    return said


def read_result(text: str, backward: bool) -> Fact:
    """The XML answer. Malformed when it says nothing of a device."""
    said = Announced(
        type=read_element(text, "productSeries"),
        name=read_element(text, "devName"),
        model=read_element(text, "productModel"),
        firmware=read_element(text, "softwareVer"),
        mac=read_mac(text, "macAddr"),
        ip=read_element(text, "ipAddr"),
    )
    if said == Announced():
        raise Malformed("a search result that says nothing of a device")
    return Fact("tvt", backward=backward, action="search answer", announced=said)


DISSECTOR = Dissector(name="tvt", recognises=recognises, read_datagram=read_datagram, starts=b"MH<")
