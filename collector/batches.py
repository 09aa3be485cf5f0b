"""Observations into batches: each of one partition's devices, closed when it is full or has waited its linger."""

import dataclasses
from collections.abc import Sequence

import msgspec

from collector.observation import Observation
from collector.record import (
    LINGER_SECONDS,
    MAX_OBSERVATIONS,
    MAX_REMEMBERED_KEYS,
    MAX_VALUE_BYTES,
    pack,
    partition_of,
    unpack,
)

# Encoded by one call, and so what may be in memory twice.
MAX_AT_ONCE = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """`value` is a record's, of `count` observations of one partition."""

    partition: int
    count: int
    value: bytes


@dataclasses.dataclass(slots=True)
class Open:
    """A batch that is being filled: `parts` of one or more lines; `size_bytes` counts all line breaks."""

    parts: list[bytes] = dataclasses.field(default_factory=list)
    count: int = 0
    size_bytes: int = 0

    def add(self, lines: bytes, count: int) -> None:
        """Take lines, without the last line break."""
        self.parts.append(lines)
        self.count += count
        self.size_bytes += len(lines) + 1


class Batcher:
    """Fills a batch a partition. Holds at most partitions × MAX_VALUE_BYTES. `too_large` counts observations that no
    record can hold. Not for several threads."""

    def __init__(self, partitions: int) -> None:
        self._open = [Open() for _ in range(partitions)]
        self._places: dict[str, int] = {}
        self._since: float | None = None
        self._encode_lines = msgspec.json.Encoder().encode_lines
        self.too_large = 0

    def add(self, observations: Sequence[Observation], at: float) -> list[Batch]:
        """Take observations at the time `at` (seconds, of any clock that only rises); the batches that are due."""
        places = self._places
        shares: list[list[Observation]] = [[] for _ in self._open]
        for observation in observations:
            device = observation.device
            key = observation.source.ip if device is None else device.id
            partition = places.get(key)
            if partition is None:
                partition = self._place(key)
            shares[partition].append(observation)
        done: list[Batch] = []
        for partition, share in enumerate(shares):
            if share:
                self._fill(partition, share, done)
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
        return any(batch.count for batch in self._open)

    def flush(self) -> list[Batch]:
        """Every batch, full or not."""
        self._since = None
        return [self._close(partition) for partition, batch in enumerate(self._open) if batch.count]

    def _fill(self, partition: int, share: Sequence[Observation], done: list[Batch]) -> None:
        """Take a partition's share; what is full goes to `done`. One call for many lines is cheaper than many calls."""
        batch, begin = self._open[partition], 0
        while begin < len(share):
            some = share[begin : begin + min(MAX_AT_ONCE, MAX_OBSERVATIONS - batch.count)]
            begin += len(some)
            lines = self._encode_lines(some)[:-1]
            if batch.size_bytes + len(lines) < MAX_VALUE_BYTES:
                batch.add(lines, len(some))
            else:
                self._fill_singly(partition, unpack(lines), done)
            if batch.count == MAX_OBSERVATIONS:
                done.append(self._close(partition))

    def _fill_singly(self, partition: int, lines: Sequence[bytes], done: list[Batch]) -> None:
        """Take lines of which not all have room in the batch."""
        batch = self._open[partition]
        for line in lines:
            if len(line) >= MAX_VALUE_BYTES:
                self.too_large += 1
                continue
            if batch.size_bytes + len(line) >= MAX_VALUE_BYTES:
                done.append(self._close(partition))
            batch.add(line, 1)

    def _close(self, partition: int) -> Batch:
        batch = self._open[partition]
        closed = Batch(partition, batch.count, pack(batch.parts))
        batch.parts, batch.count, batch.size_bytes = [], 0, 0
        return closed

    def _place(self, key: str) -> int:
        """The partition of a key that is not remembered; when too many are, all are looked up anew."""
        if len(self._places) >= MAX_REMEMBERED_KEYS:
            self._places.clear()
        partition = self._places[key] = partition_of(key, len(self._open))
        return partition
