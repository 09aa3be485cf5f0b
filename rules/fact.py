"""The typed mirror of `rules/facts/`: what each TOML file may say. An unknown key is an error.

Every fact names its `sources` (keys of `facts/sources.toml`) and its `confidence`: high (the maker's own document
or code, a primary text, or several sources that agree), medium (one good source), low (one weak source),
background (general knowledge, no source seen; never enough for an alert by itself).
Days are ISO dates; a listing without `until` is in force as far as the sources go.
"""

import datetime
from typing import Literal, get_args

import msgspec

Confidence = Literal["high", "medium", "low", "background"]
Role = Literal[
    "website", "cloud", "p2p", "relay", "ddns", "ddns_customer", "telemetry", "push", "time", "storage", "firmware"
]
Activity = Literal[
    "device_present", "name_lookup", "update_check", "update_received", "cloud_relay", "media_relay",
    "telemetry_upload", "time_sync", "ddns", "paid_service", "new_device",
]  # fmt: skip
Relation = Literal["carries", "hosts", "operates"]
ListingStatus = Literal[
    "listed", "listed_unit", "removed", "derived", "category", "in_scope_by_rule", "named_in_statement",
    "additional_restriction", "not_listed",
]  # fmt: skip
MilitaryGrade = Literal["official_finding", "official_finding_on_partner", "official_allegation"]
MilitaryGround = Literal[
    "pla", "pap", "security_forces", "mss", "miit", "sasac", "sastind", "military_civil_fusion"
]  # fmt: skip

ROLES: tuple[str, ...] = get_args(Role)
MAX_REGEXES = 500


class FactFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A table of a facts file."""


class Source(FactFields, frozen=True):
    """`[sources.<id>]` of `sources.toml`: where a fact was read.

    `kind` is primary_text, copy_of_primary, copy_of_primary_abstract, transcription_of_primary, secondary, issue,
    repository, public_file (a source file read by its index id, repository unknown: alone it makes a fact at most
    medium), registry or background. `seen` is what was read of it (a copy, an excerpt); `licence` stands where it
    limits what may be copied.
    """

    title: str
    kind: str
    url: str | None = None
    published: str | None = None
    seen: str | None = None
    licence: str | None = None


class SourceFile(FactFields, frozen=True):
    """`sources.toml`."""

    sources: dict[str, Source]


class Edition(FactFields, frozen=True):
    """`[[editions]]`: one published edition of a list."""

    date: datetime.date
    sources: tuple[str, ...]
    citation: str | None = None
    withdrawn: bool = False


class Programme(FactFields, frozen=True):
    """`programmes/<id>.toml`: one legal programme. `activities` maps an act to its outcome, in words; a programme
    without them says nothing about what a camera does. `note` says what is uncertain.
    """

    id: str
    name: str
    authority: str
    jurisdiction: str
    kind: str
    what_it_prohibits: str
    sources: tuple[str, ...]
    confidence: Confidence
    reaches_affiliates: str | None = None
    url: str | None = None
    exceptions: str | None = None
    activities: dict[str, str] = {}
    editions: tuple[Edition, ...] = ()
    note: str | None = None


class Listing(FactFields, frozen=True):
    """`[[listings]]`: one company on one programme. `since` is the first day; `until` the last day it applied, when it
    ended; `editions` are the editions of the list that name it, under `name_on_list` where that is another name.
    """

    programme: str
    status: ListingStatus
    citation: str
    sources: tuple[str, ...]
    confidence: Confidence
    since: datetime.date | None = None
    until: datetime.date | None = None
    editions: tuple[datetime.date, ...] = ()
    name_on_list: str | None = None
    note: str | None = None


class Share(FactFields, frozen=True):
    """`[[ownership]]`: who (an entity id, or a name) holds how much of a company, as of a day, month or year.
    `percent` absent: unknown.
    """

    by: str
    sources: tuple[str, ...]
    confidence: Confidence
    percent: float | None = None
    as_of: str | None = None
    until: str | None = None
    precision: str | None = None
    note: str | None = None


class MilitaryLink(FactFields, frozen=True):
    """`[military_link]`: what an official document says of the company, in its words, with its citation.

    `grounds` are the bodies that the words name. It is a link to the People's Liberation Army only when `pla` is one
    of them: a listing is no ground, and a listing's stated ground may be another.
    """

    claim: str
    citation: str
    source: str
    grade: MilitaryGrade
    grounds: tuple[MilitaryGround, ...] = ()


class Proceeding(FactFields, frozen=True):
    """`[[proceedings]]`: a lawsuit or report about the company; what a party alleges stays an allegation."""

    text: str
    sources: tuple[str, ...]


class Entity(FactFields, frozen=True):
    """`entities/<id>.toml`: a company. `not_found_on`: the programmes whose list was read, and it is not there by name;
    a programme that stands neither here nor under `listings` was not checked.
    """

    id: str
    name: str
    kind: str
    sources: tuple[str, ...]
    confidence: Confidence
    country: str | None = None
    aliases: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    parent: str | None = None
    parent_sources: tuple[str, ...] = ()
    parent_confidence: Confidence | None = None
    identifiers: dict[str, str] = {}
    military_link: MilitaryLink | None = None
    ownership: tuple[Share, ...] = ()
    listings: tuple[Listing, ...] = ()
    proceedings: tuple[Proceeding, ...] = ()
    not_found_on: tuple[str, ...] = ()
    note: str | None = None


class Relabel(FactFields, frozen=True):
    """`[[relabel]]` of `relabels.toml`: a brand of one of `makers`, or sold with a product of theirs inside.
    Several makers: one or the other, by model.
    """

    brand: str
    makers: tuple[str, ...]
    relation: str
    confidence: Confidence
    sources: tuple[str, ...]
    until: str | None = None


class RelabelFile(FactFields, frozen=True):
    """`relabels.toml`."""

    relabel: tuple[Relabel, ...]


class EndpointName(FactFields, frozen=True):
    """`[[endpoint]]` of `endpoints/<entity>.toml`.

    `match` suffix: the name and all below it; exact: the name only; regex: `name` is a pattern that the whole name
    must fit, asked only for names at or below one of `under`. A customer's host below a `ddns` suffix has the
    role ddns_customer and is not the company's.
    """

    name: str
    match: Literal["suffix", "exact", "regex"]
    role: Role
    confidence: Confidence
    sources: tuple[str, ...]
    under: tuple[str, ...] = ()
    brand: str | None = None
    note: str | None = None


class FirmwareFact(FactFields, frozen=True):
    """`[[firmware]]` of `endpoints/<entity>.toml`: how the entity's firmware is asked for or fetched.

    `kind` host: a name (also covered by an [[endpoint]] with the role firmware), or an address; path: a regex over the
    URL path and query, asked only at `hosts` (names with what is below them); file: a regex over the last path segment
    without query, at any host; useragent: a regex over the user agent; api: a call. Regexes are searched for, so each
    anchors itself. `on_wire` false: known, and not matched (reason in `note`). `step` is the step of an update that it
    shows.
    """

    kind: Literal["host", "path", "file", "useragent", "api"]
    pattern: str
    confidence: Confidence
    sources: tuple[str, ...]
    step: Literal["check", "download"] | None = None
    hosts: tuple[str, ...] = ()
    on_wire: bool = True
    note: str | None = None


class BulkList(FactFields, frozen=True):
    """`[[list]]` of `endpoints/<entity>.toml`: a file of names or networks, one a line, `#` begins a comment."""

    file: str
    role: Role
    confidence: Confidence
    sources: tuple[str, ...]
    match: Literal["suffix", "exact"] = "suffix"
    note: str | None = None


class EndpointFile(FactFields, frozen=True):
    """`endpoints/<entity>.toml`: what a company's devices, apps and pages are called by."""

    entity: str
    endpoint: tuple[EndpointName, ...] = ()
    firmware: tuple[FirmwareFact, ...] = ()
    network: tuple["NetworkAddress", ...] = ()
    list: tuple[BulkList, ...] = ()


