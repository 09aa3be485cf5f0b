"""The faults of faust-streaming 0.15.3 around commits: there without the patch, gone with it.

Where a test of the unpatched code fails, that version has mended the fault, and its part of the patch can go.
"""

import asyncio
import types
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from intervaltree import IntervalTree
from mode import Service
from mode.utils.locks import Event

from collector.errors import LenswatchError
from collector.kafka_settings import KafkaSettings
from streams import faust_patch
from streams.app import make_app
from streams.faust_patch import FETCH_WAIT_MS, apply_patch, committed_offset, has_its_place, keep_place
from streams.reading import Place, Reading
from streams.settings import WorkerSettings

PLACE = TP("observations", 0)


@pytest.fixture(autouse=True)
def unpatched() -> Iterator[None]:
    """Each test begins with Faust as it comes, and leaves it so."""
    yield from restore()


def restore() -> Iterator[None]:
    patched = (
        (Consumer, "_new_offset", faust_patch.NEW_OFFSET),
        (Consumer, "_filter_tps_with_pending_acks", faust_patch.PENDING),
        (Consumer, "_commit_offsets", faust_patch.COMMIT_OFFSETS),
        (Consumer, "perform_seek", faust_patch.PERFORM_SEEK),
        (Consumer, "_drain_messages", faust_patch.DRAIN),
        (Recovery, "signal_recovery_end", faust_patch.RECOVERY_END),
        (Recovery, "_seek_offsets", faust_patch.SEEK_OFFSETS),
        (AIOKafkaConsumerThread, "_fetch_records", faust_patch.FETCH_RECORDS),
    )
    kept = [getattr(owner, name) for owner, name, _ in patched]
    for owner, name, own in patched:
        setattr(owner, name, own)
    yield
    for (owner, name, _), method in zip(patched, kept, strict=True):
        setattr(owner, name, method)


class Ledgers:
    """The bookkeeping of a consumer of one partition, as Faust keeps it, and a broker that commits or refuses."""

    in_transaction = False
    first, end = 0, 10_000

    def __init__(self, committed: int | None, acked: list[int], at_work: list[int], commits: bool = True) -> None:
        self._acked = defaultdict(list, {PLACE: acked})
        self._acked_index = defaultdict(set, {PLACE: set(acked)})
        self._gap: Any = defaultdict(IntervalTree)
        self._committed_offset = defaultdict(lambda: None, {PLACE: committed})
        self._unacked_messages = [types.SimpleNamespace(tp=PLACE, offset=each, acked=False) for each in at_work]
        self._read_offset: Any = {}
        self.mine = {PLACE}
        self.commits, self.asked, self.crashed = commits, [], None  # type: ignore[var-annotated]
        self.committed, self.whole, self.sought = committed, True, {}  # type: ignore[var-annotated]
        keep_place(self, Reading(), lambda: self.whole, self.settled)
        self.log = types.SimpleNamespace(dev=lambda *_: None, info=lambda *_: None, warning=lambda *_: None)
        self.app: Any = types.SimpleNamespace(
            producer=types.SimpleNamespace(flush=self.flush, buffer=types.SimpleNamespace()),
            tables=types.SimpleNamespace(on_commit=lambda *_: None),
            monitor=types.SimpleNamespace(on_tp_commit=lambda *_: None),
        )

    async def flush(self) -> None:
        pass

    async def settled(self) -> bool:
        return True

    def assignment(self) -> set[TP]:
        return self.mine

    async def _commit(self, offsets: dict[TP, int]) -> bool:
        self.asked.append(offsets[PLACE])
        return self.commits

    async def crash(self, reason: Exception) -> None:
        self.crashed = reason

    def _is_changelog_tp(self, tp: TP) -> bool:
        return False

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return {PLACE: self.committed}

    async def earliest_offsets(self, *_: TP) -> dict[TP, int]:
        return {PLACE: self.first}

    async def highwaters(self, *_: TP) -> dict[TP, int]:
        return {PLACE: self.end}

    async def seek_wait(self, places: dict[TP, int]) -> None:
        self.sought = places

    def seek(self) -> int | None:
        asyncio.run(Consumer.perform_seek(self))  # type: ignore[arg-type]
        return self.sought.get(PLACE)

    def new_offset(self) -> int | None:
        return Consumer._new_offset(self, PLACE)  # type: ignore[arg-type]

    async def commit(self, offset: int) -> bool:
        return await Consumer._commit_offsets(self, {PLACE: offset})  # type: ignore[arg-type]


