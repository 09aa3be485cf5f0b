"""The Consolidated Screening List of the International Trade Administration, as CSV or JSON, read as a stream.

Format: data.trade.gov, "Consolidated Screening List", file v1: 29 columns in CSV, `{"results": […]}` in JSON, the same
names. `source` names the list with its abbreviation: "Entity List (EL) - Bureau of Industry and Security". In CSV
several values stand in one column, parted by "; ", and an address ends in its country.
"""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rules.errors import RuleError
from rules.lists.reader import Entry, Reader, Tally
from rules.table import read_table

PROGRAMMES: Final = {
    "SDN": ("US-OFAC-SDN", "US-GLOMAG"),
    "EL": ("US-BIS-EL",),
    "CMIC": ("US-NS-CMIC",),
}
COLUMNS: Final = ("source", "name", "alt_names", "ids", "start_date", "federal_register_notice")
ABBREVIATION = re.compile(r"\(([A-Z][A-Za-z-]{1,7})(?: List)?\)")


def read(path: Path, tally: Tally) -> Iterator[Entry]:
    """The entries of all lists in the file; those of no programme here have no `programmes`. Raises RuleError."""
    rows = _read_json(path) if _is_json(path) else read_table(path, COLUMNS)
    for place, row in rows:
        source = _text(row.get("source"))
        found = ABBREVIATION.search(source)
        list_name = found[1] if found else source or "?"
        tally.counts[list_name] += 1
        entry = _entry(path, place, row, list_name)
        if entry is not None:
            yield entry


def _entry(path: Path, place: str, row: dict[str, Any], list_name: str) -> Entry | None:
    name = _text(row.get("name"))
    if not name:
        return None
    tags = _many(row.get("programs"))
    programmes = PROGRAMMES.get(list_name, ())
    if list_name == "SDN" and not any(tag.startswith("GLOMAG") for tag in tags):
        programmes = ("US-OFAC-SDN",)
    notice = _text(row.get("federal_register_notice"))
    words = [
        notice,
        *tags,
        _text(row.get("source")),
        f"number {row['entity_number']}" if row.get("entity_number") else "",
    ]
    return Entry(
        programmes=programmes,
        list_name=list_name,
        name=name,
        aliases=_many(row.get("alt_names")),
        place=place,
        citation="; ".join(word for word in words if word),
        number=_text(row.get("entity_number")) or None,
        identifiers=_identifiers(row.get("ids")),
        countries=_countries(row),
        since=_day(path, place, row.get("start_date")),
        until=_day(path, place, row.get("end_date")),
        person=_text(row.get("type")).casefold() == "individual",
    )


def _is_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    except OSError as error:
        raise RuleError(path, "", f"cannot be read: {error.strerror or error}") from error


def _read_json(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import ijson

    number = 0
    try:
        with path.open("rb") as file:
            for number, row in enumerate(ijson.items(file, "results.item"), 1):
                if not isinstance(row, dict):
                    raise RuleError(
                        path, f"results[{number - 1}]", "is no object; this is no Consolidated Screening List"
                    )
                yield f"results[{number - 1}]", row
    except ijson.JSONError as error:
        raise RuleError(path, f"after {number} entries", "is cut off or no JSON; fetch it again") from error
    except UnicodeDecodeError as error:
        raise RuleError(path, f"after {number} entries", "is not UTF-8; fetch it again") from error


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _many(value: Any) -> tuple[str, ...]:
    """A list of JSON, or a column with several values."""
    parts = value if isinstance(value, list) else _text(value).split(";")
    return tuple(dict.fromkeys(text for part in parts if (text := _text(part))))


def _identifiers(value: Any) -> tuple[str, ...]:
    """Each identifier's value: in JSON its `number`, in CSV every part, since their order is not told."""
    if isinstance(value, list):
        return tuple(_text(each.get("number")) for each in value if isinstance(each, dict) and each.get("number"))
    return tuple(
        dict.fromkeys(
            part.strip() for each in _text(value).split(";") for part in re.split(r"[,:]", each) if part.strip()
        )
    )


def _countries(row: dict[str, Any]) -> tuple[str, ...]:
    addresses = row.get("addresses")
    if isinstance(addresses, list):
        found = [_text(each.get("country")) for each in addresses if isinstance(each, dict)]
    else:
        found = [each.rpartition(",")[2].strip() for each in _text(addresses).split(";")]
    return tuple(sorted({each for each in found if re.fullmatch("[A-Z]{2}", each)}))


def _day(path: Path, place: str, value: Any) -> datetime.date | None:
    text = _text(value)
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise RuleError(path, place, f"{text!r} is no day (YYYY-MM-DD); is the file cut off?") from error


READER = Reader(
    name="csl",
    title="Consolidated Screening List",
    url="https://www.trade.gov/consolidated-screening-list",
    programmes=dict(PROGRAMMES),
    read=read,
    whole=("SDN", "EL", "CMIC"),
)
