"""What every place that alerts go to must offer."""

from collections.abc import Sequence
from typing import Protocol

from rules.alert import Alert


class Sink(Protocol):
    """Takes alerts in order. After a crash one may come again, as the same (`event.id`, `lenswatch.revision`)."""

    name: str

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Take some alerts; they have arrived when this returns. Raises LenswatchError when they cannot."""
        ...

    async def close(self) -> None:
        """No more will come."""
        ...
