"""pcapng: sections, interfaces and every kind of packet block, in order; a lie ends the reading at its block."""

import struct

import numpy as np
import pytest

from collector.capture.pcap_file import CaptureFile
from collector.errors import CaptureError
from collector.packets import SLACK_BYTES, Block
from collector.pcap import Window
from collector.pcapng import MAX_BLOCK_BYTES, MAX_TIME_NS, PcapngWalk
from tests.collector.conftest import ReadCapture
from tests.collector.frames import (
    BEGIN_NS,
    NS,
    ng_block,
    ng_interface,
    ng_old_packet,
    ng_option,
    ng_packet,
    ng_section,
    ng_simple_packet,
)

TICKS = BEGIN_NS // 1_000
FIRST, SECOND = (BEGIN_NS, b"first packet!"), (BEGIN_NS + 5_000, b"second")


def blocks_of(data: bytes) -> list[Block]:
    buffer = bytearray(data + bytes(SLACK_BYTES))
    walk, window = PcapngWalk(), Window(buffer, np.frombuffer(buffer, np.uint8), 0, len(data))
    walk.scan(window)
    step = walk.take(window)
    assert (step.at, step.problem) == (len(data), None)
    return step.blocks


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_give_the_same_packets(read_capture: ReadCapture, order: str) -> None:
    data = ng_section(order) + ng_interface(order=order)
    data += ng_packet(TICKS, FIRST[1], order=order) + ng_packet(TICKS + 5, SECOND[1], order=order)
    assert read_capture(data) == ([FIRST, SECOND], None)


def test_every_section_has_its_own_byte_order_and_interfaces(read_capture: ReadCapture) -> None:
    data = ng_section("<") + ng_interface() + ng_interface() + ng_packet(TICKS, FIRST[1], 1)
    data += ng_section(">") + ng_interface(order=">") + ng_packet(TICKS + 5, SECOND[1], order=">")
    assert read_capture(data) == ([FIRST, SECOND], None)
    lost = data + ng_packet(TICKS, b"x", 1, order=">")
    found, error = read_capture(lost)
    assert found == [FIRST, SECOND]
    assert error is not None and error.offset == len(data) and "interface 1" in error.reason


def test_interleaved_interfaces_and_link_types_keep_their_order() -> None:
    data = ng_section() + ng_interface(1, options=ng_option(2, b"eth0")) + ng_interface(101)
    numbers = [0, 0, 1, 0, 1, 1]
    data += b"".join(ng_packet(TICKS + at, bytes([at]), number) for at, number in enumerate(numbers))
    blocks = blocks_of(data)
    assert [(block.link_type, block.interface, len(block.start)) for block in blocks] == [
        (1, "eth0", 2), (101, None, 1), (1, "eth0", 1), (101, None, 2),
    ]  # fmt: skip
    assert [int(time) for block in blocks for time in block.time_ns] == [BEGIN_NS + at * 1_000 for at in range(6)]
    assert [int(block.data[start]) for block in blocks for start in block.start] == list(range(6))