def test_without_the_patch_a_record_at_work_is_passed() -> None:
    assert Ledgers(2585, [2586, 2587, 2588, 2589], at_work=[2585]).new_offset() == 2590


def test_without_the_patch_what_was_dropped_is_taken_for_offsets_that_hold_no_record() -> None:
    # 101 to 105 were handed out and dropped, 106 was read ahead: 107 follows it.
    consumer = Ledgers(101, [106], at_work=[])
    consumer._gap[PLACE].addi(101, 106)
    assert consumer.new_offset() == 107


def test_what_is_committed_is_what_is_done() -> None:
    apply_patch()
    consumer = Ledgers(101, [106], at_work=[])
    consumer._gap[PLACE].addi(101, 106)
    assert consumer.new_offset() is None
    consumer.reading.begin(Place(*PLACE), 101)
    consumer.reading.finish(Place(*PLACE), 106)
    assert consumer.new_offset() == 101
    consumer.reading.finish(Place(*PLACE), 101)
    assert consumer.new_offset() == 102


def test_all_that_is_read_is_handed_on() -> None:
    consumer = Ledgers(101, [], at_work=[])
    consumer._read_offset[PLACE] = 106
    assert consumer._read_offset[PLACE] is None


@pytest.mark.parametrize(("committed", "begin"), [(101, 101), (None, 7), (3, 7), (301, 7), (7, 7), (300, 300)])
def test_a_partition_begins_where_the_group_committed_or_with_its_first_record(
    committed: int | None, begin: int
) -> None:
    apply_patch()
    consumer = Ledgers(committed, [], at_work=[])
    consumer.first, consumer.end = 7, 300
    assert consumer.seek() == begin and consumer.reading.done == {PLACE: begin}
    # From there on it goes up again.
    assert Consumer._should_commit(consumer, PLACE, begin + 1)  # type: ignore[arg-type]
    assert not Consumer._should_commit(consumer, PLACE, begin)  # type: ignore[arg-type]


@pytest.mark.parametrize("lost", [{"whole": False}, {"mine": set()}])
def test_a_partition_that_is_taken_away_while_its_ends_are_asked_for_does_not_begin(lost: dict[str, Any]) -> None:
    apply_patch()
    consumer = Ledgers(101, [], at_work=[])

    async def highwaters(*_: TP) -> dict[TP, int]:
        vars(consumer).update(lost)
        return {PLACE: consumer.end}

    consumer.highwaters = highwaters  # type: ignore[method-assign]
    assert consumer.seek() is None and consumer.reading.done == {}


def test_whether_a_place_is_still_held_is_what_the_broker_says_of_the_last_commit() -> None:
    apply_patch()

    async def run() -> None:
        consumer = Ledgers(101, [], at_work=[])
        assert await has_its_place(consumer) and consumer.asked == [], "nothing is read, nothing can be lost"
        await Consumer.perform_seek(consumer)  # type: ignore[arg-type]
        consumer.reading.finish(Place(*PLACE), 101)
        # As Faust does at the beginning of a rebalance.
        consumer._committed_offset.clear()
        assert await has_its_place(consumer) and consumer.asked == [101]
        assert await consumer.commit(102) and await has_its_place(consumer) and consumer.asked == [101, 102, 102]
        consumer.commits = False
        assert not await has_its_place(consumer)
        consumer.commits, consumer.mine = True, set()
        assert not await has_its_place(consumer), "of nothing a commit always succeeds"

    asyncio.run(run())


