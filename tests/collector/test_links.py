"""Every link layer off: the same packet behind each, its MAC addresses where it has any, nothing where it is cut."""

import pytest

from collector.decode import decode
from collector.ledger import Ledger
from collector.links import LINK_TYPES, PEELERS, Layer, peel
from collector.packets import PacketBatch
from tests.captures.tunnels import LINKS, wifi
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA_MAC,
    GATEWAY_MAC,
    Packet,
    block_of,
    ethernet,
    ipv4,
    ipv6,
    mac,
    tcp,
)

SEGMENT = {4: ipv4(tcp(b"payload"), 6), 6: ipv6(tcp(b"payload"), 6)}
WITHOUT_ADDRESSES = ("PPP", "Cisco HDLC", "PPPoE alone", "NFLOG")


def read(data: bytes, link_type: int) -> tuple[PacketBatch, dict[str, int]]:
    ledger = Ledger()
    batch = decode(block_of([(BEGIN_NS, data)], link_type), ledger)
    assert ledger.open_sums() == [] and ledger.packets_in == 1
    return batch, ledger.by_reason("decode")


def test_every_link_type_has_its_function() -> None:
    assert {kind & 0xFFFF for kind in PEELERS if kind >> 16 == 1} == LINK_TYPES


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_is_the_same_behind_every_link_layer(name: str, version: int) -> None:
    link_type, wrap = LINKS[name]
    batch, let_go = read(wrap(SEGMENT[version]), link_type)
    assert (len(batch), let_go) == (1, {})
    assert (batch.payload_of(0), int(batch.version[0]), int(batch.destination_port[0])) == (b"payload", version, 443)
    plain, _ = read(ethernet(SEGMENT[version]), 1)
    assert batch.key[0] == plain.key[0] and batch.outer is None


@pytest.mark.parametrize("name", LINKS)
def test_the_mac_addresses_are_found_wherever_a_link_layer_puts_them(name: str) -> None:
    link_type, wrap = LINKS[name]
    batch, _ = read(wrap(SEGMENT[4]), link_type)
    if name.startswith(WITHOUT_ADDRESSES) and name != "PPPoE":
        assert batch.macs is None and link_type != 1
        return
    macs = batch.macs[0].tobytes() if batch.macs is not None else batch.data[int(batch.frame[0]) :][:12].tobytes()
    if name not in ("PPPoE", "MPLS"):
        assert macs == mac(GATEWAY_MAC) + mac(CAMERA_MAC)


@pytest.mark.parametrize("name", LINKS)
def test_a_link_header_cut_anywhere_reads_nothing_behind_its_end(name: str) -> None:
    link_type, wrap = LINKS[name]
    frame = wrap(SEGMENT[4])
    cuts: list[Packet] = [(BEGIN_NS + size, frame[:size]) for size in range(len(frame))]
    seen = []
    for behind in (bytes(64), b"\xff" * 64, frame[-64:]):
        ledger = Ledger()
        batch = decode(block_of(cuts, link_type, [len(frame)] * len(cuts), behind), ledger)
        assert ledger.open_sums() == []
        read_of = [(int(batch.time_ns[each]), batch.payload_of(each)) for each in range(len(batch))]
        seen.append((ledger.by_reason("decode"), read_of))
    assert seen[0] == seen[1] == seen[2]


def test_encrypted_wifi_is_counted_as_such_and_management_frames_are_no_ip() -> None:
    frame = bytearray(bytes(wifi(SEGMENT[4])))
    frame[1] |= 0x40
    assert read(bytes(frame), 105)[1] == {"encrypted_link": 1}
    assert read(b"\x80" + bytes(frame[1:]), 105)[1] == {"not_ip": 1}


def test_a_label_stack_without_a_bottom_ends() -> None:
    assert read(ethernet(bytes(400), 0x8847), 1)[1] == {"not_ip": 1}


def test_shims_in_each_other_without_end_end() -> None:
    frame = SEGMENT[4]
    for _ in range(40):
        frame = ethernet(b"\0\0\1\0" + bytes(4) + frame, 0x8847)
    assert read(frame, 1)[1] == {"not_ip": 1}


def test_peeling_leaves_the_blocks_own_columns_alone() -> None:
    block = block_of([(BEGIN_NS, ethernet(SEGMENT[4], tags=[(0x8100, 5)]))])
    before = block.start.copy()
    layer = Layer.of(block, block.start * 0)
    peel(block.data, layer)
    assert (block.start == before).all() and int(layer.vlan[0]) == 5