@pytest.mark.parametrize(
    ("resolution", "ticks", "time_ns"),
    [
        (b"\x06", TICKS, BEGIN_NS),
        (b"\x09", BEGIN_NS + 7, BEGIN_NS + 7),
        (b"\x00", BEGIN_NS // NS, BEGIN_NS),
        (b"\x03", BEGIN_NS // 10**6 + 1, BEGIN_NS + 10**6),
        (b"\x8a", (BEGIN_NS // NS << 10) + 512, BEGIN_NS + NS // 2),
        (b"\x80", BEGIN_NS // NS, BEGIN_NS),
        (b"\xff", 1 << 63, NS),
        (b"\x7f", 10**18, NS),
    ],
    ids=["micro", "nano", "seconds", "milli", "two to the tenth", "two to the zeroth", "binary, too fine", "too fine"],
)
def test_times_are_in_the_ticks_that_the_interface_says(
    read_capture: ReadCapture, resolution: bytes, ticks: int, time_ns: int
) -> None:
    data = ng_section() + ng_interface(options=ng_option(9, resolution)) + ng_packet(ticks, b"x")
    assert read_capture(data) == ([(time_ns, b"x")], None)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_time_offset_of_an_interface_is_added(read_capture: ReadCapture, order: str) -> None:
    for offset in (3_600, -3_600):
        options = ng_option(14, struct.pack(f"{order}q", offset), order)
        data = ng_section(order) + ng_interface(order=order, options=options) + ng_packet(TICKS, b"x", order=order)
        assert read_capture(data) == ([(BEGIN_NS + offset * NS, b"x")], None)


@pytest.mark.parametrize(("offset", "bound"), [(2**63 - 1, MAX_TIME_NS), (-(2**63), 0)])
def test_a_time_that_cannot_be_is_held_at_the_bound(read_capture: ReadCapture, offset: int, bound: int) -> None:
    data = ng_section() + ng_interface(options=ng_option(14, struct.pack("<q", offset))) + ng_packet(TICKS, b"x")
    assert read_capture(data) == ([(bound, b"x")], None)


def test_simple_packets_are_of_the_first_interface_and_as_long_as_its_snap_length(read_capture: ReadCapture) -> None:
    data = ng_section() + ng_interface(snap=8) + ng_interface(101)
    data += ng_simple_packet(b"shorter", 7) + ng_simple_packet(b"cut here", 1_500)
    assert read_capture(data) == ([(0, b"shorter"), (0, b"cut here")], None)
    assert [block.wire.tolist() for block in blocks_of(data)] == [[7, 1_500]]


def test_old_packet_blocks_are_read(read_capture: ReadCapture) -> None:
    for order in "<>":
        data = ng_section(order) + ng_interface(order=order) * 2 + ng_old_packet(TICKS, FIRST[1], 1, order)
        assert read_capture(data) == ([FIRST], None)


def test_unknown_blocks_are_skipped(read_capture: ReadCapture) -> None:
    unknown = ng_block(4, b"names") + ng_block(0x0BAD, b"custom") + ng_block(5, b"statistics") + ng_block(0xFFFF, b"")
    data = ng_section() + unknown + ng_interface() + unknown + ng_packet(TICKS, FIRST[1]) + unknown
    assert read_capture(data) == ([FIRST], None)


def test_options_that_are_not_known_or_broken_do_no_harm(read_capture: ReadCapture) -> None:
    for options in (
        ng_option(1, b"comment") + ng_option(9, b"\x09") + ng_option(0, b""),
        ng_option(9, b"\x09") + b"\x02\0\xff\xffno end",
        ng_option(9, b"\x09") + ng_option(9, b"too long") + ng_option(14, b"short"),
    ):
        data = ng_section() + ng_interface(options=options) + ng_packet(BEGIN_NS, b"x")
        assert read_capture(data) == ([(BEGIN_NS, b"x")], None)


def test_an_interface_name_that_is_not_utf_8_is_read_and_bounded() -> None:
    data = ng_section() + ng_interface(options=ng_option(2, b"\xff" + b"e" * 200)) + ng_packet(TICKS, b"x")
    assert blocks_of(data)[0].interface == "�" + "e" * 63


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (ng_packet(TICKS, b"x", 1), "interface 1, which no interface description"),
        (ng_old_packet(TICKS, b"x", 7), "interface 7"),
        (ng_packet(TICKS, b"four", captured=5), "5 bytes in a block with room for 4"),
        (ng_packet(TICKS, b"four", captured=0xFFFF_FFFF), "4294967295 bytes"),
        (ng_block(6, bytes(16)), "too short"),
        (ng_block(3, b""), "too short"),
        (ng_block(1, bytes(4)), "too short"),
        (ng_block(6, bytes(40), length=11), "a block of 11 bytes"),
        (ng_block(6, bytes(40), length=0), "a block of 0 bytes"),
        (ng_block(6, bytes(40), length=54), "a multiple of 4"),
        (ng_block(6, bytes(40), length=MAX_BLOCK_BYTES + 4), f"a block of {MAX_BLOCK_BYTES + 4} bytes"),
        (ng_section(major=2), "pcapng version 2.0"),
        (ng_section(minor=1), "pcapng version 1.1"),
        (ng_block(0x0A0D0D0A, b"\x1a\x2b\x3c\x4e" + bytes(12)), "byte order magic 1a2b3c4e"),
    ],
)
def test_a_lie_ends_the_reading_after_all_that_came_before(
    read_capture: ReadCapture, block: bytes, reason: str
) -> None:
    head = ng_section() + ng_interface() + ng_packet(TICKS, FIRST[1])
    found, error = read_capture(head + block + bytes(64))
    assert found == [FIRST]
    assert error is not None and error.offset == len(head) and reason in error.reason
    assert "\n" not in str(error)


def test_version_1_2_is_read_as_1_0(read_capture: ReadCapture) -> None:
    data = ng_section(minor=2) + ng_interface() + ng_packet(TICKS, FIRST[1])
    assert read_capture(data) == ([FIRST], None)


@pytest.mark.parametrize("simple", [False, True], ids=["enhanced", "simple"])
def test_a_packet_before_any_interface_is_told(read_capture: ReadCapture, simple: bool) -> None:
    head = ng_section()
    found, error = read_capture(head + (ng_simple_packet(b"x", 1) if simple else ng_packet(TICKS, b"x")))
    assert found == [] and error is not None
    assert (error.offset, "interface 0" in error.reason) == (len(head), True)


def test_every_cut_gives_the_whole_packets_and_the_place_of_the_unfinished_block(read_capture: ReadCapture) -> None:
    parts = [ng_section(), ng_interface(), ng_packet(TICKS, FIRST[1]), ng_packet(TICKS + 5, SECOND[1])]
    edges = [sum(map(len, parts[:number])) for number in range(len(parts) + 1)]
    data = b"".join(parts)
    for cut in range(24, len(data)):
        found, error = read_capture(data[:cut])
        whole = max(edge for edge in edges if edge <= cut)
        assert found == [FIRST, SECOND][: max(0, edges.index(whole) - 2)]
        if whole == cut:
            assert error is None
        else:
            assert error is not None and error.offset == whole and f"{cut - whole} bytes" in error.reason


def test_the_longest_block_is_read_though_it_is_longer_than_the_buffer(read_capture: ReadCapture) -> None:
    long = ng_block(4, bytes(MAX_BLOCK_BYTES - 12))
    data = ng_section() + ng_interface() + ng_packet(TICKS, FIRST[1]) + long + ng_packet(TICKS + 5, SECOND[1])
    assert read_capture(data) == ([FIRST, SECOND], None)


def test_interfaces_without_end_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("many") / "a.pcapng"
    path.write_bytes(ng_section() + ng_interface() * 65_537)
    with pytest.raises(CaptureError, match="one too many"):
        list(CaptureFile(str(path)).blocks())
