"""Which listings of a company apply on a day.

A listing applies from its `since` to its `until`, both days included; an absent `since` or `until` is as far as the
sources go. One that is marked removed applies only to days of which both ends are known. `not_listed` is a finding
that there is no listing, and never applies.
"""

import datetime
from collections.abc import Sequence
from typing import Final, NamedTuple

from rules.alert import LISTED_STATUSES, ListingBasis, MilitaryBasis
from rules.fact import Entity, Listing, Programme

MAX_REMEMBERED: Final = 4096
# The People's Liberation Army, the People's Armed Police, security forces: ownership and industry policy are none.
ARMED: Final = frozenset({"pla", "pap", "security_forces"})


class Standing(NamedTuple):
    """What is in force about a company on a day. `programmes` are those that list the company itself, in order."""

    listed: bool
    programmes: tuple[str, ...]
    listings: tuple[ListingBasis, ...]
    military_link: MilitaryBasis | None = None

    @property
    def military_grounds(self) -> list[str] | None:
        """The armed bodies that an official finding names."""
        return self.military_link.grounds if self.military_link else None


NOTHING_KNOWN: Final = Standing(False, (), ())


def applies(listing: Listing, day: datetime.date) -> bool:
    """Whether a listing is in force on a day; one that was withdrawn is as if it had never been."""
    if listing.status == "not_listed" or listing.withdrawn is not None:
        return False
    if listing.status == "removed" and (listing.since is None or listing.until is None):
        return False
    return (listing.since is None or listing.since <= day) and (listing.until is None or day <= listing.until)


def standing(entity: Entity, programmes: dict[str, Programme], day: datetime.date) -> Standing:
    """What is in force about a company on a day: the listings of the company itself first, then by first day."""
    in_force = [listing for listing in entity.listings if applies(listing, day)]
    in_force.sort(key=lambda listing: (listing.status not in LISTED_STATUSES, listing.since or datetime.date.min))
    names = dict.fromkeys(listing.programme for listing in in_force if listing.status in LISTED_STATUSES)
    bases = tuple(_basis(listing, programmes) for listing in in_force)
    return Standing(bool(names), tuple(names), bases, military_link(entity, day))


def military_link(entity: Entity, day: datetime.date) -> MilitaryBasis | None:
    """The official finding of that day or before that ties the company to armed forces, in its words. A listing is
    none, nor is a finding on a partner, an allegation, or a finding whose grounds are others."""
    link = entity.military_link
    if link is None or link.grade != "official_finding" or (link.edition is not None and day < link.edition):
        return None
    grounds: list[str] = [ground for ground in link.grounds if ground in ARMED]
    if not grounds:
        return None
    return MilitaryBasis(
        claim=link.claim, citation=link.citation, source=link.source, grounds=grounds, edition=link.edition
    )


def _basis(listing: Listing, programmes: dict[str, Programme]) -> ListingBasis:
    programme = programmes.get(listing.programme)
    return ListingBasis(
        programme=listing.programme,
        programme_name=programme.name if programme else listing.programme,
        status=listing.status,
        citation=listing.citation,
        confidence=listing.confidence,
        sources=list(listing.sources),
        since=listing.since,
        note=listing.note,
    )


class Standings:
    """`standing` of every company, remembered by company and day."""

    def __init__(self, entities: dict[str, Entity], programmes: dict[str, Programme]) -> None:
        self._entities, self._programmes = entities, programmes
        self._remembered: dict[tuple[str, datetime.date], Standing] = {}

    def on(self, entity: str, day: datetime.date) -> Standing:
        """What is in force about the company with this id on a day; nothing for a company without a file."""
        known = self._remembered.get((entity, day))
        if known is None:
            company = self._entities.get(entity)
            known = standing(company, self._programmes, day) if company else NOTHING_KNOWN
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[entity, day] = known
        return known


def in_words(listings: Sequence[ListingBasis], most: int = 3) -> str:
    """The listings of the company itself as a clause: "the company is listed under A since 2021-06-03 and 2 more"."""
    own = [basis for basis in listings if basis.status in LISTED_STATUSES]
    if not own:
        return "no listing of the company on that day is known here"
    words = [f"{basis.programme_name}{f' since {basis.since}' if basis.since else ''}" for basis in own]
    more = [f"{len(words) - most} more"] if len(words) > most else []
    words = words[:most] + more
    return "the company is listed under " + (
        " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + " and " + words[-1]
    )
