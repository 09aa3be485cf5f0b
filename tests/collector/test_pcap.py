"""Every variant of pcap gives the same packets; a broken record ends the reading after all that came before it."""

import struct

import numpy as np
import pytest

from collector.packets import SLACK_BYTES
from collector.pcap import FILE_HEADER_BYTES, MAX_CAPTURED_BYTES, PcapWalk, Step, Window
from tests.collector.conftest import ReadCapture
from tests.collector.frames import BEGIN_NS, pcap, pcap_header, pcap_record

MICRO, NANO, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
PACKETS = [(BEGIN_NS + 1_234_567_000, b"first packet"), (BEGIN_NS + 2_000_001_000, b""), (BEGIN_NS, b"third")]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [MICRO, NANO, MODIFIED], ids=["micro", "nano", "modified"])
def test_both_byte_orders_and_all_magics_give_the_same_packets(
    read_capture: ReadCapture, order: str, magic: int
) -> None:
    assert read_capture(pcap(PACKETS, order, magic)) == (PACKETS, None)


def test_nanoseconds_are_kept_and_microseconds_are_as_they_were_written(read_capture: ReadCapture) -> None:
    packet = (BEGIN_NS + 987_654_321, b"x")
    assert read_capture(pcap([packet], magic=NANO))[0] == [packet]
    assert read_capture(pcap([packet], magic=MICRO))[0] == [(BEGIN_NS + 987_654_000, b"x")]


def test_the_last_second_that_a_record_can_say_is_read(read_capture: ReadCapture) -> None:
    late = (0xFFFF_FFFF * 10**9, b"2106")
    assert read_capture(pcap([late])) == ([late], None)


def test_a_snap_length_of_zero_is_no_limit(read_capture: ReadCapture) -> None:
    data = pcap_header(snap=0) + pcap_record((BEGIN_NS, b"x" * 2_000))
    assert read_capture(data) == ([(BEGIN_NS, b"x" * 2_000)], None)


def test_a_record_longer_than_the_snap_length_is_read(read_capture: ReadCapture) -> None:
    data = pcap_header(snap=96) + pcap_record((BEGIN_NS, b"x" * 500))
    assert read_capture(data)[0] == [(BEGIN_NS, b"x" * 500)]


def test_the_longest_possible_record_is_read_and_one_byte_more_is_broken(read_capture: ReadCapture) -> None:
    head = pcap_header() + pcap_record(PACKETS[0])
    longest = (BEGIN_NS, bytes(MAX_CAPTURED_BYTES))
    assert read_capture(head + pcap_record(longest)) == ([PACKETS[0], longest], None)
    found, error = read_capture(head + pcap_record((BEGIN_NS, bytes(MAX_CAPTURED_BYTES + 1))) + pcap_record(PACKETS[2]))
    assert found == [PACKETS[0]]
    assert error is not None and error.offset == len(head)
    assert "262145 bytes; at most 262144" in error.reason


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x8000_0000, MAX_CAPTURED_BYTES + 1])
def test_a_length_that_cannot_be_is_told_with_the_place_of_its_record(read_capture: ReadCapture, length: int) -> None:
    head = pcap_header() + pcap_record(PACKETS[0]) + pcap_record(PACKETS[2])
    found, error = read_capture(head + pcap_record((BEGIN_NS, b"lies"), captured=length) + bytes(400))
    assert found == [PACKETS[0], PACKETS[2]]
    assert error is not None and error.offset == len(head) and str(length) in error.reason


def step_of(walk: PcapWalk, window: Window) -> Step:
    walk.scan(window)
    return walk.take(window)


def window_of(data: bytes, start: int = FILE_HEADER_BYTES) -> Window:
    buffer = bytearray(data + bytes(SLACK_BYTES))
    return Window(buffer, np.frombuffer(buffer, np.uint8), start, len(data))


def test_a_packet_is_as_long_on_the_wire_as_its_record_says_and_never_shorter_than_what_was_captured() -> None:
    data = pcap_header() + pcap_record((0, b"cut"), wire=1_500) + pcap_record((0, b"whole"), wire=0)
    walk, start = PcapWalk.begin(data) or (None, 0)
    assert walk is not None
    block = step_of(walk, window_of(data, start)).blocks[0]
    assert (block.captured.tolist(), block.wire.tolist()) == ([3, 5], [1_500, 5])


@pytest.mark.parametrize("cut", range(FILE_HEADER_BYTES, FILE_HEADER_BYTES + 2 * 16 + 12))
def test_a_walk_stops_before_an_unfinished_record_and_goes_on_when_there_is_more(cut: int) -> None:
    data = pcap([(BEGIN_NS, b"twelve bytes"), (BEGIN_NS + 1_000, b"")])
    walk, start = PcapWalk.begin(data) or (None, 0)
    assert walk is not None
    step = step_of(walk, window_of(data[:cut], start))
    done = sum(len(block.start) for block in step.blocks)
    assert (step.problem, done) == (None, int(cut >= 52))
    rest = step_of(walk, window_of(data, step.at))
    assert done + sum(len(block.start) for block in rest.blocks) == 2 and rest.at == len(data)


@pytest.mark.parametrize(
    ("word", "link_type"),
    [(1, 1), (0x0400_0071, 113), (0xF000_0001, 1), (276, 276)],
    ids=["plain", "with flags", "with an FCS length", "16 bits"],
)
def test_the_link_type_is_the_lower_bits_of_its_word(word: int, link_type: int) -> None:
    walk, start = PcapWalk.begin(pcap_header(link_type=word)) or (None, 0)
    assert walk is not None and start == FILE_HEADER_BYTES and walk.link_type == link_type


@pytest.mark.parametrize(
    "head", [b"", struct.pack("<I", MICRO), pcap_header()[:23], bytes(24), struct.pack("<I", MODIFIED + 1) + bytes(20)]
)
def test_what_is_no_whole_file_header_begins_no_walk(head: bytes) -> None:
    assert PcapWalk.begin(head) is None
