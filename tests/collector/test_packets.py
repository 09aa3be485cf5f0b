"""The columns that capture, decode and flows hand each other."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from collector.decode import decode
from collector.ledger import Ledger
from collector.packets import SLACK_BYTES, alike
from tests.collector.conftest import packets_of
from tests.collector.frames import BEGIN_NS, NS, block_of, tcp_frame, udp_frame


def test_a_packets_payload_is_found_by_its_number() -> None:
    frames = [tcp_frame(b"first"), udp_frame(b""), udp_frame(b"third one")]
    batch = decode(block_of([(BEGIN_NS, frame) for frame in frames]), Ledger())
    assert len(batch) == 3
    assert [batch.payload_of(number) for number in range(3)] == [b"first", b"", b"third one"]


def test_headers_can_be_gathered_blindly_at_the_last_packet() -> None:
    # A packet of one byte at the very end of the data: what is gathered behind it is the slack, and no one reads it.
    for link_type in (0, 1, 101, 108, 113, 276):
        for body in (b"", b"\x45", b"\x60", b"\0" * 13, tcp_frame()[:33]):
            ledger = Ledger()
            assert len(decode(block_of([(BEGIN_NS, body)], link_type), ledger)) == 0
            assert ledger.open_sums() == [] and SLACK_BYTES >= 54


def test_a_block_is_cut_where_time_passes_a_multiple_of_the_span() -> None:
    seconds = [0.0, 9.9, 10.0, 19.0, 35.0, 35.5]
    packets = [(BEGIN_NS + int(at * NS), bytes([number])) for number, at in enumerate(seconds)]
    parts = [packets_of(part) for part in block_of(packets).spans(10 * NS)]
    assert parts == [packets[:2], packets[2:4], packets[4:]]


def test_a_late_packet_stays_where_it_is() -> None:
    packets = [(BEGIN_NS + int(at * NS), b"x") for at in (9.9, 10.1, 9.95, 3.0, 10.2)]
    assert [len(part.start) for part in block_of(packets).spans(10 * NS)] == [1, 4]


def test_a_block_without_packets_is_one_part_without_packets() -> None:
    parts = list(block_of([]).spans(NS))
    assert [len(part.start) for part in parts] == [0]
    assert parts[0].time_ns.dtype == np.int64


# Some have their last bits in common, and so drive each other out.
@given(st.lists(st.sampled_from([0, 1, 2, 1 << 40, (1 << 40) + 1, 3 << 50, (1 << 64) - 1]) | st.integers(0, 2_000)))
def test_hashes_that_are_the_same_are_found_without_sorting(values: list[int]) -> None:
    keys = np.array(values, np.uint64)
    distinct, numbers = alike(keys)
    assert sorted(keys[distinct].tolist()) == sorted(set(values)) and distinct.tolist() == sorted(distinct.tolist())
    assert keys[distinct][numbers].tolist() == values