def test_no_partition_begins_while_its_tables_are_half_read() -> None:
    apply_patch()
    consumer = Ledgers(101, [], at_work=[])
    consumer.whole = False
    assert consumer.seek() is None and consumer.reading.done == {}


def test_a_partition_that_is_read_goes_on_where_it_stands() -> None:
    apply_patch()
    consumer = Ledgers(101, [], at_work=[])
    consumer.reading.begin(Place(*PLACE), 140)
    consumer.reading.begin(Place("observations", 9), 5)
    assert consumer.seek() == 140 and consumer.reading.done == {PLACE: 140}


async def without() -> int | None:
    consumer = Ledgers(10, [10, 11], at_work=[], commits=False)
    assert not await consumer.commit(12)
    return consumer._committed_offset[PLACE]


def test_without_the_patch_a_refused_commit_is_taken_for_one() -> None:
    assert asyncio.run(without()) == 12


def test_a_refused_commit_is_none_and_is_tried_again() -> None:
    apply_patch()

    async def run() -> None:
        consumer = Ledgers(10, [10, 11], at_work=[], commits=False)
        assert not await consumer.commit(12) and consumer._committed_offset[PLACE] == 10
        consumer.commits = True
        assert await consumer.commit(12) and consumer.asked == [12, 12]
        assert consumer._committed_offset[PLACE] == 12 and consumer._acked[PLACE] == []
        assert consumer._acked_index[PLACE] == set() and committed_offset(consumer, PLACE) == 12

    asyncio.run(run())


def test_nothing_is_committed_before_all_is_settled_nor_after_what_failed() -> None:
    apply_patch()

    async def run() -> None:
        consumer, settled = Ledgers(10, [10], at_work=[]), asyncio.Event()
        consumer.settle = settled.wait
        commit = asyncio.create_task(consumer.commit(11))
        await asyncio.sleep(0.05)
        assert not commit.done() and consumer.asked == []
        settled.set()
        assert await commit and consumer.asked == [11]

        async def fail() -> None:
            raise OSError("gone")

        consumer.settle = fail
        assert not await consumer.commit(12)
        assert consumer.asked == [11] and str(consumer.crashed) == "gone"

        async def displaced() -> bool:
            return False

        consumer.settle, consumer.crashed = displaced, None
        assert not await consumer.commit(12) and consumer.asked == [11] and consumer.crashed is None

    asyncio.run(run())


def test_all_that_is_read_may_be_committed_also_what_was_acknowledged_before_a_rebalance() -> None:
    consumer = Ledgers(101, [], at_work=[])
    del consumer._acked[PLACE]
    consumer.reading.begin(Place(*PLACE), 101)
    assert list(Consumer._filter_tps_with_pending_acks(consumer)) == []  # type: ignore[arg-type]
    apply_patch()
    assert list(Consumer._filter_tps_with_pending_acks(consumer)) == [PLACE]  # type: ignore[arg-type]
    assert list(Consumer._filter_tps_with_pending_acks(consumer, {"other"})) == []  # type: ignore[arg-type]


class Fetched(Service):
    """A consumer that has fetched so many records and hands them to `callback`."""

    _commit_every, _n_acked, consumer_stopped_errors = 100, 0, ()
    diag: Any = types.SimpleNamespace(set_flag=lambda _: None, unset_flag=lambda _: None)

    def __init__(self, count: int, callback: Any) -> None:
        super().__init__()
        self.count, self.callback, self.suspend_flow, self.commits = count, callback, Event(), 0
        self._read_offset: Any = faust_patch._Unread()
        self.transport = types.SimpleNamespace(app=types.SimpleNamespace(should_stop=False))
        self.app = types.SimpleNamespace(topics=types.SimpleNamespace(acks_enabled_for=lambda _: True))

    async def getmany(self, timeout: float) -> Any:
        for offset in range(self.count):
            yield PLACE, types.SimpleNamespace(topic=PLACE.topic, offset=offset)
        await self.stop()

    async def commit(self) -> None:
        self.commits += 1

    async def hand_out(self) -> None:
        await self.start()
        await asyncio.wait_for(Consumer._drain_messages(self, self), 10)  # type: ignore[arg-type]


