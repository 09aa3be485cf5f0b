"""A list is taken whole or refused whole: the public feeds' failures, one by one, and the traps of editions."""

import dataclasses
import datetime
from pathlib import Path

import msgspec
import pytest

from rules.errors import LenswatchError
from rules.factbook import Facts
from rules.intake import Consent, Loaded, Taken, take
from rules.lists.csl import READER as CSL
from rules.lists.dod1260h import READER as DOD1260H
from rules.lists.fcc import READER as FCC
from rules.lists.ofac import READER as OFAC
from rules.lists.reader import Reader
from rules.match import RuleSet
from tests.rules.lists.published import csl_csv, csl_json, day, ofac_xml, party, row, table, whole_csl

ON = Consent(published=day("2026-11-20"))


@pytest.fixture(scope="module")
def real(shipped: RuleSet) -> Facts:
    return shipped.facts


def refusals(reader: Reader, path: Path, facts: Facts, consent: Consent = ON, last: Loaded | None = None) -> list[str]:
    with pytest.raises(LenswatchError) as refused:
        take(reader, path, facts, consent, {reader.name: last} if last is not None else {})
    return str(refused.value).splitlines()


def loaded(counts: dict[str, int], published: str = "2026-11-01") -> Loaded:
    return Loaded(published=day(published), counts=counts, file="before.csv", sha256="0")


def table_1260h(path: Path, facts: Facts, *without: str, more: str = "") -> Path:
    names = [
        f'"{listing.name_on_list or entity.name}","{entity.country}"'
        for entity in facts.entities.values()
        for listing in entity.listings
        if listing.programme == "US-DOD-1260H" and listing.status == "listed" and listing.until is None
        if entity.id not in without
    ]
    return table(path, "name,country\n" + "\n".join(names) + f"\n{more}")


@pytest.mark.parametrize("make", [csl_csv, csl_json])
def test_a_whole_list_confirms_what_the_facts_say_and_adds_its_source(
    tmp_path: Path, real: Facts, make: object
) -> None:
    taken = take(CSL, make(tmp_path / "csl", whole_csl(real.entities.values())), real, ON)  # type: ignore[operator]
    found = {(each.entity, each.programme): each for each in taken.listings.listing}
    old = next(each for each in real.entities["hikvision"].listings if each.programme == "US-BIS-EL")
    new = found["hikvision", "US-BIS-EL"]
    assert (new.since, new.citation, new.status, new.sources) == (
        old.since,
        old.citation,
        "listed",
        ("import-csl", *old.sources),
    )
    assert not any(each.status == "removed" for each in taken.listings.listing)
    assert taken.listings.programmes == ("US-BIS-EL", "US-GLOMAG", "US-NS-CMIC", "US-OFAC-SDN")
    assert taken.counts["DPL"] == 40 and ("dahua", "US-NS-CMIC") not in found


def test_a_new_listing_is_known_from_the_day_of_the_list(tmp_path: Path, real: Facts) -> None:
    parties = [
        party("HANGZHOU HIKVISION DIGITAL TECHNOLOGY CO., LTD.", "60001", since="2026-11-18", tags=("GLOMAG",)),
        party("CEIEC", "60002"), party("INTEGRITY TECHNOLOGY GROUP, INCORPORATED", "60003", since="2025-01-03"),
    ]  # fmt: skip
    taken = take(OFAC, ofac_xml(tmp_path / "sdn.xml", parties, "2026-11-19"), real, Consent())
    [new] = [each for each in taken.listings.listing if (each.entity, each.programme) == ("hikvision", "US-OFAC-SDN")]
    assert (new.since, new.known_since, new.sources) == (day("2026-11-18"), day("2026-11-19"), ("import-ofac-sdn",))
    assert new.citation == "Executive Order 14032 (China); GLOMAG; OFAC UID 60001"
    assert ("hikvision", "US-GLOMAG") in {(each.entity, each.programme) for each in taken.listings.listing}


