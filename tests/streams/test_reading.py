"""Each record in its turn, whatever a client hands out."""

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.reading import Place, Reading, Turn

HERE, THERE = Place("observations", 0), Place("observations", 1)


def begun(offset: int = 0) -> Reading:
    reading = Reading()
    reading.begin(HERE, offset)
    return reading


def test_records_in_order_are_taken_and_done_one_by_one() -> None:
    reading = begun(5)
    for offset in (5, 6, 7):
        assert reading.meet(HERE, offset) is Turn.NOW
        reading.finish(HERE, offset)
    assert reading.done == {HERE: 8}


def test_nothing_is_done_by_being_met() -> None:
    reading = begun(5)
    assert reading.meet(HERE, 5) is Turn.NOW and reading.done == {HERE: 5}


def test_a_partition_that_was_not_begun_is_not_read() -> None:
    reading = begun()
    assert reading.meet(THERE, 0) is Turn.NOT_YET
    reading.finish(THERE, 0)
    assert THERE not in reading.done


def test_a_record_beyond_is_left_and_the_reading_goes_back_once() -> None:
    reading = begun(101)
    assert reading.meet(HERE, 106) is Turn.GO_BACK
    # What was read ahead before the seek still comes.
    assert [reading.meet(HERE, offset) for offset in (107, 108, 119)] == [Turn.NOT_YET] * 3
    for offset in range(101, 120):
        assert reading.meet(HERE, offset) is Turn.NOW
        reading.finish(HERE, offset)
    assert reading.done == {HERE: 120}


def test_offsets_that_hold_no_record_are_passed_once_the_broker_was_asked_twice() -> None:
    reading = begun(101)
    assert reading.meet(HERE, 106) is Turn.GO_BACK
    assert reading.meet(HERE, 106) is Turn.GO_BACK
    assert reading.meet(HERE, 107) is Turn.NOT_YET
    assert reading.meet(HERE, 106) is Turn.NOW
    reading.finish(HERE, 106)
    assert reading.done == {HERE: 107} and reading.meet(HERE, 107) is Turn.NOW


def test_a_record_that_comes_again_is_taken_again_and_moves_nothing() -> None:
    reading = begun(7)
    assert reading.meet(HERE, 3) is Turn.NOW
    reading.finish(HERE, 3)
    assert reading.done == {HERE: 7}


def test_a_partition_goes_on_where_it_stands_unless_it_was_left() -> None:
    reading = begun(7)
    reading.begin(HERE, 3)
    reading.begin(THERE, 1)
    assert reading.done[HERE] == 7
    reading.leave({HERE})
    assert reading.done == {HERE: 7}
    reading.leave()
    reading.begin(HERE, 3)
    assert reading.done == {HERE: 3}


@given(st.integers(0, 2**32))
def test_whatever_is_read_ahead_dropped_or_said_twice_every_record_is_taken_in_order(seed: int) -> None:
    chance = random.Random(seed)
    reading, taken, position, ahead, asked = begun(), [], 0, [], False
    ends = sorted(set(range(60)) - set(chance.sample(range(60), chance.choice((0, 0, 5)))))
    for _ in range(20_000):
        if chance.random() < 0.6:
            found = [offset for offset in ends if offset >= position][: chance.randrange(1, 9)]
            position = found[-1] + 1 if found else position
            # A client that loses some of what it has read, unless it was just told where to read, and says some twice.
            ahead += [offset for offset in found if asked or chance.random() < 0.9]
            ahead += found[:1] if chance.random() < 0.1 else []
            asked = False
        elif ahead:
            offset = ahead.pop(0)
            turn = reading.meet(HERE, offset)
            if turn is Turn.NOW:
                taken.append(offset)
                reading.finish(HERE, offset)
            elif turn is Turn.GO_BACK:
                position, asked = reading.done[HERE], True
        elif chance.random() < 0.1:
            position = reading.done[HERE]
        if reading.done[HERE] > ends[-1]:
            break
    assert sorted(set(taken)) == ends
