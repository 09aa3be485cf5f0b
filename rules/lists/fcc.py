"""The FCC Covered List as CSV. The Commission publishes a page, so the table is copied from there, a row a company.

Columns: `name`; where known `aliases` and `identifiers` (parted by |), `country`, `since`, `until`, `citation` and
`reason` (the equipment or service that the list names). A row for a category of products names no company: leave it
out, for a category is a listing of its own kind.
"""

from collections.abc import Iterator
from pathlib import Path

from rules.lists.reader import Entry, Reader, Tally
from rules.typedlist import read_typed

LIST = "FCC"


def read(path: Path, tally: Tally) -> Iterator[Entry]:
    """The companies of the list. Raises RuleError."""
    return read_typed(path, tally, LIST, ("US-FCC",), "FCC Covered List, 47 CFR 1.50002")


READER = Reader(
    name="fcc",
    title="FCC Covered List",
    url="https://www.fcc.gov/supplychain/coveredlist",
    programmes={LIST: ("US-FCC",)},
    read=read,
    whole=(LIST,),
    kind="transcription_of_primary",
)