def test_other_companies_of_the_name_are_kept_as_refused(tmp_path: Path, real: Facts) -> None:
    rows = [
        *whole_csl(real.entities.values()),
        row("DAHUA ELECTRONICS CORPORATION", "DPL", addresses="FLUSHING, NY, US", end_date="2025-11-19"),
        row("REOLINK EZTECH DIGITAL", "EL"),
    ]
    taken = take(CSL, csl_csv(tmp_path / "csl", rows), real, ON)
    other = [each for each in taken.candidates if each.entry.name == "DAHUA ELECTRONICS CORPORATION"]
    assert [(each.entity, each.accepted, each.by) for each in other] == [("dahua", False, "part")]
    assert not any(each.entity == "zte" and "EZTECH" in each.entry.name for each in taken.candidates)


def test_a_list_without_a_part_of_it_is_refused(tmp_path: Path, real: Facts) -> None:
    rows = [each for each in whole_csl(real.entities.values()) if "(SDN)" not in each["source"]]
    found = refusals(CSL, csl_csv(tmp_path / "csl", rows), real)
    assert any("SDN: not one entry of this list; a part of the file is missing" in line for line in found)


def test_a_list_that_shrinks_by_more_than_a_fifth_is_refused_unless_it_is_said_to_be_right(
    tmp_path: Path, real: Facts
) -> None:
    path = csl_csv(tmp_path / "csl", whole_csl(real.entities.values()))
    now = take(CSL, path, real, ON).counts
    before = loaded(now | {"DPL": 51})
    [line] = refusals(CSL, path, real, last=before)
    assert "DPL: 40 entries, 51 on 2026-11-01: 22% fewer, more than 20%" in line and "--accept-shrink" in line
    assert take(CSL, path, real, ON._replace(shrink=True), {"csl": before}).counts == now
    assert take(CSL, path, real, ON, {"csl": loaded(now | {"DPL": 50})}).counts == now


def test_a_list_that_vanished_from_the_file_is_refused(tmp_path: Path, real: Facts) -> None:
    path = csl_csv(tmp_path / "csl", whole_csl(real.entities.values()))
    [line] = refusals(CSL, path, real, last=loaded({"UVL": 100}))
    assert "UVL: 0 entries, 100 on" in line


def test_a_list_without_a_company_that_it_must_name_is_refused_with_who_was_near(tmp_path: Path, real: Facts) -> None:
    rows = [each for each in whole_csl(real.entities.values()) if "DAHUA" not in each["name"]]
    rows.append(row("Dahua Technology Hangzhou Branch", "EL"))
    [line] = refusals(CSL, csl_csv(tmp_path / "csl", rows), real)
    assert "US-BIS-EL: does not name Zhejiang Dahua Technology Co., Ltd. (dahua), listed since 2019-10-09" in line
    assert "(refused: Dahua Technology Hangzhou Branch)" in line and "--removed COMPANY" in line


def test_a_company_that_is_rightly_off_the_list_is_written_as_removed(tmp_path: Path, real: Facts) -> None:
    rows = [each for each in whole_csl(real.entities.values()) if "TIANDY" not in each["name"]]
    consent = ON._replace(removed=frozenset({"tiandy"}))
    taken = take(CSL, csl_csv(tmp_path / "csl", rows), real, consent)
    [gone] = [each for each in taken.listings.listing if each.status == "removed"]
    assert (gone.entity, gone.since, gone.until, gone.end_published) == (
        "tiandy", day("2022-12-16"), day("2026-11-19"), day("2026-11-20"),
    )  # fmt: skip


def test_a_party_can_be_said_to_be_a_company_by_hand(tmp_path: Path, real: Facts) -> None:
    rows = [each for each in whole_csl(real.entities.values()) if "DAHUA" not in each["name"]]
    rows.append(row("DH Renamed Holdings", "EL"))
    consent = ON._replace(same={"DH Renamed Holdings": "dahua"})
    taken = take(CSL, csl_csv(tmp_path / "csl", rows), real, consent)
    [found] = [each for each in taken.listings.listing if each.entity == "dahua"]
    assert found.name_on_list == "DH Renamed Holdings"


