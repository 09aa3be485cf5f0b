"""What every place that packets come from must offer."""

import importlib
from collections.abc import Iterator
from typing import Protocol

from collector.capture import SOURCES
from collector.errors import LenswatchError
from collector.packets import Block


class Source(Protocol):
    """Packets in capture order. `size_bytes` is the source's length when it is known, for a progress bar."""

    name: str
    size_bytes: int | None

    def blocks(self) -> Iterator[Block]:
        """The blocks in order. Raises CaptureError, after every readable packet was yielded, at what cannot be read."""
        ...


def open_source(name: str) -> Source:
    """The source that a name stands for. Raises LenswatchError when nothing opens it."""
    for dotted in SOURCES:
        module, _, attribute = dotted.rpartition(".")
        kind = getattr(importlib.import_module(module), attribute)
        if kind.opens(name):
            source: Source = kind(name)
            return source
    raise LenswatchError(f"{name}: no such capture file; name a file, or - for standard input")
