"""A record is counted once, whatever comes again and in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from streams.processors.dedupe import MAX_NUMBERS, MAX_ORIGINS, Marks, count, is_counted, origin_of


def test_a_record_is_counted_once() -> None:
    marks: Marks = {}
    assert not is_counted(marks, "a", 5)
    count(marks, "a", 5)
    assert is_counted(marks, "a", 5) and not is_counted(marks, "a", 6) and not is_counted(marks, "b", 5)


def test_a_record_that_comes_late_is_still_new() -> None:
    marks: Marks = {}
    for number in (1, 3, 4):
        count(marks, "a", number)
    assert not is_counted(marks, "a", 2)


def test_what_is_below_all_that_is_remembered_was_counted() -> None:
    marks: Marks = {}
    for number in range(10, 10 + 2 * MAX_NUMBERS):
        count(marks, "a", number)
    assert len(marks["a"]) == MAX_NUMBERS and is_counted(marks, "a", 9) and is_counted(marks, "a", 10)


def test_a_sensor_that_begins_anew_begins_to_count_anew() -> None:
    assert origin_of("door", "00ff") != origin_of("door", "00fe")


def test_origins_are_bounded_and_the_one_heard_of_longest_ago_goes() -> None:
    marks: Marks = {}
    for number in range(MAX_ORIGINS):
        count(marks, f"o{number}", 1)
    count(marks, "o0", 2)
    count(marks, "new", 1)
    assert len(marks) == MAX_ORIGINS and "o1" not in marks and "o0" in marks and "new" in marks


@given(st.lists(st.integers(0, 30), max_size=60))
def test_repeats_of_the_last_records_are_always_known(numbers: list[int]) -> None:
    marks: Marks = {}
    seen: set[int] = set()
    for number in sorted(numbers):
        assert is_counted(marks, "a", number) == (number in seen)
        count(marks, "a", number)
        seen.add(number)