def test_what_was_said_by_hand_and_does_not_fit_the_list_is_refused(tmp_path: Path, real: Facts) -> None:
    path = csl_csv(tmp_path / "csl", whole_csl(real.entities.values()))
    [line] = refusals(CSL, path, real, ON._replace(same={"DH Renamed": "dahua"}))
    assert "names no party 'DH Renamed'; write --same dahua=NAME" in line
    [line] = refusals(CSL, path, real, ON._replace(removed=frozenset({"tiandy", "xiongmai"})))
    assert "names tiandy, of which --removed says that it is off the list" in line
    # Off the Entity List, and on another list of the same file.
    rows = [
        each
        for each in whole_csl(real.entities.values())
        if not ("HIKVISION" in each["name"] and each["source"].startswith("Entity"))
    ]
    taken = take(CSL, csl_csv(tmp_path / "off", rows), real, ON._replace(removed=frozenset({"hikvision"})))
    told = {each.programme: each.status for each in taken.listings.listing if each.entity == "hikvision"}
    assert told == {"US-BIS-EL": "removed", "US-NS-CMIC": "listed"}


def test_a_list_of_a_day_that_is_still_to_come_is_refused(tmp_path: Path, real: Facts) -> None:
    path = csl_csv(tmp_path / "csl", whole_csl(real.entities.values()))
    day = ON.published
    assert day is not None
    take(CSL, path, real, ON._replace(today=day - datetime.timedelta(days=1)))
    [line] = refusals(CSL, path, real, ON._replace(today=day - datetime.timedelta(days=2)))
    assert f"is of {day}, still to come (today is {day - datetime.timedelta(days=2)}); check the day" in line


def test_an_older_list_than_the_loaded_one_is_refused(tmp_path: Path, real: Facts) -> None:
    path = csl_csv(tmp_path / "csl", whole_csl(real.entities.values()))
    [line] = refusals(CSL, path, real, last=loaded({}, "2026-11-21"))
    assert "is of 2026-11-20, older than what is loaded (2026-11-21, before.csv)" in line


def test_a_list_that_does_not_say_its_day_needs_it_said(tmp_path: Path, real: Facts) -> None:
    path = csl_csv(tmp_path / "csl", whole_csl(real.entities.values()))
    assert "does not say its day" in refusals(CSL, path, real, Consent())[0]


def test_a_day_that_the_file_contradicts_is_refused(tmp_path: Path, real: Facts) -> None:
    path = ofac_xml(tmp_path / "sdn.xml", [party("CEIEC", "1"), party("Integrity Technology Group", "2")], "2026-11-19")
    assert "says that it is of 2026-11-19, not of 2026-11-20" in refusals(OFAC, path, real)[0]


def test_an_edition_that_was_withdrawn_is_refused(tmp_path: Path, real: Facts) -> None:
    path = table_1260h(tmp_path / "x.csv", real)
    found = refusals(DOD1260H, path, real, Consent(published=day("2026-02-13")))
    assert any("the edition of 2026-02-13 was withdrawn and never applied (wt-feb2026)" in line for line in found)


def test_an_edition_before_the_loaded_one_is_refused(tmp_path: Path, real: Facts) -> None:
    path = table_1260h(tmp_path / "x.csv", real)
    found = refusals(DOD1260H, path, real, Consent(published=day("2025-01-07")))
    assert any("older than the edition that is loaded (2026-06-08)" in line for line in found)


def test_a_new_edition_keeps_the_first_day_and_adds_itself_and_makes_no_military_link(
    tmp_path: Path, real: Facts
) -> None:
    more = '"Zhejiang Uniview Technologies Co., Ltd.",CN\n'
    taken = take(DOD1260H, table_1260h(tmp_path / "x.csv", real, more=more), real, ON)
    found = {each.entity: each for each in taken.listings.listing}
    assert found["hikvision"].since == day("2021-06-03") and found["hikvision"].editions[-1] == day("2026-11-20")
    assert found["uniview"].since == day("2026-11-20") and found["uniview"].known_since == day("2026-11-20")
    assert "megvii" not in found, "it was removed in 2025, and the edition does not name it"
    assert "ezviz" not in found and "cetc-52" not in found
    assert (found["hikvision"].confidence, found["uniview"].confidence) == ("high", "medium"), "a table made by hand"
    assert real.entities["uniview"].military_link is None


