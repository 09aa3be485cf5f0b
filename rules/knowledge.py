"""What could be known on a day: the facts without what was published later. Pure."""

import dataclasses
import datetime
from collections.abc import Collection

import msgspec

from rules.fact import Entity, Listing, ListRead, Programme
from rules.factbook import Facts
from rules.ownership import read_day


def known_at(facts: Facts, day: datetime.date) -> Facts:
    """The facts as they could be known at the end of a day. A listing that was published later is not there, an end or
    a withdrawal that was published later has not happened, and a share of a later date is not known. Nor is who was not
    on a list that is of a later day. What belongs to no list (names, roles, brands) stays: it is asked of the law's
    knowledge, not of lenswatch's."""
    programmes = {id: _programme(programme, day) for id, programme in facts.programmes.items()}
    unread = {id for id, then in programmes.items() if then.list_read is not facts.programmes[id].list_read}
    return dataclasses.replace(
        facts,
        entities={id: _entity(entity, day, unread) for id, entity in facts.entities.items()},
        programmes=programmes,
        digest=f"{facts.digest}+known-at-{day}",
    )


def _entity(entity: Entity, day: datetime.date, unread: Collection[str]) -> Entity:
    link = entity.military_link
    if link is not None and link.edition is not None and day < link.edition:
        link = None
    listings = tuple(
        _listing(each, day)
        for each in entity.listings
        if first_known(each) <= day and not (each.status == "not_listed" and each.programme in unread)
    )
    absent = tuple(each for each in entity.not_found_on if each not in unread)
    shares = tuple(each for each in entity.ownership if each.as_of is None or read_day(each.as_of, last=False) <= day)
    return msgspec.structs.replace(entity, military_link=link, listings=listings, ownership=shares, not_found_on=absent)


def first_known(listing: Listing) -> datetime.date:
    """The first day on which a listing could be known."""
    return listing.known_since or listing.published or listing.since or datetime.date.min


def _listing(listing: Listing, day: datetime.date) -> Listing:
    if listing.withdrawn is not None and day < listing.withdrawn:
        listing = msgspec.structs.replace(listing, withdrawn=None)
    ended = listing.end_published or listing.until
    if ended is not None and day < ended:
        status = "listed" if listing.status == "removed" else listing.status
        listing = msgspec.structs.replace(listing, until=None, end_published=None, status=status)
    return msgspec.structs.replace(listing, editions=tuple(each for each in listing.editions if each <= day))


def _programme(programme: Programme, day: datetime.date) -> Programme:
    acts = tuple(each for each in programme.acts if (each.known_since or each.since or datetime.date.min) <= day)
    reach = tuple(
        # Nobody knew yet that it would be suspended.
        msgspec.structs.replace(each, until=None) if each.until is not None and day < each.until else each
        for each in programme.reach
        if (each.known_since or each.since or datetime.date.min) <= day
    )
    editions = tuple(each for each in programme.editions if (each.published or each.date) <= day)
    read = programme.list_read
    if read is not None and day < _first_read(programme, read):
        read = None
    return msgspec.structs.replace(programme, acts=acts, reach=reach, editions=editions, list_read=read)


def _first_read(programme: Programme, read: ListRead) -> datetime.date:
    """The first day on which the list that was read could be known; of a month or year its last."""
    listed = read_day(read.as_of, last=True)
    return next((each.published for each in programme.editions if each.date == listed and each.published), listed)
