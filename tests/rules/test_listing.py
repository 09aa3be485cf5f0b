"""Which listings of a company apply on a day."""

import datetime
from typing import Any

import msgspec
import pytest

from rules.fact import Entity, Listing, MilitaryLink, Programme
from rules.listing import MAX_REMEMBERED, NOTHING_KNOWN, Standings, applies, in_words, military_link, standing
from rules.match import RuleSet

DAY = datetime.date(2026, 11, 2)
BEFORE, AFTER = DAY - datetime.timedelta(days=1), DAY + datetime.timedelta(days=1)


def listing(status: Any = "listed", programme: str = "p", **more: Any) -> Listing:
    return Listing(programme=programme, status=status, citation="c", sources=("s",), confidence="high", **more)


def company(*listings: Listing) -> Entity:
    return Entity(id="e", name="E", kind="company", sources=("s",), confidence="high", listings=listings)


@pytest.mark.parametrize(
    ("since", "until", "in_force"),
    [
        (None, None, True), (DAY, None, True), (AFTER, None, False), (None, DAY, True), (None, BEFORE, False),
        (DAY, DAY, True), (BEFORE, AFTER, True),
    ],
)  # fmt: skip
def test_a_listing_applies_from_its_first_day_to_its_last(
    since: datetime.date | None, until: datetime.date | None, in_force: bool
) -> None:
    assert applies(listing(since=since, until=until), DAY) is in_force


def test_a_finding_that_a_company_is_not_listed_never_applies() -> None:
    assert not applies(listing("not_listed"), DAY)


def test_a_removed_listing_applies_only_to_days_between_known_ends() -> None:
    assert applies(listing("removed", since=BEFORE, until=AFTER), DAY)
    assert not applies(listing("removed", since=BEFORE), DAY)
    assert not applies(listing("removed", until=AFTER), DAY)
    assert not applies(listing("removed", since=BEFORE, until=BEFORE), DAY)


@pytest.mark.parametrize(
    ("status", "listed"),
    [
        ("listed", True), ("derived", True), ("listed_unit", False), ("category", False), ("in_scope_by_rule", False),
        ("named_in_statement", False), ("additional_restriction", False),
    ],
)  # fmt: skip
def test_only_a_listing_of_the_company_itself_makes_it_listed_and_all_are_shown(status: str, listed: bool) -> None:
    found = standing(company(listing(status)), {}, DAY)
    assert found.listed is listed
    assert found.programmes == (("p",) if listed else ())
    assert [basis.status for basis in found.listings] == [status]


def test_listings_of_the_company_itself_come_first_then_by_day() -> None:
    entity = company(
        listing("category", "c"),
        listing("listed", "b", since=DAY),
        listing("listed", "a", since=BEFORE),
        listing("derived", "d"),
    )
    assert [basis.programme for basis in standing(entity, {}, DAY).listings] == ["d", "a", "b", "c"]


def test_a_listing_carries_the_programmes_name_and_its_citation() -> None:
    programme = Programme(
        id="p",
        name="The List",
        authority="A",
        jurisdiction="US",
        kind="list",
        what_it_prohibits="x",
        sources=("s",),
        confidence="high",
    )
    basis = standing(company(listing(since=DAY, note="n")), {"p": programme}, DAY).listings[0]
    assert (basis.programme_name, basis.citation, basis.sources, basis.since, basis.note) == (
        "The List",
        "c",
        ["s"],
        DAY,
        "n",
    )


def test_standings_are_remembered_by_company_and_day() -> None:
    standings = Standings({"e": company(listing(since=DAY))}, {})
    assert standings.on("e", DAY).listed
    assert standings.on("e", DAY) is standings.on("e", DAY)
    assert not standings.on("e", BEFORE).listed
    assert standings.on("unknown", DAY) == NOTHING_KNOWN


def test_what_is_remembered_is_bounded() -> None:
    standings = Standings({"e": company(listing(since=DAY))}, {})
    for days in range(MAX_REMEMBERED + 10):
        assert standings.on("e", DAY + datetime.timedelta(days=days)).listed
    assert len(standings._remembered) <= MAX_REMEMBERED


def test_listings_are_said_in_one_clause() -> None:
    names = ["p1", "p2", "p3", "p4", "p5"]
    found = [
        standing(company(*(listing(programme=name) for name in names[:count])), {}, DAY).listings for count in range(6)
    ]
    assert in_words(found[0]) == "no listing of the company on that day is known here"
    assert in_words(found[1]) == "the company is listed under p1"
    assert in_words(found[2]) == "the company is listed under p1 and p2"
    assert in_words(found[3]) == "the company is listed under p1, p2 and p3"
    assert in_words(found[5]) == "the company is listed under p1, p2, p3 and 2 more"
    unit = standing(company(listing("listed_unit")), {}, DAY).listings
    assert in_words(unit) == "no listing of the company on that day is known here"
    dated = standing(company(listing(since=DAY)), {}, DAY).listings
    assert in_words(dated) == "the company is listed under p since 2026-11-02"


def test_a_listing_that_was_withdrawn_applies_on_no_day() -> None:
    day = datetime.date(2026, 2, 13)
    gone = Listing(
        programme="p1", status="listed", citation="c", sources=("s",), confidence="high", since=day, withdrawn=day
    )
    for asked in (day, day + datetime.timedelta(days=9)):
        assert not applies(gone, asked)


def link(**more: object) -> Entity:
    given = {"claim": "affiliated with the PLA", "citation": "DoD", "source": "s", "grade": "official_finding"} | more
    finding = msgspec.convert(given, MilitaryLink)
    return Entity(id="e", name="E", kind="company", sources=("s",), confidence="high", military_link=finding)


def test_a_military_link_is_an_official_finding_in_its_words_from_its_day_on() -> None:
    entity = link(grounds=["sasac", "pla"], edition="2026-06-08")
    found = military_link(entity, datetime.date(2026, 6, 8))
    assert found is not None
    assert (found.claim, found.citation, found.grounds) == ("affiliated with the PLA", "DoD", ["pla"])
    assert military_link(entity, datetime.date(2026, 6, 7)) is None


def test_a_listing_a_partner_an_allegation_and_other_grounds_are_no_military_link() -> None:
    day = datetime.date(2026, 11, 2)
    assert military_link(link(grounds=["sasac", "miit", "military_civil_fusion"]), day) is None
    for grade in ("official_finding_on_partner", "official_allegation"):
        assert military_link(link(grounds=["pla"], grade=grade), day) is None
    assert military_link(msgspec.structs.replace(link(), military_link=None), day) is None


def test_of_the_shipped_companies_only_those_with_an_armed_ground_have_the_link(shipped: RuleSet) -> None:
    day = datetime.date(2026, 11, 2)
    found = {id for id in shipped.facts.entities if shipped.military_link(id, day) is not None}
    pla = {"cetc", "hikvision", "tencent", "tplink-technologies", "yitu"}
    assert pla <= found
    assert found - pla == {"dji", "meiya-pico", "netposa"}
    assert not found & {"dahua", "huawei", "tiandy", "ezviz"}
