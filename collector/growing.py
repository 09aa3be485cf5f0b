"""A file that somebody still writes to: its end is only an end when it was put aside, cut, or nobody wants more."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

LOOK_SECONDS = 0.05


class GrowingFile(io.RawIOBase):
    """Reads a file and waits at its end. It ends when `path` is another file by then, or this one was cut shorter, or
    `is_over` says so, and everything has been read."""

    def __init__(self, path: Path, is_over: Callable[[], bool]) -> None:
        super().__init__()
        self._path, self._is_over = path, is_over
        self._file = path.open("rb", 0)

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def ready(self, seconds: float) -> bool:
        """Whether there is more to read, or the end, within so many seconds."""
        ends = time.monotonic() + seconds
        while not self._has_more():
            if self.is_done():
                return True
            if time.monotonic() >= ends:
                return False
            time.sleep(min(LOOK_SECONDS, seconds))
        return True

    def readinto(self, room: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill `room` with what there is; waits when there is nothing yet. 0 at the end."""
        while not self.ready(1.0):
            pass
        return self._file.readinto(room) or 0

    def is_done(self) -> bool:
        """Whether nothing more will come: asked before it is looked once more whether something did."""
        if self._is_over():
            return not self._has_more()
        try:
            now, ours = self._path.stat(), os.fstat(self._file.fileno())
        except FileNotFoundError:
            return False
        moved = (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)
        return (moved or ours.st_size < self._file.tell()) and not self._has_more()

    def _has_more(self) -> bool:
        return os.fstat(self._file.fileno()).st_size > self._file.tell()
