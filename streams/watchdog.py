"""Whether a worker still gets on, asked from outside of its event loop: one that does not must end, so that another
takes its partitions over."""

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from collector.notify import Notices
from streams.reading import Place

POLL_SECONDS: Final = 1.0
DOWN_SECONDS: Final = 10.0
TABLES_SECONDS: Final = 300.0
# A client hands out what it has fetched of one partition before the next one's turn.
MAX_TURN_RECORDS: Final = 64
FAILED: Final = 1


@dataclasses.dataclass(slots=True)
class Progress:
    """What is known of a worker's progress. Times are those of one clock that only goes forward.

    `beat` is when the event loop last ran; `waiting` says of each partition with records that wait where its reading
    stands, and since when. One partition that stands still is enough: Kafka clients lose single ones. `unready` is
    since when the worker has no partitions, or not all of its tables; None when it has.
    """

    beat: float
    unready: float | None = None
    waiting: dict[Place, tuple[int, float]] = dataclasses.field(default_factory=dict)

    def lags(self, places: Mapping[Place, tuple[int, int]] | None, at: float) -> None:
        """Of each partition, where its reading stands and where it ends; None when the broker does not say, of which
        nothing follows. While another is read on and has much more to be read, one that stands only awaits its turn."""
        before, places = self.waiting, places or {}
        moved = {place for place, (position, _) in places.items() if before.get(place, (position,))[0] != position}
        is_busy = any(places[place][1] - places[place][0] > MAX_TURN_RECORDS for place in moved)
        self.waiting = {}
        for place, (position, end) in places.items():
            if position < end:
                since = before.get(place, (None, at))[1]
                self.waiting[place] = (position, at if place in moved or is_busy else since)

    def ready(self, is_ready: bool, at: float) -> None:
        """Whether the worker has its partitions and their tables."""
        if is_ready:
            self.unready = None
        elif self.unready is None:
            self.unready = at

    def standing(self, at: float, seconds: float) -> list[Place]:
        """The partitions whose reading has stood still for so long while records wait."""
        return [place for place, (_, since) in self.waiting.items() if at - since > seconds]

    def verdict(self, at: float, stall_seconds: float) -> str | None:
        """Why the worker must end; None when it need not."""
        if at - self.beat > stall_seconds:
            return f"the event loop has stood still for {at - self.beat:.0f} s"
        if self.unready is not None and at - self.unready > TABLES_SECONDS:
            return f"the tables were not read within {at - self.unready:.0f} s"
        for place, (position, since) in self.waiting.items():
            if at - since > stall_seconds:
                return f"{place}: records wait, and for {at - since:.0f} s none was done past {position}"
        return None


def go_down(words: str) -> None:
    """Say why, and end the process at once: nothing more is acknowledged, so that all that was not done is read again
    elsewhere."""
    sys.stderr.write(f"lenswatch: {words}; the worker ends, and what it had not done is read again\n")
    sys.stderr.flush()
    os._exit(FAILED)


def watch(
    progress: Progress, stall_seconds: float, down: Callable[[str], None] = go_down, notices: Notices | None = None
) -> threading.Thread:
    """A thread that ends the process when `progress` says so, and else tells the service manager that it lives."""
    told = Notices() if notices is None else notices

    def look() -> None:
        while True:
            time.sleep(min(POLL_SECONDS, stall_seconds / 4))
            reason = progress.verdict(time.monotonic(), stall_seconds)
            if reason is not None:
                down(reason)
                return
            told.alive(time.monotonic())

    thread = threading.Thread(target=look, name="watchdog", daemon=True)
    thread.start()
    return thread


def down_by(seconds: float, words: str, down: Callable[[str], None] = go_down) -> threading.Timer:
    """End the process after so long, unless the timer is cancelled."""
    timer = threading.Timer(seconds, down, (words,))
    timer.daemon = True
    timer.start()
    return timer
