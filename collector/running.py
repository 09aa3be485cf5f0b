"""How a long reading runs: signals end it between two blocks, and the collector of cycles runs rarely."""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from collector.capture.source import Source, stop_of
from collector.liveness import Liveness
from collector.packets import Block

GC_THRESHOLDS = (2_000_000, 10, 10)


@contextlib.contextmanager
def rare_collection() -> Iterator[None]:
    """Let the collector of cycles run rarely: what was loaded stays for good, and need not be looked at every time."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def leave(code: int) -> NoReturn:
    """End the process with this exit code, all that is open having been closed.

    What is registered for the end runs and what was said is written; but nothing in memory is taken apart, piece by
    piece, that the system takes back as a whole. Where that cannot be told to be safe, Python ends as ever.
    """
    if all(each.daemon or each is threading.current_thread() for each in threading.enumerate()):
        try:
            atexit._run_exitfuncs()
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
        except (OSError, ValueError):
            sys.exit(code)
        os._exit(code)
    sys.exit(code)


class Interrupts:
    """SIGINT and SIGTERM end the reading between two blocks, never inside one, so that what was read is told whole.
    A second one ends the command at once. `asked` says whether one came; `liveness`, whether the reading goes on."""

    def __init__(self) -> None:
        self.liveness = Liveness()
        self._reading = self.asked = False
        self._stop: Callable[[], None] | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interrupts":
        for each in (signal.SIGINT, signal.SIGTERM):
            self._before[each] = signal.signal(each, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        self.liveness.stopping()
        for each, before in self._before.items():
            signal.signal(each, before)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        self.liveness.stopping()
        if self._reading and self._stop is not None and not again:
            self._stop()
        elif self._reading or again:
            raise KeyboardInterrupt

    def between_blocks(self, source: Source) -> Source:
        """The source, reading of which a signal ends."""
        return InterruptibleSource(source, self)

    @contextlib.contextmanager
    def reading(self, stop: Callable[[], None] | None = None) -> Iterator[None]:
        """The time in which a signal may cut in: waiting for the next block. Raises KeyboardInterrupt, unless the
        source is one that does not end, and can be told to `stop`."""
        self._reading, self._stop = True, stop
        try:
            if self.asked and stop is not None:
                stop()
            elif self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._reading = False


class InterruptibleSource:
    """A source whose reading a signal ends."""

    def __init__(self, source: Source, interrupts: Interrupts) -> None:
        self._source, self._interrupts = source, interrupts
        self.name, self.size_bytes = source.name, source.size_bytes

    def blocks(self) -> Iterator[Block]:
        """See `Source.blocks`. Raises KeyboardInterrupt too."""
        blocks, stop = iter(self._source.blocks()), stop_of(self._source)
        while True:
            with self._interrupts.reading(stop):
                block = next(blocks, None)
            if block is None:
                self._interrupts.liveness.rest()
                return
            self._interrupts.liveness.turn(len(block.time_ns), time.monotonic())
            yield block
