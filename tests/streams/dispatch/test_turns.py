"""Long work leaves turns to others, and is in order."""

import asyncio

import pytest

from streams.dispatch.turns import ITEMS_A_TURN, in_turns


def test_others_have_turns_in_between() -> None:
    told: list[str] = []

    async def other() -> None:
        for _ in range(3):
            told.append("other")
            await asyncio.sleep(0)

    async def both() -> list[int]:
        waiting = asyncio.create_task(other())
        made = await in_turns(lambda number: told.append("own") or -number, range(3 * ITEMS_A_TURN))  # type: ignore[func-returns-value]
        await waiting
        return made

    assert asyncio.run(both()) == [-number for number in range(3 * ITEMS_A_TURN)]
    assert told == [*["own"] * ITEMS_A_TURN, "other"] * 3


def test_what_is_raised_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_turns(lambda number: 1 // number, [1, 0]))
