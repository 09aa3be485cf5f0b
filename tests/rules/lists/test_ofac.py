"""OFAC's advanced XML: names, numbers, days and programmes, as a stream, and nothing that XML can do to a reader."""

import tracemalloc
from pathlib import Path

import pytest

from rules.errors import RuleError
from rules.lists.ofac import READER
from rules.lists.reader import Entry, Tally
from tests.rules.lists.published import NAMESPACE, OLD_NAMESPACE, day, ofac_xml, party

HIKVISION = party(
    "HANGZHOU HIKVISION DIGITAL TECHNOLOGY CO., LTD.", "30946", "CMIC", since="2021-06-03", tags=("CMIC-EO13959",),
    aliases=("HIKVISION", "海康威视"), ids=("91330000733796106P",), isin="CNE100000PM8", country="11065",
)  # fmt: skip


def read(path: Path) -> tuple[list[Entry], Tally]:
    tally = Tally()
    return list(READER.read(path, tally)), tally


@pytest.mark.parametrize("namespace", [NAMESPACE, OLD_NAMESPACE])
def test_a_party_is_read_with_all_that_ties_it_to_a_company(tmp_path: Path, namespace: str) -> None:
    [entry], tally = read(ofac_xml(tmp_path / "cons.xml", [HIKVISION], namespace=namespace))
    assert tally.published == day("2026-10-01") and tally.counts == {"CMIC": 1}
    assert entry.name == "HANGZHOU HIKVISION DIGITAL TECHNOLOGY CO., LTD." and entry.number == "30946"
    assert entry.aliases == ("HIKVISION", "海康威视") and entry.programmes == ("US-NS-CMIC",)
    assert set(entry.identifiers) == {"91330000733796106P", "CNE100000PM8"} and entry.countries == ("CN",)
    assert entry.since == day("2021-06-03")
    assert entry.citation == "Executive Order 14032 (China); CMIC-EO13959; OFAC UID 30946"


def test_lists_that_are_no_programme_here_are_counted_only(tmp_path: Path) -> None:
    entries, tally = read(ofac_xml(tmp_path / "x.xml", [party("A B", "1", "other"), party("C D", "2")]))
    assert [entry.name for entry in entries] == ["C D"] and tally.counts == {"other": 1, "SDN": 1}


def test_an_entry_of_the_consolidated_list_is_known_by_its_tag(tmp_path: Path) -> None:
    [entry], tally = read(ofac_xml(tmp_path / "x.xml", [party("A B", "1", "other", tags=("CMIC-EO13959",))]))
    assert entry.programmes == ("US-NS-CMIC",) and tally.counts == {"CMIC": 1}


def test_the_tag_of_global_magnitsky_is_a_programme_of_its_own(tmp_path: Path) -> None:
    entries, _ = read(
        ofac_xml(tmp_path / "x.xml", [party("A B", "1", tags=("GLOMAG",)), party("C D", "2", tags=("SDGT",))])
    )
    assert entries[0].programmes == ("US-OFAC-SDN", "US-GLOMAG") and entries[1].programmes == ("US-OFAC-SDN",)


def test_a_person_is_known_as_one(tmp_path: Path) -> None:
    [entry], _ = read(ofac_xml(tmp_path / "x.xml", [party("WANG, Hikvision", "1", person=True)]))
    assert entry.person


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = ofac_xml(tmp_path / "whole.xml", [HIKVISION]).read_bytes().rstrip()
    for cut in range(0, len(whole), 37):
        path = tmp_path / "cut.xml"
        path.write_bytes(whole[:cut])
        with pytest.raises(RuleError, match="cut off or no XML"):
            read(path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><Sanctions>&a;</Sanctions>', "holds what no list needs"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><Sanctions/>', "holds what no list needs"),
        ("<sdnList><sdnEntry/></sdnList>", "begins with <sdnList>"),
        (
            "<Sanctions><A><SanctionsEntry ID='1' ProfileID='7' ListID='1550'/></A></Sanctions>",
            "its party 7 is not in the file",
        ),
        ("<html>", "begins with <html>"),
        ("source,name\n", "cut off or no XML"),
    ],
)
def test_what_is_no_list_of_ofac_is_refused_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "x.xml"
    path.write_text(text, "utf-8")
    with pytest.raises(RuleError, match=word) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="cannot be read"):
        read(tmp_path / "none.xml")


def test_a_long_list_is_not_held_whole_in_memory(tmp_path: Path) -> None:
    many = [party(f"COMPANY {at} TRADING", str(at), aliases=("ALSO " + "X" * 400,)) for at in range(1, 4001)]
    path = ofac_xml(tmp_path / "long.xml", many)
    tally = Tally()
    tracemalloc.start()
    try:
        count = sum(1 for _ in READER.read(path, tally))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 4000 and peak < 4 * path.stat().st_size
