"""Where the names and paths stand in packets, as Wireshark's dissectors say it, read by pyshark (field names are those
of Wireshark's display filter reference)."""

import queue
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from collector.errors import LenswatchError
from collector.evidence.exhibit import COMMENT, read_exhibit
from collector.wireshark.layers import Layer, bytes_of, layers_of
from collector.wireshark.tshark import Tshark

ANSWER_SECONDS: Final = 20.0
MAX_FIELDS: Final = 64
"""Of one packet."""
MAX_VALUE: Final = 512
PREFERENCES: Final = ("tcp.reassemble_out_of_order:TRUE",)
_DNS = ("dns.qry.name", "dns.resp.name", "dns.cname", "dns.a", "dns.aaaa", "dns.ptr.domain_name", "dns.srv.target")
_HTTP = (
    "http.request.method", "http.request.uri", "http.host", "http.user_agent", "http.response.code", "http.server",
    "http.www_authenticate", "http.location", "http.content_type", "http.content_length_header",
)  # fmt: skip
SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "dns": _DNS, "mdns": _DNS, "llmnr": _DNS, "http": _HTTP, "ssdp": _HTTP,
    "tls": ("tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str"),
    "rtsp": ("rtsp.method", "rtsp.url", "rtsp.status", "rtsp.server"),
    "dhcp": ("dhcp.option.hostname", "dhcp.option.vendor_class_id", "dhcp.hw.mac_addr", "dhcp.ip.your"),
    "stun": ("stun.att.software", "stun.att.realm", "stun.att.username"),
    "tftp": ("tftp.source_file", "tftp.destination_file"),
}  # fmt: skip
"""Layer → its fields that name somebody or something; passwords are in none of them."""
PAYLOAD: Final = "data"
_COMMENTS = re.compile(rb'<proto name="pkt_comment".*?</proto>', re.DOTALL)
_ID = re.compile(COMMENT.encode() + rb"([0-9a-f]{32})")


class Field(NamedTuple):
    """What stands where: `packet` is its number from 1, `offset` the place of its first byte there, None where
    Wireshark put it together of several packets. `named`: the alert names it."""

    packet: int
    layer: str
    field: str
    value: str
    offset: int | None
    size: int
    named: bool


class Shown(NamedTuple):
    """A packet: its time (nanoseconds since 1970), bytes on the wire, who to whom, what was observed of it, and its
    fields."""

    number: int
    at_ns: int
    wire: int
    ends: str
    observations: list[str]
    fields: list[Field]


def dissect(exhibit: bytes, named: AbstractSet[str]) -> list[Shown]:
    """Every packet with what stands in it; `named` are the names and paths of the alert. Raises LenswatchError, where
    there is no tshark too."""
    packets, tshark = read_exhibit(exhibit), Tshark(PREFERENCES)
    found = []
    try:
        left = memoryview(exhibit)
        while left:
            taken = tshark.send(left, ANSWER_SECONDS)
            if taken <= 0:
                raise LenswatchError(tshark.why() if taken < 0 else "tshark takes no more")
            left = left[taken:]
        for number, (at_ns, wire, data) in enumerate(packets, 1):
            try:
                answer = tshark.answers.get(timeout=ANSWER_SECONDS)
            except queue.Empty:
                raise LenswatchError(f"tshark has not answered for {ANSWER_SECONDS:g} s") from None
            if answer is None:
                raise LenswatchError(tshark.why())
            found.append(show_packet(number, at_ns, wire, data, answer, named))
    finally:
        tshark.close()
    return found


def show_packet(number: int, at_ns: int, wire: int, data: bytes, answer: bytes, named: AbstractSet[str]) -> Shown:
    """One packet from what tshark said of it. Raises LenswatchError."""
    # Two parsers that are not ours read what a third made of anybody's bytes: whatever they raise is theirs.
    try:
        layers = layers_of(answer)
        fields = [each for layer in layers for each in fields_of(number, layer, data, named)][:MAX_FIELDS]
        ends, observations = ends_of(layers), observations_of(answer)
    except Exception as error:
        raise LenswatchError(f"packet {number}: what tshark says of it cannot be read: {error}") from error
    if not any(each.named for each in fields):
        fields += payload_fields(number, data, named)
    return Shown(number, at_ns, wire, ends, observations, fields)


def fields_of(number: int, layer: Layer, data: bytes, named: AbstractSet[str]) -> Iterator[Field]:
    """The fields of a layer that are shown."""
    for name in SHOWN.get(layer.name, ()):
        for field in layer.fields(name):
            value, at, size = str(field.show or ""), int(field.pos or 0), int(field.size or 0)
            stands = bool(size) and data[at : at + size] == bytes_of(field)
            yield Field(
                number, layer.name, name, value[:MAX_VALUE], at if stands else None, size, is_named(value, named)
            )


def is_named(value: str, named: AbstractSet[str]) -> bool:
    """Whether a field's value is one of the alert's names or paths, as such things are compared."""
    value = value.casefold()
    return not named.isdisjoint((value.rstrip("."), value.partition("?")[0], value.rpartition(":")[0]))


def payload_fields(number: int, data: bytes, named: AbstractSet[str]) -> Iterator[Field]:
    """Where names stand in protocols that Wireshark does not know."""
    lower = data.lower()
    for name in sorted(named):
        at = lower.find(name.encode("utf-8", "replace"))
        if len(name) > 3 and at >= 0:
            text = data[at : at + len(name.encode("utf-8", "replace"))].decode("utf-8", "replace")
            yield Field(number, PAYLOAD, PAYLOAD, text[:MAX_VALUE], at, len(name.encode()), True)


def ends_of(layers: Sequence[Layer]) -> str:
    """From whom to whom, by the innermost addresses and ports."""
    said: dict[str, Any] = {}
    for layer in layers:
        for name in ("ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "udp.srcport",
                     "udp.dstport"):  # fmt: skip
            text = layer.text(name)
            if text is not None:
                said[name.partition(".")[2]] = text
    source, target = (f"{said.get(end, '?')} port {said.get(port, '?')}" for end, port in
                      (("src", "srcport"), ("dst", "dstport")))  # fmt: skip
    return f"{source} → {target}"


def observations_of(answer: bytes) -> list[str]:
    """The ids in the comments that the sensor wrote to a packet. pyshark keeps no comments."""
    comments = _COMMENTS.search(answer)
    return [] if comments is None else list(dict.fromkeys(id.decode() for id in _ID.findall(comments[0])))
