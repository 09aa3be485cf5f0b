"""What every place that packets come from must offer."""

from collections.abc import Iterator
from typing import Protocol

from collector.packets import Block


class Source(Protocol):
    """Packets in capture order. `size_bytes` is the source's length when it is known, for a progress bar."""

    name: str
    size_bytes: int | None

    def blocks(self) -> Iterator[Block]:
        """The blocks in order. Raises CaptureError, after every readable packet was yielded, at what cannot be read."""
        ...
