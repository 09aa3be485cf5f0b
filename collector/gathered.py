"""Several sources that do not end, read at once: interfaces above all, as the two sides of a tap are two.

Each is read by a thread of its own, which waits in the kernel nearly always; their blocks come out one at a time, as
they are ready, so that there is one flow table, and the two directions of a flow may come in at two interfaces.
"""

import queue
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from collector.capture.source import Source, stop_of
from collector.errors import CaptureError
from collector.packets import SLACK_BYTES, Block

NOTHING = np.zeros(SLACK_BYTES, np.uint8)
Ready = tuple["Feed", Block | BaseException | None]


class Feed(threading.Thread):
    """One source, read block by block: the next one only when the last is done with, for its bytes are lent."""

    def __init__(self, source: Source, ready: "queue.SimpleQueue[Ready]") -> None:
        super().__init__(name=source.name, daemon=True)
        self.source, self._ready = source, ready
        self.done = threading.Semaphore(0)
        self.is_over = False

    def run(self) -> None:
        """Read to the end; what ended it, or None, comes last."""
        end: BaseException | None = None
        try:
            for block in self.source.blocks():
                self._ready.put((self, block))
                self.done.acquire()
                if self.is_over:
                    break
        except BaseException as error:  # noqa: BLE001
            end = error
        self._ready.put((self, end))


class Gathered:
    """A `Source` of sources. What one of them breaks at is said at once, and does not stop the others."""

    size_bytes: int | None = None

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self.name = ", ".join(source.name for source in sources)

    def stop(self) -> None:
        """Read what is there by now, and then no more."""
        for source in self.sources:
            stop = stop_of(source)
            if stop is not None:
                stop()

    def blocks(self) -> Iterator[Block]:
        """See `Source.blocks`. The first problem is raised when all have ended."""
        ready: queue.SimpleQueue[Ready] = queue.SimpleQueue()
        feeds = [Feed(source, ready) for source in self.sources]
        problems: list[CaptureError] = []
        for feed in feeds:
            feed.start()
        left = len(feeds)
        try:
            while left:
                feed, block = ready.get()
                if isinstance(block, Block):
                    if block.interface is None:
                        block.notice = f"{feed.source.name}: {block.notice}" if block.notice else None
                    yield block
                    feed.done.release()
                    continue
                left -= 1
                if isinstance(block, CaptureError):
                    problems.append(block)
                    if left:
                        yield notice_of(block)
                elif block is not None:
                    raise block
        finally:
            self.stop()
            for feed in feeds:
                feed.is_over = True
                feed.done.release()
        if problems:
            raise problems[0]


def notice_of(problem: CaptureError) -> Block:
    """A block without packets that says what happened to one of the sources."""
    none = np.zeros(0, np.int64)
    return Block(NOTHING, none, none, none, none, 1, notice=f"{problem}; the others are read on")
