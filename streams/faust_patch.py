"""What faust-streaming 0.15.3 does wrong when it commits and recovers, put right. Applied to that version only.

Three faults, each of which loses records without a word (the tests reproduce each on the unpatched code):

- `Consumer._new_offset` passes a record that is still being worked on, when later ones were done before it;
- around a rebalance the consumer hands out records while the tables are only half read, records of before its seek, and
  takes what lies between those and the next for offsets that hold none: what is done is what `Reading` says instead;
- `Consumer._commit_offsets` takes offsets for committed although the commit was refused.

And one that leaves a worker without a word and without work, until its watchdog ends it: `Recovery._slurp_changelogs`
gives the sign that the tables are read, and takes it back at once; who has not begun to wait for it by then waits for
ever. What is waited for here is that nothing is left to be read. And a question to the broker of before the rebalance,
whose answer nobody waits for any more, can be given what a changelog holds, which is then missed: its reading begins
when no such question is left.

And one that makes news late: a partition whose records were not taken yet when the broker was asked for more has to
wait until that question is answered, for 1.5 s where nothing else comes; FETCH_WAIT_MS are enough.

And one that costs as much as the work on an alert does: `Consumer._drain_messages` makes four tasks for each record
that it hands out, to be free when the record has to wait; here they are made only when it has to.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from typing import Any, Final, Literal

import faust
from aiokafka import AIOKafkaConsumer
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from collector.errors import LenswatchError
from streams.reading import Place, Reading

VERSION: Final = "0.15.3"
NEW_OFFSET: Final = Consumer._new_offset
PENDING: Final = Consumer._filter_tps_with_pending_acks
COMMIT_OFFSETS: Final = Consumer._commit_offsets
PERFORM_SEEK: Final = Consumer.perform_seek
DRAIN: Final = Consumer._drain_messages
RECOVERY_END: Final = Recovery.signal_recovery_end
SEEK_OFFSETS: Final = Recovery._seek_offsets
FETCH_RECORDS: Final = AIOKafkaConsumerThread._fetch_records
MAKE_CONSUMER: Final = AIOKafkaConsumerThread._create_worker_consumer
FETCH_WAIT_MS: Final = 100
RECOVERED_SECONDS: Final = 0.05
"""Whether the tables are read is looked at so often, and whether their reading may begin."""
ASKING_LOOKS: Final = 60
"""Of these so many at most: whoever asked before has an answer by then."""


def apply_patch() -> None:
    """Put the faults right. Raises LenswatchError at another version, of which nobody knows whether it has them."""
    if faust.__version__ != VERSION:
        raise LenswatchError(
            f"faust-streaming {faust.__version__} is installed and {VERSION} is needed: "
            f"type 'pip install faust-streaming=={VERSION}'"
        )
    Consumer._new_offset = new_offset  # type: ignore[method-assign]
    Consumer._filter_tps_with_pending_acks = pending  # type: ignore[method-assign]
    Consumer._commit_offsets = commit_offsets  # type: ignore[method-assign]
    Consumer.perform_seek = perform_seek  # type: ignore[method-assign]
    Consumer._drain_messages = drain_messages  # type: ignore[method-assign]
    AIOKafkaConsumerThread._create_worker_consumer = make_consumer  # type: ignore[method-assign]
    # How many ask for records now, of each thread.
    AIOKafkaConsumerThread.asking = 0  # type: ignore[attr-defined]
    AIOKafkaConsumerThread._fetch_records = fetch_records  # type: ignore[method-assign]
    Recovery._seek_offsets = seek_offsets  # type: ignore[assignment,method-assign]
    Recovery.signal_recovery_end = property(recovery_end)  # type: ignore[assignment]


class _Unread(dict[TP, int | None]):
    """What a consumer remembers of where it reads: nothing, so that it hands on all that it is given."""

    def __getitem__(self, tp: TP) -> None:
        return None


def keep_place(
    consumer: Any, reading: Reading, is_whole: Callable[[], bool], settle: Callable[[], Awaitable[bool]]
) -> None:
    """Have a consumer commit what `reading` says is done, and begin to read where it stands. `is_whole` says whether
    the tables are; `settle` sends and writes what was done, before it is committed, and says whether it could."""
    consumer.reading, consumer.is_whole, consumer.settle, consumer._read_offset = reading, is_whole, settle, _Unread()
    # Where the group has each partition. Faust forgets its own of it before the last commit of a rebalance.
    consumer.held = {}


def pending(self: Any, topics: Any = None) -> Iterator[TP]:
    """The partitions of which something may be committed: all that are read."""
    for tp in [TP(*place) for place in self.reading.done]:
        if topics is None or tp in topics or tp.topic in topics:
            yield tp


def new_offset(self: Any, tp: TP) -> int | None:
    """The offset up to which everything of a partition is done; None when it is not read."""
    offset: int | None = self.reading.done.get(tp)
    return offset


async def perform_seek(self: Any) -> None:
    """Begin where the group has committed; where it has not, or what it had is not there any more, with the first."""
    await PERFORM_SEEK(self)
    if not self.is_whole():
        return
    ours = read_by(self)
    first, end = await self.earliest_offsets(*ours), await self.highwaters(*ours)
    # Meanwhile they may have been taken away; whoever gets them next begins by himself.
    if not self.is_whole() or read_by(self) != ours:
        return
    self.reading.leave(ours)
    for tp in ours:
        committed = self._committed_offset.get(tp)
        if committed is None or not first[tp] <= committed <= end[tp]:
            # From here on it goes up again: with what is not there any more as the last, nothing would be committed.
            committed = self._committed_offset[tp] = first[tp]
        self.held[tp] = committed
        self.reading.begin(Place(*tp), committed)
    await self.seek_wait({tp: self.reading.done[tp] for tp in ours})


def read_by(consumer: Any) -> set[TP]:
    """The partitions that a consumer has, but for the tables'."""
    return {tp for tp in consumer.assignment() if not consumer._is_changelog_tp(tp)}