def hand_out(count: int, room: int, ready: bool = True) -> tuple[list[int], int]:
    """Records for which there is room for so many at once: which were taken, and the most tasks there were."""

    async def run() -> tuple[list[int], int]:
        taken: list[int] = []
        queue: asyncio.Queue[int] = asyncio.Queue(room)
        tasks = 0

        async def put(message: Any) -> None:
            nonlocal tasks
            tasks = max(tasks, len(asyncio.all_tasks()))
            await queue.put(message.offset)

        async def take() -> None:
            while True:
                taken.append(await queue.get())

        consumer = Fetched(count, put)
        taking = asyncio.create_task(take())
        await consumer.hand_out()
        await asyncio.sleep(0.01)
        taking.cancel()
        return taken, tasks

    return asyncio.run(run())


@pytest.mark.parametrize("is_patched", [False, True])
@pytest.mark.parametrize("room", [1, 3, 100])
def test_records_are_handed_out_in_order_whether_there_is_room_at_once_or_not(room: int, is_patched: bool) -> None:
    if is_patched:
        apply_patch()
    assert hand_out(20, room)[0] == list(range(20))


def test_a_record_that_need_not_wait_makes_no_task() -> None:
    before = hand_out(20, 100)[1]
    apply_patch()
    assert hand_out(20, 100)[1] <= before - 3


@pytest.mark.parametrize("is_patched", [False, True])
def test_a_record_that_waits_for_room_is_let_go_when_reading_is_suspended(is_patched: bool) -> None:
    if is_patched:
        apply_patch()

    async def run() -> list[int]:
        begun: list[int] = []
        given_up: list[int] = []

        async def put(message: Any) -> None:
            begun.append(message.offset)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.append(message.offset)
                raise

        consumer = Fetched(2, put)
        handing = asyncio.create_task(consumer.hand_out())
        await asyncio.sleep(0.05)
        assert begun == [0] and given_up == []
        consumer.suspend_flow.set()
        await handing
        return given_up

    assert asyncio.run(run())[0] == 0


@pytest.mark.parametrize("waits", [False, True])
def test_what_goes_wrong_with_a_record_ends_the_handing_out(waits: bool) -> None:
    apply_patch()

    async def fail(message: Any) -> None:
        if waits:
            await asyncio.sleep(0.01)
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        asyncio.run(Fetched(2, fail).hand_out())


def test_all_that_is_done_is_committed_when_it_is_much() -> None:
    apply_patch()

    async def put(_: Any) -> None:
        consumer._n_acked += 50

    consumer = Fetched(5, put)

    async def run() -> None:
        await consumer.hand_out()

    asyncio.run(run())
    assert consumer.commits == 2


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust, "__version__", "0.16.0")
    with pytest.raises(LenswatchError, match=r"faust-streaming 0.16.0 is installed and 0.15.3 is needed"):
        apply_patch()
    assert Consumer._new_offset is faust_patch.NEW_OFFSET


def test_the_broker_is_never_asked_to_wait_for_long(tmp_path: Path) -> None:
    """Else a partition that was left out of the question waits with it."""

    async def waits_ms() -> list[int]:
        app = make_app(KafkaSettings(servers="127.0.0.1:1"), WorkerSettings(), tmp_path)
        consumer: Any = app.consumer
        thread = consumer._thread
        make = AIOKafkaConsumerThread._create_worker_consumer
        made = [each(thread, app.transport) for each in (faust_patch.MAKE_CONSUMER, make)]
        for each in made:
            await each.stop()
        thread.thread_loop.close()
        return [each._fetch_max_wait_ms for each in made]

    assert asyncio.run(waits_ms()) == [1500, FETCH_WAIT_MS]
