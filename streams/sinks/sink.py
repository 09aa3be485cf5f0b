"""What every place that alerts go to must offer, and the ways in which an alert may fail to arrive.

LenswatchError
└── Undelivered          tried again by the schedule
    ├── Unreachable      nobody answers there: a light probe says when somebody does again
    ├── Throttled        not now: nothing more is sent there for `seconds`
    ├── Refused          not this message: tried again a few times only
    ├── Partly           some of them have arrived, and each of the others has a reason of its own
    └── Gone             never again: nothing more is sent there until a person says so
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import msgspec

from collector.errors import LenswatchError
from rules.alert import Alert


class Undelivered(LenswatchError):
    """The alerts have not arrived."""


class Unreachable(Undelivered):
    """Nobody answers there."""


class Throttled(Undelivered):
    """The other side asks for a pause."""

    def __init__(self, words: str, seconds: float | None) -> None:
        super().__init__(words)
        self.seconds = seconds


class Refused(Undelivered):
    """The other side does not take this message."""


class Partly(Undelivered):
    """Some have arrived. `failures`: why each of the others has not, by its place among those that were given."""

    def __init__(self, words: str, failures: Mapping[int, Undelivered]) -> None:
        super().__init__(words)
        self.failures = failures


class Gone(Undelivered):
    """The other side wants no more."""


class Taker(Protocol):
    """Takes alerts in order. After a crash one may come again, as the same (`event.id`, `lenswatch.revision`)."""

    name: str

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """Take some alerts; they have arrived when this returns what was answered, in a word. Raises LenswatchError
        when they have not."""
        ...

    async def close(self) -> None:
        """No more will come."""
        ...


class Sink(Taker, Protocol):
    """A kind of place that the settings can name; its keys are the fields of `table`. `address` is what may be shown of
    where it is. `max_batch` alerts go at once at most, `lanes` deliveries at a time. `let_go` counts the alerts that
    had no room where a sink keeps what it may have to tell again.

    A sink that holds states and not messages repeats what lasts, every `repeat_seconds` (0: no repeats).
    """

    kind: ClassVar[str]
    table: ClassVar[type[msgspec.Struct]]
    address: str
    max_batch: int
    lanes: int
    repeat_seconds: float = 0.0
    let_go: int = 0

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """The sink of a table of the settings. Raises SettingsError, naming the key."""
        ...

    def lasts_until(self, alert: Alert, at: float) -> float | None:
        """When what was delivered just now will be over (seconds since 1970); None when nothing is to be repeated."""
        return None

    async def repeat(self, lasting: Sequence[tuple[Alert, float]], at: float) -> None:
        """Tell again what lasts, with the time until which it does. Raises Undelivered."""
        return

    async def probe(self) -> None:
        """Whether somebody answers there, at little cost. Raises Undelivered when not."""
        ...
