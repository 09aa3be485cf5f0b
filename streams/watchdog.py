"""Whether a worker still gets on, asked from outside of its event loop: one that does not must end, so that another
takes its partitions over."""

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

POLL_SECONDS: Final = 1.0
DOWN_SECONDS: Final = 10.0
FAILED: Final = 1


@dataclasses.dataclass(slots=True)
class Progress:
    """What is known of a worker's progress. Times are those of one clock that only goes forward.

    `beat` is when the event loop last ran, `moved` when a record was last done, `lag` how many records waited when it
    was last asked, None when nobody could say; `lag_then` is the lag at the last movement.
    """

    beat: float
    moved: float
    lag: int | None = None
    lag_then: int | None = None

    def moves(self, at: float) -> None:
        """A record is done."""
        self.moved, self.lag_then = at, None

    def lags(self, lag: int | None, at: float) -> None:
        """So many records wait. Waiting for nothing is no standstill."""
        self.lag = lag
        if lag == 0:
            self.moved = at
        if self.lag_then is None:
            self.lag_then = lag

    def verdict(self, at: float, stall_seconds: float) -> str | None:
        """Why the worker must end; None when it need not."""
        if at - self.beat > stall_seconds:
            return f"the event loop has stood still for {at - self.beat:.0f} s"
        grown = self.lag is not None and self.lag_then is not None and self.lag > self.lag_then
        if grown and at - self.moved > stall_seconds:
            return f"no record was done for {at - self.moved:.0f} s while {self.lag} wait, and ever more"
        return None


def go_down(words: str) -> None:
    """Say why, and end the process at once: nothing more is acknowledged, so that all that was not done is read again
    elsewhere."""
    sys.stderr.write(f"lenswatch: {words}; the worker ends, and what it had not done is read again\n")
    sys.stderr.flush()
    os._exit(FAILED)


def watch(progress: Progress, stall_seconds: float, down: Callable[[str], None] = go_down) -> threading.Thread:
    """A thread that ends the process when `progress` says so."""

    def look() -> None:
        while True:
            time.sleep(min(POLL_SECONDS, stall_seconds / 4))
            reason = progress.verdict(time.monotonic(), stall_seconds)
            if reason is not None:
                down(reason)
                return

    thread = threading.Thread(target=look, name="watchdog", daemon=True)
    thread.start()
    return thread


def down_by(seconds: float, words: str, down: Callable[[str], None] = go_down) -> threading.Timer:
    """End the process after so long, unless the timer is cancelled."""
    timer = threading.Timer(seconds, down, (words,))
    timer.daemon = True
    timer.start()
    return timer
