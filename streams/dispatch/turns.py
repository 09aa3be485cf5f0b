"""Long work in the event loop of the dispatch, a piece at a time: what one sink makes of its alerts delays no other."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
ITEMS_A_TURN: Final = 10


async def in_turns(make: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What `make` makes of each, in order. Raises what it raises."""
    made = []
    for number, item in enumerate(items, 1):
        made.append(make(item))
        if number % ITEMS_A_TURN == 0:
            await asyncio.sleep(0)
    return made
