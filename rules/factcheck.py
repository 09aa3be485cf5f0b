"""What a fact must hold beyond its type: a source, a name in its one form, a pattern that compiles, ids that exist.

Each check yields faults: the key, the reason and the mend. Nothing here reads a file.
"""

import dataclasses
import ipaddress
import re
from collections.abc import Collection, Iterator

import msgspec

from rules.fact import (
    ROLES,
    Act,
    AssumedListing,
    AssumedReach,
    AssumedShare,
    CompanyListing,
    EndpointFile,
    EndpointName,
    Entity,
    FirmwareFact,
    Listing,
    ListingFile,
    NetworkAddress,
    NetworkFile,
    NotTheCompany,
    Profile,
    Programme,
    Reach,
    Relabel,
    Scenario,
    Share,
    Unconfirmed,
)
from rules.ownership import read_day

MAX_NAME_BYTES = 253
ACTIVITY_KEYS = (*ROLES, "firmware_download")
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST_NAME = re.compile(rf"(?:{LABEL}\.)+(?!\d+$){LABEL}")
PATTERN_KINDS = ("path", "file", "useragent")

Fault = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """The ids that facts may refer to."""

    sources: Collection[str]
    programmes: Collection[str]
    entities: Collection[str]
    profiles: Collection[str] = ()


def is_host_name(name: str) -> bool:
    """Whether a name is in its one form: lower-case A-labels (RFC 5890 2.3.2.1), two or more, without the last dot."""
    return len(name) <= MAX_NAME_BYTES and HOST_NAME.fullmatch(name) is not None


def faults(fact: msgspec.Struct) -> Iterator[Fault]:
    """What is wrong with a fact by itself."""
    if getattr(fact, "sources", None) == ():
        yield "sources", "is empty; a fact names where it was read"
    match fact:
        case EndpointName():
            yield from _name_faults(fact)
        case FirmwareFact():
            yield from _firmware_faults(fact)
        case NetworkAddress():
            yield from _network_faults(fact)
        case NotTheCompany():
            for index, name in enumerate(fact.names):
                yield from _host_faults(f"names[{index}]", name)
        case Listing():
            if fact.since and fact.until and fact.until < fact.since:
                yield "until", f"{fact.until} is before since ({fact.since}); it is the last day of the listing"
            if fact.status == "removed" and fact.until is None:
                yield "until", "is missing; a removed listing says the last day it applied"
            if fact.withdrawn and fact.since and fact.withdrawn < fact.since:
                yield "withdrawn", f"{fact.withdrawn} is before since ({fact.since})"
        case Share():
            for key in ("as_of", "until"):
                yield from _day_faults(key, getattr(fact, key))
        case Act():
            yield from _act_faults(fact)
        case Programme():
            yield from _programme_faults(fact)
        case Scenario():
            if not (fact.listings or fact.shares or fact.reach or fact.waivers_ended):
                yield "", "changes nothing; name listings, shares, reach or waivers_ended"
        case Entity():
            if fact.parent is not None and not (fact.parent_sources and fact.parent_confidence):
                yield "parent_sources", "a parent needs parent_sources and parent_confidence"
        case NetworkFile():
            for text in fact.numbers:
                if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**32):
                    yield f"numbers.{text}", "is no AS number; write 4134, without AS"
        case _:
            pass


def reference_faults(fact: msgspec.Struct, known: Known) -> Iterator[Fault]:
    """The ids in a fact that lead nowhere."""
    for key in ("sources", "parent_sources"):
        for source in getattr(fact, key, ()):
            if isinstance(source, str) and source not in known.sources:
                yield key, f"no source {source!r}; add it to sources.toml"
    match fact:
        case Programme():
            for source in fact.list_read.sources if fact.list_read is not None else ():
                if source not in known.sources:
                    yield "list_read.sources", f"no source {source!r}; add it to sources.toml"
        case CompanyListing():
            yield from _unknown("programme", fact.programme, known.programmes, "programmes")
            yield from _unknown("entity", fact.entity, known.entities, "entities")
        case ListingFile():
            for index, programme in enumerate(fact.programmes):
                yield from _unknown(f"programmes[{index}]", programme, known.programmes, "programmes")
        case Listing():
            yield from _unknown("programme", fact.programme, known.programmes, "programmes")
        case Entity():
            if fact.parent is not None:
                yield from _unknown("parent", fact.parent, known.entities, "entities")
            for index, programme in enumerate(fact.not_found_on):
                yield from _unknown(f"not_found_on[{index}]", programme, known.programmes, "programmes")
            if fact.military_link is not None and fact.military_link.source not in known.sources:
                yield "military_link.source", f"no source {fact.military_link.source!r}; add it to sources.toml"
        case Relabel():
            for index, maker in enumerate(fact.makers):
                yield from _unknown(f"makers[{index}]", maker, known.entities, "entities")
        case EndpointFile() | NetworkFile():
            if fact.entity is not None:
                yield from _unknown("entity", fact.entity, known.entities, "entities")
        case NotTheCompany():
            yield from _unknown("looks_like", fact.looks_like, known.entities, "entities")
        case Act():
            for profile in fact.profiles:
                yield from _unknown("profiles", profile, known.profiles, "profiles")
            for company in fact.companies:
                yield from _unknown("companies", company, known.entities, "entities")
        case Reach():
            if fact.test == "listed_on" or fact.programme is not None:
                yield from _unknown("programme", fact.programme or "", known.programmes, "programmes")
        case Unconfirmed():
            yield from _unknown("programme", fact.programme, known.programmes, "programmes")
        case Profile():
            for index, programme in enumerate(fact.programmes):
                yield from _unknown(f"programmes[{index}]", programme, known.programmes, "programmes")
        case AssumedListing() | AssumedShare() | AssumedReach():
            yield from _assumption_faults(fact, known)
        case _:
            pass


