"""What is in a tunnel is read as if it were not; its mirror is known; a port alone makes no tunnel."""

import ipaddress

import pytest

from collector.decode import decode
from collector.ledger import Ledger
from collector.packets import PacketBatch
from collector.tunnels import MAX_TUNNELS, TUNNELS
from tests.captures.tunnels import MIRROR, MIRROR_6, MIRRORS, NESTED, carried, nested, outer, udp
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA_MAC,
    GATEWAY_MAC,
    SERVER,
    Packet,
    block_of,
    ethernet,
    ipv4,
    ipv6,
    mac,
    spaced,
    tcp,
    udp_frame,
)
from tests.collector.frames import udp as datagram

SEGMENT = {4: ipv4(tcp(b"payload"), 6), 6: ipv6(tcp(b"payload"), 6)}
BARE = ("IP in", "GRE", "GRE over", "GRE in", "PPTP", "MPLS in", "VXLAN GPE", "GENEVE with IP")


def read(*frames: bytes) -> tuple[PacketBatch, dict[str, int]]:
    ledger = Ledger()
    batch = decode(block_of(spaced(frames)), ledger)
    assert ledger.open_sums() == [] and ledger.packets_in == len(frames)
    return batch, ledger.by_reason("decode")


def mirror_of(batch: PacketBatch, packet: int = 0) -> tuple[str, str, int]:
    """Tunnel, its sender, its id."""
    assert batch.outer is not None and batch.tunnel is not None and batch.tag is not None
    at = int(batch.outer[packet])
    raw = batch.data[at : at + 40].tobytes()
    sender = ipaddress.ip_address(raw[12:16] if raw[0] >> 4 == 4 else raw[8:24])
    return TUNNELS[batch.tunnel[packet]], str(sender), int(batch.tag[packet])


@pytest.mark.parametrize("name", MIRRORS)
@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_in_a_tunnel_is_the_packet_itself(name: str, version: int) -> None:
    batch, let_go = read(MIRRORS[name][1](SEGMENT[version]))
    assert (len(batch), let_go) == (1, {})
    assert (batch.payload_of(0), int(batch.version[0])) == (b"payload", version)
    assert (int(batch.source_port[0]), int(batch.destination_port[0])) == (40_000, 443)
    assert int(batch.wire[0]) == len(SEGMENT[version])
    plain, _ = read(ethernet(SEGMENT[version]))
    assert batch.key[0] == plain.key[0]


@pytest.mark.parametrize("name", MIRRORS)
def test_the_mirror_is_known_by_its_kind_its_address_and_its_id(name: str) -> None:
    kind, sender, tag = mirror_of(read(MIRRORS[name][1](SEGMENT[4]))[0])
    assert sender == (MIRROR_6 if name.endswith("IPv6") else MIRROR)
    assert kind == {"IP": "ipip", "PPTP": "gre"}.get(name.split()[0], name.split()[0].lower())
    if kind in ("vxlan", "geneve", "erspan"):
        assert tag == (0 if name == "ERSPAN I" else 77)
    if name in ("GRE", "GRE over IPv6", "GRE in UDP"):
        assert tag == 42


@pytest.mark.parametrize("name", MIRRORS)
def test_the_addresses_of_a_mirrored_frame_are_the_cameras_and_never_the_mirrors(name: str) -> None:
    batch, _ = read(MIRRORS[name][1](SEGMENT[4]))
    assert batch.macs is not None or int(batch.frame[0]) > 0
    macs = batch.macs[0].tobytes() if batch.macs is not None else batch.data[int(batch.frame[0]) :][:12].tobytes()
    bare = name.startswith(BARE) and name != "GRE with Ethernet"
    assert macs == (bytes(12) if bare else mac(GATEWAY_MAC) + mac(CAMERA_MAC))


def test_four_tunnels_in_each_other_are_opened_and_a_fifth_is_counted() -> None:
    assert len(NESTED) == MAX_TUNNELS
    frame = nested(SEGMENT[4], *NESTED)
    batch, let_go = read(frame)
    assert (batch.payload_of(0), let_go) == (b"payload", {})
    assert mirror_of(batch) == ("ipip", MIRROR, 0)
    assert read(carried(frame, "GRE"))[1] == {"tunnel_too_deep": 1}


