"""A capture file as windows over its own pages: nothing is copied, and only what is looked at is read.

A mapped file that somebody cuts short ends the process that looks at it. So a file is mapped only while the kernel
promises that nobody does: a read lease (fcntl(2), "Leases") makes who would write to the file wait until it is given
back, which happens before the next window. A file without one (somebody writes to it, it is another user's, it lies on
another machine) is read instead.
"""

import contextlib
import fcntl
import io
import mmap
import os
import signal
from collections.abc import Iterator

import numpy as np

from collector.packets import SLACK_BYTES
from collector.pcap import Window

WINDOW_BYTES = 1 << 25


class MappedFile:
    """Windows over an open file while its lease lasts; see `leased`."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw

    def window(self, at: int) -> tuple[int, Window] | None:
        """The offset of a window's first byte, and the window, which begins at the file's offset `at`.

        None when the rest of the file is shorter than a window, or the lease is asked back.
        """
        base = at - at % mmap.ALLOCATIONGRANULARITY
        if not self._is_kept() or os.fstat(self._raw.fileno()).st_size < base + WINDOW_BYTES:
            return None
        pages = mmap.mmap(self._raw.fileno(), WINDOW_BYTES, mmap.MAP_SHARED, mmap.PROT_READ, offset=base)
        return base, Window(pages, np.frombuffer(pages, np.uint8), at - base, WINDOW_BYTES - SLACK_BYTES)

    def _is_kept(self) -> bool:
        return fcntl.fcntl(self._raw, fcntl.F_GETLEASE) == fcntl.F_RDLCK


@contextlib.contextmanager
def leased(raw: io.FileIO) -> Iterator[MappedFile]:
    """The file under a read lease, where the kernel gives one; without it, `window` gives None."""
    try:
        # Who asks for the lease is told of by a signal; this one does nothing unless somebody listens.
        fcntl.fcntl(raw, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(raw, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        pass
    try:
        yield MappedFile(raw)
    finally:
        with contextlib.suppress(OSError):
            fcntl.fcntl(raw, fcntl.F_SETLEASE, fcntl.F_UNLCK)
