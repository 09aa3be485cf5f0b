"""Nine traps that the official lists and their copies set, each by its number: what must not be taken for what."""

import dataclasses
import datetime
from pathlib import Path

import msgspec
import pytest

from rules.errors import LenswatchError
from rules.fact import Entity, Listing
from rules.factbook import SHIPPED, Facts, read_facts
from rules.intake import Consent, Taken, take
from rules.knowledge import known_at
from rules.listing import military_link, standing
from rules.lists.csl import READER as CSL
from rules.lists.dod1260h import READER as DOD1260H
from rules.lists.reader import Entry
from rules.match import RuleSet
from rules.namesake import Candidate, Namesakes
from rules.scenario import assume
from rules.verdict import Judge, Question, rank
from tests.rules.lists.published import csl_csv, day, row, table, whole_csl

NOW = day("2026-11-20")
LIST = "US-DOD-1260H"
OWN = """
id = "{id}"
name = "{name}"
kind = "company"
country = "CN"
sources = ["opensanctions-1260h"]
confidence = "medium"

[[listings]]
programme = "US-DOD-1260H"
status = "{status}"
since = 2024-01-31
published = 2024-04-02
citation = "FR doc 2024-06895"
editions = [{editions}]
sources = ["opensanctions-1260h"]
confidence = "medium"
{more}
"""


@pytest.fixture(scope="module")
def facts(shipped: RuleSet) -> Facts:
    return shipped.facts


@pytest.fixture(scope="module")
def namesakes(facts: Facts) -> Namesakes:
    return Namesakes(facts.entities.values())


def party(name: str, programme: str = "US-BIS-EL", on: str = "EL") -> Entry:
    return Entry(programmes=(programme,), list_name=on, name=name, place="row 2", citation="", countries=("CN",))


def taken_for(found: list[Candidate]) -> set[str]:
    return {each.entity for each in found if each.accepted}


def with_company(facts: Facts, company: Entity) -> Facts:
    return dataclasses.replace(facts, entities=facts.entities | {company.id: company})


def own(folder: Path, id: str, name: str, editions: str, status: str = "listed", more: str = "") -> Facts:
    """The shipped facts and a company of one's own that was on the list of 2024-01-31."""
    path = folder / "own" / "entities" / f"{id}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OWN.format(id=id, name=name, editions=editions, status=status, more=more), "utf-8")
    return read_facts([SHIPPED, folder / "own"])


def edition(path: Path, facts: Facts, *more: str) -> Path:
    """A table of the list: whoever is on it today, and more rows (name, country, since, until)."""
    rows = [
        f'"{listing.name_on_list or entity.name}",{entity.country},,'
        for entity in facts.entities.values()
        for listing in entity.listings
        if listing.programme == LIST and listing.status == "listed" and listing.until is None
    ]
    return table(path, "\n".join(("name,country,since,until", *rows, *more)) + "\n")


def imported(path: Path, facts: Facts, published: datetime.date = NOW, **more: frozenset[str]) -> Taken:
    return take(DOD1260H, path, facts, Consent(published=published, **more))  # type: ignore[arg-type]


def basis(facts: Facts, company: str, on: str, programme: str = LIST) -> str:
    return Judge(facts).position(company, programme, day(on)).basis


def test_trap_1_dahua_electronics_of_flushing_is_not_the_camera_maker(
    tmp_path: Path, facts: Facts, namesakes: Namesakes
) -> None:
    name = "DAHUA ELECTRONICS CORPORATION"
    assert taken_for(namesakes.candidates(party(name))) == set()
    denied = row(
        name, "DPL", addresses="FLUSHING, NY, US", start_date="2017-09-28", end_date="2025-11-19",
        federal_register_notice="82 FR 46480",
    )  # fmt: skip
    taken = take(CSL, csl_csv(tmp_path / "csl.csv", [*whole_csl(facts.entities.values()), denied]), facts, Consent(NOW))
    (kept,) = [each for each in taken.candidates if each.entry.name == name]
    assert (kept.entity, kept.accepted) == (
        "dahua",
        False,
    ) and "'electronics' beside it: another company" in kept.reason
    (listing,) = [each for each in taken.listings.listing if each.entity == "dahua"]
    assert (listing.programme, listing.since) == ("US-BIS-EL", day("2019-10-09"))