def edition_faults(listing: Listing, programme: Programme) -> Iterator[Fault]:
    """What is wrong with a company's listing on a list that comes out whole, in editions: whom the newest does not name
    is not on it, whatever row of a copy was left open."""
    days = [each.date for each in programme.editions if not each.withdrawn]
    if not days or listing.status != "listed" or listing.withdrawn is not None:
        return
    told, newest = ", ".join(map(str, days)), max(days)
    for day in listing.editions:
        if day not in days:
            yield "editions", f"{day} is no edition of {programme.id} that applied; they are {told}"
    if not listing.editions:
        yield "editions", f"is missing; name those of {programme.id} in which the company stands: {told}"
    elif listing.until is None and newest not in listing.editions:
        mend = 'name it, or write status = "removed" and until'
        yield "until", f"is missing: the newest edition of {programme.id}, {newest}, is not among its editions; {mend}"


def _assumption_faults(fact: AssumedListing | AssumedShare | AssumedReach, known: Known) -> Iterator[Fault]:
    if not isinstance(fact, AssumedReach):
        yield from _unknown("entity", fact.entity, known.entities, "entities")
    if not isinstance(fact, AssumedShare):
        yield from _unknown("programme", fact.programme, known.programmes, "programmes")


def _unknown(key: str, id: str, known: Collection[str], folder: str) -> Iterator[Fault]:
    if id not in known:
        yield key, f"nothing has the id {id!r}; add {folder}/{id}.toml or mend the id"


def _host_faults(key: str, name: str) -> Iterator[Fault]:
    if not is_host_name(name):
        yield (
            key,
            f"{name!r} is no host name in its one form; write lower case, A-labels, two labels or more, no last dot",
        )


def _day_faults(key: str, text: str | None) -> Iterator[Fault]:
    try:
        if text is not None:
            read_day(text, last=True)
    except ValueError:
        yield key, f"{text!r} is no day, month or year; write 2025-09-30, 2025-09 or 2025"


def _act_faults(fact: Act) -> Iterator[Fault]:
    if fact.since and fact.until and fact.until < fact.since:
        yield "until", f"{fact.until} is before since ({fact.since}); it is the last day"
    try:
        fact.says.format(company="")
    except (KeyError, IndexError, ValueError):
        yield "says", "has a brace that is not {company}; only the company can be put in"


def _programme_faults(fact: Programme) -> Iterator[Fault]:
    """Rows end in one that fits everybody: no question may fall through."""
    if fact.list_read is not None:
        yield from _day_faults("list_read.as_of", fact.list_read.as_of)
        if not fact.list_read.sources:
            yield "list_read.sources", "is empty; a fact names where it was read"
    if fact.acts:
        last = fact.acts[-1]
        asks = (
            "activities",
            "profiles",
            "use_classes",
            "companies",
            "statuses",
            "relations",
            "since",
            "until",
            "known_since",
        )
        for key in asks:
            if getattr(last, key):
                yield f"acts[{len(fact.acts) - 1}].{key}", "is in the last row, which is for everybody; leave it out"


def _pattern_faults(key: str, pattern: str) -> Iterator[Fault]:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        yield key, f"is no regular expression: {error}; single quotes keep its backslashes"


def _name_faults(fact: EndpointName) -> Iterator[Fault]:
    if fact.match != "regex":
        yield from _host_faults("name", fact.name)
        if fact.under:
            yield "under", f"is for regexes; a name that matches {fact.match} has none"
        return
    yield from _pattern_faults("name", fact.name)
    if not fact.under:
        yield "under", 'is missing; name the domains at or below which the regex is asked, as under = ["example.com"]'
    for index, name in enumerate(fact.under):
        yield from _host_faults(f"under[{index}]", name)


def _firmware_faults(fact: FirmwareFact) -> Iterator[Fault]:
    if fact.kind in PATTERN_KINDS and fact.on_wire:
        yield from _pattern_faults("pattern", fact.pattern)
    if fact.kind == "host" and fact.on_wire:
        yield from _host_faults("pattern", fact.pattern)
    if fact.kind == "api" and fact.on_wire:
        yield "on_wire", "is true, but an api call is matched as a path; write kind = 'path' or on_wire = false"
    if fact.kind == "path" and fact.on_wire and not fact.hosts:
        yield "hosts", "is missing; a path is asked at named hosts only"
    if fact.on_wire and fact.step is None:
        yield "step", "is missing; write check or download"
    if not fact.on_wire and not fact.note:
        yield "note", "is missing; say why it is not matched"
    for index, name in enumerate(fact.hosts):
        yield from _host_faults(f"hosts[{index}]", name)


def _network_faults(fact: NetworkAddress) -> Iterator[Fault]:
    try:
        ipaddress.ip_network(fact.network)
    except ValueError as error:
        yield "network", f"{error}; write 192.0.2.0/24 or 2001:db8::/32"


def missing_activities(activities: Collection[str]) -> list[str]:
    """The roles without an activity."""
    return [key for key in ACTIVITY_KEYS if key not in activities]
