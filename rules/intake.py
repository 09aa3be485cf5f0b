"""A list → what it says of our companies, or the reason for which it is refused.

A list may be cut off, lack a part, be an old copy or one that was withdrawn; each has happened to the public feeds. So
before it is taken it is compared with the last one that was, and with what the facts already say must be on it.
"""

import collections
import datetime
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rules.errors import RuleError, RuleErrors
from rules.fact import CompanyListing, Confidence, Entity, Listing, ListingFile
from rules.factbook import Facts
from rules.lists.reader import Entry, Reader, Tally
from rules.namesake import MAX_CANDIDATES, Candidate, Namesakes

MAX_SHRINK: Final = 0.20


class Loaded(msgspec.Struct, forbid_unknown_fields=True):
    """What is kept of an import: the list's day, its entries by list, the file's name and SHA-256."""

    published: datetime.date
    counts: dict[str, int]
    file: str
    sha256: str


class Consent(NamedTuple):
    """What the person at the keyboard says: the list's day; companies that are rightly off it now, or on it again;
    which party (by its name on the list) is which company; that the list may be smaller than the last one. `today`: no
    list can be of a later day, but for one that time zones make."""

    published: datetime.date | None = None
    removed: frozenset[str] = frozenset()
    relisted: frozenset[str] = frozenset()
    same: Mapping[str, str] = {}
    shrink: bool = False
    today: datetime.date | None = None


class Taken(NamedTuple):
    """What came of a list: the name of its file, the overlay's file, how many entries each list had, who was compared
    and why not taken. `dropped`: candidates beyond the cap, by how they came about."""

    name: str
    listings: ListingFile
    counts: dict[str, int]
    candidates: tuple[Candidate, ...]
    dropped: dict[str, int]


def take(reader: Reader, path: Path, facts: Facts, consent: Consent, imports: Mapping[str, Loaded] = {}) -> Taken:
    """Reads a list and judges it whole; `imports` are the last ones, by file. Raises RuleErrors with every reason
    against it."""
    tally, found = Tally(), list[Candidate]()
    dropped = collections.Counter[str]()
    namesakes = Namesakes(facts.entities.values())
    for entry in reader.read(path, tally):
        for candidate in _candidates(namesakes, entry, consent):
            if candidate.accepted or len(found) < MAX_CANDIDATES:
                found.append(candidate)
            else:
                dropped[candidate.by] += 1
    name = reader.file_of(tally.counts)
    source, last = f"import-{name}", imports.get(name)
    published = tally.published or consent.published
    if published is None:
        raise RuleError(path, "", "does not say its day; give it as --published YYYY-MM-DD")
    covered = _covered(reader, tally.counts)
    listed = _by_company(found, published)
    missing = _missing(facts, covered, listed, published)
    errors = [
        *_wrong_day(path, facts, covered, published, tally.published, consent, last),
        *_too_few(path, reader, tally.counts, consent, last),
        *_back_again(path, facts, listed, published, consent),
        *_without(path, missing, facts.entities, found, consent),
        *_beside_the_list(path, listed, missing, found, consent),
    ]
    if not covered:
        errors.append(
            RuleError(path, "", f"holds no list that is known here; the lists are {', '.join(reader.programmes)}")
        )
    if errors:
        raise RuleErrors(errors)
    sure: Confidence = "high" if reader.kind == "copy_of_primary" else "medium"
    listings = [
        _listing(entry, programme, facts.entities[entity], source, published, sure)
        for (entity, programme), entry in listed.items()
    ]
    listings += [_removal(entity, old, source, published, reader.title) for entity, old in missing]
    listings += _removed_before(facts, covered, listed, source)
    listings.sort(key=lambda each: (each.entity, each.programme))
    file = ListingFile(
        published=published, programmes=tuple(sorted(covered)), sources=(source,), listing=tuple(listings)
    )
    return Taken(name, file, dict(tally.counts), tuple(found), dict(dropped))


def _candidates(namesakes: Namesakes, entry: Entry, consent: Consent) -> list[Candidate]:
    company = consent.same.get(entry.name)
    if company is None:
        return namesakes.candidates(entry)
    return [Candidate(entry, company, "hand", bool(entry.programmes), "said so by hand")]


