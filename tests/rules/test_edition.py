"""A list over the facts: what rests on the name changes, what rests on other words does not."""

import datetime

import msgspec
import pytest

from rules.edition import apply_editions
from rules.fact import CompanyListing, ListingFile, ListRead
from rules.factbook import Facts
from rules.match import RuleSet

DAY = datetime.date(2026, 11, 1)


@pytest.fixture(scope="module")
def real(shipped: RuleSet) -> Facts:
    return shipped.facts


def said(entity: str, programme: str, status: str = "listed", **more: object) -> CompanyListing:
    return CompanyListing(
        entity=entity, programme=programme, status=status, citation="new", sources=("x",), confidence="high", **more  # type: ignore[arg-type]
    )  # fmt: skip


def edition(*listings: CompanyListing, programme: str = "US-FCC", day: datetime.date = DAY) -> ListingFile:
    return ListingFile(published=day, programmes=(programme,), sources=("x",), listing=listings)


def citations(facts: Facts, file: ListingFile, entity: str, programme: str) -> dict[str, str]:
    entities, _ = apply_editions(facts.entities, facts.programmes, [file])
    return {each.status: each.citation for each in entities[entity].listings if each.programme == programme}


def test_a_listing_by_name_is_replaced_and_what_stands_beside_it_stays(real: Facts) -> None:
    found = citations(real, edition(said("hikvision", "US-FCC")), "hikvision", "US-FCC")
    assert found == {"listed": "new", "additional_restriction": "FCC public notice (FR citation not seen)"}


def test_a_listing_ends_the_finding_that_there_is_none(real: Facts) -> None:
    file = edition(said("hikvision", "US-OFAC-SDN"), said("dahua", "US-OFAC-SDN"), programme="US-OFAC-SDN")
    assert citations(real, file, "hikvision", "US-OFAC-SDN") == {"listed": "new"}
    entities, _ = apply_editions(real.entities, real.programmes, [file])
    assert "US-OFAC-SDN" not in entities["dahua"].not_found_on


def test_what_follows_from_an_owner_s_listing_is_not_touched(real: Facts) -> None:
    file = edition(said("hikvision", "US-MCCAIN-889"), programme="US-MCCAIN-889")
    before = {
        each.status: each.citation for each in real.entities["ezviz"].listings if each.programme == "US-MCCAIN-889"
    }
    assert citations(real, file, "ezviz", "US-MCCAIN-889") == before and "derived" in before
    assert real.entities["ezviz"].ownership[-1].percent == 48.0


def test_the_programme_says_which_edition_was_read(real: Facts) -> None:
    _, programmes = apply_editions(real.entities, real.programmes, [edition(programme="US-DOD-1260H")])
    assert programmes["US-DOD-1260H"].list_read == ListRead(as_of="2026-11-01", sources=("x",), whole=True)
    assert programmes["US-DOD-1260H"].editions[-1].date == DAY
    assert programmes["US-FCC"] is real.programmes["US-FCC"]


def test_the_newest_edition_has_the_last_word_whatever_the_order(real: Facts) -> None:
    old = edition(said("dahua", "US-FCC"), day=datetime.date(2026, 10, 1))
    new = edition(msgspec.structs.replace(said("dahua", "US-FCC"), citation="newest"))
    for order in ([old, new], [new, old]):
        entities, programmes = apply_editions(real.entities, real.programmes, order)
        [listing] = [
            each for each in entities["dahua"].listings if each.programme == "US-FCC" and each.status == "listed"
        ]
        assert listing.citation == "newest" and programmes["US-FCC"].list_read is not None
        assert programmes["US-FCC"].list_read.as_of == "2026-11-01"


def test_the_facts_that_were_given_are_left_as_they_were(real: Facts) -> None:
    before = real.entities["dahua"]
    apply_editions(real.entities, real.programmes, [edition(said("dahua", "US-FCC"))])
    assert real.entities["dahua"] is before
