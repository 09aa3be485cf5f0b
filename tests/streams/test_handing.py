"""Alerts are taken at once and handed on together, in order; nothing is settled before every sink has it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rules.alert import Alert
from streams.handing import MAX_HELD, Handing
from tests.streams.told import many_alerts


class Slow:
    """A sink whose disk is waited for until the test lets it go on; `batches` is what it took."""

    name = "slow"

    def __init__(self) -> None:
        self.batches: list[list[Alert]] = []
        self.error: Exception | None = None
        self.free = asyncio.Semaphore(0)

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        await self.free.acquire()
        if self.error is not None:
            raise self.error
        self.batches.append(list(alerts))
        return "kept"

    async def close(self) -> None:
        """See `Taker.close`."""


def play(test: Callable[[Handing, Slow, Any], Any]) -> tuple[list[tuple[str, int]], list[BaseException]]:
    """Run a test with a handing and its sink; what was told of both."""
    done: list[tuple[str, int]] = []
    failed: list[BaseException] = []

    async def run() -> None:
        sink = Slow()
        handing = Handing([sink], lambda name, count: done.append((name, count)), failed.append)
        await asyncio.wait_for(test(handing, sink, failed), 10)

    asyncio.run(run())
    return done, failed


async def turn() -> None:
    """Let everybody come to what can be done now."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_comes_while_a_write_is_made_goes_with_the_next_in_order(alert: Alert) -> None:
    alerts = many_alerts(alert, 5)

    async def test(handing: Handing, sink: Slow, _: Any) -> None:
        await handing.take(alerts[0])
        await turn()
        for each in alerts[1:]:
            await handing.take(each)
        sink.free.release()
        sink.free.release()
        await handing.settle()
        assert sink.batches == [alerts[:1], alerts[1:]]

    assert play(test) == ([("slow", 1), ("slow", 4)], [])


def test_it_is_settled_once_all_that_was_taken_before_is_kept_and_not_later(alert: Alert) -> None:
    alerts = many_alerts(alert, 3)

    async def test(handing: Handing, sink: Slow, _: Any) -> None:
        await handing.settle()
        await handing.take(alerts[0])
        await turn()
        await handing.take(alerts[1])
        settling = asyncio.ensure_future(handing.settle())
        sink.free.release()
        await turn()
        assert len(sink.batches) == 1 and not settling.done()
        # What comes later, without end, is not waited for.
        await handing.take(alerts[2])
        sink.free.release()
        await turn()
        assert len(sink.batches) == 2 and settling.done()
        sink.free.release()
        await handing.settle()

    play(test)


def test_a_sink_that_takes_nothing_is_waited_for_before_more_is_held(alert: Alert) -> None:
    async def test(handing: Handing, sink: Slow, _: Any) -> None:
        await handing.take(alert)
        await turn()
        for each in many_alerts(alert, MAX_HELD - 1):
            await handing.take(each)
        full = asyncio.ensure_future(handing.take(alert))
        await turn()
        assert not full.done()
        sink.free.release()
        sink.free.release()
        await full
        assert [len(batch) for batch in sink.batches] == [1, MAX_HELD]

    play(test)


def test_an_error_of_a_sink_is_told_and_whoever_settles_or_takes_gets_it(alert: Alert) -> None:
    first, second = many_alerts(alert, 2)

    async def test(handing: Handing, sink: Slow, failed: list[BaseException]) -> None:
        sink.error = OSError("the disk is full")
        await handing.take(first)
        await turn()
        await handing.take(second)
        settling = asyncio.ensure_future(handing.settle())
        await turn()
        sink.free.release()
        with pytest.raises(OSError, match="the disk is full"):
            await settling
        with pytest.raises(OSError, match="the disk is full"):
            await handing.take(second)
        assert len(failed) == 1

    done, failed = play(test)
    assert done == [] and isinstance(failed[0], OSError)


def test_after_each_time_the_sinks_rest_and_what_comes_meanwhile_goes_together(alert: Alert) -> None:
    alerts = many_alerts(alert, 4)

    async def run() -> None:
        sink = Slow()
        sink.free = asyncio.Semaphore(10)
        handing = Handing([sink], lambda *_: None, lambda _: None, rest_seconds=0.05)
        for each in alerts:
            await handing.take(each)
            await turn()
        assert sink.batches == [alerts[:1]], "the first is not kept waiting"
        await handing.settle()
        assert sink.batches == [alerts[:1], alerts[1:]]

    asyncio.run(run())
