"""From the alerts topic to the sinks: an alert is taken at once, and handed on with all that came meanwhile.

So one write to a disk serves many alerts, and the stream goes on while it is made. Nothing is committed before it is.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from rules.alert import Alert
from streams.sinks.sink import Taker

MAX_HELD: Final = 1_000


class Handing:
    """Hands alerts on to each sink, in order. `done` is told which sink has how many; `failed` is told why a sink did
    not take some, after which nothing more is taken. After each time the sinks rest for so many seconds. Holds MAX_HELD
    alerts at most. For one event loop."""

    def __init__(
        self, sinks: Sequence[Taker], done: Callable[[str, int], None], failed: Callable[[BaseException], None],
        rest_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        self._sinks, self._done, self._failed, self._rest_seconds = sinks, done, failed, rest_seconds
        self._held: list[Alert] = []
        # Of those that are held, or when there are none, of those that were last: whether every sink has them.
        self._kept: asyncio.Future[None] | None = None
        self._work: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    async def take(self, alert: Alert) -> None:
        """Take an alert; when as many as may be are held, once they are handed on. Raises what a sink raised."""
        if self._error is not None:
            raise self._error
        if not self._held:
            self._kept = asyncio.get_running_loop().create_future()
        self._held.append(alert)
        if self._work is None:
            self._work = asyncio.create_task(self._hand_on())
        if len(self._held) >= MAX_HELD:
            await self.settle()

    async def settle(self) -> None:
        """Return when every sink has all that was taken until now. Raises what a sink raised."""
        if self._kept is not None:
            await asyncio.shield(self._kept)

    async def _hand_on(self) -> None:
        while self._held:
            alerts, kept, self._held = self._held, self._kept, []
            assert kept is not None
            try:
                for sink in self._sinks:
                    await sink.deliver(alerts)
                    self._done(sink.name, len(alerts))
            except BaseException as error:
                self._error = error
                # Two may wait for it, or nobody.
                for each in {kept, self._kept or kept}:
                    each.set_exception(error)
                    each.exception()
                self._failed(error)
                return
            kept.set_result(None)
            if self._rest_seconds:
                await asyncio.sleep(self._rest_seconds)
        self._work = None
