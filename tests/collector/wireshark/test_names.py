"""Names and records of DNS as Wireshark shows them, in our words."""

from types import SimpleNamespace

import pytest

from collector.dissectors.dns import read_message
from collector.errors import Malformed
from collector.wireshark.names import name_of, records_of, type_of
from tests.collector.dissectors.messages import answer, dns, name, question
from tests.collector.wireshark.answering import layers_over_udp, needs_tshark

pytestmark = [pytest.mark.system, needs_tshark]
ALL_KINDS = (
    (1, b"\xc0\0\2\7"),
    (28, bytes.fromhex("20010db8000000000000000000000001")),
    (5, name("alias.example")),
    (12, name("b.example")),
    (2, name("ns.example")),
    (16, b'\3a=b\4q"\\\xff'),
    (15, b"\0\12" + name("mail.example")),
    (33, b"\0\1\0\2\0\x50" + name("cam.local")),
    (6, name("ns.example") + name("root.example") + b"".join(each.to_bytes(4, "big") for each in (1, 2, 3, 4, 5))),
    (65, b"\0\1\0\0\1\0\3\2h2\0\4\0\4\xc0\0\2\1"),
    (99, b"\2v1"),
    (4_711, b"\1\2\3"),
)


@pytest.mark.parametrize(("kind", "data"), ALL_KINDS)
def test_a_record_of_each_kind_is_what_our_own_dissector_reads(kind: int, data: bytes) -> None:
    message = dns([question("x.example", kind)], [answer(name("x.example"), kind, data)], flags=0x8180)
    ours = read_message(message)[0].dns
    assert ours is not None
    addresses: list[str] = []
    records = records_of(layers_over_udp(message, 53, back=True)["dns"], 1, addresses)
    assert (records, addresses or None) == (ours.answers, ours.resolved_ip)


def field(show: str, raw: bytes, pos: int = 0) -> SimpleNamespace:
    return SimpleNamespace(show=show, raw_value=raw.hex(), pos=str(pos))


def test_a_name_of_pointers_is_what_is_shown_and_a_name_of_bytes_is_escaped() -> None:
    assert name_of(field("cam.example", b"\xc0\x0c")) == "cam.example"
    assert name_of(field("a\N{REPLACEMENT CHARACTER}", b"\2a\xff\0")) == "a\\255"
    assert name_of(field("<Root>", b"\0")) == name_of(field("<Root>", b"\xc0\x0c")) == "."


def test_a_name_that_wireshark_cannot_show_is_broken() -> None:
    with pytest.raises(Malformed, match="cannot be read: <Name too long>"):
        name_of(field("<Name too long>", b"\xc0\x0c"))


def test_a_type_without_a_name_has_its_number() -> None:
    assert (type_of(field("28", b"")), type_of(field("4711", b""))) == ("AAAA", "TYPE4711")
