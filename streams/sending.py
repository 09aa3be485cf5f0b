"""To the broker: records are gathered, and go many in a batch, with one answer for all of them.

A batch goes when it is full, when somebody waits for it, or after REST_SECONDS. The batches of a partition go one after
the other, so that records stay in the order in which they were sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from streams.reading import Place

MAX_SENDING: Final = 4_000
"""Records that are under way at once: the memory that many more would take is hardly ever given back."""
REST_SECONDS: Final = 0.02


class _Batch(NamedTuple):
    records: Any
    kept: "asyncio.Future[None]"


class Sending:
    """Sends records by an aiokafka producer. `failed` is told why the broker did not take some, after which nothing
    more is sent. Holds `most` records at most. For one event loop."""

    def __init__(self, producer: Any, failed: Callable[[BaseException], None], most: int = MAX_SENDING) -> None:
        self._producer, self._failed, self._most = producer, failed, most
        self._open: dict[Place, Any] = {}
        self._ready: dict[Place, deque[_Batch]] = {}
        self._kept: set[asyncio.Future[None]] = set()
        self._at_work: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._error: BaseException | None = None
        self.count = 0
        """Records that the broker is not known to have."""

    async def send(self, place: Place, key: bytes | None, value: bytes | None, headers: Any = None) -> None:
        """Send a record; when as many as may be are under way, once the broker has them. Raises why it did not take
        one."""
        if self.count >= self._most:
            await self.settle()
        if self._error is not None:
            raise self._error
        records = self._open.get(place)
        if records is None or not self._append(records, key, value, headers):
            self._close(place)
            # The first of a batch is taken however large it is; the broker says when it is too large.
            records = self._open[place] = self._producer.create_batch()
            self._append(records, key, value, headers)
        self.count += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REST_SECONDS, self.flush)

    @staticmethod
    def _append(records: Any, key: bytes | None, value: bytes | None, headers: Any) -> bool:
        return records.append(timestamp=None, key=key, value=value, headers=headers or []) is not None

    def flush(self) -> None:
        """Let go what is gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for place in list(self._open):
            self._close(place)

    def _close(self, place: Place) -> None:
        records = self._open.pop(place, None)
        if records is None or self._error is not None:
            return
        records.close()
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._kept.add(kept)
        ready = self._ready.get(place)
        if ready is not None:
            ready.append(_Batch(records, kept))
            return
        self._ready[place] = deque((_Batch(records, kept),))
        task = asyncio.create_task(self._work(place))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _work(self, place: Place) -> None:
        ready = self._ready[place]
        try:
            while ready:
                batch = ready[0]
                await (await self._producer.send_batch(batch.records, place.topic, partition=place.partition))
                if self._error is not None:
                    return
                ready.popleft()
                self.count -= batch.records.record_count()
                self._kept.discard(batch.kept)
                batch.kept.set_result(None)
            del self._ready[place]
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._error is not None:
            return
        self._error = error
        for kept in self._kept:
            kept.set_result(None)
        self._kept.clear()
        # When the loop itself ends, nobody is to be told.
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            self._failed(error)

    async def settle(self) -> None:
        """Return when the broker has all that was sent until now. Raises why it did not take some."""
        self.flush()
        if self._kept:
            await asyncio.wait(set(self._kept))
        if self._error is not None:
            raise self._error
