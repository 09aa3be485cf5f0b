"""TVT's search for devices: 140 bytes of their own on UDP port 23456 to 234.55.55.55, and an XML answer to its SSDP
search.

No public specification: the form is that of one published client's source (discovery.c of a TVT device client), and
so of one source only: "MHED", version 08 00 01 00, 1 for a search and 2 for an answer, little-endian; in an answer
name at 12, MAC at 32, port at 38, address at 40, kind of device at 64. `<multicastSearchResult>` holds productInfo
and tcpIp.
"""

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import read_element, read_mac, read_text

PORT = 23_456
MESSAGE_BYTES = 140
MAX_BYTES = 16_384
KINDS = {2: "NVR", 3: "DVR", 4: "IPC", 5: "Storage", 6: "MDVR", 8: "Decoder", 0x10101: "Network keyboard"}
_MAGIC = b"MHED\x08\0\x01\0"
_RESULT = b"<multicastSearchResult"
_SEARCH, _ANSWER = 1, 2


def recognises(first: bytes, port: int, direction: int) -> bool:
    """The eight bytes that a search frame begins with, or the root of the XML answer."""
    return (first.startswith(_MAGIC) and len(first) >= MESSAGE_BYTES) or (
        first[:1] in (b"<", b"H") and _RESULT in first[:MAX_BYTES]
    )


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One message. Truncated, Malformed."""
    backward = direction == FROM_SERVER
    if not payload.startswith(_MAGIC):
        return [read_result(payload[:MAX_BYTES].decode("utf-8", "replace"), backward)]
    if len(payload) < MESSAGE_BYTES:
        raise Truncated(f"a search frame has {MESSAGE_BYTES} bytes, here are {len(payload)}")
    kind = int.from_bytes(payload[8:12], "little")
    if kind == _SEARCH:
        return [Fact("tvt", backward=backward, action="search")]
    if kind != _ANSWER:
        raise Malformed(f"a search frame of kind {kind}")
    said = Announced(
        type=KINDS.get(int.from_bytes(payload[64:68], "little")),
        name=read_text(payload[12:32]),
        mac=payload[32:38].hex(":"),
        ip=".".join(map(str, payload[40:44])),
    )
    return [Fact("tvt", backward=backward, action="search answer", announced=said)]


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
