"""A list that its publisher gives as a page or PDF, as the table that a person made of it."""

import datetime
from collections.abc import Iterator
from pathlib import Path

from rules.errors import RuleError
from rules.lists.reader import Entry, Tally
from rules.table import read_table


def read_typed(path: Path, tally: Tally, list_name: str, programmes: tuple[str, ...], citation: str) -> Iterator[Entry]:
    """The rows as entries; `citation` where a row has none. Raises RuleError."""
    for place, row in read_table(path, ("name",)):
        name = row["name"].strip()
        if not name:
            raise RuleError(path, place, "has no name; leave out rows that name no company")
        tally.counts[list_name] += 1
        yield Entry(
            programmes=programmes,
            list_name=list_name,
            name=name,
            aliases=_many(row.get("aliases", "")),
            place=place,
            citation=row.get("citation", "").strip() or citation,
            identifiers=_many(row.get("identifiers", "")),
            countries=_many(row.get("country", "")),
            since=_day(path, place, row.get("since", "")),
            until=_day(path, place, row.get("until", "")),
            reason=row.get("reason", "").strip() or None,
        )


def _many(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


def _day(path: Path, place: str, text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text.strip()) if text.strip() else None
    except ValueError as error:
        raise RuleError(path, place, f"{text!r} is no day; write YYYY-MM-DD") from error
