"""Whose fault it is that a message was refused: its own only where the other side takes others.

A receiver that refuses whatever comes is set up wrongly, and then no message may be let go for it.
"""

from collections.abc import Iterable
from typing import Final

MAX_REMEMBERED: Final = 1_000


class Blame:
    """What was refused, and whether another was taken since. Of more than a thousand the oldest are forgotten, and
    count as refused by a receiver that is at fault: they are only tried for longer."""

    def __init__(self) -> None:
        self._refused: dict[str, bool] = {}

    def learn(self, taken: Iterable[str], refused: Iterable[str] = ()) -> None:
        """What became of several messages that were given at once."""
        is_any_taken = False
        for identifier in taken:
            is_any_taken = True
            self._refused.pop(identifier, None)
        for identifier in refused:
            self._refused.setdefault(identifier, False)
        if is_any_taken:
            self._refused = dict.fromkeys(self._refused, True)
        for identifier in list(self._refused)[:-MAX_REMEMBERED]:
            del self._refused[identifier]

    def is_own(self, identifier: str) -> bool:
        """Whether a refused message is itself at fault, as far as is known."""
        return self._refused.get(identifier, False)
