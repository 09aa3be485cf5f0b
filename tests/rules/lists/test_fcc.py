"""The FCC Covered List as a table."""

from pathlib import Path

from rules.lists.fcc import READER
from rules.lists.reader import Tally
from tests.rules.lists.published import day, table


def test_a_row_is_a_company_on_the_list(tmp_path: Path) -> None:
    tally = Tally()
    path = table(tmp_path / "x.csv", "Name,Since,Citation\nHytera Communications Corporation,2021-03-12,DA 21-309\n")
    [entry] = READER.read(path, tally)
    assert entry.programmes == ("US-FCC",) and entry.since == day("2021-03-12") and entry.citation == "DA 21-309"