def _covered(reader: Reader, counts: Mapping[str, int]) -> set[str]:
    return {programme for name, programmes in reader.programmes.items() if counts.get(name) for programme in programmes}


def _by_company(found: Iterable[Candidate], published: datetime.date) -> dict[tuple[str, str], Entry]:
    """The entry for each company and programme; of several the first day counts. What ended by then is none."""
    listed: dict[tuple[str, str], Entry] = {}
    for candidate in found:
        entry = candidate.entry
        if not candidate.accepted or (entry.until is not None and entry.until < published):
            continue
        for programme in entry.programmes:
            before = listed.get((candidate.entity, programme))
            if before is None or (entry.since or published) < (before.since or published):
                listed[candidate.entity, programme] = entry
    return listed


def _standing(entity: Entity, programme: str, day: datetime.date) -> Listing | None:
    """The listing by name that the facts have in force."""
    for each in entity.listings:
        if each.programme == programme and each.status == "listed" and (each.until is None or each.until >= day):
            return each
    return None


def _missing(
    facts: Facts, covered: Collection[str], listed: Collection[tuple[str, str]], day: datetime.date
) -> list[tuple[str, Listing]]:
    """Companies that the facts have on a list that was read, and that it does not name."""
    return [
        (entity.id, standing)
        for entity in facts.entities.values()
        for programme in sorted(covered)
        if (standing := _standing(entity, programme, day)) is not None
        and (entity.id, programme) not in listed
        and (standing.since is None or standing.since <= day)
    ]


def _wrong_day(
    path: Path,
    facts: Facts,
    covered: Collection[str],
    published: datetime.date,
    own: datetime.date | None,
    consent: Consent,
    last: Loaded | None,
) -> Iterable[RuleError]:
    if own is not None and consent.published not in (None, own):
        yield RuleError(path, "", f"says that it is of {own}, not of {consent.published}; leave out --published")
    if consent.today is not None and published > consent.today + datetime.timedelta(days=1):
        yield RuleError(path, "", f"is of {published}, still to come (today is {consent.today}); check the day")
    if last is not None and published < last.published:
        yield RuleError(
            path, "", f"is of {published}, older than what is loaded ({last.published}, {last.file}); fetch the newest"
        )
    for programme in sorted(covered):
        for edition in facts.programmes[programme].editions:
            if edition.withdrawn and published in (edition.date, edition.published):
                told = f"the edition of {published} was withdrawn and never applied ({', '.join(edition.sources)})"
                yield RuleError(path, programme, f"{told}; take the edition before or after it")
        days = [each.date for each in facts.programmes[programme].editions if not each.withdrawn]
        if days and published < max(days):
            yield RuleError(path, programme, f"is of {published}, older than the edition that is loaded ({max(days)})")


def _too_few(
    path: Path, reader: Reader, counts: Mapping[str, int], consent: Consent, last: Loaded | None
) -> Iterable[RuleError]:
    for name in reader.whole:
        if not counts.get(name):
            yield RuleError(path, name, "not one entry of this list; a part of the file is missing: fetch it again")
    if last is None or consent.shrink:
        return
    for name, before in sorted(last.counts.items()):
        now = counts.get(name, 0)
        if now < before * (1 - MAX_SHRINK):
            lost = f"{now} entries, {before} on {last.published}: {1 - now / before:.0%} fewer"
            mend = "fetch it again, or say --accept-shrink if you have checked that it is right"
            yield RuleError(path, name, f"{lost}, more than {MAX_SHRINK:.0%}; {mend}")


def _back_again(
    path: Path, facts: Facts, listed: Mapping[tuple[str, str], Entry], published: datetime.date, consent: Consent
) -> Iterable[RuleError]:
    """Companies whose listing had ended: on the list anew, or a row that somebody's copy left open."""
    for (id, programme), entry in listed.items():
        entity = facts.entities[id]
        ended = [each.until for each in entity.listings if each.programme == programme and each.status == "removed"]
        days = [each for each in ended if each is not None]
        if not days or id in consent.relisted or _standing(entity, programme, published) is not None:
            continue
        if entry.since is None or entry.since <= max(days):
            told = f"{entry.place} names {entity.name} ({id}), whose listing ended on {max(days)}, with no newer day"
            yield RuleError(path, programme, f"{told}; is it an old row? Else say --relisted {id}")


