"""Records go to the broker many in a batch, in order, and whoever settles knows that it has them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from streams.reading import Place
from streams.sending import REST_SECONDS, Sending
from tests.streams.answers import Answers

ALERTS, TABLE = Place("alerts", 0), Place("table", 1)


def play(test: Callable[[Sending, Answers], Any], room: int = 100, most: int = 1_000) -> list[BaseException]:
    """Run a test with a sending and its broker; what it failed for."""
    failed: list[BaseException] = []

    async def run() -> None:
        broker = Answers(room)
        await asyncio.wait_for(test(Sending(broker, failed.append, most), broker), 10)

    asyncio.run(run())
    return failed


async def turn() -> None:
    """Let everybody come to what can be done now."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_is_sent_together_goes_together_and_soon_by_itself() -> None:
    async def test(sending: Sending, broker: Answers) -> None:
        await sending.send(ALERTS, b"a", b"1")
        await sending.send(TABLE, b"k", None)
        await sending.send(ALERTS, b"b", b"2", [("tick", b"5")])
        await turn()
        assert broker.sent == []
        await asyncio.sleep(3 * REST_SECONDS)
        assert broker.sent == [
            ("alerts", 0, [(b"a", b"1", []), (b"b", b"2", [("tick", b"5")])]), ("table", 1, [(b"k", None, [])])
        ]  # fmt: skip
        assert sending.count == 3
        broker.answer()
        await turn()
        assert sending.count == 0

    assert play(test) == []


def test_a_full_batch_goes_and_the_next_follows_when_the_broker_has_it() -> None:
    async def test(sending: Sending, broker: Answers) -> None:
        for number in range(5):
            await sending.send(ALERTS, b"%d" % number, b"")
        settled = asyncio.create_task(sending.settle())
        seen = []
        for _ in range(3):
            await turn()
            assert not settled.done()
            seen.append([key for key, *_ in broker.sent[-1][2]])
            broker.answer()
        await settled
        assert seen == [[b"0", b"1"], [b"2", b"3"], [b"4"]] and len(broker.sent) == 3

    assert play(test, room=2) == []


def test_it_is_settled_once_the_broker_has_what_was_sent_before_and_not_later() -> None:
    async def test(sending: Sending, broker: Answers) -> None:
        await sending.settle()
        await sending.send(ALERTS, b"a", b"1")
        settled = asyncio.create_task(sending.settle())
        await turn()
        assert len(broker.sent) == 1 and not settled.done()
        await sending.send(ALERTS, b"b", b"2")
        sending.flush()
        broker.answer()
        await turn()
        assert settled.done() and len(broker.sent) == 2 and sending.count == 1
        broker.answer()

    assert play(test) == []


def test_more_than_may_be_under_way_waits_for_the_broker() -> None:
    async def test(sending: Sending, broker: Answers) -> None:
        for _ in range(3):
            await sending.send(ALERTS, b"a", b"1")
        more = asyncio.create_task(sending.send(TABLE, b"b", b"2"))
        await turn()
        assert not more.done() and broker.topics() == ["alerts"] * 3
        broker.answer()
        await more
        assert sending.count == 1
        sending.flush()
        await turn()
        broker.answer()

    assert play(test, most=3) == []


def test_what_the_broker_does_not_take_is_told_once_and_to_whoever_sends_or_settles() -> None:
    async def test(sending: Sending, broker: Answers) -> None:
        await sending.send(ALERTS, b"a", b"1")
        await sending.send(TABLE, b"b", b"2")
        settled = asyncio.create_task(sending.settle())
        await turn()
        await sending.send(Place("late", 0), b"d", b"4")
        broker.answer(OSError("gone"))
        for each in (settled, sending.settle(), sending.send(ALERTS, b"c", b"3")):
            with pytest.raises(OSError, match="gone"):
                await each
        await asyncio.sleep(3 * REST_SECONDS)
        assert len(broker.sent) == 2

    failed = play(test)
    assert [str(each) for each in failed] == ["gone"]


def test_the_end_of_the_loop_is_no_fault_of_the_broker() -> None:
    async def test(sending: Sending, broker: Answers) -> None:
        await sending.send(ALERTS, b"a", b"1")
        sending.flush()
        await turn()

    assert play(test) == []
