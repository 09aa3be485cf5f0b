"""Segments in any order, twice, overlapping or missing: the bytes come out in order, or a gap is told."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.reassembly import MAX_HELD_BYTES, MAX_HELD_SEGMENTS, MAX_SKIP_BYTES, Reassembly

MODULUS = 1 << 32


def begun(sequence: int = 999) -> Reassembly:
    reassembly = Reassembly()
    reassembly.begin(sequence)
    return reassembly


def test_segments_in_order_pass_through() -> None:
    reassembly = begun()
    assert [reassembly.feed(1000, b"abc"), reassembly.feed(1003, b"de")] == [b"abc", b"de"]
    assert (reassembly.gaps, reassembly.gap_before, reassembly.held_bytes) == (0, False, 0)


def test_a_segment_that_comes_early_waits() -> None:
    reassembly = begun()
    assert reassembly.feed(1003, b"def") == b""
    assert reassembly.held_bytes == 3
    assert reassembly.feed(1000, b"abc") == b"abcdef"
    assert (reassembly.held_bytes, reassembly.gap_before) == (0, False)
    assert reassembly.feed(1006, b"g") == b"g"


def test_a_retransmission_says_nothing_new() -> None:
    reassembly = begun()
    assert reassembly.feed(1000, b"abc") == b"abc"
    assert reassembly.feed(1000, b"abc") == b""
    assert reassembly.feed(1001, b"XXde") == b"de"


def test_the_first_copy_of_a_byte_wins_where_it_was_held() -> None:
    reassembly = begun()
    assert reassembly.feed(1002, b"cd") == b""
    assert reassembly.feed(1006, b"gh") == b""
    assert reassembly.feed(1001, b"BCDEFGHI") == b""
    assert reassembly.feed(1000, b"aX") == b"aBcdEFghI"


def test_sequence_numbers_wrap() -> None:
    reassembly = begun(MODULUS - 3)
    assert reassembly.feed(1, b"def") == b""
    assert reassembly.feed(MODULUS - 2, b"abc") == b"abcdef"
    assert reassembly.feed(4, b"g") == b"g"


def test_a_syn_at_the_last_number_begins_at_zero() -> None:
    assert begun(MODULUS - 1).feed(0, b"abc") == b"abc"


def test_a_syn_that_is_sent_again_changes_nothing() -> None:
    reassembly = begun()
    reassembly.feed(1000, b"abc")
    reassembly.begin(999)
    assert reassembly.feed(1003, b"d") == b"d"


def test_without_a_syn_the_first_bytes_set_the_start() -> None:
    reassembly = Reassembly()
    assert reassembly.feed(499, b"") == b""
    assert reassembly.feed(500, b"abc") == b"abc"
    assert reassembly.feed(400, b"before") == b""
    assert reassembly.feed(503, b"d") == b"d"


def test_half_of_all_numbers_are_behind_and_half_ahead() -> None:
    reassembly = begun()
    assert reassembly.feed((1000 - 1_500_000_000) % MODULUS, b"old") == b""
    assert reassembly.held_bytes == 0
    assert reassembly.feed(1000 + 1_500_000_000, b"early") == b""
    assert reassembly.held_bytes == 5


def test_a_keep_alive_is_no_data() -> None:
    reassembly = begun()
    reassembly.feed(1000, b"abc")
    assert reassembly.feed(1002, b"c") == b""
    assert reassembly.feed(1002, b"") == b""
    assert reassembly.feed(1003, b"d") == b"d"


def test_too_many_held_bytes_give_up_the_hole_and_say_so() -> None:
    reassembly = begun()
    half = bytes(MAX_HELD_BYTES // 2)
    assert reassembly.feed(1010, half) == b""
    assert reassembly.feed(1010 + len(half), half) == b""
    assert reassembly.feed(1010 + 2 * len(half), b"x") == half + half + b"x"
    assert (reassembly.gap_before, reassembly.gaps, reassembly.skipped_bytes) == (True, 1, 10)
    assert reassembly.feed(1011 + 2 * len(half), b"y") == b"y"
    assert reassembly.gap_before is False


def test_too_many_held_segments_give_up_the_hole() -> None:
    reassembly = begun()
    outputs = [reassembly.feed(1001 + 2 * number, b"x") for number in range(MAX_HELD_SEGMENTS + 1)]
    assert outputs == [b""] * MAX_HELD_SEGMENTS + [b"x"]
    assert (reassembly.gap_before, reassembly.gaps, reassembly.skipped_bytes) == (True, 1, 1)


def test_one_segment_that_spans_all_held_ones_stays_within_the_caps() -> None:
    reassembly = begun()
    for number in range(MAX_HELD_SEGMENTS):
        reassembly.feed(1002 + 4 * number, b"x")
    data = reassembly.feed(1001, b"y" * 600)
    assert data == (b"y" + b"xyyy" * MAX_HELD_SEGMENTS + b"y" * 600)[:600]
    assert (reassembly.gaps, reassembly.skipped_bytes, reassembly.held_bytes) == (1, 1, 0)


def test_large_segments_behind_small_ones_never_pile_up() -> None:
    reassembly = begun()
    for number in range(200):
        size = 10 if number % 3 else 60_000
        reassembly.feed(2000 + number * 70_000, bytes(size))
        assert reassembly.held_bytes <= MAX_HELD_BYTES


def test_a_late_segment_of_a_given_up_hole_is_left_out() -> None:
    reassembly = begun()
    reassembly.feed(1003, b"def")
    assert reassembly.flush() == b"def"
    assert reassembly.gap_before is True
    assert reassembly.feed(1000, b"abc") == b""
    assert reassembly.gap_before is False


def test_a_flush_gives_run_after_run_until_nothing_is_left() -> None:
    reassembly = begun()
    reassembly.feed(1001, b"b")
    reassembly.feed(1002, b"c")
    reassembly.feed(1010, b"k")
    assert [reassembly.flush(), reassembly.flush(), reassembly.flush()] == [b"bc", b"k", b""]
    assert (reassembly.gaps, reassembly.skipped_bytes, reassembly.gap_before) == (2, 8, False)


def test_a_skip_counts_bytes_as_seen() -> None:
    reassembly = begun()
    reassembly.feed(1000, b"head")
    assert reassembly.skip(1000) == b""
    assert reassembly.feed(1504, b"body") == b""
    assert reassembly.feed(2000, b"bodyhead") == b"head"
    assert reassembly.gaps == 0


def test_a_skip_leaves_out_what_was_held() -> None:
    reassembly = begun()
    reassembly.feed(1002, b"cd")
    reassembly.feed(1006, b"ghij")
    assert reassembly.skip(8) == b"ij"
    assert reassembly.held_bytes == 0
    assert reassembly.feed(1010, b"k") == b"k"
    assert reassembly.gaps == 0


def test_a_skip_longer_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="skip"):
        begun().skip(MAX_SKIP_BYTES + 1)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[int, bytes]]]:
    """Some bytes, the SYN's number, and segments that cover them all, some twice, in any order."""
    data = draw(st.binary(min_size=1, max_size=300))
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=12))})
    segments = [(start, data[start:stop]) for start, stop in itertools.pairwise(cuts)]
    for start in draw(st.lists(st.integers(0, len(data) - 1), max_size=6)):
        segments.append((start, data[start : start + draw(st.integers(1, 80))]))
    syn = draw(st.sampled_from((0, 999, (1 << 31) - 50, MODULUS - 1, MODULUS - 100)))
    return data, syn, draw(st.permutations(segments))


@given(conversation=conversations())
def test_segments_in_any_order_are_the_bytes_in_order(
    conversation: tuple[bytes, int, list[tuple[int, bytes]]],
) -> None:
    data, syn, segments = conversation
    reassembly = begun(syn)
    out = b"".join(reassembly.feed((syn + 1 + start) % MODULUS, segment) for start, segment in segments)
    assert out == data
    assert (reassembly.gaps, reassembly.held_bytes, reassembly.flush()) == (0, 0, b"")


@given(conversation=conversations(), missing=st.integers(0, 11))
def test_what_comes_out_and_what_is_skipped_is_all_there_was(
    conversation: tuple[bytes, int, list[tuple[int, bytes]]], missing: int
) -> None:
    data, syn, segments = conversation
    reassembly = begun(syn)
    kept = [segment for number, segment in enumerate(segments) if number != missing]
    end = max((start + len(segment) for start, segment in kept), default=0)
    out = b"".join(reassembly.feed((syn + 1 + start) % MODULUS, segment) for start, segment in kept)
    while rest := reassembly.flush():
        assert reassembly.gap_before
        out += rest
    assert len(out) + reassembly.skipped_bytes == end
    if not reassembly.gaps:
        assert out == data[:end]