def _without(
    path: Path,
    missing: Iterable[tuple[str, Listing]],
    entities: Mapping[str, Entity],
    found: Iterable[Candidate],
    consent: Consent,
) -> Iterable[RuleError]:
    for entity, listing in missing:
        if entity not in consent.removed:
            near = [
                each.entry.name
                for each in found
                if each.entity == entity and listing.programme in each.entry.programmes and not each.accepted
            ]
            told = f"does not name {entities[entity].name} ({entity}), listed since {listing.since}"
            told += f" (refused: {', '.join(near[:3])})" if near else ""
            mend = "is a part missing? Else say --same COMPANY=NAME, or --removed COMPANY if it is off the list"
            yield RuleError(path, listing.programme, f"{told}; {mend}")


def _beside_the_list(
    path: Path,
    listed: Collection[tuple[str, str]],
    missing: Iterable[tuple[str, Listing]],
    found: Iterable[Candidate],
    consent: Consent,
) -> Iterable[RuleError]:
    """What was said by hand and does not fit what the list says: most likely a typing mistake."""
    met = {each.entry.name for each in found if each.by == "hand"}
    for name, company in consent.same.items():
        if name not in met:
            yield RuleError(path, "", f"names no party {name!r}; write --same {company}=NAME as it stands on the list")
    # Off one list of a file, it may be on another.
    still = {company for company, _ in listed} - {company for company, _ in missing}
    for company in sorted(consent.removed & still):
        yield RuleError(path, "", f"names {company}, of which --removed says that it is off the list; leave that out")


def _listing(
    entry: Entry, programme: str, entity: Entity, source: str, published: datetime.date, sure: Confidence
) -> CompanyListing:
    """What the list says, with what the facts already knew of the same listing where the list is silent."""
    known = _standing(entity, programme, published)
    same = known is not None and (entry.since is None or known.since == entry.since or _is_younger(entry, known))
    editions = tuple(sorted({*known.editions, published})) if known is not None and known.editions else ()
    notes = [f"the list's words: {entry.reason}"] if entry.reason else []
    if known is not None and same and known.note:
        notes = [known.note] if notes and known.note.startswith(notes[0]) else [*notes, known.note]
    return CompanyListing(
        entity=entity.id,
        programme=programme,
        status="listed",
        citation=known.citation if known is not None and same else entry.citation,
        sources=tuple(dict.fromkeys((source, *known.sources))) if known is not None and same else (source,),
        confidence=known.confidence if known is not None and same and known.confidence == "high" else sure,
        since=known.since if known is not None and same else entry.since or published,
        published=known.published if known is not None and same else None,
        known_since=known.known_since if known is not None and same else published,
        editions=editions,
        name_on_list=entry.name if entry.name != entity.name else None,
        note="; ".join(notes) or None,
    )


def _is_younger(entry: Entry, known: Listing) -> bool:
    """Whether a row begins later than a listing that every edition since bears out: a copy that took the withdrawal of
    an edition for an end begins a new row afterwards."""
    return bool(known.editions and known.since and entry.since and known.since < entry.since)


def _removed_before(
    facts: Facts, covered: Collection[str], listed: Collection[tuple[str, str]], source: str
) -> list[CompanyListing]:
    """What an earlier import found removed, and this one does not name either."""
    return [
        CompanyListing(entity=entity.id, **{field: getattr(each, field) for field in Listing.__struct_fields__})
        for entity in facts.entities.values()
        for each in entity.listings
        if each.status == "removed" and source in each.sources
        if each.programme in covered and (entity.id, each.programme) not in listed
    ]


def _removal(entity: str, old: Listing, source: str, published: datetime.date, title: str) -> CompanyListing:
    return CompanyListing(
        entity=entity,
        programme=old.programme,
        status="removed",
        citation=old.citation,
        sources=(source, *old.sources),
        confidence="medium",
        since=old.since,
        until=published - datetime.timedelta(days=1),
        published=old.published,
        known_since=old.known_since,
        end_published=published,
        editions=old.editions,
        name_on_list=old.name_on_list,
        note=f"not named in the {title} of {published}; the last day is the day before it, for the list gives none",
    )
