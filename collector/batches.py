"""Observations into batches: each of one partition's devices, closed when it is full or has waited its linger."""

import dataclasses
from collections.abc import Sequence

import msgspec

from collector.observation import Observation
from collector.record import LINGER_SECONDS, MAX_OBSERVATIONS, MAX_VALUE_BYTES, pack, partition_key, partition_of


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """`value` is a record's, of `count` observations of one partition."""

    partition: int
    count: int
    value: bytes


@dataclasses.dataclass(slots=True)
class Open:
    """A batch that is being filled; `size_bytes` counts the line breaks too."""

    lines: list[bytes] = dataclasses.field(default_factory=list)
    size_bytes: int = 0


class Batcher:
    """Fills a batch a partition. Holds at most partitions × MAX_VALUE_BYTES. `too_large` counts observations that no
    record can hold. Not for several threads."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._open: dict[int, Open] = {}
        self._since: float | None = None
        self._encode = msgspec.json.Encoder().encode
        self.too_large = 0

    def add(self, observations: Sequence[Observation], at: float) -> list[Batch]:
        """Take observations at the time `at` (seconds, of any clock that only rises); the batches that are due."""
        done: list[Batch] = []
        encode, filling, partitions = self._encode, self._open, self._partitions
        for observation in observations:
            line = encode(observation)
            size = len(line) + 1
            if size > MAX_VALUE_BYTES:
                self.too_large += 1
                continue
            partition = partition_of(partition_key(observation), partitions)
            batch = filling.get(partition)
            if batch is None:
                batch = filling[partition] = Open()
            elif batch.size_bytes + size > MAX_VALUE_BYTES:
                done.append(self._close(partition))
                batch = filling[partition] = Open()
            batch.lines.append(line)
            batch.size_bytes += size
            if len(batch.lines) == MAX_OBSERVATIONS:
                done.append(self._close(partition))
        if self._since is None and filling:
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
        return bool(self._open)

    def flush(self) -> list[Batch]:
        """Every batch, full or not."""
        self._since = None
        return [self._close(partition) for partition in sorted(self._open)]

    def _close(self, partition: int) -> Batch:
        batch = self._open.pop(partition)
        return Batch(partition, len(batch.lines), pack(batch.lines))
