"""The Consolidated Screening List: CSV and JSON say the same, and a cut is seen."""

from pathlib import Path

import pytest

from rules.errors import RuleError
from rules.lists.csl import READER
from rules.lists.reader import Entry, Tally
from tests.rules.lists.published import csl_csv, csl_json, day, row

ROWS = [
    row(
        "HANGZHOU HIKVISION DIGITAL TECHNOLOGY CO., LTD.", "CMIC", entity_number="30946", programs="CMIC-EO13959",
        addresses="No. 555, Qianmo Road, Hangzhou, CN", start_date="2021-06-03", alt_names="HIKVISION; HAIKANG WEISHI",
        ids="CN, Unified Social Credit Code (USCC), 91330000733796106P; CN, ISIN, CNE100000PM8",
    ),
    row("Dahua Technology", "EL", federal_register_notice="84 FR 54002", addresses="Hangzhou, CN"),
    row("DAHUA ELECTRONICS CORPORATION", "DPL", addresses="FLUSHING, NY, US", end_date="2025-11-19"),
    row("SOMEBODY, Jane", "SDN", type="Individual", programs="GLOMAG"),
    row("A Bank", "NS-MBS"),
]  # fmt: skip


def read(path: Path) -> tuple[list[Entry], Tally]:
    tally = Tally()
    return list(READER.read(path, tally)), tally


@pytest.mark.parametrize("make", [csl_csv, csl_json])
def test_every_row_is_read_with_its_list(tmp_path: Path, make: object) -> None:
    entries, tally = read(make(tmp_path / "consolidated", ROWS))  # type: ignore[operator]
    assert tally.counts == {"CMIC": 1, "EL": 1, "DPL": 1, "SDN": 1, "NS-MBS": 1} and tally.published is None
    hikvision, dahua, other, person, bank = entries
    assert hikvision.programmes == ("US-NS-CMIC",) and hikvision.number == "30946"
    assert {"91330000733796106P", "CNE100000PM8"} <= set(hikvision.identifiers) and hikvision.countries == ("CN",)
    assert hikvision.aliases == ("HIKVISION", "HAIKANG WEISHI") and hikvision.since == day("2021-06-03")
    assert dahua.programmes == ("US-BIS-EL",) and dahua.citation.startswith("84 FR 54002; Entity List")
    assert other.programmes == () and other.until == day("2025-11-19") and other.countries == ("US",)
    assert person.person and person.programmes == ("US-OFAC-SDN", "US-GLOMAG")
    assert bank.programmes == ()


def test_a_json_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = csl_json(tmp_path / "whole", ROWS).read_bytes()
    for cut in range(1, len(whole) - 1, 41):
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        with pytest.raises(RuleError, match="cut off"):
            read(path)


def test_a_csv_file_that_is_cut_off_within_a_row_is_refused(tmp_path: Path) -> None:
    whole = csl_csv(tmp_path / "whole", ROWS).read_bytes()
    heading = whole.index(b"\n") + 1
    refused = 0
    for cut in range(heading, len(whole) - 1, 7):
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        # A cut at a row's end, or within its last column, is for the counts and the names to see.
        rows = whole[:cut].decode().splitlines()
        if rows[-1].count(",") >= len(ROWS[0]) - 1:
            continue
        if cut > heading and not whole[:cut].endswith(b"\n"):
            with pytest.raises(RuleError, match="cut off"):
                read(path)
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "line 1: has no column source, name"),
        ("name,source\nx,y\n", "has no column alt_names"),
        ('{"results": [1]}', "is no object"),
        ("a,b\n\xff", "has no column"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "x"
    path.write_text(text, "utf-8")
    with pytest.raises(RuleError, match=word):
        read(path)


def test_a_day_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="line 2: 'soon' is no day"):
        read(csl_csv(tmp_path / "x", [row("A B", start_date="soon")]))
