"""What faust-streaming 0.15.3 does wrong when it commits, put right. Applied to that version only.

Three faults, each of which loses records without a word (the tests reproduce each on the unpatched code):

- `Consumer._new_offset` passes a record that is still being worked on, when later ones were done before it;
- `Consumer._commit_offsets` takes offsets for committed although the commit was refused;
- a commit does not wait for what was sent before it: `ProducerBuffer.flush_atmost` gives up after 0.1 s without
  progress, and a send that failed is logged and forgotten. (With progress it never ends, while more is sent.)
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import faust
from faust.exceptions import ProducerSendError
from faust.transport.consumer import Consumer
from faust.transport.producer import ProducerBuffer
from faust.types import TP
from faust.types.tuples import FutureMessage
from faust.utils.functional import consecutive_numbers

from collector.errors import LenswatchError

VERSION: Final = "0.15.3"
NEW_OFFSET: Final = Consumer._new_offset
COMMIT_OFFSETS: Final = Consumer._commit_offsets
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
    ProducerBuffer.put = put  # type: ignore[method-assign]


def new_offset(self: Any, tp: TP) -> int | None:
    """The offset up to which everything of a partition is done, None when nothing new is. Nothing is forgotten here:
    what was done stays known until its commit succeeds."""
    acked = self._acked[tp]
    if not acked:
        return None
    fill_gaps(self, tp)
    acked.sort()
    committed = self._committed_offset[tp]
    if committed and acked[0] - committed > 1:
        return None
    end: int = next(consecutive_numbers(acked))[-1] + 1
    at_work = [message.offset for message in self._unacked_messages if message.tp == tp and not message.acked]
    end = min([end, *at_work])
    return end if end > acked[0] else None


def fill_gaps(consumer: Any, tp: TP) -> None:
    """Offsets that hold no record (compaction, transaction marks) count as done, below the highest that is."""
    acked, gaps = consumer._acked[tp], consumer._gap[tp]
    if not gaps:
        return
    empty = [
        number
        for gap in sorted(gaps.overlap(0, max(acked)), key=lambda gap: gap.begin)
        for number in range(gap.begin, gap.end)
    ]
    if empty:
        gaps.chop(0, max(empty[-1], max(acked)) + 1)
        acked.extend(empty)


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