class NetworkAddress(FactFields, frozen=True):
    """`[[network]]` of `endpoints/<entity>.toml`: an address or network (CIDR) of the company's own."""

    network: str
    role: Role
    confidence: Confidence
    sources: tuple[str, ...]
    note: str | None = None


class NetworkFile(FactFields, frozen=True):
    """`networks/*.toml`: the AS numbers of one operator; `numbers` maps each to the organisation that the source names.

    `relation` of the operator to what is reached in its networks: carries (a carrier's customers), hosts (a cloud's
    tenants) or operates (its own). `entity` when the operator is, or belongs to, a company of `entities/`.
    """

    operator: str
    relation: Relation
    sources: tuple[str, ...]
    confidence: Confidence
    numbers: dict[str, str]
    entity: str | None = None
    note: str | None = None


class AsNumber(FactFields, frozen=True):
    """One AS number of a `NetworkFile`."""

    number: int
    organization: str
    operator: str
    sources: tuple[str, ...]
    confidence: Confidence
    entity: str | None = None
    relation: Relation | None = None
    note: str | None = None


class NotTheCompany(FactFields, frozen=True):
    """`[[not_endpoint]]` of `not_endpoints.toml`: names (each with all below it), AS numbers or companies that look
    like the entity `looks_like` and are not known to be its own. They are never matched, whatever an endpoint says.
    """

    looks_like: str
    reason: str
    sources: tuple[str, ...]
    names: tuple[str, ...] = ()
    as_numbers: tuple[int, ...] = ()
    companies: tuple[str, ...] = ()


class NotEndpointFile(FactFields, frozen=True):
    """`not_endpoints.toml`."""

    not_endpoint: tuple[NotTheCompany, ...]


class ActivityFile(FactFields, frozen=True):
    """`activities.toml`: the activity that a contact with a role shows; `firmware_download` is a role's second step."""

    activities: dict[Literal[Role, "firmware_download"], Activity]
