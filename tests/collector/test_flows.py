"""The flow table against a plain dict: who talked with whom, who began, how much each way, and when it ended."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode import decode
from collector.flows import (
    CLOSED_SECONDS,
    FIRST_ROWS,
    MAX_RESTARTS_A_BATCH,
    NAMED_SECONDS,
    READ_NOTHING,
    SWEEP_SECONDS,
    TCP_IDLE_SECONDS,
    UDP_IDLE_SECONDS,
    FlowTable,
)
from collector.ledger import Ledger
from collector.packets import ACK, FIN, RST, SYN, Block, PacketBatch
from tests.collector.folded import all_flows, flows_of, fold
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA,
    NS,
    PSH_ACK,
    SERVER,
    Packet,
    block_of,
    spaced,
    tcp_frame,
    udp_frame,
)

ENDS = (CAMERA, 40_000, SERVER, 443)


def batch_of(frames: Sequence[bytes]) -> PacketBatch:
    return decode(block_of(spaced(frames)), Ledger())


def test_both_directions_are_one_flow_with_what_went_each_way() -> None:
    frames = [tcp_frame(b"ab", ENDS), tcp_frame(b"answer", ENDS, back=True), tcp_frame(b"", ENDS)]
    [flow] = all_flows(spaced(frames))
    assert flow.bytes == {(CAMERA, 40_000): 42 + 40, (SERVER, 443): 46}
    assert flow.packets == {(CAMERA, 40_000): 2, (SERVER, 443): 1}
    assert (flow.first_ns, flow.last_ns) == (BEGIN_NS, BEGIN_NS + 2_000_000)


def test_another_port_address_or_transport_is_another_flow() -> None:
    frames = [tcp_frame(ends=ENDS), udp_frame(ends=ENDS), tcp_frame(ends=(CAMERA, 40_001, SERVER, 443))]
    frames += [tcp_frame(ends=("10.20.0.12", 40_000, SERVER, 443)), tcp_frame(ends=("fd20::1", 40_000, "fd20::2", 443))]
    assert len(all_flows(spaced(frames))) == 5


UP, DOWN = (CAMERA, 40_000), (SERVER, 443)


@pytest.mark.parametrize(
    ("ends", "flags", "back", "began"),
    [
        ((CAMERA, 443, SERVER, 40_000), SYN, False, CAMERA),
        ((CAMERA, 443, SERVER, 40_000), SYN | ACK, False, SERVER),
        ((CAMERA, 40_000, SERVER, 443), SYN | ACK, True, CAMERA),
        ((CAMERA, 40_000, SERVER, 443), ACK, True, CAMERA),
        ((CAMERA, 40_000, SERVER, 443), ACK, False, CAMERA),
        ((CAMERA, 34_567, SERVER, 50_000), ACK, False, SERVER),
        ((CAMERA, 50_000, SERVER, 40_000), ACK, False, CAMERA),
        ((CAMERA, 40_000, SERVER, 50_000), ACK, False, SERVER),
    ],
    ids=[
        "SYN to a high port", "SYN-ACK first", "SYN-ACK first, from the service", "the service's data first",
        "the client's data first", "a camera's service", "neither is a service, TCP: to the lower",
        "neither is a service, TCP: from the lower",
    ],
)  # fmt: skip
def test_who_began_a_tcp_flow(ends: tuple[str, int, str, int], flags: int, back: bool, began: str) -> None:
    [flow] = all_flows(spaced([tcp_frame(b"x", ends, flags=flags, back=back)]))
    assert flow.began[0] == began


@pytest.mark.parametrize(
    ("ends", "back", "began"),
    [
        ((CAMERA, 40_000, SERVER, 53), True, CAMERA),
        ((CAMERA, 40_000, SERVER, 50_000), False, CAMERA),
        ((CAMERA, 50_000, SERVER, 40_000), True, SERVER),
        ((CAMERA, 123, SERVER, 123), True, SERVER),
    ],
    ids=["an answer first", "the first sender", "the first sender, back", "both are services"],
)
def test_who_began_a_udp_flow(ends: tuple[str, int, str, int], back: bool, began: str) -> None:
    assert all_flows(spaced([udp_frame(b"x", ends, back=back)]))[0].began[0] == began


def connection(sequence: int, at_ns: int, last_flags: int = FIN | ACK) -> list[Packet]:
    frames = [
        tcp_frame(b"", ENDS, sequence, SYN), tcp_frame(b"", ENDS, sequence + 7, SYN | ACK, back=True),
        tcp_frame(b"data", ENDS, sequence + 1), tcp_frame(b"", ENDS, sequence + 5, last_flags),
    ]  # fmt: skip
    return spaced(frames, at_ns)


@pytest.mark.parametrize("last_flags", [FIN | ACK, RST, PSH_ACK], ids=["FIN", "RST", "power lost"])
@pytest.mark.parametrize(
    "cuts", [(), (4,), (3,), (1, 2, 3, 4, 5, 6, 7)], ids=["one block", "between", "before", "each"]
)
def test_a_port_that_is_used_again_is_another_flow(last_flags: int, cuts: tuple[int, ...]) -> None:
    packets = connection(100, BEGIN_NS, last_flags) + connection(9_000, BEGIN_NS + NS, last_flags)
    first, second = all_flows(packets, cuts)
    assert (first.reason, second.reason) == ("reused", "finished")
    assert first.packets == second.packets == {UP: 3, DOWN: 1}
    assert (first.last_ns, second.first_ns) == (BEGIN_NS + 3_000_000, BEGIN_NS + NS)


def test_a_port_may_be_used_again_many_times_within_one_block() -> None:
    packets = [packet for number in range(50) for packet in connection(100 + number, BEGIN_NS + number * 10**7)]
    flows = all_flows(packets)
    assert len(flows) == 50 and all(flow.packets == {UP: 3, DOWN: 1} for flow in flows)


@pytest.mark.parametrize("cuts", [(), (1,), (1, 2, 3)])
def test_a_syn_that_is_sent_again_is_the_same_flow(cuts: tuple[int, ...]) -> None:
    frames = [tcp_frame(b"", ENDS, 100, SYN)] * 3 + [tcp_frame(b"", ENDS, 500, SYN | ACK, back=True)]
    [flow] = all_flows(spaced(frames, step_ns=NS), cuts)
    assert flow.packets == {UP: 3, DOWN: 1}


@pytest.mark.parametrize("cuts", [(), (1,), (2,)])
def test_a_syn_that_is_sent_again_after_it_was_refused_is_the_same_flow(cuts: tuple[int, ...]) -> None:
    frames = [tcp_frame(b"", ENDS, 100, SYN), tcp_frame(b"", ENDS, 0, RST | ACK, back=True)]
    [flow] = all_flows(spaced(frames * 3, step_ns=NS // 2), cuts)
    assert flow.packets == {UP: 3, DOWN: 3}


def test_the_packets_of_a_flow_that_was_replaced_in_their_block_can_still_be_read() -> None:
    table = FlowTable()
    packets = connection(100, BEGIN_NS) + connection(9_000, BEGIN_NS + NS)
    rows = table.fold(decode(block_of(packets), Ledger()))
    assert set(rows[:4]).isdisjoint(rows[4:]) and len(set(rows[:4])) == 1
    assert table.columns["reading"][rows].all() and not table.columns["ended"][rows].any()


def test_how_long_a_flow_may_be_silent() -> None:
    assert (UDP_IDLE_SECONDS, TCP_IDLE_SECONDS, CLOSED_SECONDS) == (120, 600, 10)


@pytest.mark.parametrize(
    ("frames", "seconds", "reason"),
    [
        ([udp_frame(b"x")], UDP_IDLE_SECONDS, "idle"),
        ([tcp_frame(b"x")], TCP_IDLE_SECONDS, "idle"),
        ([tcp_frame(b"", flags=SYN)], TCP_IDLE_SECONDS, "idle"),
        ([tcp_frame(b"", flags=FIN | ACK)], TCP_IDLE_SECONDS, "idle"),
        ([tcp_frame(flags=FIN | ACK), tcp_frame(flags=FIN | ACK, back=True)], CLOSED_SECONDS, "closed"),
        ([tcp_frame(flags=RST, back=True)], CLOSED_SECONDS, "closed"),
    ],
    ids=["UDP", "TCP", "a SYN alone", "closed by one side", "closed by both", "reset"],
)
def test_a_flow_ends_when_it_was_idle_for_its_time(frames: list[bytes], seconds: int, reason: str) -> None:
    table = FlowTable()
    begin = BEGIN_NS // (SWEEP_SECONDS * NS) * SWEEP_SECONDS * NS + 10**6
    other = udp_frame(ends=("10.0.0.9", 9, "10.0.0.8", 8))
    fold(table, spaced(frames, begin, 1_000))
    for after in (seconds - SWEEP_SECONDS, seconds):
        fold(table, [(begin + after * NS, other)])
        assert len(table) == 2 and table.ended == []
    fold(table, [(begin + (seconds + SWEEP_SECONDS) * NS, other)])
    assert len(table) == 1 and [(group.reason, len(group)) for group in table.ended] == [(reason, 1)]


@pytest.mark.parametrize("cuts", [(), (1,)])
def test_a_flow_that_was_idle_too_long_begins_anew(cuts: tuple[int, ...]) -> None:
    packets = [(BEGIN_NS, udp_frame(b"first")), (BEGIN_NS + 200 * NS, udp_frame(b"second", back=True))]
    first, second = all_flows(packets, cuts)
    assert (first.reason, second.reason) == ("idle", "finished")
    assert sorted(first.packets.values()) == sorted(second.packets.values()) == [0, 1]
    assert second.first_ns == second.last_ns == packets[1][0]


def test_a_flow_that_is_only_slow_is_not_ended_by_a_block_that_spans_its_time() -> None:
    packets = [(BEGIN_NS + number * 60 * NS, udp_frame(b"beat")) for number in range(60)]
    for cuts in ((), (1,), (30,), range(60)):
        assert len(all_flows(packets, cuts)) == 1


def test_a_clock_that_leaps_ahead_and_back_does_not_stop_the_sweeping() -> None:
    table = FlowTable()
    fold(table, [(2**62, udp_frame(ends=("10.0.0.7", 7, "10.0.0.8", 8)))])
    fold(table, [(BEGIN_NS, udp_frame())])
    fold(table, [(BEGIN_NS + 200 * NS, udp_frame(ends=("10.0.0.9", 9, "10.0.0.8", 8)))])
    assert [flow.first_ns for group in table.ended for flow in flows_of(group)] == [BEGIN_NS]


def unique_flows(first: int, count: int, at_ns: int = BEGIN_NS) -> list[Packet]:
    """One packet each of `count` flows."""
    return [
        (at_ns + number, udp_frame(ends=(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 9, SERVER, 53)))
        for number in range(first, first + count)
    ]


def test_when_the_table_is_full_the_longest_silent_end_and_are_counted() -> None:
    table = FlowTable(max_flows=1_000)
    busy = udp_frame(b"busy", ends=("172.16.0.1", 1, SERVER, 53))
    for turn in range(20):
        fold(table, unique_flows(turn * 100, 100, BEGIN_NS + turn * 1_000_000))
        fold(table, [(BEGIN_NS + turn * 1_000_000 + 500_000, busy)])
        assert len(table) <= 1_100
    assert table.evicted == sum(len(group) for group in table.ended) > 900
    assert {group.reason for group in table.ended} == {"evicted"}
    gone = [flow.first_ns for group in table.ended for flow in flows_of(group)]
    table.finish()
    [last] = [flows_of(group) for group in table.ended if group.reason == "finished"]
    kept = sorted(flow.first_ns for flow in last if "172.16.0.1" not in {end[0] for end in flow.packets})
    assert max(gone) < kept[0]
    [steady] = [flow for flow in last if ("172.16.0.1", 1) in flow.packets]
    assert steady.packets["172.16.0.1", 1] == 20


def flood(first: int, count: int) -> Block:
    """What `unique_flows` gives, made at once."""
    frame = np.frombuffer(unique_flows(0, 1)[0][1], np.uint8)
    rows = np.tile(frame, (count + 4, 1))
    numbers = np.arange(first, first + count + 4, dtype=">u4")
    rows[:, 27:30] = numbers.view(np.uint8).reshape(-1, 4)[:, 1:]
    size = np.full(count, len(frame))
    start = np.arange(count) * len(frame)
    return Block(rows.reshape(-1), start, size, size, BEGIN_NS + numbers[:count].astype(np.int64), 1)


def test_memory_stays_level_under_a_flood_of_flows() -> None:
    table = FlowTable(max_flows=50_000)
    sizes, ended = [], 0
    for turn in range(30):
        table.fold(decode(flood(turn * 10_000, 10_000), Ledger()))
        ended += sum(len(group) for group in table.ended)
        table.ended.clear()
        sizes.append(len(table.columns["key"]))
        assert len(table) <= 60_000
    assert sizes[-1] == sizes[10] <= 140_000
    assert table.total == 300_000 and ended + len(table) == 300_000 and ended == table.evicted


def test_readers_stay_with_their_flows_when_the_table_is_packed() -> None:
    table = FlowTable(max_flows=1_000)
    kept = {}
    for turn in range(30):
        fold(table, unique_flows(turn * 100, 100, BEGIN_NS + turn * 1_000_000))
        for row in range(table.count):
            if not table.columns["ended"][row] and row not in table.readers:
                table.readers[row] = int(table.columns["key"][row])
        assert all(int(table.columns["key"][row]) == reader for row, reader in table.readers.items())
        assert len(table.readers) == len(table)
        kept.update(dict.fromkeys(table.readers.values(), False))
    table.finish()
    assert table.readers == {}
    for group in table.ended:
        for place, reader in group.readers.items():
            assert int(group.columns["key"][place]) == reader and kept[reader] is False
            kept[reader] = True
    assert len(kept) == 3_000 and all(kept.values())


def test_a_row_that_nobody_reads_loses_its_reader_and_is_marked() -> None:
    table = FlowTable()
    rows = table.fold(batch_of([tcp_frame()]))
    table.readers[int(rows[0])] = "reader"
    table.keep_reading(int(rows[0]), 1)
    assert table.readers and table.columns["reading"][rows[0]] == 1
    table.keep_reading(int(rows[0]), READ_NOTHING)
    assert not table.readers and table.columns["reading"][rows[0]] == 0


def test_flows_whose_slots_collide_are_kept_apart() -> None:
    packets = unique_flows(0, 400)
    batch = decode(block_of(packets), Ledger())
    # Keys that differ in their upper half only: all of them begin at the same slots, the last ones of the table.
    batch.key = (np.arange(1, 401, dtype=np.uint64) << np.uint64(40)) | np.uint64(0x7FFF)
    table = FlowTable()
    for _ in range(3):
        rows = table.fold(batch)
    assert len(set(rows.tolist())) == 400 == len(table)
    assert table.columns["packets"][:400].sum(axis=1).tolist() == [3] * 400


def test_where_each_row_stands_first_is_told_in_order_also_when_the_table_has_grown() -> None:
    table = FlowTable(max_flows=1)
    assert table.first_of(np.array([5, 3, 5, 3, 7, 5])).tolist() == [0, 1, 4]
    assert table.first_of(np.zeros(0, np.int64)).tolist() == []
    rows = table.fold(decode(flood(0, FIRST_ROWS + 10), Ledger()))
    assert len(np.unique(rows)) == FIRST_ROWS + 10
    assert table.first_of(np.concatenate((rows, rows))).tolist() == list(range(FIRST_ROWS + 10))


def test_opened_rows_come_once_and_only_when_both_sides_have_spoken() -> None:
    table = FlowTable()
    ends = [(CAMERA, port, SERVER, 443) for port in (40_000, 40_001)]
    rows = table.fold(batch_of([tcp_frame(ends=ends[0]), tcp_frame(ends=ends[0], back=True), tcp_frame(ends=ends[1])]))
    assert table.opened(BEGIN_NS + NS).tolist() == []
    table.keep_reading(int(rows[0]), READ_NOTHING)
    assert table.opened(BEGIN_NS + NS + 1).tolist() == [], "it was looked a moment ago"
    assert table.opened(BEGIN_NS + NS + 2, at_once=True).tolist() == [rows[0]]
    assert table.opened(BEGIN_NS + 100 * NS).tolist() == []


def test_a_flow_whose_names_are_still_read_is_opened_after_a_while() -> None:
    table = FlowTable()
    rows = table.fold(batch_of([tcp_frame(), tcp_frame(back=True)]))
    assert table.opened(BEGIN_NS + NAMED_SECONDS * NS).tolist() == []
    assert table.opened(BEGIN_NS + (NAMED_SECONDS + 1) * NS).tolist() == [rows[0]]


def test_a_clock_that_was_set_back_does_not_silence_opened_flows() -> None:
    table = FlowTable()
    assert len(table.opened(BEGIN_NS + 10_000 * NS)) == 0
    rows = table.fold(batch_of([tcp_frame(), tcp_frame(back=True)]))
    assert table.opened(BEGIN_NS + 4 * NS).tolist() == [rows[0]]


def test_an_empty_batch_changes_nothing() -> None:
    table = FlowTable()
    assert table.fold(batch_of([])).tolist() == [] and len(table) == 0


def test_a_flood_of_strange_syns_in_one_block_is_bounded() -> None:
    frames = [tcp_frame(b"", ENDS, number * 1_000, SYN) for number in range(4 * MAX_RESTARTS_A_BATCH)]
    table = FlowTable()
    table.fold(batch_of(frames))
    assert table.total <= MAX_RESTARTS_A_BATCH + 1
    table.finish()
    assert sum(flow.packets[UP] for group in table.ended for flow in flows_of(group)) == len(frames)


@given(numbers=st.lists(st.integers(0, 30), min_size=1, max_size=120), max_flows=st.integers(1, 12), data=st.data())
def test_under_eviction_no_packet_is_lost_and_the_bound_holds(
    numbers: list[int], max_flows: int, data: st.DataObject
) -> None:
    packets = [
        (BEGIN_NS + at * 1_000, udp_frame(ends=("10.0.0.1", 1_000 + number, SERVER, 53)))
        for at, number in enumerate(numbers)
    ]
    table = FlowTable(max_flows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packets)), max_size=20)))
    for first, last in zip([0, *cuts], [*cuts, len(packets)], strict=True):
        if first < last:
            fold(table, packets[first:last])
            assert len(table) <= max_flows + last - first
    table.finish()
    counted: Counter[int] = Counter()
    for group in table.ended:
        for flow in flows_of(group):
            counted[next(port for _, port in flow.packets if port != 53)] += sum(flow.packets.values())
    assert counted == Counter(1_000 + number for number in numbers)