def test_tunnelled_and_plain_packets_keep_the_order_in_which_they_came() -> None:
    frames = [
        ethernet(SEGMENT[4]),
        MIRRORS["VXLAN"][1](ipv4(tcp(b"second"), 6)),
        udp_frame(b"third"),
        nested(ipv4(tcp(b"fourth"), 6), *NESTED),
        MIRRORS["TZSP with 802.11"][1](ipv6(tcp(b"fifth"), 6)),
        ethernet(ipv6(tcp(b"sixth"), 6)),
    ]
    batch, _ = read(*frames)
    assert [batch.payload_of(each) for each in range(6)] == [
        b"payload", b"second", b"third", b"fourth", b"fifth", b"sixth",
    ]  # fmt: skip
    assert batch.time_ns.tolist() == sorted(batch.time_ns.tolist())
    assert batch.macs is not None and batch.outer is not None
    camera = (mac(GATEWAY_MAC) + mac(CAMERA_MAC)).hex()
    assert [row.tobytes().hex() for row in batch.macs] == [camera] * 6
    assert (batch.outer < 0).tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize("port", [4789, 4790, 8472, 10_800, 10_801, 6081, 37_008, 4754])
@pytest.mark.parametrize(
    "payload", [b"", b"\x08", bytes(7), bytes(8), b"\x08\x00\x00\x00\x00\x00\x4d", b"\xff" * 60, b"GET / HTTP/1.1\r\n"]
)
def test_a_datagram_that_only_comes_to_a_tunnels_port_stays_a_datagram(port: int, payload: bytes) -> None:
    batch, let_go = read(udp_frame(payload, ("10.20.0.11", 53, SERVER, port)))
    assert (len(batch), let_go) == (1, {})
    assert (batch.payload_of(0), int(batch.destination_port[0]), batch.outer) == (payload, port, None)


@pytest.mark.parametrize("name", MIRRORS)
def test_a_tunnel_cut_anywhere_is_counted_and_reads_nothing_behind_its_end(name: str) -> None:
    frame = MIRRORS[name][1](SEGMENT[4])
    cuts: list[Packet] = [(BEGIN_NS + size, frame[:size]) for size in range(len(frame))]
    seen = []
    for behind in (b"\x00" * 64, b"\xff" * 64, frame[-64:]):
        ledger = Ledger()
        batch = decode(block_of(cuts, wire=[len(frame)] * len(cuts), behind=behind), ledger)
        assert ledger.open_sums() == []
        read_of = [(int(batch.time_ns[each]), batch.payload_of(each)) for each in range(len(batch))]
        seen.append((ledger.by_reason("decode"), read_of))
    assert seen[0] == seen[1] == seen[2]


def test_what_is_no_ip_inside_a_mirror_is_counted_once() -> None:
    arp = ethernet(bytes(28), 0x0806)
    assert read(outer(udp(4789) / bytes((8, 0, 0, 0, 0, 0, 77, 0)) / arp))[1] == {"not_ip": 1}


def test_gre_with_a_source_route_or_an_unknown_protocol_is_another_transport() -> None:
    for head in (b"\x40\x00\x08\x00", b"\x00\x00\x12\x34", b"\x00\x02\x08\x00"):
        assert read(ethernet(ipv4(head + SEGMENT[4], 47)))[1] == {"other_transport": 1}


def test_a_tunnel_in_fragments_is_read_as_far_as_its_first_one_goes() -> None:
    frame = MIRRORS["VXLAN"][1](ipv4(datagram(b"question" * 4), 17))
    first = frame[:16] + (len(frame) - 14 - 16).to_bytes(2, "big") + frame[18:20] + b"\x20\x00" + frame[22:-16]
    batch, let_go = read(first)
    assert (batch.payload_of(0), let_go) == (b"question" * 2, {})
