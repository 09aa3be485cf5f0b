"""A folder of captures, in the order of their first packets, as a ring of files or a logger of days leaves them.

With `follow` the last one is waited at until another one comes, and so on without end.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from collector.capture.pcap_file import DEFAULTS, CaptureFile, empty_block
from collector.errors import CaptureError
from collector.growing import LOOK_SECONDS
from collector.packets import Block
from collector.settings import CaptureSettings

SUFFIXES = (".pcap", ".pcapng", ".cap", ".dmp", ".pcap.gz", ".pcapng.gz", ".cap.gz")
PEEK_BYTES = 1 << 16


class CaptureFolder:
    """The captures that lie in a folder, not in those below it. What one of them breaks at does not stop the others."""

    def __init__(self, name: str, settings: CaptureSettings = DEFAULTS) -> None:
        self.name, self.path = name, Path(name)
        self.follows, self._settings = settings.follow, settings
        self._reading: CaptureFile | None = None
        self._stopped = False
        sizes = sum(path.stat().st_size for path in captures_in(self.path))
        self.size_bytes = None if self.follows else sizes

    @classmethod
    def opens(cls, name: str) -> bool:
        """Whether `name` is a folder."""
        return Path(name).is_dir()

    def stop(self) -> None:
        """Wait for no more captures; what is written by now is read."""
        self._stopped = True
        if self._reading is not None:
            self._reading.stop()

    def blocks(self) -> Iterator[Block]:
        """Every capture's packets; see `Source.blocks`. The first problem is raised when all have been read."""
        problems: list[CaptureError] = []
        done: set[Path] = set()
        if not captures_in(self.path) and not self.follows:
            raise CaptureError(self.name, 0, f"no capture is in it (a file that ends in {', '.join(SUFFIXES)})")
        before = 0
        while True:
            waiting = in_order([path for path in captures_in(self.path) if path not in done])
            for place, path in enumerate(waiting):
                done.add(path)
                try:
                    for block in self._read(path, is_last=place == len(waiting) - 1, done=done):
                        block.position += before
                        yield block
                except CaptureError as error:
                    problems.append(error)
                before += path.stat().st_size if path.exists() else 0
            if not self.follows or self._stopped:
                break
            if not waiting:
                yield empty_block()
                time.sleep(LOOK_SECONDS)
        if problems:
            raise problems[0]

    def _read(self, path: Path, is_last: bool, done: set[Path]) -> Iterator[Block]:
        """One capture; the last one of a folder that is followed is waited at while it is the last."""
        if not (self.follows and is_last and not self._stopped):
            yield from CaptureFile(str(path)).blocks()
            return
        reading = self._reading = CaptureFile(str(path), self._settings)
        for block in reading.blocks():
            yield block
            if any(each not in done for each in captures_in(self.path)):
                reading.stop()
        self._reading = None


def captures_in(folder: Path) -> list[Path]:
    """The captures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().endswith(SUFFIXES))


def in_order(paths: list[Path]) -> list[Path]:
    """The captures by the time of their first packets; what has none, or cannot be read, comes last."""
    return sorted(paths, key=lambda path: (first_time(path), path.name))


def first_time(path: Path) -> int:
    """When a capture's first packet came (nanoseconds since 1970)."""
    capture = CaptureFile(str(path))
    capture.buffer_bytes, capture.is_mapped = PEEK_BYTES, False
    try:
        block = next(capture.blocks(), None)
    except CaptureError:
        block = None
    return int(block.time_ns.min()) if block is not None and len(block.time_ns) else 1 << 62
