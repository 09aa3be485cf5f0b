"""What observations rest on, on disk: bounded by bytes and by age, the oldest file going first.

The bound is kept by whole files: a new one is begun when the last has a sixteenth of the bytes or of the age, and
before it is, the oldest go until it has room. What a disk does not take is counted, and the capture goes on. Several
processes may write to one folder, each to a file of its own.
"""

import contextlib
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from collector.errors import LenswatchError
from collector.evidence.segments import (
    HEADER,
    NS,
    SUFFIX,
    Kept,
    Segment,
    list_segments,
    write_record,
)
from collector.evidence.witness import Witness
from collector.observation import Observation
from collector.settings import default_state_folder

FOLDER: Final = "evidence"
SHARES: Final = 16
MIN_BYTES: Final = 4 << 20
MAX_BYTES: Final = 8 << 30
FLUSH_BYTES: Final = 64 << 10
FLUSH_SECONDS: Final = 0.2
MAX_ENTRY_BYTES: Final = 128 << 10
TEND_SECONDS: Final = 60.0
CALM_SECONDS: Final = 3.0
"""How long a disk that took nothing is left alone."""

Tell = Callable[[str], None]


class EvidenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[evidence]`: the packets behind observations, at the sensor."""

    keep: bool = True
    """Whether they are kept."""
    folder: Path | None = None
    """Where; default: `evidence` in the state folder."""
    max_bytes: int = 256 << 20
    """How much of them; then the oldest go."""
    max_age_seconds: float = 7 * 86_400
    """For how long."""

    def __post_init__(self) -> None:
        if not MIN_BYTES <= self.max_bytes <= MAX_BYTES:
            raise ValueError(f"evidence.max_bytes is not {MIN_BYTES} to {MAX_BYTES}")
        if self.max_age_seconds <= 0:
            raise ValueError("evidence.max_age_seconds is not above 0")

    def place(self, environment: Mapping[str, str], state: Path | None = None) -> Path:
        """Where they are: the setting, else `evidence` in the state folder."""
        return self.folder or (state or default_state_folder(environment)) / FOLDER

    def since_ns(self, now: float) -> int:
        """When the oldest file that may still be shown was begun, at this time (seconds since 1970)."""
        return int((now - self.max_age_seconds) * NS)


class EvidenceRing:
    """The writer of a folder. `bytes` are what lies there, `packets` those that this process has written, `dropped` the
    bytes that were let go by reason: full, age, disk. Raises LenswatchError where the folder cannot be written."""

    def __init__(
        self, folder: Path, settings: EvidenceSettings, tell: Tell, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.settings, self._tell, self._clock = folder, settings, tell, clock
        self.bytes = self.packets = 0
        self.dropped: Counter[str] = Counter()
        self._segment_bytes = settings.max_bytes // SHARES
        self._segment_seconds = settings.max_age_seconds / SHARES
        self._buffer: list[tuple[list[str], list[str], Sequence[Kept]]] = []
        self._waiting = 0
        self._file: int | None = None
        self._path, self._begun, self._size = folder, 0.0, 0
        self._complained = False
        self._tend_at = self._calm_until = self._flushed = float("-inf")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise LenswatchError(
                f"{folder}: evidence cannot be written: {error.strerror}; name another folder at [evidence] folder, or "
                "set keep = false"
            ) from error
        self.tend()

    def keep(self, observations: Sequence[Observation], packets: Sequence[Kept]) -> None:
        """Keep the packets that these observations rest on; on disk after the next `flush`."""
        size = 0
        for packet in packets:
            size += len(packet[3])
        if size > MAX_ENTRY_BYTES:
            packets = within(packets, MAX_ENTRY_BYTES)
        devices = [each.source.ip if each.device is None else each.device.id for each in observations]
        self._buffer.append(([each.event.id for each in observations], devices, packets))
        self._waiting += size
        if self._waiting >= FLUSH_BYTES:
            self.flush()

    def tick(self) -> None:
        """A block of packets is done, or time went by: what waits is handed to the disk, a few times a second."""
        if not 0 <= self._clock() - self._flushed < FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hand what waits to the disk, and see to the bounds."""
        now = self._flushed = self._clock()
        if now >= self._tend_at or now < self._begun:
            self.tend()
        if not self._buffer:
            return
        data, packets = write_record(self._buffer), sum(len(each[2]) for each in self._buffer)
        self._buffer, self._waiting = [], 0
        if now < self._calm_until:
            self.dropped["disk"] += len(data)
            return
        try:
            if self._file is None or self._size + len(data) > self._segment_bytes:
                self._begin(now)
            self._write(data)
            self.packets += packets
            self._complained = False
        except OSError as error:
            if not self._complained:
                self._tell(
                    f"{self.folder}: evidence cannot be written: {error.strerror}; packets are not kept meanwhile"
                )
            self._complained = True
            self.dropped["disk"] += len(data)
            self._calm_until = now + CALM_SECONDS
            self._end()

    def _begin(self, now: float) -> None:
        """A new file, once there is room for it."""
        self._end()
        self._make_room(now, self._segment_bytes)
        number = int(now * NS)
        while True:
            path = self.folder / f"{number:020d}-{os.getpid()}{SUFFIX}"
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
                break
            except FileExistsError:
                number += 1
        self._path, self._begun, self._size = path, now, 0
        self._write(HEADER)

    def _write(self, data: bytes) -> None:
        """All of it or, as far as the disk lets us, none: what follows half a record could not be read."""
        assert self._file is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)
        self.bytes += len(data)

    def _end(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
        self._file = None

    def tend(self) -> None:
        """Let go what is too old. A file that is old enough is closed, so that it can go as a whole."""
        now = self._clock()
        self._tend_at = now + min(TEND_SECONDS, self._segment_seconds)
        # A clock that was set back would make a file older than any other.
        if self._file is not None and not 0 <= now - self._begun < self._segment_seconds:
            self._end()
        try:
            self._make_room(now, 0)
        except OSError as error:
            self._tell(f"{self.folder}: evidence cannot be let go: {error.strerror}")

    def _make_room(self, now: float, size: int) -> None:
        """Let files go until `size` more bytes are within the bounds. Raises OSError."""
        try:
            segments = list_segments(self.folder)
        except LenswatchError as error:
            raise OSError(5, str(error)) from error
        self.bytes = sum(each.size_bytes for each in segments)
        oldest = self.settings.since_ns(now)
        for segment in segments:
            reason = "age" if segment.begun_ns < oldest else "full"
            if reason == "full" and self.bytes + size <= self.settings.max_bytes:
                break
            if segment.path != self._path or self._file is None:
                self._let_go(segment, reason)

    def _let_go(self, segment: Segment, reason: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            segment.path.unlink()
        self.bytes -= segment.size_bytes
        self.dropped[reason] += segment.size_bytes

    def close(self) -> None:
        """Write what waits."""
        self.flush()
        self._end()


def within(packets: Sequence[Kept], max_bytes: int) -> Sequence[Kept]:
    """The first of these packets, as many as have no more bytes together."""
    sizes = itertools.accumulate(len(each[3]) for each in packets)
    return [each for each, size in zip(packets, sizes, strict=True) if size <= max_bytes]


@contextlib.contextmanager
def keeping(settings: EvidenceSettings, folder: Path, tell: Tell) -> Iterator["Witness | None"]:
    """Who holds packets and has them written, for as long as a run lasts; None where none are kept. What is there
    already and too old is let go in either case. Raises LenswatchError."""
    if not settings.keep:
        if folder.is_dir():
            EvidenceRing(folder, settings, tell).close()
        yield None
        return
    ring = EvidenceRing(folder, settings, tell)
    try:
        yield Witness(ring)
    finally:
        ring.close()
