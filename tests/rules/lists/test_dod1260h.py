"""The 1260H list as a table: the stated ground is kept as words."""

from pathlib import Path

from rules.lists.dod1260h import READER
from rules.lists.reader import Tally
from tests.rules.lists.published import table


def test_a_row_is_a_company_on_the_programme(tmp_path: Path) -> None:
    text = "name,aliases,reason\nHangzhou Hikvision Digital Technology Co.,Hikvision,directly affiliated with the PLA\n"
    tally = Tally()
    path = table(tmp_path / "x.csv", text.replace("Co.,", "Co. Ltd.,"))
    [entry] = READER.read(path, tally)
    assert entry.programmes == ("US-DOD-1260H",) and entry.reason == "directly affiliated with the PLA"
    assert entry.aliases == ("Hikvision",) and tally.counts == {"1260H": 1}
