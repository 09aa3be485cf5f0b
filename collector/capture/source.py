"""What every place that packets come from must offer."""

import importlib
from collections.abc import Callable, Iterator
from typing import Protocol

from collector.capture import SOURCES
from collector.errors import LenswatchError
from collector.packets import Block
from collector.settings import CaptureSettings

DEFAULTS = CaptureSettings()


class Source(Protocol):
    """Packets in capture order. `size_bytes` is the source's length when it is known, for a progress bar."""

    name: str
    size_bytes: int | None

    def blocks(self) -> Iterator[Block]:
        """The blocks in order. Raises CaptureError, after every readable packet was yielded, at what cannot be read."""
        ...


def open_source(name: str, settings: CaptureSettings = DEFAULTS) -> Source:
    """The source that a name stands for. Raises LenswatchError when nothing opens it."""
    for dotted in SOURCES:
        module, _, attribute = dotted.rpartition(".")
        kind = getattr(importlib.import_module(module), attribute)
        if kind.opens(name):
            source: Source = kind(name, settings)
            return source
    raise LenswatchError(f"{name}: no such capture, folder or interface; name one, or - for standard input")


def is_endless(source: Source) -> bool:
    """Whether a source goes on until it is stopped."""
    return hasattr(source, "stop") and getattr(source, "follows", True)


def stop_of(source: Source) -> Callable[[], None] | None:
    """How to end a source that does not end by itself; None for one that does."""
    stop: Callable[[], None] | None = getattr(source, "stop", None)
    return stop if is_endless(source) else None
