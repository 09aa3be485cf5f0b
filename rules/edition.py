"""An edition of an official list over the facts: what it says of a company by name takes the place of what was said.

What does not rest on being named stays: listings that are derived, of a unit or a category, statements, scope rules,
owners, military links. The edition is noted at its programmes, so that "checked, not listed" can name its day.
"""

from collections.abc import Iterable

import msgspec

from rules.fact import Edition, Entity, Listing, ListingFile, ListRead, Programme

# What a list itself can say of a company.
BY_NAME = frozenset({"listed", "removed", "not_listed"})


def apply_editions(
    entities: dict[str, Entity], programmes: dict[str, Programme], editions: Iterable[ListingFile]
) -> tuple[dict[str, Entity], dict[str, Programme]]:
    """Companies and programmes with the editions over them, the oldest first."""
    entities, programmes = dict(entities), dict(programmes)
    for edition in sorted(editions, key=lambda each: each.published):
        for said in edition.listing:
            if said.entity in entities:
                entities[said.entity] = with_listing(entities[said.entity], said)
        for id in edition.programmes:
            if id in programmes:
                programmes[id] = _noted(programmes[id], edition)
    return entities, programmes


def with_listing(entity: Entity, said: Listing) -> Entity:
    """The company with a listing by name in the place of those that it had on the programme."""
    plain = Listing(**{field: getattr(said, field) for field in Listing.__struct_fields__})
    kept = [each for each in entity.listings if each.programme != said.programme or not _gives_way(each, said)]
    gone = said.programme if said.status != "not_listed" else None
    return msgspec.structs.replace(
        entity,
        listings=(*kept, plain),
        not_found_on=tuple(programme for programme in entity.not_found_on if programme != gone),
    )


def _gives_way(old: Listing, said: Listing) -> bool:
    """What was said by name, but for a listing that had ended before this one began: that stays true of its days."""
    if old.status == "removed" and said.status == "listed" and old.until is not None and said.since is not None:
        return old.until >= said.since
    return old.status in BY_NAME


def _noted(programme: Programme, edition: ListingFile) -> Programme:
    day, sources = edition.published, edition.sources
    if programme.list_read is None or programme.list_read.as_of <= day.isoformat():
        programme = msgspec.structs.replace(programme, list_read=ListRead(as_of=str(day), sources=sources, whole=True))
    if programme.editions and all(day not in (each.date, each.published) for each in programme.editions):
        editions = sorted((*programme.editions, Edition(date=day, sources=sources)), key=lambda each: each.date)
        programme = msgspec.structs.replace(programme, editions=tuple(editions))
    return programme
