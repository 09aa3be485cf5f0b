"""Whether a reading goes on. `/healthz` and the service manager's watchdog ask the same."""

import math
import time
from typing import Final

from collector.notify import Notices

STILL_SECONDS: Final = 120.0
"""An interface gives a block a second, an empty one where nothing came: what takes so long has come to a standstill."""
READING, WAITING = "packets are being read", "waiting for the first packet"


class Liveness:
    """What the loop that reads says of itself. Times are those of one clock that only goes forward."""

    def __init__(self, notices: Notices | None = None) -> None:
        self.notices = notices if notices is not None else Notices()
        self._turned_at, self._is_told = math.inf, False

    def turn(self, packets: int, at: float) -> None:
        """The loop has a block with so many packets."""
        self._turned_at = at
        if packets:
            self.notices.ready(READING)
        elif not self._is_told:
            self.notices.status(WAITING)
        self._is_told = True
        self.notices.alive(at)

    def rest(self) -> None:
        """There is nothing to be read any more: whatever follows takes its time."""
        self._turned_at = math.inf

    def stopping(self) -> None:
        """The reading was told to end."""
        self.rest()
        self.notices.stopping()

    def problem(self, at: float | None = None) -> str:
        """Why the reading is at a standstill; "" when it is not, or has not begun."""
        still = (time.monotonic() if at is None else at) - self._turned_at
        return f"the reading has stood still for {still:.0f} s" if still > STILL_SECONDS else ""
