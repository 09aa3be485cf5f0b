"""The three faults of faust-streaming 0.15.3 when it commits: there without the patch, gone with it.

Where a test of the unpatched code fails, that version has mended the fault, and its part of the patch can go.
"""

import asyncio
import types
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import faust
import pytest
from faust.exceptions import ProducerSendError
from faust.transport.consumer import Consumer
from faust.transport.producer import ProducerBuffer
from faust.types import TP
from faust.types.tuples import FutureMessage
from intervaltree import IntervalTree

from collector.errors import LenswatchError
from streams import faust_patch
from streams.faust_patch import all_sent, apply_patch, committed_offset

PLACE = TP("observations", 0)


@pytest.fixture(autouse=True)
def unpatched() -> Iterator[None]:
    """Each test begins with Faust as it comes, and leaves it so."""
    yield from restore()


def restore() -> Iterator[None]:
    kept = (Consumer._new_offset, Consumer._commit_offsets, ProducerBuffer.put)
    Consumer._new_offset, Consumer._commit_offsets = faust_patch.NEW_OFFSET, faust_patch.COMMIT_OFFSETS  # type: ignore[method-assign]
    ProducerBuffer.put = faust_patch.PUT  # type: ignore[method-assign]
    yield
    Consumer._new_offset, Consumer._commit_offsets, ProducerBuffer.put = kept  # type: ignore[method-assign]


class Ledgers:
    """The bookkeeping of a consumer of one partition, as Faust keeps it, and a broker that commits or refuses."""

    in_transaction = False

    def __init__(self, committed: int | None, acked: list[int], at_work: list[int], commits: bool = True) -> None:
        self._acked = defaultdict(list, {PLACE: acked})
        self._acked_index = defaultdict(set, {PLACE: set(acked)})
        self._gap: Any = defaultdict(IntervalTree)
        self._committed_offset = defaultdict(lambda: None, {PLACE: committed})
        self._unacked_messages = [types.SimpleNamespace(tp=PLACE, offset=each, acked=False) for each in at_work]
        self.commits, self.asked, self.crashed = commits, [], None  # type: ignore[var-annotated]
        self.log = types.SimpleNamespace(dev=lambda *_: None, info=lambda *_: None, warning=lambda *_: None)
        self.app: Any = types.SimpleNamespace(
            producer=types.SimpleNamespace(flush=self.flush, buffer=types.SimpleNamespace()),
            tables=types.SimpleNamespace(on_commit=lambda *_: None),
            monitor=types.SimpleNamespace(on_tp_commit=lambda *_: None),
        )

    async def flush(self) -> None:
        pass

    def assignment(self) -> set[TP]:
        return {PLACE}

    async def _commit(self, offsets: dict[TP, int]) -> bool:
        self.asked.append(offsets[PLACE])
        return self.commits

    async def crash(self, reason: Exception) -> None:
        self.crashed = reason

    def new_offset(self) -> int | None:
        return Consumer._new_offset(self, PLACE)  # type: ignore[arg-type]

    async def commit(self, offset: int) -> bool:
        return await Consumer._commit_offsets(self, {PLACE: offset})  # type: ignore[arg-type]


def test_without_the_patch_a_record_at_work_is_passed() -> None:
    assert Ledgers(2585, [2586, 2587, 2588, 2589], at_work=[2585]).new_offset() == 2590


def test_a_record_at_work_is_never_passed() -> None:
    apply_patch()
    assert Ledgers(2585, [2586, 2587, 2588, 2589], at_work=[2585]).new_offset() is None
    assert Ledgers(10, [10, 11, 13], at_work=[12]).new_offset() == 12
    assert Ledgers(10, [10, 11, 12], at_work=[13]).new_offset() == 13
    assert Ledgers(None, [0, 1], at_work=[]).new_offset() == 2
    assert Ledgers(5, [7, 8], at_work=[]).new_offset() is None
    assert Ledgers(5, [], at_work=[]).new_offset() is None


def test_offsets_without_a_record_are_passed() -> None:
    apply_patch()
    consumer = Ledgers(10, [10, 14], at_work=[])
    consumer._gap[PLACE].addi(11, 14)
    assert consumer.new_offset() == 15


async def without() -> int | None:
    consumer = Ledgers(10, [10, 11], at_work=[], commits=False)
    offset = consumer.new_offset()
    assert offset == 12 and not await consumer.commit(offset)
    return consumer._committed_offset[PLACE]


def test_without_the_patch_a_refused_commit_is_taken_for_one() -> None:
    assert asyncio.run(without()) == 12


def test_a_refused_commit_is_none_and_is_tried_again() -> None:
    apply_patch()

    async def run() -> None:
        consumer = Ledgers(10, [10, 11], at_work=[], commits=False)
        offset = consumer.new_offset()
        assert offset == 12 and not await consumer.commit(offset)
        assert consumer._committed_offset[PLACE] == 10 and consumer.new_offset() == 12
        consumer.commits = True
        assert await consumer.commit(12) and consumer.asked == [12, 12]
        assert consumer._committed_offset[PLACE] == 12 and consumer._acked[PLACE] == []
        assert consumer._acked_index[PLACE] == set() and committed_offset(consumer, PLACE) == 12

    asyncio.run(run())


def make_buffer() -> ProducerBuffer:
    buffer = ProducerBuffer()
    buffer.app = types.SimpleNamespace(conf=types.SimpleNamespace(producer_threaded=False))  # type: ignore[assignment]
    buffer._started.set()
    return buffer


def test_without_the_patch_a_flush_gives_up_on_a_stalled_broker() -> None:
    async def run() -> None:
        buffer = make_buffer()
        buffer.put(FutureMessage(None))  # type: ignore[arg-type]
        await asyncio.wait_for(buffer.flush(), 5)
        assert buffer.size == 1

    asyncio.run(run())


def test_a_commit_waits_for_what_was_sent_before_it() -> None:
    apply_patch()

    async def run() -> None:
        buffer, consumer = make_buffer(), Ledgers(10, [10], at_work=[])
        consumer.app.producer.buffer = buffer
        sent: FutureMessage = FutureMessage(None)  # type: ignore[arg-type]
        buffer.put(sent)
        commit = asyncio.create_task(consumer.commit(11))
        await asyncio.sleep(0.3)
        assert not commit.done() and consumer.asked == []
        sent.set_result(None)  # type: ignore[arg-type]
        assert await commit and consumer.asked == [11] and await all_sent(buffer) is None

    asyncio.run(run())


@pytest.mark.parametrize("refused", [True, False])
def test_nothing_is_committed_after_a_message_that_could_not_be_sent(refused: bool) -> None:
    apply_patch()

    async def run() -> None:
        buffer, consumer = make_buffer(), Ledgers(10, [10], at_work=[])
        consumer.app.producer.buffer = buffer
        sent: FutureMessage = FutureMessage(None)  # type: ignore[arg-type]
        buffer.put(sent)
        if refused:
            sent.set_exception(OSError("gone"))
        else:
            sent.cancel()
        assert not await consumer.commit(11)
        assert consumer.asked == [] and isinstance(consumer.crashed, ProducerSendError)

    asyncio.run(run())


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust, "__version__", "0.16.0")
    with pytest.raises(LenswatchError, match=r"faust-streaming 0.16.0 is installed and 0.15.3 is needed"):
        apply_patch()
    assert Consumer._new_offset is faust_patch.NEW_OFFSET
