"""Carries the alerts of one sink out of the outbox: in order per device, several devices at a time, and on through
whatever becomes of the receiver. One courier waits for nobody else's."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from rules.alert import Alert
from streams.dispatch.outbox import Outbox, Parcel
from streams.dispatch.schedule import next_delay, pause_after
from streams.processors.canary import is_canary
from streams.sinks.sink import Gone, Partly, Refused, Sink, Throttled, Undelivered, Unreachable

if TYPE_CHECKING:
    from streams.metrics import SinkMeters

PROBE_EVERY_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 60.0
MAX_WAITING_DEVICES: Final = 1_000
MAX_REPEATS: Final = 100
UP, DOWN, PAUSED, CLOSED = "up", "down", "paused", "closed"


class Courier:
    """The deliveries to one sink. `state` is up, down (nobody answers: a probe every ten seconds), paused (the other
    side asked for it) or closed (it wants no more). `words` is the last failure."""

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        meters: "SinkMeters",
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        probe_seconds: float = PROBE_EVERY_SECONDS,
    ) -> None:
        self.sink, self.address, self.name = sink, sink.address, sink.name
        self.state, self.words = UP, ""
        self._outbox, self._meters, self._clock, self._chance = outbox, meters, clock, chance
        self._probe_seconds = probe_seconds
        self._news = asyncio.Event()
        self._waiting: dict[str, float] = {}
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrivals: list[Parcel] = []
        self._settling: asyncio.Task[None] | None = None
        self._resume_at = 0.0
        self._just_probed = False
        self._let_go = 0

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._news.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing can be tried now."""
        if self._tasks:
            return False
        held = self._busy | set(self._waiting)
        return self.state != UP or not self._outbox.take(self.name, self._clock(), held, 1)

    async def run(self) -> None:
        """Until cancelled; what is under way then is told again later."""
        words = self._outbox.closed(self.name, self.address)
        if words is not None:
            self.state, self.words = CLOSED, words
        self._waiting = self._outbox.waiting(self.name, self._clock())
        repeating = asyncio.create_task(self._repeats())
        try:
            while True:
                await self._round()
        finally:
            for task in (*self._tasks, repeating):
                task.cancel()
            await asyncio.gather(*self._tasks, repeating, return_exceptions=True)
            if self._settling is not None:
                await asyncio.gather(self._settling, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self.sink.close()

    async def _round(self) -> None:
        self._meters.up.labels(self.name).set(self.state == UP)
        if self.state == DOWN:
            await asyncio.sleep(self._probe_seconds)
            await self._probe()
        elif self.state == PAUSED:
            await asyncio.sleep(max(0.0, self._resume_at - self._clock()))
            self.state = UP
        elif self.state == CLOSED:
            await self._sleep(IDLE_SECONDS)
            if self._outbox.closed(self.name, self.address) is None:
                self.state = UP
        else:
            await self._work()

    async def _probe(self) -> None:
        try:
            await self.sink.probe()
        except Undelivered as error:
            self.words = str(error)
            self._meters.deliveries.labels(self.name, "probe_failed").inc()
        else:
            self.state, self._just_probed = UP, True
            self._outbox.hasten(self.name, self._clock())
            self._waiting.clear()

    async def _work(self) -> None:
        """Begin what can be begun; then wait for an end, for news, or for the time of the next try."""
        now = self._clock()
        self._waiting = {device: due for device, due in self._waiting.items() if due > now}
        self._news.clear()
        room = self.sink.lanes - len(self._tasks)
        if room > 0 and len(self._waiting) < MAX_WAITING_DEVICES:
            for group in self._groups(now, room):
                self._busy.update(parcel.device for parcel in group)
                task = asyncio.create_task(self._carry(group))
                self._tasks.add(task)
        if self._tasks:
            news = asyncio.create_task(self._news.wait())
            try:
                await asyncio.wait({*self._tasks, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
            done = {task for task in self._tasks if task.done()}
            self._tasks -= done
            for task in done:
                # An outbox that takes no more must end this, or the same would be sent for ever.
                task.result()
        else:
            await self._sleep(min([due - now for due in self._waiting.values()], default=IDLE_SECONDS))

    def _groups(self, now: float, room: int) -> list[list[Parcel]]:
        """What goes next: for each free lane one delivery, never two of a device at a time."""
        held = self._busy | set(self._waiting)
        if self.sink.max_batch > 1:
            parcels = self._outbox.take(self.name, now, held, self.sink.max_batch)
            return [parcels] if parcels else []
        groups: list[list[Parcel]] = []
        for parcel in self._outbox.take(self.name, now, held, 4 * room):
            if len(groups) < room and parcel.device not in held:
                held.add(parcel.device)
                groups.append([parcel])
        return groups

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(0.01, seconds))

    async def _carry(self, group: list[Parcel]) -> None:
        try:
            await self._deliver(group)
        finally:
            self._busy.difference_update(parcel.device for parcel in group)

    async def _deliver(self, group: Sequence[Parcel]) -> None:
        began = time.perf_counter()
        try:
            alerts = self._outbox.alerts(group)
            await self.sink.deliver(alerts)
        except Refused as error:
            if len(group) == 1:
                self._fail(group, error)
            else:
                for parcel in group:
                    if parcel.device not in self._waiting and self.state == UP:
                        await self._deliver([parcel])
        except Partly as error:
            there = [place for place in range(len(group)) if place not in error.failures]
            if there:
                await self._arrived([group[place] for place in there], [alerts[place] for place in there], began)
            for place, failure in error.failures.items():
                self._fail([group[place]], failure)
        except Undelivered as error:
            self._fail(group, error)
        except Exception as error:  # whatever a sink does, the others and the next alert go on
            self._fail(group, Undelivered(f"{self.name}: unforeseen: {type(error).__name__}"))
        else:
            await self._arrived(group, alerts, began)

    async def _settle(self, group: Sequence[Parcel]) -> None:
        """Take what has arrived out of the outbox: in one change with all that arrived at the same moment."""
        self._arrivals += group
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle_all())
        await asyncio.shield(self._settling)

    async def _settle_all(self) -> None:
        # Whoever else has an answer comes to it before this goes on.
        await asyncio.sleep(0)
        arrivals, self._arrivals, self._settling = self._arrivals, [], None
        self._outbox.done(arrivals)

    async def _arrived(self, group: Sequence[Parcel], alerts: Sequence[Alert], began: float) -> None:
        """Count what has arrived, and take it out of the outbox."""
        now, meters, name = self._clock(), self._meters, self.name
        self._just_probed = False
        if self.sink.repeat_seconds:
            until = [(alert, self.sink.lasts_until(alert, now)) for alert in alerts]
            evicted = self._outbox.last(name, [(alert, when) for alert, when in until if when is not None])
            meters.dropped.labels(name, "lasting_full").inc(evicted)
        let_go, self._let_go = self.sink.let_go - self._let_go, self.sink.let_go
        if let_go:
            meters.deliveries.labels(name, "not_remembered").inc(let_go)
        meters.deliveries.labels(name, "ok").inc(len(group))
        meters.seconds.labels(name).observe(time.perf_counter() - began)
        meters.delivered_at.labels(name).set(now)
        for parcel in group:
            meters.delay.labels(name).observe(max(0.0, now - parcel.put_at))
        if any(map(is_canary, alerts)):
            meters.canary.labels(name).set(now)
        await self._settle(group)

    def _fail(self, group: Sequence[Parcel], error: Undelivered) -> None:
        """Decide what a failure means for these, and for those behind them."""
        now, self.words = self._clock(), str(error)
        self._meters.deliveries.labels(self.name, kind_of(error)).inc(len(group))
        if self.state == CLOSED:
            return
        if isinstance(error, Gone):
            self.state = CLOSED
            self._outbox.close_sink(self.name, self.address, self.words)
        elif isinstance(error, Unreachable) and not self._just_probed:
            self.state = DOWN
        elif isinstance(error, Throttled):
            self.state = PAUSED
            self._resume_at = now + pause_after(error.seconds)
        else:
            self._just_probed = False
            tries = max(parcel.attempts for parcel in group) + 1
            delay = next_delay(tries, self._chance(), isinstance(error, Refused))
            if delay is None:
                self._outbox.done(group)
                self._meters.dropped.labels(self.name, kind_of(error)).inc(len(group))
            else:
                self._outbox.later(group, now + delay)
                self._waiting |= {parcel.device: now + delay for parcel in group}

    async def _repeats(self) -> None:
        """Tell again what lasts, as long as there is anybody who listens."""
        if not self.sink.repeat_seconds:
            return
        while True:
            await asyncio.sleep(self.sink.repeat_seconds)
            if self.state == UP:
                await self._repeat_all()

    async def _repeat_all(self) -> None:
        now, after = self._clock(), ""
        try:
            while lasting := self._outbox.lasting(self.name, after, MAX_REPEATS):
                await self.sink.repeat(lasting, now)
                after = id_of(lasting[-1][0])
            self._outbox.over(self.name, now)
        except Exception as error:  # what cannot be told now is told with the next repeat, whatever it was
            self.words = str(error) if isinstance(error, Undelivered) else f"{self.name}: {type(error).__name__}"
            self._meters.deliveries.labels(self.name, "repeat_failed").inc()


def id_of(alert: Alert) -> str:
    """The finding's id."""
    return alert.event.id


def kind_of(error: Undelivered) -> str:
    """A failure as a label."""
    return type(error).__name__.lower()