def test_an_old_row_that_a_copy_left_open_is_refused_and_a_new_day_is_a_new_listing(
    tmp_path: Path, real: Facts
) -> None:
    from rules.edition import apply_editions

    row = '"Beijing Megvii Technology Co., Ltd.",CN\n'
    [line] = refusals(DOD1260H, table_1260h(tmp_path / "x.csv", real, more=row), real)
    assert (
        "(megvii), whose listing ended on 2025-01-0" in line and "is it an old row? Else say --relisted megvii" in line
    )
    consent = ON._replace(relisted=frozenset({"megvii"}))
    taken = take(DOD1260H, table_1260h(tmp_path / "x.csv", real, more=row), real, consent)
    entities, programmes = apply_editions(real.entities, real.programmes, [taken.listings])
    found = [each for each in entities["megvii"].listings if each.programme == "US-DOD-1260H"]
    assert [(each.status, each.since) for each in found] == [
        ("removed", day("2024-01-31")), ("listed", day("2026-11-20")),
    ]  # fmt: skip
    after = dataclasses.replace(real, entities=entities, programmes=programmes)
    again = take(DOD1260H, table_1260h(tmp_path / "x.csv", real, more=row), after, ON)
    assert again.listings == taken.listings


def test_a_row_that_had_ended_is_no_listing(tmp_path: Path, real: Facts) -> None:
    text = table_1260h(tmp_path / "x.csv", real).read_text("utf-8").replace("name,country\n", "name,country,until\n")
    rows = [f"{line}," if at else line for at, line in enumerate(text.strip().splitlines())]
    rows.append('"Beijing Megvii Technology Co., Ltd.",CN,2025-01-06')
    taken = take(DOD1260H, table(tmp_path / "x.csv", "\n".join(rows)), real, ON)
    assert not any(each.entity == "megvii" for each in taken.listings.listing)


def test_an_earlier_removal_is_not_undone_by_the_next_list(tmp_path: Path, real: Facts) -> None:
    from rules.edition import apply_editions

    path = table_1260h(tmp_path / "x.csv", real, "quectel")
    first = take(DOD1260H, path, real, ON._replace(removed=frozenset({"quectel"})))
    entities, programmes = apply_editions(real.entities, real.programmes, [first.listings])
    after = dataclasses.replace(real, entities=entities, programmes=programmes)
    second = take(DOD1260H, path, after, Consent(published=day("2026-11-27")))
    gone = [each for each in second.listings.listing if each.entity == "quectel"]
    assert [(each.status, each.until) for each in gone] == [("removed", day("2026-11-19"))]


def test_taking_the_same_list_twice_says_the_same(tmp_path: Path, real: Facts) -> None:
    from rules.edition import apply_editions

    text = "name,reason\n" + "".join(
        f'"{entity.name}","video equipment"\n'
        for entity in real.entities.values()
        if any(each.programme == "US-FCC" and each.status == "listed" for each in entity.listings)
    )
    path = table(tmp_path / "fcc.csv", text)

    def again(facts: Facts) -> Taken:
        return take(FCC, path, facts, ON)

    first = again(real)
    entities, programmes = apply_editions(real.entities, real.programmes, [first.listings])
    second = again(dataclasses.replace(real, entities=entities, programmes=programmes))
    assert msgspec.json.encode(second.listings) == msgspec.json.encode(first.listings)


def test_what_ended_before_the_list_s_day_is_no_listing(tmp_path: Path, real: Facts) -> None:
    rows = whole_csl(real.entities.values())
    rows.append(row("HANGZHOU XIONGMAI TECHNOLOGY CO., LTD.", "EL", end_date="2025-11-19"))
    taken = take(CSL, csl_csv(tmp_path / "csl", rows), real, ON)
    assert not any(each.entity == "xiongmai" for each in taken.listings.listing)
