"""A batch is one partition's, in order, and closes at its count, its bytes or its age."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from collector.batches import Batch, Batcher
from collector.observation import Observation
from collector.record import LINGER_SECONDS, MAX_OBSERVATIONS, MAX_VALUE_BYTES, partition_key, partition_of, unpack
from tests.collector.seen import seen


def numbers(batch: Batch) -> list[int]:
    """Which observations a batch holds."""
    found = [msgspec.json.decode(line, type=Observation) for line in unpack(batch.value)]
    assert len(found) == batch.count
    return [int(each.event.id, 16) for each in found]


def test_a_batch_closes_at_five_hundred_observations() -> None:
    batcher = Batcher(1)
    done = batcher.add([seen(number) for number in range(MAX_OBSERVATIONS + 1)], 0.0)
    assert [numbers(batch) for batch in done] == [list(range(MAX_OBSERVATIONS))]
    assert [numbers(batch) for batch in batcher.flush()] == [[MAX_OBSERVATIONS]]
    assert batcher.flush() == []


def test_a_batch_closes_before_it_is_too_large() -> None:
    batcher = Batcher(1)
    third = "x" * (MAX_VALUE_BYTES // 3)
    done = [*batcher.add([seen(number, name=third) for number in range(5)], 0.0), *batcher.flush()]
    assert [numbers(batch) for batch in done] == [[0, 1], [2, 3], [4]]
    assert all(len(batch.value) <= MAX_VALUE_BYTES for batch in done)


def test_lines_of_which_only_some_have_room_fill_the_batch_and_begin_the_next() -> None:
    batcher, size = Batcher(1), len(msgspec.json.encode(seen(0, name="x" * 4000)))
    count = 3 * MAX_VALUE_BYTES // size
    some = [seen(number, name="x" * 4000) for number in range(count)]
    done = [*batcher.add(some, 0.0), *batcher.flush()]
    assert [number for batch in done for number in numbers(batch)] == list(range(count))
    assert all(len(batch.value) > MAX_VALUE_BYTES - size - 3 for batch in done[:-1])
    assert all(len(batch.value) < MAX_VALUE_BYTES for batch in done) and len(done) in (3, 4)


def test_what_no_record_can_hold_is_counted_and_the_rest_goes_on() -> None:
    batcher = Batcher(1)
    batcher.add([seen(1), seen(2, name="x" * MAX_VALUE_BYTES), seen(3)], 0.0)
    assert [numbers(batch) for batch in batcher.flush()] == [[1, 3]]
    assert batcher.too_large == 1


def test_every_partition_is_due_when_the_oldest_has_waited_its_linger() -> None:
    batcher = Batcher(12)
    assert batcher.add([seen(1, device=1)], 10.0) == []
    assert batcher.add([seen(2, device=2), seen(3, device=3)], 10.0 + LINGER_SECONDS * 0.9) == []
    assert batcher.due(10.0 + LINGER_SECONDS * 0.99) == []
    done = batcher.due(10.01 + LINGER_SECONDS)
    assert sorted(number for batch in done for number in numbers(batch)) == [1, 2, 3]
    assert batcher.due(99.0) == []


def test_adding_hands_over_what_is_due() -> None:
    batcher = Batcher(1)
    batcher.add([seen(1)], 0.0)
    assert [numbers(batch) for batch in batcher.add([seen(2)], LINGER_SECONDS)] == [[1, 2]]


@pytest.mark.parametrize("longest", [100, 2000, 9000, 2 * MAX_VALUE_BYTES])
def test_many_at_once_are_batched_as_one_by_one(longest: int) -> None:
    dice = random.Random(longest)
    observations = [seen(number, dice.randrange(3), "x" * int(longest * dice.random() ** 8)) for number in range(2000)]
    together, singly = Batcher(2), Batcher(2)
    ways = [
        [*together.add(observations, 0.0), *together.flush()],
        [*(batch for each in observations for batch in singly.add([each], 0.0)), *singly.flush()],
    ]
    ours, theirs = ([[batch for batch in way if batch.partition == number] for number in range(2)] for way in ways)
    assert ours == theirs and together.too_large == singly.too_large


@settings(max_examples=50)
@given(some.lists(some.tuples(some.integers(0, 30), some.integers(0, 3000), some.floats(0, 0.1)), max_size=200))
def test_every_observation_is_in_one_batch_of_its_partition_and_in_order(steps: list[tuple[int, int, float]]) -> None:
    batcher, at, done = Batcher(5), 0.0, []
    sent: dict[int, list[int]] = {}
    for number, (device, length, pause) in enumerate(steps):
        at += pause
        observation = seen(number, device, "x" * length)
        sent.setdefault(partition_of(partition_key(observation), 5), []).append(number)
        done += batcher.add([observation], at)
    done += batcher.flush()
    came: dict[int, list[int]] = {}
    for batch in done:
        came.setdefault(batch.partition, []).extend(numbers(batch))
    assert came == sent
