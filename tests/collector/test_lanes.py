"""Lanes find the records that one walker finds, whatever lies in the packets."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.lanes import LANE_BYTES, MIN_LANES, LaneWalk
from collector.packets import SLACK_BYTES

SECONDS = 0x6A01_0203
WINDOW_BYTES = LANE_BYTES * (MIN_LANES + 12)


def record(order: str, header: int, data: bytes, seconds: int = SECONDS, captured: int | None = None) -> bytes:
    captured = len(data) if captured is None else captured
    return struct.pack(f"{order}IIII", seconds, 7, captured, captured) + bytes(header - 16) + data


def one_by_one(data: bytes, order: str, header: int, start: int, end: int) -> tuple[list[int], int]:
    places, at = [], start
    while at + header <= end:
        places.append(at)
        at += header + struct.unpack_from(f"{order}I", data, at + 8)[0]
    return places, at


def check(data: bytes, order: str = "<", header: int = 16, start: int = 0) -> None:
    buffer = bytearray(data) + bytes(SLACK_BYTES)
    places, at = LaneWalk(order, header).walk(buffer, np.frombuffer(buffer, np.uint8), start, len(data))
    assert (places.tolist(), at) == one_by_one(data, order, header, start, len(data))


def filled(order: str, header: int, sizes: list[int], fill: bytes) -> bytes:
    parts, have = [], 0
    while have < WINDOW_BYTES:
        for size in sizes:
            parts.append(record(order, header, (fill * (size // len(fill) + 1))[:size]))
            have += header + size
    return b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("header", [16, 24])
@pytest.mark.parametrize("size", [0, 60, 1_400, 9_000, 70_000])
def test_records_of_every_kind_are_found(order: str, header: int, size: int) -> None:
    check(filled(order, header, [size, size // 2, size + 3], b"\x5a"), order, header)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5_000), min_size=1, max_size=40),
    lie=st.integers(0, 2**32 - 1),
    cut=st.integers(0, 3_000),
    start=st.integers(0, 50),
)
def test_packets_that_look_like_records_mislead_no_lane(sizes: list[int], lie: int, cut: int, start: int) -> None:
    # The packets are made of record headers, so that nearly every lane begins at a wrong place.
    data = bytes(start) + filled("<", 16, sizes, record("<", 16, b"abc", captured=lie))
    check(data[: len(data) - cut], start=start)


def test_a_wrong_lane_between_right_ones_is_walked_again() -> None:
    honest = record("<", 16, b"\x11" * 1_400)
    liar = record("<", 16, record("<", 16, b"", captured=5) * 80)
    for place in (MIN_LANES // 2, MIN_LANES + 3):
        parts, have = [], 0
        while have < WINDOW_BYTES:
            near = abs(have - place * LANE_BYTES) < 2_000
            parts.append(liar if near else honest)
            have += len(parts[-1])
        check(b"".join(parts))


def test_a_length_that_cannot_be_ends_the_walk_where_it_stands() -> None:
    good = filled("<", 16, [1_400], b"\x11")
    cut = one_by_one(good, "<", 16, 0, len(good))[0][len(good) // 3_000]
    check(good[:cut] + record("<", 16, b"", captured=0xFFFF_FFFF) + good[cut:])


def test_seconds_that_change_within_a_window_change_nothing() -> None:
    parts = [record("<", 16, b"\x11" * 1_400, seconds=SECONDS + number) for number in range(WINDOW_BYTES // 1_416)]
    check(b"".join(parts))
