"""DHCP for IPv4: what a device that joins the network says of itself, and which address it gets.

RFC 2131 2 (message), 4.1 (overloaded fields); RFC 2132 (options); RFC 3396 7 (an option in several parts); RFC 4702
2.1 (the client's full name). Plain BOOTP (RFC 951), which says no more than an address, is not read.
"""

from collector.dissectors.dissector import Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import read_text

SERVER_PORT, CLIENT_PORT = 67, 68
COOKIE = b"\x63\x82\x53\x63"
MESSAGES = (
    "", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM", "FORCERENEW", "LEASEQUERY",
    "LEASEUNASSIGNED", "LEASEUNKNOWN", "LEASEACTIVE",
)  # fmt: skip
_COOKIE_AT, _OPTIONS_AT = 236, 240
_FILE, _SERVER_NAME = slice(108, 236), slice(44, 108)
_PAD, _HOST_NAME, _REQUESTED, _OVERLOAD, _TYPE, _PARAMETERS, _VENDOR_CLASS, _CLIENT, _FULL_NAME, _END = (
    0, 12, 50, 52, 53, 55, 60, 61, 81, 255,
)  # fmt: skip
_REPLY, _ETHERNET, _NOWHERE = 2, 1, bytes(4)


def recognises(first: bytes, port: int, direction: int) -> bool:
    """A request or reply with DHCP's cookie in its place; four bytes at a fixed place, so that any port will do."""
    return len(first) > _OPTIONS_AT and first[_COOKIE_AT:_OPTIONS_AT] == COOKIE and first[0] in (1, 2)


def read_options(data: bytes) -> dict[int, bytes]:
    """Option → value; the parts of one that comes several times are joined. Truncated when one runs past the end."""
    options: dict[int, bytes] = {}
    areas = [data[_OPTIONS_AT:]]
    for area in areas:
        position, end = 0, len(area)
        while position < end and area[position] != _END:
            if area[position] == _PAD:
                position += 1
                continue
            start = position + 2
            if start > end or start + area[start - 1] > end:
                raise Truncated(f"the DHCP option {area[position]} runs past the end")
            position = start + area[start - 1]
            number = area[start - 2]
            options[number] = options.get(number, b"") + area[start:position]
        if len(areas) == 1 and (overload := options.get(_OVERLOAD, b"\0")):
            areas += [data[field] for bit, field in ((1, _FILE), (2, _SERVER_NAME)) if overload[0] & bit]
    return options


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One message. Malformed when it has no cookie or no type, or its options break off."""
    if len(payload) < _OPTIONS_AT:
        raise Truncated(f"a DHCP message has {_OPTIONS_AT} bytes before its options, here are {len(payload)}")
    if payload[_COOKIE_AT:_OPTIONS_AT] != COOKIE:
        raise Malformed("a DHCP message without its cookie")
    options = read_options(payload)
    kind = options.get(_TYPE, b"")
    if len(kind) != 1 or not 0 < kind[0] < len(MESSAGES):
        raise Malformed("a DHCP message without a type")
    given, own, asked = payload[16:20], payload[12:16], options.get(_REQUESTED, b"")
    address = next((each for each in (given, own, asked) if len(each) == 4 and each != _NOWHERE), None)
    parameters = options.get(_PARAMETERS)
    hardware = payload[28:34] if payload[1] == _ETHERNET and payload[2] == 6 else b""
    return [
        Fact(
            "dhcp",
            backward=payload[0] == _REPLY,
            action=MESSAGES[kind[0]],
            announced=Announced(
                name=read_full_name(options.get(_FULL_NAME)) or read_text(options.get(_HOST_NAME, b"")),
                software=read_text(options.get(_VENDOR_CLASS, b"")),
                mac=hardware.hex(":") if hardware else None,
                ip=".".join(map(str, address)) if address else None,
                parameters=",".join(map(str, parameters)) if parameters else None,
            ),
        )
    ]


def read_full_name(data: bytes | None) -> str | None:
    """The client's full name (RFC 4702 2.1): behind three bytes, in labels where the E bit says so, else as text."""
    if data is None or len(data) < 4:
        return None
    if not data[0] & 4:
        return read_text(data[3:])
    labels, position = [], 3
    while position < len(data) and 0 < data[position] < 64:
        labels.append(data[position + 1 : position + 1 + data[position]])
        position += 1 + data[position]
    return read_text(b".".join(labels))


DISSECTOR = Dissector(name="dhcp", recognises=recognises, read_datagram=read_datagram, starts=b"\1\2")
