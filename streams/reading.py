"""In which order the records of a partition are taken: each in its turn, none passed over. Pure.

What a Kafka client hands out around a rebalance is not always what comes next: records it had read ahead, records of
before a seek, records it took for done because later ones had come first. So where the reading of a partition stands
is kept here, by what was done and by nothing else; a record beyond is not taken, and the reading goes back.
"""

import enum
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

ASKED_TWICE: Final = 2


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic} [{self.partition}]"


class Turn(enum.Enum):
    """What a record's turn is."""

    NOW = enum.auto()
    """Take it. One below what is done is taken too: what it changes knows that it was counted."""
    NOT_YET = enum.auto()
    """Leave it; it will come again."""
    GO_BACK = enum.auto()
    """Leave it, and read again from where the partition stands."""


class _Gap(NamedTuple):
    found: int
    asked: int


class Reading:
    """Where each partition stands. A partition of which nobody said where to begin is not read: its tables may not be
    whole."""

    def __init__(self) -> None:
        self._done: dict[Place, int] = {}
        self._gaps: dict[Place, _Gap] = {}

    @property
    def done(self) -> Mapping[Place, int]:
        """Of each partition, the offset up to which all is done, itself not."""
        return self._done

    def begin(self, place: Place, offset: int) -> None:
        """Begin a partition here; one that is read already goes on where it stands."""
        self._done.setdefault(place, offset)

    def leave(self, kept: Collection[Place] = ()) -> None:
        """Forget all partitions but these: they are another's now."""
        for place in [place for place in self._done if place not in kept]:
            del self._done[place]
            self._gaps.pop(place, None)

    def meet(self, place: Place, offset: int) -> Turn:
        """Whether the turn of a record has come.

        Offsets may be missing for good: deleted before they were read, or never given to a record. That is believed
        when the broker, asked twice from where the reading stands, twice begins beyond.
        """
        done = self._done.get(place)
        if done is None:
            return Turn.NOT_YET
        if offset <= done:
            if offset == done:
                self._gaps.pop(place, None)
            return Turn.NOW
        gap = self._gaps.get(place)
        if gap is not None and offset > gap.found:
            return Turn.NOT_YET
        asked = 0 if gap is None else gap.asked
        if asked < ASKED_TWICE:
            self._gaps[place] = _Gap(offset, asked + 1)
            return Turn.GO_BACK
        del self._gaps[place]
        self._done[place] = offset
        return Turn.NOW

    def finish(self, place: Place, offset: int) -> None:
        """A record is done: everything it changed is kept, or will be before the offset is committed."""
        if self._done.get(place) == offset:
            self._done[place] = offset + 1