async def has_its_place(consumer: Any) -> bool:
    """Whether the partitions that are read are still this worker's, by the broker's own word: what was committed last
    is committed once more. Who stood still for too long was put out of the group, and does not know it yet."""
    last = {TP(*place): consumer.held[place] for place in consumer.reading.done}
    # Of what it does not have any more, the consumer commits nothing, and says that it did.
    return not last or (last.keys() <= read_by(consumer) and await consumer._commit(last))


async def commit_offsets(self: Any, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
    """Commit, once all that was sent before is kept by the broker; on a refusal, know that nothing is committed."""
    try:
        is_settled = await self.settle()
    except Exception as failure:
        await self.crash(failure)
        return False
    if not is_settled:
        return False
    assigned = self.assignment()
    ours = {tp: offset for tp, offset in offsets.items() if tp in assigned}
    if not ours or not await self._commit(ours):
        return False
    self.app.tables.on_commit(ours)
    self._committed_offset.update(ours)
    self.held.update(ours)
    self.app.monitor.on_tp_commit(ours)
    for tp, offset in ours.items():
        kept = [number for number in self._acked[tp] if number >= offset]
        self._acked_index[tp].difference_update(set(self._acked[tp]) - set(kept))
        self._acked[tp][:] = kept
    return True


async def drain_messages(self: Any, fetcher: Any) -> None:
    """Hand out records until the consumer or its fetcher is stopped: as Faust does, and each record at once where
    nothing has to be waited for. Gaps are nothing here: `Reading` knows them."""
    try:
        while not (self.should_stop or fetcher.should_stop):
            found = self.getmany(timeout=1.0)
            # What is at hand already is got without a turn of the loop.
            await asyncio.sleep(0)
            async for _, message in found:
                if self._n_acked >= self._commit_every:
                    self._n_acked = 0
                    await self.commit()
                handing = self.callback(message)
                try:
                    waited = handing.send(None)
                except StopIteration:
                    continue
                await self.wait_first(_Rest(handing, waited), self.suspend_flow.wait())
    except self.consumer_stopped_errors:
        if not self.transport.app.should_stop:
            raise
    except asyncio.CancelledError:
        if not self.transport.app.should_stop:
            raise


class _Rest:
    """The rest of a coroutine whose first step has been made, and which waits for what that gave."""

    def __init__(self, begun: Coroutine[Any, Any, None], waited: Any) -> None:
        self._begun, self._waited = begun, waited

    def __await__(self) -> Generator[Any, Any, None]:
        waited = self._waited
        with contextlib.suppress(StopIteration):
            while True:
                try:
                    got = yield waited
                except BaseException as error:
                    waited = self._begun.throw(error)
                else:
                    waited = self._begun.send(got)


async def fetch_records(self: Any, *what: Any, **how: Any) -> Any:
    """Ask for records, and let it be seen meanwhile that somebody asks."""
    self.asking += 1
    try:
        return await FETCH_RECORDS(self, *what, **how)
    finally:
        self.asking -= 1


async def seek_offsets(self: Any, consumer: Any, *what: Any) -> None:
    """Begin to read changelogs, once nobody asks for records who asked before; each asks for a second at most."""
    for _ in range(ASKING_LOOKS):
        if not consumer._thread.asking:
            break
        await asyncio.sleep(RECOVERED_SECONDS)
    await SEEK_OFFSETS(self, consumer, *what)


class RecoveryEnd(asyncio.Event):
    """The sign that the tables are read, which is waited for by looking whether they are."""

    def __init__(self, recovery: Any) -> None:
        super().__init__()
        self._recovery = recovery

    async def wait(self) -> Literal[True]:
        """Return when the tables are read, and what was read is in them."""
        while self._recovery.need_recovery():
            await asyncio.sleep(RECOVERED_SECONDS)
        self._recovery.flush_buffers()
        return True


def recovery_end(self: Any) -> RecoveryEnd:
    """The one sign of a recovery."""
    if self._signal_recovery_end is None:
        self._signal_recovery_end = RecoveryEnd(self)
    end: RecoveryEnd = self._signal_recovery_end
    return end


def make_consumer(self: Any, transport: Any) -> AIOKafkaConsumer:
    """The consumer of a worker, which does not keep the broker's answer waiting for long."""
    made = MAKE_CONSUMER(self, transport)
    made._fetch_max_wait_ms = FETCH_WAIT_MS
    return made


def committed_offset(consumer: Any, tp: TP) -> int:
    """The offset that a partition was last committed at, 0 when that is not known."""
    return consumer._committed_offset.get(tp) or 0
