"""Observations into batches: each of one partition's devices, closed when it is full or has waited its linger."""

import dataclasses
from collections.abc import Sequence

import msgspec

from collector.observation import Observation
from collector.record import LINGER_SECONDS, MAX_OBSERVATIONS, MAX_REMEMBERED_KEYS, MAX_VALUE_BYTES, partition_of


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """`value` is a record's, of `count` observations of one partition."""

    partition: int
    count: int
    value: bytes


@dataclasses.dataclass(slots=True)
class Open:
    """A batch that is being filled: `lines` of JSON, each with its line break, and their number."""

    lines: bytearray = dataclasses.field(default_factory=bytearray)
    count: int = 0


class Batcher:
    """Fills a batch a partition. Holds at most partitions × MAX_VALUE_BYTES. `too_large` counts observations that no
    record can hold. Not for several threads."""

    def __init__(self, partitions: int) -> None:
        self._open = [Open() for _ in range(partitions)]
        self._places: dict[str, int] = {}
        self._since: float | None = None
        self._encode_into = msgspec.json.Encoder().encode_into
        self.too_large = 0

    def add(self, observations: Sequence[Observation], at: float) -> list[Batch]:
        """Take observations at the time `at` (seconds, of any clock that only rises); the batches that are due."""
        done: list[Batch] = []
        encode_into, filling, places = self._encode_into, self._open, self._places
        for observation in observations:
            device = observation.device
            key = observation.source.ip if device is None else device.id
            partition = places.get(key)
            if partition is None:
                partition = self._place(key)
            batch = filling[partition]
            lines = batch.lines
            before = len(lines)
            encode_into(observation, lines, -1)
            lines += b"\n"
            batch.count += 1
            if len(lines) > MAX_VALUE_BYTES:
                self._take_back(partition, before, done)
            elif batch.count == MAX_OBSERVATIONS:
                done.append(self._close(partition))
        if self._since is None and self.waits:
            self._since = at
        return done + self.due(at)

    def due(self, at: float) -> list[Batch]:
        """Every batch, once the oldest may have waited LINGER_SECONDS: one write for all costs what one write costs."""
        if self._since is None or at - self._since < LINGER_SECONDS:
            return []
        return self.flush()

    @property
    def waits(self) -> bool:
        """Whether anything is still to be handed over."""
        return any(batch.lines for batch in self._open)

    def flush(self) -> list[Batch]:
        """Every batch, full or not."""
        self._since = None
        return [self._close(partition) for partition, batch in enumerate(self._open) if batch.lines]

    def _take_back(self, partition: int, before: int, done: list[Batch]) -> None:
        """The last line made a batch too large: it begins the next, if any record can hold it."""
        batch = self._open[partition]
        line = batch.lines[before:]
        del batch.lines[before:]
        batch.count -= 1
        if len(line) > MAX_VALUE_BYTES:
            self.too_large += 1
            return
        done.append(self._close(partition))
        batch.lines, batch.count = line, 1

    def _close(self, partition: int) -> Batch:
        batch = self._open[partition]
        lines, count = batch.lines, batch.count
        batch.lines, batch.count = bytearray(), 0
        return Batch(partition, count, bytes(memoryview(lines)[:-1]))

    def _place(self, key: str) -> int:
        """The partition of a key that is not remembered; when too many are, all are looked up anew."""
        if len(self._places) >= MAX_REMEMBERED_KEYS:
            self._places.clear()
        partition = self._places[key] = partition_of(key, len(self._open))
        return partition
