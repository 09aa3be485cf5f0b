"""Headers off, for every link type and every oddity; what is let go is counted, and a neighbour changes nothing."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Padding

from collector.decode import decode
from collector.flows import addresses_of
from collector.ledger import Ledger
from collector.links import LINK_TYPES
from collector.packets import PacketBatch
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA,
    SERVER,
    block_of,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    tcp_frame,
    udp,
    udp_frame,
)

ETHERNET, VLAN, SERVICE_VLAN, OLD_QINQ = 1, 0x8100, 0x88A8, 0x9100
COLUMNS = (
    "time_ns", "wire", "source_port", "destination_port", "sequence", "flags", "transport", "version", "vlan", "key",
    "upward",
)  # fmt: skip
OFFSETS = ("network", "payload", "payload_end")


def read(data: bytes, link_type: int = ETHERNET, wire: int | None = None) -> tuple[PacketBatch, dict[str, int]]:
    """One packet decoded, and what the ledger let go."""
    ledger = Ledger()
    batch = decode(block_of([(BEGIN_NS, data)], link_type, None if wire is None else [wire]), ledger)
    assert ledger.open_sums() == [] and ledger.packets_in == 1
    return batch, ledger.by_reason("decode")


def payload_of(data: bytes, link_type: int = ETHERNET) -> bytes:
    batch, let_go = read(data, link_type)
    assert (len(batch), let_go) == (1, {})
    return batch.payload_of(0)


def linux_cooked(packet: bytes) -> bytes:
    return struct.pack(">HHH8s", 0, 1, 6, b"\x00\x00\x5e\x00\x53\x11") + kind_of(packet) + packet


def linux_cooked_2(packet: bytes) -> bytes:
    return kind_of(packet) + struct.pack(">HIHBB8s", 0, 3, 1, 0, 6, b"\x00\x00\x5e\x00\x53\x11") + packet


def kind_of(packet: bytes) -> bytes:
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"


def family(four: int, six: int, order: str, packet: bytes) -> bytes:
    return struct.pack(f"{order}I", six if packet[0] >> 4 == 6 else four) + packet


WAYS = {
    "Ethernet": (1, ethernet, 0),
    "802.1Q": (1, lambda packet: ethernet(packet, tags=[(VLAN, 20)]), 20),
    "802.1Q with a priority": (1, lambda packet: ethernet(packet, tags=[(VLAN, 0xE014)]), 20),
    "QinQ": (1, lambda packet: ethernet(packet, tags=[(SERVICE_VLAN, 300), (VLAN, 20)]), 300),
    "three tags": (1, lambda packet: ethernet(packet, tags=[(OLD_QINQ, 7), (VLAN, 8), (VLAN, 9)]), 7),
    "a priority tag before a VLAN": (1, lambda packet: ethernet(packet, tags=[(VLAN, 0), (VLAN, 9)]), 9),
    "Linux cooked": (113, linux_cooked, 0),
    "Linux cooked 2": (276, linux_cooked_2, 0),
    "BSD loopback, little-endian": (0, lambda packet: family(2, 30, "<", packet), 0),
    "BSD loopback, big-endian": (0, lambda packet: family(2, 24, ">", packet), 0),
    "BSD loopback, FreeBSD's IPv6": (0, lambda packet: family(2, 28, "<", packet), 0),
    "Linux loopback": (0, lambda packet: family(2, 10, "<", packet), 0),
    "OpenBSD loopback": (108, lambda packet: family(2, 24, ">", packet), 0),
    **{f"raw IP {number}": (number, bytes, 0) for number in (101, 12, 14, 228, 229)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", [4, 6])
def test_every_link_type_gives_the_same_packet(way: str, version: int) -> None:
    link_type, wrap, vlan = WAYS[way]
    assert link_type in LINK_TYPES
    put = ipv4 if version == 4 else ipv6
    segment = wrap(put(tcp(b"payload", 40_000, 443, 0xFFFF_FFFE, 0x12), 6))
    batch, let_go = read(segment, link_type)
    assert (len(batch), let_go) == (1, {})
    row = {name: int(getattr(batch, name)[0]) for name in COLUMNS if name not in ("key", "upward")}
    assert row == {
        "time_ns": BEGIN_NS, "wire": len(put(tcp(b"payload"), 6)), "source_port": 40_000, "destination_port": 443,
        "sequence": 0xFFFF_FFFE, "flags": 0x12, "transport": 6, "version": version, "vlan": vlan,
    }  # fmt: skip
    assert batch.payload_of(0) == b"payload"
    datagram, _ = read(wrap(put(udp(b"question", 40_000, 53), 17)), link_type)
    assert (datagram.payload_of(0), int(datagram.sequence[0]), int(datagram.flags[0])) == (b"question", 0, 0)


def test_four_tags_are_more_than_is_read() -> None:
    assert read(ethernet(ipv4(udp(), 17), tags=[(VLAN, 1)] * 4))[1] == {"not_ip": 1}


def test_ethernet_padding_is_not_taken_for_payload() -> None:
    for put, protocol, body in (
        (ipv4, 17, udp(b"short")),
        (ipv4, 6, tcp(b"")),
        (ipv6, 17, udp(b"")),
        (ipv4, 17, udp()),
    ):
        for tags in ([], [(VLAN, 5)]):
            frame = ethernet(put(body, protocol), tags=tags)
            expected = b"short" if b"short" in frame else b""
            assert payload_of(frame + b"\xaa" * 30) == expected


def test_a_udp_length_shorter_than_the_packet_ends_the_payload() -> None:
    for tags in ([], [(VLAN, 5)]):
        assert payload_of(ethernet(ipv4(udp(b"in and out", length=10), 17), tags=tags)) == b"in"
        assert payload_of(ethernet(ipv4(udp(b"no room", length=3), 17), tags=tags)) == b""
        assert payload_of(ethernet(ipv4(udp(b"as captured", length=5_000), 17), tags=tags)) == b"as captured"


def test_ipv4_and_tcp_options_are_passed_over() -> None:
    for size in (4, 20, 40):
        assert payload_of(ethernet(ipv4(tcp(b"data"), 6, options=b"\x01" * size))) == b"data"
        assert payload_of(ethernet(ipv4(tcp(b"data", options=b"\x01" * size), 6))) == b"data"
        assert payload_of(ethernet(ipv6(tcp(b"data", options=b"\x01" * size), 6))) == b"data"


def test_a_tcp_header_that_reaches_past_the_packet_has_no_payload() -> None:
    for tags in ([], [(VLAN, 5)]):
        assert payload_of(ethernet(ipv4(tcp(b"data", offset=15), 6), tags=tags)) == b""


@pytest.mark.parametrize("tags", [[], [(VLAN, 5)]], ids=["plain", "tagged"])
def test_a_total_length_of_zero_is_the_whole_packet(tags: list[tuple[int, int]]) -> None:
    frame = ethernet(ipv4(tcp(b"segmented by the card"), 6, length=0), tags=tags)
    assert payload_of(frame) == b"segmented by the card"
    batch, _ = read(frame, wire=len(frame) + 20_000)
    assert int(batch.wire[0]) == len(frame) - 14 - 4 * len(tags) + 20_000


def test_an_ipv6_length_of_zero_is_the_whole_packet() -> None:
    frame = ethernet(ipv6(tcp(b"jumbo"), 6, length=0))
    batch, _ = read(frame, wire=len(frame) + 70_000)
    assert batch.payload_of(0) == b"jumbo" and int(batch.wire[0]) == len(frame) - 14 + 70_000


@pytest.mark.parametrize("put", [ipv4, ipv6])
def test_a_packet_that_was_cut_by_the_snap_length_counts_as_long_as_it_was(put: object) -> None:
    frame = ethernet(put(udp(b"x" * 1_000), 17))  # type: ignore[operator]
    batch, let_go = read(frame[:100], wire=len(frame))
    assert (len(batch), let_go, int(batch.wire[0])) == (1, {}, len(frame) - 14)
    assert batch.payload_of(0) == b"x" * (100 - (len(frame) - 1_000))


HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
PAD = b"\x00\x01\x04" + bytes(4)
LONG_PAD = b"\x01\x01\x0c" + bytes(12)


@pytest.mark.parametrize(
    "extensions",
    [
        [(HOP_BY_HOP, PAD)],
        [(ROUTING, LONG_PAD)],
        [(DESTINATION, PAD), (DESTINATION, LONG_PAD)],
        [(AUTHENTICATION, b"\x04" + bytes(22))],
        [(FRAGMENT, b"\x00\x00\x01" + bytes(4))],
        [(HOP_BY_HOP, PAD), (ROUTING, PAD), (FRAGMENT, bytes(7)), (AUTHENTICATION, b"\x01" + bytes(10)), (60, PAD)],
        [(HOP_BY_HOP, PAD)] * 8,
    ],
    ids=["hop-by-hop", "routing", "destination", "authentication", "first fragment", "all of them", "eight"],
)
def test_ipv6_extension_headers_are_passed_over(extensions: list[tuple[int, bytes]]) -> None:
    assert payload_of(ethernet(ipv6(udp(b"behind"), 17, extensions=extensions))) == b"behind"
    assert payload_of(ethernet(ipv6(tcp(b"behind"), 6, extensions=extensions), tags=[(VLAN, 3)])) == b"behind"


@pytest.mark.parametrize("tags", [[], [(VLAN, 5)]], ids=["plain", "tagged"])
def test_the_first_fragment_is_read_and_later_ones_are_counted(tags: list[tuple[int, int]]) -> None:
    for fragment in (0x0000, 0x4000, 0x2000):
        assert payload_of(ethernet(ipv4(udp(b"first", length=3_000), 17, fragment=fragment), tags=tags)) == b"first"
    for fragment in (0x0001, 0x2001, 0x1FFF):
        assert read(ethernet(ipv4(udp(b"later"), 17, fragment=fragment), tags=tags))[1] == {"later_fragment": 1}
    later = [(FRAGMENT, b"\x00\x00\x08" + bytes(4))]
    assert read(ethernet(ipv6(udp(b"later"), 17, extensions=later), tags=tags))[1] == {"later_fragment": 1}


WHOLE = ethernet(ipv4(tcp(b"payload"), 6))
LET_GO = {
    "ARP": (1, ethernet(bytes(28), 0x0806), "not_ip"),
    "a length instead of a type": (1, ethernet(bytes(40), 38), "not_ip"),
    "an empty raw packet": (101, b"", "not_ip"),
    "a raw packet of another version": (101, b"\x50" + bytes(40), "not_ip"),
    "another family on loopback": (0, b"\x07\0\0\0" + bytes(40), "not_ip"),
    "half an Ethernet header": (1, WHOLE[:9], "truncated_link"),
    "an empty frame": (1, b"", "truncated_link"),
    "half a cooked header": (113, linux_cooked(ipv4(udp(), 17))[:15], "truncated_link"),
    "half a loopback header": (0, b"\x02\0", "truncated_link"),
    "no network header": (1, WHOLE[:14], "truncated_ip"),
    "half an IPv4 header": (1, WHOLE[:33], "truncated_ip"),
    "half an IPv6 header": (1, ethernet(ipv6(udp(), 17))[: 14 + 30], "truncated_ip"),
    "half an IPv6 header behind a tag": (1, ethernet(ipv6(udp(), 17), tags=[(VLAN, 1)])[: 18 + 39], "truncated_ip"),
    "IPv6 that says IPv4": (1, ethernet(ipv6(udp(), 17), 0x0800), "malformed_ip"),
    "IPv4 that says IPv6": (1, ethernet(ipv4(udp(bytes(20)), 17), 0x86DD), "malformed_ip"),
    "an IPv4 header of 16 bytes": (1, ethernet(ipv4(udp(), 17, first=0x44)), "malformed_ip"),
    "a total length within the header": (1, ethernet(ipv4(udp(), 17, length=19)), "malformed_ip"),
    "a total length within the options": (1, ethernet(ipv4(udp(), 17, options=bytes(8), length=24)), "malformed_ip"),
    "a total length within the UDP header": (1, ethernet(ipv4(udp(b"x" * 40), 17, length=27)), "truncated_transport"),
    "a total length within the TCP header": (1, ethernet(ipv4(tcp(b"x" * 40), 6, length=39)), "truncated_transport"),
    "the same behind a tag": (
        1, ethernet(ipv4(tcp(b"x" * 40), 6, length=39), tags=[(VLAN, 1)]), "truncated_transport",
    ),
    "half a TCP header": (1, WHOLE[: 34 + 19], "truncated_transport"),
    "half a UDP header": (1, udp_frame(b"x")[: 34 + 7], "truncated_transport"),
    "half a UDP header in IPv6": (1, ethernet(ipv6(udp(), 17))[: 54 + 7], "truncated_transport"),
    "a data offset of four": (1, ethernet(ipv4(tcp(b"data", offset=4), 6)), "malformed_transport"),
    "a data offset of zero in IPv6": (1, ethernet(ipv6(tcp(b"data", offset=0), 6)), "malformed_transport"),
    "ICMP": (1, ethernet(ipv4(bytes(8), 1)), "icmp"),
    "ICMPv6": (1, ethernet(ipv6(bytes(8), 58)), "icmp"),
    "GRE": (1, ethernet(ipv4(bytes(8), 47)), "other_transport"),
    "SCTP in IPv6": (1, ethernet(ipv6(bytes(12), 132)), "other_transport"),
    "no next header": (1, ethernet(ipv6(b"", 59)), "other_transport"),
    "nine extension headers": (1, ethernet(ipv6(udp(), 17, extensions=[(0, PAD)] * 9)), "other_transport"),
    "a later IPv4 fragment": (1, ethernet(ipv4(udp(), 17, fragment=8)), "later_fragment"),
    "USB": (220, bytes(64), "unknown_link_type"),
    "IEEE 802.11 management": (105, bytes(64), "not_ip"),
}  # fmt: skip


@pytest.mark.parametrize("what", LET_GO)
def test_what_is_let_go_is_counted_by_its_reason(what: str) -> None:
    link_type, data, reason = LET_GO[what]
    batch, let_go = read(data, link_type)
    assert (len(batch), let_go) == (0, {reason: 1})
    # A reason must not depend on the bytes behind the packet, which are the next one's.
    for behind in (b"", bytes(16), b"\x02" * 16, b"\x45" * 16, b"\x08\x00" * 8, b"\x81\x00" * 8):
        neighbours = Ledger()
        decode(block_of([(BEGIN_NS, data)] * 3, link_type, behind=behind), neighbours)
        assert neighbours.by_reason("decode") == {reason: 3}, behind


def test_both_directions_have_one_key_and_the_sender_that_is_lower_is_upward() -> None:
    frames = [tcp_frame(), tcp_frame(back=True), udp_frame(), tcp_frame(ends=(CAMERA, 40_001, SERVER, 443))]
    frames += [tcp_frame(ends=("fd20::1", 1, "fd20::2", 2)), tcp_frame(ends=("fd20::1", 1, "fd20::2", 2), back=True)]
    batch = decode(block_of([(BEGIN_NS, frame) for frame in frames]), Ledger())
    keys = batch.key.tolist()
    assert keys[0] == keys[1] and keys[4] == keys[5] and len(set(keys)) == 4
    assert batch.upward[:3].tolist() == [True, False, True]
    assert batch.upward[4] != batch.upward[5]


addresses_four = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
addresses_six = st.integers(0, 2**128 - 1).map(lambda number: str(ipaddress.IPv6Address(number)))
port_numbers = st.integers(0, 65_535)


@st.composite
def valid_frames(draw: st.DrawFn) -> bytes:
    """An Ethernet frame that is right in every part: tags, options, extension headers, padding."""
    payload, options = draw(st.binary(max_size=60)), bytes(4 * draw(st.integers(0, 10)))
    source, target = draw(port_numbers), draw(port_numbers)
    if draw(st.booleans()):
        protocol, body = 17, udp(payload, source, target)
    else:
        flags = draw(st.integers(0, 255))
        protocol, body = 6, tcp(payload, source, target, draw(st.integers(0, 2**32 - 1)), flags, b"\x01" * len(options))
    if draw(st.booleans()):
        extra = b"\x01" * (4 * draw(st.integers(0, 10)))
        packet = ipv4(body, protocol, draw(addresses_four), draw(addresses_four), extra)
    else:
        extensions = draw(
            st.lists(st.sampled_from([(60, PAD), (0, LONG_PAD), (43, b"\x00\xfd\x00" + bytes(4))]), max_size=3)
        )
        packet = ipv6(body, protocol, draw(addresses_six), draw(addresses_six), extensions)
    tags = draw(st.lists(st.tuples(st.sampled_from([VLAN, SERVICE_VLAN]), st.integers(1, 4_094)), max_size=3))
    return ethernet(packet, tags=tags) + bytes(draw(st.integers(0, 30)))


@st.composite
def any_frames(draw: st.DrawFn) -> bytes:
    """A frame, or what is left of one: bytes overwritten, cut anywhere, or junk."""
    data = bytearray(draw(st.one_of(valid_frames(), st.sampled_from([entry[1] for entry in LET_GO.values()]))))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            data[draw(st.integers(0, min(len(data), 70) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@given(frames=st.lists(any_frames(), min_size=1, max_size=8), link_type=st.sampled_from(sorted(LINK_TYPES)))
def test_a_packet_reads_the_same_alone_and_among_others(frames: list[bytes], link_type: int) -> None:
    mixed_ledger, ledger = Ledger(), Ledger()
    mixed = decode(block_of([(BEGIN_NS, frame) for frame in frames], link_type), mixed_ledger)
    at = 0
    for frame in frames:
        alone = decode(block_of([(BEGIN_NS, frame)], link_type), ledger)
        if len(alone):
            for name in COLUMNS:
                assert getattr(alone, name)[0] == getattr(mixed, name)[at], name
            for name in OFFSETS:
                assert getattr(alone, name)[0] - alone.frame[0] == getattr(mixed, name)[at] - mixed.frame[at], name
            at += 1
    assert at == len(mixed)
    assert (mixed_ledger.open_sums(), ledger.open_sums()) == ([], [])
    assert mixed_ledger == ledger


@given(data=valid_frames())
def test_a_valid_packet_reads_as_scapy_reads_it(data: bytes) -> None:
    batch, let_go = read(data)
    assert (len(batch), let_go) == (1, {})
    packet = Ether(data)
    network, layer = packet.getlayer(IP) or packet.getlayer(IPv6), packet.getlayer(TCP) or packet.getlayer(UDP)
    assert (int(batch.source_port[0]), int(batch.destination_port[0])) == (layer.sport, layer.dport)
    swapped, ends = (addresses_of(batch, batch.frame * 0, batch.frame < bound)[0] for bound in (len(data), 0))
    assert swapped.tolist() == ends[::-1].tolist()
    size = 4 if IP in packet else 16
    assert [ipaddress.ip_address(end[:size].tobytes()) for end in ends] == [
        ipaddress.ip_address(network.src), ipaddress.ip_address(network.dst),
    ]  # fmt: skip
    padding = packet.getlayer(Padding)
    payload = bytes(layer.payload)
    assert batch.payload_of(0) == (payload[: len(payload) - len(padding.load)] if padding else payload)
    assert int(batch.wire[0]) == len(data) - int(batch.network[0]) - (len(padding.load) if padding else 0)
    if TCP in packet:
        assert (int(batch.sequence[0]), int(batch.flags[0])) == (layer.seq, int(layer.flags) & 0xFF)
