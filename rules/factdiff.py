"""What changed between two sets of facts, and for whom: listings first, then names, networks and firmware patterns."""

from collections.abc import Iterator
from typing import NamedTuple

from rules.fact import Entity, Listing
from rules.factbook import Facts


class Change(NamedTuple):
    """`what` is listing, programme, name, network or firmware; `how` added, removed or changed; `maker`: names of the
    company are known, so its devices can be seen."""

    entity: str
    company: str
    maker: bool
    what: str
    how: str
    key: str
    text: str


def changes(old: Facts, new: Facts) -> list[Change]:
    """Every change, makers first, in order of company."""
    found = [
        change
        for id in sorted({*old.entities, *new.entities})
        for change in _of_company(
            old.entities.get(id), new.entities.get(id), id, id in old.endpoints or id in new.endpoints
        )
    ]
    found += _of_programmes(old, new)
    found += _of_endpoints(old, new)
    return sorted(found, key=lambda each: (not each.maker, each.entity, each.what, each.key))


def _of_company(old: Entity | None, new: Entity | None, id: str, maker: bool) -> Iterator[Change]:
    before, after = _by_key(old), _by_key(new)
    one = new or old
    name = one.name if one is not None else id
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        told = _told(was, now)
        if told is not None:
            how = "added" if was is None else "removed" if now is None else "changed"
            yield Change(id, name, maker, "listing", how, key, told)


def _by_key(entity: Entity | None) -> dict[str, Listing]:
    """Listings by programme; where there are several, by programme and status."""
    if entity is None:
        return {}
    found: dict[str, Listing] = {}
    for each in entity.listings:
        key = each.programme if each.programme not in found else f"{each.programme} ({each.status})"
        found[key] = each
    return found


def _told(was: Listing | None, now: Listing | None) -> str | None:
    if was is None or now is None:
        return _words(was or now)
    fields = ("status", "since", "until", "citation", "name_on_list", "editions")
    parts = [
        f"{field}: {_text(getattr(was, field))} → {_text(getattr(now, field))}"
        for field in fields
        if getattr(was, field) != getattr(now, field)
    ]
    return "; ".join(parts) or None


def _words(listing: Listing | None) -> str:
    if listing is None:
        return ""
    days = f" since {listing.since}" if listing.since else ""
    days += f" until {listing.until}" if listing.until else ""
    return f"{listing.status}{days}, {listing.citation}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _of_programmes(old: Facts, new: Facts) -> Iterator[Change]:
    for id in sorted({*old.programmes, *new.programmes}):
        was, now = old.programmes.get(id), new.programmes.get(id)
        if was is None or now is None:
            yield Change(id, (was or now).name, False, "programme", "added" if was is None else "removed", id, "")  # type: ignore[union-attr]
        elif was.list_read != now.list_read and now.list_read is not None:
            before = was.list_read.as_of if was.list_read is not None else "never"
            yield Change(
                id, now.name, False, "programme", "changed", id, f"list read: {before} → {now.list_read.as_of}"
            )


def _of_endpoints(old: Facts, new: Facts) -> Iterator[Change]:
    before, after = dict(_endpoints(old)), dict(_endpoints(new))
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        what, value = key
        entity, text = now or was or ("", "")
        company = new.entities.get(entity) or old.entities.get(entity)
        how = "added" if was is None else "removed" if now is None else "changed"
        told = text if was is None or now is None else f"{was[0]} {was[1]} → {now[0]} {now[1]}"
        yield Change(entity, company.name if company else entity, True, what, how, value, told)


def _endpoints(facts: Facts) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    for entity, file in facts.endpoints.items():
        for name in file.endpoint:
            yield ("name", f"{name.name} ({name.match})"), (entity, f"{name.role}, {name.confidence}")
        for network in file.network:
            yield ("network", network.network), (entity, f"{network.role}, {network.confidence}")
        for firmware in file.firmware:
            yield ("firmware", f"{firmware.kind} {firmware.pattern}"), (entity, f"{firmware.confidence}")
