"""What every reader of an official list is: a file → its entries, one at a time."""

import collections
import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One party on a list, as the list says it.

    `programmes` are ours (empty: a list that is no programme here). `number` is the publisher's own. `identifiers` are
    values without their kinds: registration codes, ISIN, LEI. `place` says where it stands in the file. `reason` is
    the list's own ground, in its words.
    """

    programmes: tuple[str, ...]
    list_name: str
    name: str
    place: str
    citation: str
    number: str | None = None
    aliases: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    since: datetime.date | None = None
    until: datetime.date | None = None
    person: bool = False
    reason: str | None = None


@dataclasses.dataclass(slots=True)
class Tally:
    """What a reader saw by the way: entries by list, and the day the file itself names as its own."""

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    published: datetime.date | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """A format.

    `programmes`: those that a list of the file stands for, by the list's name in `Tally.counts`. `whole`: lists that
    are never empty in a whole file; `files`: where the publisher has several, each by a list in it; `kind` of
    source. `read` raises RuleError for a file that is cut off or another format.
    """

    name: str
    title: str
    url: str
    programmes: dict[str, tuple[str, ...]]
    read: Callable[[Path, Tally], Iterator[Entry]]
    whole: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    kind: Literal["copy_of_primary", "transcription_of_primary"] = "copy_of_primary"

    def file_of(self, counts: Mapping[str, int]) -> str:
        """Which of the publisher's files this is, by the lists in it: each is compared with its own last import."""
        return next((file for name, file in self.files if counts.get(name)), self.name)
