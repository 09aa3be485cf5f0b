"""What a scenario does to the facts."""

import datetime

import pytest

from rules.fact import AssumedListing, AssumedReach, AssumedShare, Scenario
from rules.factbook import Facts
from rules.ownership import Ownership
from rules.scenario import assume

DAY = datetime.date(2026, 11, 2)
SHIPPED = {
    "hikvision-sdn-45": ("hikvision", 45), "hikvision-sdn-90": ("hikvision", 90),
    "hikvision-sdn-122": ("hikvision", 122), "dahua-sdn-45": ("dahua", 45), "cetc-sdn-45": ("cetc", 45),
}  # fmt: skip


def scenario(**more: object) -> Scenario:
    return Scenario(id="s", name="S", sources=("paper",), confidence="medium", **more)  # type: ignore[arg-type]


def test_a_listing_begins_on_the_day_with_its_wind_down(facts: Facts) -> None:
    then = assume(facts, scenario(listings=(AssumedListing(entity="acme", programme="p1", wind_down_days=45),)), DAY)
    added = then.entities["acme"].listings[-1]
    assert (added.programme, added.status, added.since) == ("p1", "listed", DAY)
    assert added.wind_down_until == datetime.date(2026, 12, 17)
    assert "assumed by the scenario s" in added.citation
    assert len(facts.entities["acme"].listings) + 1 == len(then.entities["acme"].listings)


def test_a_share_moves_on_the_day_and_not_before(shipped_facts: Facts) -> None:
    move = scenario(shares=(AssumedShare(entity="ezviz", by="hikvision", percent=51.0),))
    graph = Ownership(assume(shipped_facts, move, DAY).entities)
    assert graph.fifty_percent("ezviz", {"hikvision"}, DAY).certainty == "yes"
    assert graph.fifty_percent("ezviz", {"hikvision"}, DAY - datetime.timedelta(days=1)).certainty == "no"


def test_a_rule_that_is_off_applies_from_the_later_of_both_days(shipped_facts: Facts) -> None:
    back = scenario(reach=(AssumedReach(programme="US-BIS-EL", test="fifty_percent"),))
    then = assume(shipped_facts, back, DAY).programmes["US-BIS-EL"].reach
    assert [(each.off, each.since) for each in then if each.until is None] == [(False, datetime.date(2026, 11, 10))]
    later = assume(shipped_facts, back, datetime.date(2027, 1, 1)).programmes["US-BIS-EL"].reach
    assert later[-1].since == datetime.date(2027, 1, 1)


@pytest.mark.parametrize("id", SHIPPED)
def test_the_shipped_scenarios_list_whom_they_say_for_as_long(shipped_facts: Facts, id: str) -> None:
    company, days = SHIPPED[id]
    listing = assume(shipped_facts, shipped_facts.scenarios[id], DAY).entities[company].listings[-1]
    assert listing.programme == "US-OFAC-SDN"
    assert listing.wind_down_until == DAY + datetime.timedelta(days=days)


def test_the_facts_themselves_stay_and_the_digest_tells_them_apart(facts: Facts) -> None:
    before = facts.entities["acme"]
    then = assume(facts, scenario(listings=(AssumedListing(entity="acme", programme="p1"),)), DAY)
    assert facts.entities["acme"] is before
    assert then.digest != facts.digest and "s-2026-11-02" in then.digest
