"""What faust-streaming 0.15.3 does wrong when it commits, put right. Applied to that version only.

Four faults, each of which loses records without a word (the tests reproduce each on the unpatched code):

- `Consumer._new_offset` passes a record that is still being worked on, when later ones were done before it;
- around a rebalance the consumer hands out records while the tables are only half read, records of before its seek, and
  takes what lies between those and the next for offsets that hold none: what is done is what `Reading` says instead;
- `Consumer._commit_offsets` takes offsets for committed although the commit was refused;
- a commit does not wait for what was sent before it: `ProducerBuffer.flush_atmost` gives up after 0.1 s without
  progress, and a send that failed is logged and forgotten. (With progress it never ends, while more is sent.)
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import faust
from faust.exceptions import ProducerSendError
from faust.transport.consumer import Consumer
from faust.transport.producer import ProducerBuffer
from faust.types import TP
from faust.types.tuples import FutureMessage

from collector.errors import LenswatchError
from streams.reading import Place, Reading

VERSION: Final = "0.15.3"
NEW_OFFSET: Final = Consumer._new_offset
COMMIT_OFFSETS: Final = Consumer._commit_offsets
PERFORM_SEEK: Final = Consumer.perform_seek
PUT: Final = ProducerBuffer.put


def apply_patch() -> None:
    """Put the faults right. Raises LenswatchError at another version, of which nobody knows whether it has them."""
    if faust.__version__ != VERSION:
        raise LenswatchError(
            f"faust-streaming {faust.__version__} is installed and {VERSION} is needed: "
            f"type 'pip install faust-streaming=={VERSION}'"
        )
    Consumer._new_offset = new_offset  # type: ignore[method-assign]
    Consumer._commit_offsets = commit_offsets  # type: ignore[method-assign]
    Consumer.perform_seek = perform_seek  # type: ignore[method-assign]
    ProducerBuffer.put = put  # type: ignore[method-assign]


class _Unread(dict[TP, int | None]):
    """What a consumer remembers of where it reads: nothing, so that it hands on all that it is given."""

    def __getitem__(self, tp: TP) -> None:
        return None


def keep_place(consumer: Any, reading: Reading, is_whole: Callable[[], bool]) -> None:
    """Have a consumer commit what `reading` says is done, and begin to read where it stands. `is_whole` says whether
    the tables are."""
    consumer.reading, consumer.is_whole, consumer._read_offset = reading, is_whole, _Unread()


def new_offset(self: Any, tp: TP) -> int | None:
    """The offset up to which everything of a partition is done; None when it is not read."""
    offset: int | None = self.reading.done.get(tp)
    return offset


async def perform_seek(self: Any) -> None:
    """Begin where the group has committed; where it has not, or what it had is not there any more, with the first."""
    await PERFORM_SEEK(self)
    if not self.is_whole():
        return
    ours = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
    first, end = await self.earliest_offsets(*ours), await self.highwaters(*ours)
    self.reading.leave(ours)
    for tp in ours:
        committed = self._committed_offset.get(tp)
        is_there = committed is not None and first[tp] <= committed <= end[tp]
        self.reading.begin(Place(*tp), committed if is_there else first[tp])
    await self.seek_wait({tp: self.reading.done[tp] for tp in ours})


async def commit_offsets(self: Any, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
    """Commit, once all that was sent before is kept by the broker; on a refusal, know that nothing is committed."""
    failure = await all_sent(self.app.producer.buffer)
    if failure is not None:
        await self.crash(failure)
        return False
    assigned = self.assignment()
    ours = {tp: offset for tp, offset in offsets.items() if tp in assigned}
    if not ours or not await self._commit(ours):
        return False
    self.app.tables.on_commit(ours)
    self._committed_offset.update(ours)
    self.app.monitor.on_tp_commit(ours)
    for tp, offset in ours.items():
        kept = [number for number in self._acked[tp] if number >= offset]
        self._acked_index[tp].difference_update(set(self._acked[tp]) - set(kept))
        self._acked[tp][:] = kept
    return True


def put(self: Any, fut: FutureMessage) -> None:
    """Take a message to send, and know of it until the broker has answered."""
    on_the_way = self.__dict__.setdefault("on_the_way", set())
    on_the_way.add(fut)

    def arrived(done: FutureMessage) -> None:
        on_the_way.discard(done)
        if done.cancelled() or done.exception() is not None:
            self.__dict__.setdefault("failed", done.exception() if not done.cancelled() else None)

    fut.add_done_callback(arrived)
    PUT(self, fut)


async def all_sent(buffer: Any) -> Exception | None:
    """Wait for the broker's answers to all that was taken so far; the error of what could not be sent, if any."""
    on_the_way = set(buffer.__dict__.get("on_the_way", ()))
    if on_the_way:
        await asyncio.wait(on_the_way)
        # The callbacks of what is done run at the loop's next turn.
        await asyncio.sleep(0)
    if "failed" in buffer.__dict__:
        return ProducerSendError(f"a message could not be sent: {buffer.__dict__['failed']!r}")
    return None


def committed_offset(consumer: Any, tp: TP) -> int:
    """The offset that a partition was last committed at, 0 when that is not known."""
    return consumer._committed_offset.get(tp) or 0
