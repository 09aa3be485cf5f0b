"""What if: the facts as a scenario changes them from a day on. Pure."""

import dataclasses
import datetime
from collections.abc import Iterable

import msgspec

from rules.fact import AssumedListing, AssumedReach, AssumedShare, Entity, Listing, Programme, Reach, Scenario, Share
from rules.factbook import Facts

ASSUMED = "assumed by the scenario"


def assume(facts: Facts, scenario: Scenario, begins: datetime.date) -> Facts:
    """The facts under a scenario that begins on a day; before it, they are what they were."""
    entities, programmes = dict(facts.entities), dict(facts.programmes)
    for listing in scenario.listings:
        entities[listing.entity] = _listed(entities[listing.entity], listing, scenario, begins)
    for share in scenario.shares:
        entities[share.entity] = _shared(entities[share.entity], share, scenario, begins)
    for reach in scenario.reach:
        programmes[reach.programme] = _reaching(programmes[reach.programme], reach, begins)
    digest = f"{facts.digest}+{scenario.id}-{begins}"
    return dataclasses.replace(facts, entities=entities, programmes=programmes, digest=digest)


def _listed(entity: Entity, assumed: AssumedListing, scenario: Scenario, begins: datetime.date) -> Entity:
    until = None if assumed.wind_down_days is None else begins + datetime.timedelta(days=assumed.wind_down_days)
    listing = Listing(
        programme=assumed.programme,
        status="listed",
        citation=f"{ASSUMED} {scenario.id}" + (f", {assumed.precedent}" if assumed.precedent else ""),
        sources=scenario.sources,
        confidence="high",
        since=begins,
        known_since=begins,
        wind_down_until=until,
    )
    return msgspec.structs.replace(entity, listings=(*entity.listings, listing))


def _shared(entity: Entity, assumed: AssumedShare, scenario: Scenario, begins: datetime.date) -> Entity:
    share = Share(
        by=assumed.by,
        percent=assumed.percent,
        as_of=begins.isoformat(),
        sources=scenario.sources,
        confidence="high",
        note=f"{ASSUMED} {scenario.id}",
    )
    # A later known figure of the same holder would take the assumption's place.
    kept: Iterable[Share] = (
        each
        for each in entity.ownership
        if each.by != assumed.by or each.as_of is None or each.as_of < begins.isoformat()
    )
    return msgspec.structs.replace(entity, ownership=(*kept, share))


def _reaching(programme: Programme, assumed: AssumedReach, begins: datetime.date) -> Programme:
    return msgspec.structs.replace(programme, reach=tuple(_switched(each, assumed, begins) for each in programme.reach))


def _switched(reach: Reach, assumed: AssumedReach, begins: datetime.date) -> Reach:
    if reach.test != assumed.test or not reach.off:
        return reach
    since = max(begins, reach.since) if reach.since is not None else begins
    return msgspec.structs.replace(reach, off=False, since=since)
