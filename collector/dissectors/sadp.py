"""SADP, Hikvision's search for devices on the link: who asks, and what each device answers.

XML over UDP port 37020 to 239.255.255.250. There is no public specification: the form is that of several independent
clients (MatrixEditor/hiktools, hiktools/sadp/message.py; opensadp; a Rust client after a DS-2CD2032-I), which agree on
`<Probe>` with `<Uuid>` and `<Types>`, and on the elements of `<ProbeMatch>`. Its older form is a frame of its own under
IP (EtherType 0x8033) and is not read.
"""

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed
from collector.observation import Announced
from collector.texts import read_element, read_mac

PORT = 37_020
MAX_BYTES = 8_192
_BLANKS = b" \t\r\n\xef\xbb\xbf"


def recognises(first: bytes, port: int, direction: int) -> bool:
    """An XML document whose root is Probe or ProbeMatch without a namespace, with SADP's Uuid."""
    head = first[:MAX_BYTES].lstrip(_BLANKS)
    if not head.startswith(b"<") or b"<Uuid>" not in head:
        return False
    return b"<Probe>" in head or b"<ProbeMatch>" in head


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One document. Malformed when it says neither what is asked nor what answers."""
    text = payload[:MAX_BYTES].decode("utf-8", "replace")
    kind, serial = read_element(text, "Types"), read_element(text, "DeviceSN")
    if "<ProbeMatch>" not in text:
        if kind is None:
            raise Malformed("a SADP Probe without Types")
        return [Fact("sadp", backward=direction == FROM_SERVER, action=kind)]
    said = Announced(
        type=read_element(text, "DeviceDescription"),
        model=read_element(text, "DeviceType"),
        serial_number=serial,
        firmware=read_element(text, "SoftwareVersion"),
        mac=read_mac(text, "MAC"),
        ip=read_element(text, "IPv4Address"),
    )
    if said == Announced():
        raise Malformed("a SADP ProbeMatch that says nothing of a device")
    return [Fact("sadp", backward=direction == FROM_SERVER, action=f"{kind or 'inquiry'} answer", announced=said)]


DISSECTOR = Dissector(name="sadp", recognises=recognises, read_datagram=read_datagram, starts=b"<" + _BLANKS)
