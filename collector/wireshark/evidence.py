"""What a device says of itself in protocols that we do not dissect, as Wireshark reads them.

Only protocols whose fields name their sender: for the others that Wireshark knows, a port is often all that told it,
and a port is no evidence. Names of fields: Wireshark's display filter reference. Object identifiers of SNMP: RFC 3418
(sysDescr, sysName). Reply codes: RFC 959 4.2 and RFC 5321 4.2 (220, the greeting).
"""

from collections.abc import Callable, Sequence

from collector.dissectors.dissector import FROM_SERVER, Fact
from collector.observation import Announced
from collector.texts import clean, read_text
from collector.wireshark.layers import Layer, bytes_of

GREETING = 220
SYSTEM_DESCRIPTION, SYSTEM_NAME = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.5.0"

Telling = Callable[[Layer], Announced]


def _said(**fields: str) -> Telling:
    """A reader of these fields of an announcement, each from one of Wireshark's."""

    def read(layer: Layer) -> Announced:
        said = Announced()
        for ours, theirs in fields.items():
            setattr(said, ours, _text(layer, theirs))
        return said

    return read


def _text(layer: Layer, name: str) -> str | None:
    return clean(layer.text(name))


def _greeting(code: str, text: str) -> Telling:
    def read(layer: Layer) -> Announced:
        return Announced(software=_text(layer, text) if layer.number(code) == GREETING else None)

    return read


def _read_sip(layer: Layer) -> Announced:
    return Announced(software=_text(layer, "sip.User-Agent") or _text(layer, "sip.Server"))


def _read_snmp(layer: Layer) -> Announced:
    said = Announced()
    values = {int(each.pos): each for each in layer.fields("snmp.value.octets")}
    for name in layer.fields("snmp.name"):
        after = min((at for at in values if at >= int(name.pos)), default=None)
        if after is not None and name.show in (SYSTEM_DESCRIPTION, SYSTEM_NAME):
            field = "software" if name.show == SYSTEM_DESCRIPTION else "name"
            setattr(said, field, read_text(bytes_of(values[after])))
    return said


def _read_dhcpv6(layer: Layer) -> Announced:
    return Announced(name=clean((layer.text("dhcpv6.client_domain") or "").rstrip(".")))


def _read_telnet(layer: Layer) -> Announced:
    return Announced(software=clean(" ".join(each.show or "" for each in layer.fields("telnet.data"))))


TELLING: dict[str, Telling] = {
    "sip": _read_sip,
    "snmp": _read_snmp,
    "telnet": _read_telnet,
    "ftp": _greeting("ftp.response.code", "ftp.response.arg"),
    "smtp": _greeting("smtp.response.code", "smtp.rsp.parameter"),
    "ssh": _said(software="ssh.protocol"),
    "vnc": _said(software="vnc.server_proto_ver"),
    "mqtt": _said(identifier="mqtt.clientid", name="mqtt.username"),
    "gvcp": _said(
        manufacturer="gvcp.bootstrap.manufacturername", model="gvcp.bootstrap.modelname",
        serial_number="gvcp.bootstrap.serialnumber", firmware="gvcp.bootstrap.deviceversion",
    ),
    "dhcpv6": _read_dhcpv6,
    "radius": _said(name="radius.NAS_Identifier"),
    "syslog": _said(name="syslog.hostname"),
}  # fmt: skip
"""By Wireshark's name of a protocol."""


def facts_of(layers: Sequence[Layer], direction: int) -> list[Fact]:
    """A fact for each layer that says something of its sender; the protocol is its action."""
    found = []
    for layer in layers:
        telling = TELLING.get(layer.name)
        said = telling(layer) if telling is not None else Announced()
        if said != Announced():
            found.append(Fact("device", backward=direction == FROM_SERVER, action=layer.name, announced=said))
    return found
