"""A table that a changelog topic keeps, as the partitions read it and change it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Change(NamedTuple):
    """What a key of a table comes to, None that it goes, and the partition that it belongs to."""

    partition: int
    data: bytes | None


class TextTable(Mapping[str, bytes]):
    """A Faust table of bytes by text, kept by a changelog topic; what changes is staged, and written before a commit.
    Keys are bytes to Faust: of any other type it would make JSON, and take a record that it cannot read when it
    recovers for none."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.staged: dict[str, Change] = {}

    @property
    def topic(self) -> str:
        """The changelog's."""
        name: str = self._table.changelog_topic.get_topic_name()
        return name

    def __getitem__(self, key: str) -> bytes:
        staged = self.staged.get(key)
        found = staged.data if staged is not None else self._table.data.get(pack_key(key))
        if found is None:
            raise KeyError(key)
        value: bytes = found
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.items())

    def __len__(self) -> int:
        return sum(1 for _ in self.items())

    def items(self) -> Any:
        """Every key and value."""
        written = ((unpack_key(key), value) for key, value in self._table.data.items())
        yield from ((key, value) for key, value in written if key not in self.staged)
        yield from ((key, change.data) for key, change in self.staged.items() if change.data is not None)

    def stage(self, partition: int, changed: Mapping[str, bytes | None]) -> None:
        """Put values in place, None takes one away. They are read from now on, and written with the next commit, in the
        order in which they were put here last: one may need another."""
        for key, data in changed.items():
            self.staged.pop(key, None)
            self.staged[key] = Change(partition, data)

    def keep(self, staged: Mapping[str, Change]) -> None:
        """What was staged is written; what has changed again since stays staged."""
        data = self._table.data
        for key, change in staged.items():
            packed = pack_key(key)
            if change.data is not None:
                data[packed] = change.data
                # By this Faust forgets what was of a partition that is another's now; it notes it itself only for what
                # it has read from a changelog.
                data._key_partition[packed] = change.partition
            else:
                data.pop(packed, None)
                data._key_partition.pop(packed, None)
            if self.staged.get(key) is change:
                del self.staged[key]


def pack_key(key: str) -> bytes:
    """Text as a key; a device's id may hold what is no good Unicode."""
    return key.encode("utf-8", "surrogatepass")


def unpack_key(key: bytes) -> str:
    """A key as text."""
    return key.decode("utf-8", "surrogatepass")