def test_trap_2_the_letters_zte_within_reolink_eztech_digital_are_not_zte(namesakes: Namesakes) -> None:
    found = namesakes.candidates(party("REOLINK EZTECH DIGITAL"))
    assert taken_for(found) == set() and "zte" not in {each.entity for each in found}
    assert taken_for(namesakes.candidates(party("ZTE Corporation", "US-FCC", "FCC"))) == {"zte"}


@pytest.mark.parametrize(
    ("id", "name"),
    [("amec", "Advanced Micro-Fabrication Equipment Inc. China"), ("idg", "IDG Capital Partners Beijing")],
)
def test_trap_3_a_row_that_a_copy_left_open_is_no_listing_on_a_day_of_later_editions(
    tmp_path: Path, facts: Facts, id: str, name: str
) -> None:
    # A copy that leaves the row of 2024 open is refused as a fact,
    with pytest.raises(LenswatchError, match=rf"{id}\.toml: listings\[0\]\.until: .*newest edition.*2026-06-08"):
        own(tmp_path, id, name, "2024-01-31")
    # the editions say on which days the company was listed,
    ended = own(tmp_path, id, name, "2024-01-31", "removed", "until = 2024-12-31")
    on = ("2024-01-30", "2024-01-31", "2024-12-31", "2025-01-01", "2025-01-07", "2026-06-08", "2026-11-20")
    assert [basis(ended, id, each) for each in on] == ["not_found", "named", "named", *["not_found"] * 4]
    # and the open row of a copy that is imported later does not list it anew, until a person says that it is.
    copy = edition(tmp_path / "copy.csv", ended, f'"{name}",CN,2024-01-31,')
    with pytest.raises(LenswatchError, match=rf"ended on 2024-12-31, with no newer day; .* Else say --relisted {id}"):
        imported(copy, ended)
    (again,) = [each for each in imported(copy, ended, relisted=frozenset({id})).listings.listing if each.entity == id]
    assert again.status == "listed"
    assert not any(
        each.entity == id for each in imported(edition(tmp_path / "true.csv", ended), ended).listings.listing
    )


def test_trap_4_the_list_of_2026_02_13_never_applied_and_ended_nobodys_listing(tmp_path: Path, facts: Facts) -> None:
    withdrawn = day("2026-02-13")
    assert [each.date for each in facts.programmes[LIST].editions if each.withdrawn] == [withdrawn]
    with pytest.raises(LenswatchError, match="the edition of 2026-02-13 was withdrawn and never applied"):
        imported(edition(tmp_path / "x.csv", facts), facts, withdrawn)
    # Who was on the list before and after was on it all the time: a copy's end of 2026-02-17 is none.
    name, editions = "Yangtze Memory Technologies Co., Ltd.", "2024-01-31, 2025-01-07, 2026-06-08"
    ymtc = own(tmp_path, "ymtc", name, editions)
    assert {basis(ymtc, "ymtc", each) for each in ("2026-02-12", "2026-02-13", "2026-02-17", "2026-03-01")} == {"named"}
    ended = f'"{name}",CN,2024-01-31,2026-02-17'
    with pytest.raises(LenswatchError, match=r"does not name .*\(ymtc\), listed since 2024-01-31"):
        imported(edition(tmp_path / "y.csv", facts, ended), ymtc)
    # Nor does the row that such a copy begins afterwards begin the listing anew.
    (kept,) = [
        each
        for each in imported(
            edition(tmp_path / "z.csv", facts, ended, f'"{name}",CN,2026-06-08,'), ymtc
        ).listings.listing
        if each.entity == "ymtc"
    ]
    assert (kept.since, kept.until, kept.citation) == (day("2024-01-31"), None, "FR doc 2024-06895")
    assert kept.editions == (*map(day, editions.split(", ")), NOW)
    with pytest.raises(LenswatchError, match="2026-02-13 is no edition of US-DOD-1260H that applied"):
        own(tmp_path, "ymtc", name, f"{editions}, 2026-02-13")
    # Whom that list alone named was listed on no day, whatever could be known on it.
    listing = Listing(
        programme=LIST, status="listed", citation="withdrawn", sources=("wt-feb2026",), confidence="high",
        since=withdrawn, published=withdrawn, withdrawn=withdrawn, editions=(withdrawn,),
    )  # fmt: skip
    only = with_company(
        facts, msgspec.structs.replace(facts.entities["xiongmai"], listings=(listing,), not_found_on=())
    )
    for known in ("2026-02-13", "2026-02-14", "2026-11-20"):
        assert basis(known_at(only, day(known)), "xiongmai", "2026-02-13") == "not_found"


