"""What every place that observations go to must offer."""

from collections.abc import Sequence
from typing import Protocol

from collector.observation import Observation


class Publisher(Protocol):
    """Takes observations in order."""

    def publish(self, observations: Sequence[Observation]) -> None:
        """Take some observations; they are safe when this returns."""
        ...

    def close(self) -> None:
        """No more will come."""
        ...
