"""What tshark says of a packet, read by pyshark: layers, and their fields in the order of their bytes."""

import re
from typing import Any

from pyshark.tshark.output_parser.tshark_xml import packet_from_xml_packet

_PROTOCOL = re.compile(rb'<proto name="([\w.-]+)"')
_BEGIN = b"<packet>"


def protocols_of(answer: bytes) -> list[str]:
    """The protocols of a packet's PDML, outermost first, without a parser: most packets are of no interest."""
    return [name.decode("ascii") for name in _PROTOCOL.findall(answer)]


def layers_of(answer: bytes) -> list["Layer"]:
    """A packet's PDML → its layers, outermost first."""
    packet: Any = packet_from_xml_packet(answer[answer.find(_BEGIN) :])
    return [Layer(layer) for layer in packet.layers]


class Layer:
    """One protocol of a packet. A field is asked for by its name in Wireshark's display filters."""

    def __init__(self, layer: Any) -> None:
        # `layer_name` is overridden for nameless layers; both are strings.
        self.name: str = str(layer.layer_name).lower()
        self._layer = layer

    def fields(self, name: str) -> list[Any]:
        """All fields of a name, in the order of the document."""
        found = self._layer.get_field(name)
        return [] if found is None else [each for each in found.all_fields if each.name == name]

    def text(self, name: str) -> str | None:
        """The first field's value as Wireshark shows it."""
        found = self.fields(name)
        return found[0].show if found else None

    def number(self, name: str) -> int | None:
        """The first field's value, a number (also 0x…); None where it is none."""
        return number_of(self.text(name))

    def numbers(self, name: str) -> tuple[int, ...]:
        """All values of a field."""
        found = (number_of(each.show) for each in self.fields(name))
        return tuple(each for each in found if each is not None)

    def raw(self, name: str) -> bytes | None:
        """The bytes of the first field."""
        found = self.fields(name)
        return bytes_of(found[0]) if found else None

    def head(self) -> tuple[bytes, int]:
        """The head of a text protocol, its lines without the empty one, and where that one ends."""
        found: dict[int, bytes] = {}
        # pyshark lists its fields only by names that it has changed.
        for name in self._layer._all_fields:
            for field in self.fields(name):
                data = bytes_of(field)
                if data.endswith(b"\n") and field.pos is not None:
                    found.setdefault(int(field.pos), data)
        head, end = b"", 0
        for at in sorted(found):
            end = at + len(found[at])
            if found[at] in (b"\r\n", b"\n"):
                break
            head += found[at]
        return head, end


def number_of(text: str | None) -> int | None:
    """A field's number, decimal or 0x…; true and false too."""
    if text in ("True", "False"):
        return int(text == "True")
    try:
        return int(text or "", 0)
    except ValueError:
        return None


def bytes_of(field: Any) -> bytes:
    """The bytes that a field stands for; empty where it has none of its own."""
    try:
        return bytes.fromhex(field.raw_value or "")
    except ValueError:
        return b""
