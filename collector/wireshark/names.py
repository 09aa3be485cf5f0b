"""Wireshark's fields of a DNS message → names and records, in the words of `dissectors/dns.py`."""

import contextlib
from typing import Any

from collector.dissectors.dns import HEADER_BYTES, MAX_ANSWERS, TYPES, read_data, read_ipv6, read_name
from collector.errors import Malformed
from collector.observation import DnsAnswer
from collector.wireshark.layers import Layer, bytes_of, number_of

ROOT = "<Root>"
_ADDRESS, _ADDRESS_6, _SOA, _MAIL, _SERVICE = 1, 28, 6, 15, 33
_NAMED = {2: "dns.ns", 5: "dns.cname", 12: "dns.ptr.domain_name", 39: "dns.dname"}
_TYPE_TO_DATA = 10
"""From a record's type to its data: type, class, time to live, length (RFC 1035 4.1.3)."""


def name_of(field: Any) -> str:
    """A name: from its bytes, so that what cannot be printed is as we write it; where they are pointers, as shown.

    Malformed where Wireshark says in angle brackets why it shows none.
    """
    try:
        return read_name(bytes(HEADER_BYTES) + bytes_of(field), HEADER_BYTES, {})[0]
    except Malformed:
        if field.show != ROOT and (field.show or "<").startswith("<"):
            raise Malformed(f"a name of a DNS message cannot be read: {field.show}") from None
        return "." if field.show == ROOT else str(field.show)


def type_of(field: Any) -> str:
    """A record type's word."""
    number = number_of(field.show) or 0
    return TYPES.get(number) or f"TYPE{number}"


def records_of(layer: Layer, count: int, addresses: list[str]) -> list[DnsAnswer]:
    """The first `count` records behind the questions; those of A and AAAA are added to `addresses`."""
    nodes: dict[int, bytes] = {}
    for node in layer.fields(""):
        # A section has the place of its first record: the record is the shorter of the two.
        at, data = int(node.pos), bytes_of(node)
        if at not in nodes or len(data) < len(nodes[at]):
            nodes[at] = data
    owners = _owners(layer)
    places = sorted(owners)
    found = []
    for kind, owner_at in zip(layer.fields("dns.resp.type")[: min(count, MAX_ANSWERS)], places, strict=False):
        whole, begin = nodes.get(owner_at, b""), int(kind.pos) - owner_at
        start = begin + _TYPE_TO_DATA
        if start > len(whole):
            break
        number = number_of(kind.show) or 0
        try:
            text = _data(layer, number, int(kind.pos) + _TYPE_TO_DATA, whole[start:], addresses)
        except Malformed:
            text = whole[start:].hex()
        ttl = int.from_bytes(whole[begin + 4 : begin + 8], "big")
        found.append(DnsAnswer(name=owners[owner_at], type=type_of(kind), data=text, ttl=ttl))
    return found


def _owners(layer: Layer) -> dict[int, str]:
    """Whose the records are, by the place of the name; up to the first that cannot be read."""
    owners: dict[int, str] = {}
    with contextlib.suppress(Malformed):
        for each in layer.fields("dns.resp.name"):
            owners[int(each.pos)] = name_of(each)
    # Wireshark takes the name of an SRV record apart (RFC 2782), and each part has the bytes of the whole.
    parts: dict[int, list[Any]] = {}
    for word in ("service", "proto", "name"):
        for each in layer.fields(f"dns.srv.{word}"):
            parts.setdefault(int(each.pos), []).append(each)
    for at, fields in parts.items():
        try:
            owners[at] = read_name(bytes(HEADER_BYTES) + bytes_of(fields[0]), HEADER_BYTES, {})[0]
        except Malformed:
            owners[at] = ".".join(str(each.show) for each in fields)
    return owners


def _data(layer: Layer, number: int, at: int, data: bytes, addresses: list[str]) -> str:
    """A record's data, which begin at `at` of the packet; hex where nobody knows them."""

    def shown(name: str) -> str:
        field = next((each for each in layer.fields(name) if at <= int(each.pos) < at + max(len(data), 1)), None)
        return "" if field is None else name_of(field) if name in names else str(field.show)

    names = {*_NAMED.values(), "dns.mx.mail_exchange", "dns.srv.target", "dns.soa.mname", "dns.soa.rname"}
    if (number, len(data)) in ((_ADDRESS, 4), (_ADDRESS_6, 16)):
        text = ".".join(map(str, data)) if number == _ADDRESS else read_ipv6(data)
        addresses.append(text)
        return text
    if number in _NAMED:
        return shown(_NAMED[number])
    if number == _MAIL:
        return f"{shown('dns.mx.preference')} {shown('dns.mx.mail_exchange')}"
    if number == _SERVICE:
        return " ".join(shown(f"dns.srv.{word}") for word in ("priority", "weight", "port", "target"))
    if number == _SOA:
        words = ("mname", "rname", "serial_number", "refresh_interval", "retry_interval", "expire_limit", "minimum_ttl")
        return " ".join(shown(f"dns.soa.{word}") for word in words)
    try:
        return read_data(bytes(HEADER_BYTES) + data, HEADER_BYTES, HEADER_BYTES + len(data), number, {}, addresses)
    except (Malformed, IndexError):
        return data.hex()
