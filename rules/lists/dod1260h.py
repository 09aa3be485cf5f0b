"""An edition of the Section 1260H list as CSV. The Department publishes it as PDF, so the table is made by whoever
imports it: one row a company, the edition's day given beside the file.

Columns: `name`; where known `aliases` and `identifiers` (parted by |), `country`, `since`, `until`, `citation` and
`reason` (the ground that the Department states). A stated ground is kept as the list's words: it makes no
military link, which is a fact of its own with a citation of its own.
"""

from collections.abc import Iterator
from pathlib import Path

from rules.lists.reader import Entry, Reader, Tally
from rules.typedlist import read_typed

LIST = "1260H"


def read(path: Path, tally: Tally) -> Iterator[Entry]:
    """The companies of the edition. Raises RuleError."""
    return read_typed(path, tally, LIST, ("US-DOD-1260H",), "FY2021 NDAA § 1260H")


READER = Reader(
    name="1260h",
    title="Section 1260H list of Chinese military companies",
    url="https://www.federalregister.gov/citation/91-FR-35189",
    programmes={LIST: ("US-DOD-1260H",)},
    read=read,
    whole=(LIST,),
    kind="transcription_of_primary",
)