def test_trap_5_ezviz_is_held_by_60_percent_or_48_as_of_the_day_and_that_decides(facts: Facts) -> None:
    blocked = Judge(assume(facts, facts.scenarios["hikvision-sdn-45"], day("2022-12-01")))
    before = blocked.position("ezviz", "US-OFAC-SDN", day("2022-12-27"))
    assert (before.basis, [link.percent for link in before.links]) == ("ownership", [60.0])
    assert blocked.position("ezviz", "US-OFAC-SDN", day("2022-12-28")).basis == "not_found"
    # Section 889 names no share.
    assert blocked.position("ezviz", "US-MCCAIN-889", NOW).basis == "derived"


def test_trap_6_the_two_tp_links_are_two_companies_and_the_brand_is_neither(facts: Facts, namesakes: Namesakes) -> None:
    assert basis(facts, "tplink-technologies", "2026-11-20") == "named"
    assert basis(facts, "tplink-systems", "2026-11-20") == "not_found"
    assert "tplinknbu.com" in " ".join(each.name for each in facts.endpoints["tplink-systems"].endpoint)
    assert taken_for(namesakes.candidates(party("TP-LINK TECHNOLOGIES CO., LTD.", LIST, "1260H"))) == {
        "tplink-technologies"
    }
    found = namesakes.candidates(party("TP-Link", LIST, "1260H"))
    assert taken_for(found) == set() and {each.entity for each in found} >= {"tplink-technologies", "tplink-systems"}


@pytest.mark.parametrize(
    ("name", "programme", "on"),
    [
        ("SenseTime Group Limited", "US-NS-CMIC", "CMIC"),
        ("SenseTime Group, Inc.", LIST, "1260H"),
        ("Sense Time", "US-BIS-EL", "EL"),
    ],
)
def test_trap_7_sensetime_has_three_names_on_three_lists(
    facts: Facts, namesakes: Namesakes, name: str, programme: str, on: str
) -> None:
    assert taken_for(namesakes.candidates(party(name, programme, on))) == {"sensetime"}
    listed = {each.programme: each.name_on_list for each in facts.entities["sensetime"].listings}
    assert listed["US-NS-CMIC"] == "SenseTime Group Limited" and listed[LIST] == "SenseTime Group, Inc."


def test_trap_8_the_52nd_institute_is_not_on_the_list_because_its_family_is(tmp_path: Path, facts: Facts) -> None:
    rows = [f'"China Electronics Technology Group Corporation {number} Research Institute",CN,,' for number in
            ("14th", "15th", "32nd")]  # fmt: skip
    taken = imported(edition(tmp_path / "x.csv", facts, *rows), facts)
    named = {each.entity for each in taken.listings.listing}
    assert "cetc" in named and not named & {"cetc-52", "cethik"}
    for company in ("cetc-52", "cethik"):
        assert facts.entities[company].listings == ()
        for programme in (LIST, "US-BIS-EL", "US-NS-CMIC"):
            question = Question(company, "device_present", NOW, relation="made")
            said = Judge(facts).judge(question, programme, "us-dod-contractor")
            assert said.basis != "named" and rank(said.outcome) >= rank("review"), said


def test_trap_9_to_be_on_the_list_is_no_link_to_the_pla_and_the_grounds_are_the_lists_own(facts: Facts) -> None:
    on_list = {id for id in facts.entities if basis(facts, id, "2026-11-20") == "named"}
    linked = {
        id for id in on_list if "pla" in (standing(facts.entities[id], facts.programmes, NOW).military_grounds or ())
    }
    assert linked == {"cetc", "hikvision", "tencent", "tplink-technologies", "yitu"} and len(on_list) > 20
    for id in ("dahua", "huawei", "sensetime", "cloudwalk", "quectel", "alibaba", "baidu"):
        assert id in on_list and military_link(facts.entities[id], NOW) is None, id
    for id in linked:
        link = military_link(facts.entities[id], NOW)
        assert link is not None and "PLA" in link.claim and "91 FR 35189" in link.citation, id
