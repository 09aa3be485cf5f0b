"""From an alert to every sink: kept on disk first, then carried out by a courier a sink, in a thread of their own, so
that no receiver ever delays the watching.

Of several processes over one outbox one carries; the others only put in, and take over when it ends.
"""

import asyncio
import contextlib
import fcntl
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from collector.errors import LenswatchError
from rules.alert import Alert
from streams.dispatch.courier import PROBE_EVERY_SECONDS, Courier
from streams.dispatch.outbox import Outbox
from streams.sinks.sink import Sink

if TYPE_CHECKING:
    from streams.metrics import SinkMeters

LOCK_NAME: Final = "outbox.lock"
SYNC_SECONDS: Final = 1.0
LOCK_EVERY_SECONDS: Final = 1.0
STOP_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0


class Dispatch:
    """The sinks, and what waits for them. Also a `Taker`: what was given to it has arrived when it is on disk."""

    name = "outbox"

    def __init__(
        self,
        sinks: Sequence[Sink],
        folder: Path,
        max_parcels: int,
        meters: "SinkMeters",
        probe_seconds: float = PROBE_EVERY_SECONDS,
        max_age_seconds: float = 0,
    ) -> None:
        self.sinks, self.meters = tuple(sinks), meters
        self._names = [sink.name for sink in sinks]
        self.outbox = Outbox(folder, max_parcels, max_age_seconds)
        self._lock_path, self._probe_seconds = folder / LOCK_NAME, probe_seconds
        self.couriers: list[Courier] = []
        self.failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)

    def start(self) -> "Dispatch":
        """Begin to carry."""
        for name in self._names:
            self.meters.prepare(name)
        self._thread.start()
        return self

    def put(self, alerts: Sequence[Alert]) -> None:
        """Keep alerts for every sink. Raises LenswatchError when the disk does not take them."""
        if not alerts or not self._names:
            return
        if self.failure is not None:
            raise LenswatchError(f"delivery has ended by itself: {self.failure}")
        for name, count in self.outbox.put(self._names, alerts, time.time()).items():
            self.meters.dropped.labels(name, "full").inc(count)
        self._call(self._wake)

    def write(self, documents: Sequence[object]) -> None:
        """As `put`, of whatever documents are alerts."""
        self.put([each for each in documents if isinstance(each, Alert)])

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`."""
        await asyncio.to_thread(self.put, alerts)
        return "kept"

    def _call(self, function: object) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)  # type: ignore[arg-type]

    def _wake(self) -> None:
        for courier in self.couriers:
            courier.wake()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:
            self.failure = error
        finally:
            self._loop.close()

    async def _live(self) -> None:
        keeping = asyncio.create_task(self._keep())
        carrying = asyncio.create_task(self._carry())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({keeping, carrying, ending}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
            if carrying.done():
                carrying.result()
        finally:
            for task in (keeping, carrying, ending):
                task.cancel()
            await asyncio.gather(keeping, carrying, ending, return_exceptions=True)

    async def _carry(self) -> None:
        """Wait until nobody else carries; then run the couriers, each for itself."""
        with self._lock_path.open("a") as lock:
            while not try_lock(lock):
                await asyncio.sleep(LOCK_EVERY_SECONDS)
            self.couriers = [
                Courier(sink, self.outbox, self.meters, probe_seconds=self._probe_seconds) for sink in self.sinks
            ]
            running = [asyncio.create_task(courier.run()) for courier in self.couriers]
            try:
                await asyncio.gather(*running)
            finally:
                # A gather is over with the first of those that were cancelled, and the others may still be closing.
                for task in running:
                    if not task.cancelling():
                        task.cancel()
                await asyncio.wait(running)

    async def _keep(self) -> None:
        """Have what was put reach the disk, and say how much waits."""
        while True:
            # A disk may take its time, and nobody's alerts wait for that.
            await asyncio.to_thread(self.outbox.sync)
            now = time.time()
            for name in self._names:
                oldest = self.outbox.oldest(name)
                self.meters.queue.labels(name).set(self.outbox.count(name))
                self.meters.oldest.labels(name).set(0.0 if oldest is None else max(0.0, now - oldest))
            await asyncio.sleep(SYNC_SECONDS)

    def left(self) -> dict[str, int]:
        """How many alerts wait for each sink."""
        return {name: self.outbox.count(name) for name in self._names}

    def words(self) -> dict[str, str]:
        """The last failure of each sink that has one."""
        return {courier.name: courier.words for courier in self.couriers if courier.words}

    def drain(self, seconds: float) -> dict[str, int]:
        """Wait until nothing more can be delivered now, at most so long; how many wait for each sink that some wait
        for."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.failure is None and any(self.left().values()):
            if self.couriers and all(self._is_idle()):
                break
            time.sleep(0.02)
        return {name: count for name, count in self.left().items() if count}

    def _is_idle(self) -> list[bool]:
        """Whether each courier has nothing to do, asked in their own thread."""

        async def ask() -> list[bool]:
            return [courier.is_idle for courier in self.couriers]

        question = ask()
        try:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result(STOP_SECONDS)
        except (RuntimeError, TimeoutError):
            question.close()
            return [True]

    def stop(self) -> None:
        """End; what was not delivered stays in the outbox. Raises LenswatchError when the thread had failed."""
        self._call(self._ending.set)
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
        self.outbox.sync()
        self.outbox.close()
        if self.failure is not None:
            raise LenswatchError(f"delivery has ended by itself: {self.failure}")

    async def close(self) -> None:
        """See `Taker.close`: what can be delivered now still is, for a while."""
        await asyncio.to_thread(self.drain, CLOSE_SECONDS)
        await asyncio.to_thread(self.stop)


def try_lock(file: TextIO) -> bool:
    """Whether this process is now the one that carries, until it ends or closes the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
