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
Outcome = Literal[
    "prohibited", "licence_required", "reportable", "review", "context_only", "not_restricted", "checked_not_listed"
]  # fmt: skip
UseClass = Literal["public_safety", "government_facility", "critical_infrastructure", "other"]
PeerRelation = Literal["made", "operates", "hosts", "carries"]
ReachTest = Literal["fifty_percent", "subsidiary_or_affiliate", "control", "origin", "listed_on", "any_maker"]
MilitaryGrade = Literal["official_finding", "official_finding_on_partner", "official_allegation"]
MilitaryGround = Literal[
    "pla", "pap", "security_forces", "mss", "miit", "sasac", "sastind", "military_civil_fusion"
]  # fmt: skip

ROLES: tuple[str, ...] = get_args(Role)
ACTIVITIES: tuple[str, ...] = get_args(Activity)
USE_CLASSES: tuple[str, ...] = get_args(UseClass)
# The strongest first.
OUTCOMES: tuple[str, ...] = get_args(Outcome)
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
    """`[[editions]]`: one published edition of a list. `published`: the day of its official text, where that is
    another. One that is withdrawn never applied."""

    date: datetime.date
    sources: tuple[str, ...]
    citation: str | None = None
    published: datetime.date | None = None
    withdrawn: bool = False


class Act(FactFields, frozen=True):
    """`[[acts]]` of a programme: what it means for some activities. The first row that fits answers, so the particular
    stands before the general.

    What a row names, it is for; what it leaves out, it does not ask: `activities`, `profiles`, `use_classes` (of the
    site), `companies` (or companies below one of them), `statuses` of the listing, days (`since`, `until`, both
    included), `relations` of the peer to the company. `known_since`: the first day on which the row could be known.
    `says` is the sentence, in which {company} stands for the company; `duties` are what else is asked of the one whom
    it concerns. `citation` is the rule's; the listing has its own.
    """

    outcome: Outcome
    says: str
    citation: str
    sources: tuple[str, ...]
    confidence: Confidence
    activities: tuple[Activity, ...] = ()
    profiles: tuple[str, ...] = ()
    use_classes: tuple[UseClass, ...] = ()
    companies: tuple[str, ...] = ()
    statuses: tuple["ListingStatus", ...] = ()
    relations: tuple[PeerRelation, ...] = ()
    since: datetime.date | None = None
    until: datetime.date | None = None
    known_since: datetime.date | None = None
    duties: tuple[str, ...] = ()


class Reach(FactFields, frozen=True):
    """`[[reach]]` of a programme: whom it reaches beside those that it names, and from when to when.

    `test` fifty_percent, subsidiary_or_affiliate and control are asked of the ownership graph; origin: a company whose
    country is one of `countries`; listed_on: whom `programme` lists; any_maker: whoever made the device. `off`: known
    and not applied, for want of confirmation; `note` says why. `known_since`: the first day on which it could be known
    (absent: since).
    """

    test: ReachTest
    citation: str
    sources: tuple[str, ...]
    confidence: Confidence
    countries: tuple[str, ...] = ()
    programme: str | None = None
    since: datetime.date | None = None
    until: datetime.date | None = None
    known_since: datetime.date | None = None
    off: bool = False
    note: str | None = None


class ListRead(FactFields, frozen=True):
    """`[list_read]` of a programme: the edition or day of the list in which companies were looked for (a day, or a
    month). `whole`: all its names are known here, so that a company without a listing is not on it."""

    as_of: str
    sources: tuple[str, ...]
    whole: bool = False


class Programme(FactFields, frozen=True):
    """`programmes/<id>.toml`: one legal programme. `acts` say what it means for what a camera does, and end in a row
    for everybody; `reach` whom it reaches beside those it names; `note` says what is uncertain.
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
    editions: tuple[Edition, ...] = ()
    list_read: ListRead | None = None
    reach: tuple[Reach, ...] = ()
    acts: tuple[Act, ...] = ()
    note: str | None = None


class Listing(FactFields, frozen=True):
    """`[[listings]]`: one company on one programme, dated both ways.

    When true: `since` is the first day on which it took effect, `until` the last on which it applied, when it ended.
    When known: `published` is the day of the official text (absent: since), `known_since` the day from which it stood
    among the facts (absent: published), `end_published` the day on which the end could be known (absent: until).
    `withdrawn`: taken back on that day, as if it had never been. `editions` are the editions of the list that name it,
    under `name_on_list` where that is another name. `wind_down_until`: the last day of a wind-down licence.
    """

    programme: str
    status: ListingStatus
    citation: str
    sources: tuple[str, ...]
    confidence: Confidence
    since: datetime.date | None = None
    until: datetime.date | None = None
    published: datetime.date | None = None
    known_since: datetime.date | None = None
    end_published: datetime.date | None = None
    withdrawn: datetime.date | None = None
    wind_down_until: datetime.date | None = None
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

    `edition` is the day of the document. `grounds` are the bodies that the words name. It is a link to the People's
    Liberation Army only when `pla` is one of them: a listing is no ground, and its stated ground may be another.
    """

    claim: str
    citation: str
    source: str
    grade: MilitaryGrade
    edition: datetime.date | None = None
    grounds: tuple[MilitaryGround, ...] = ()


class Proceeding(FactFields, frozen=True):
    """`[[proceedings]]`: a lawsuit or report about the company; what a party alleges stays an allegation."""

    text: str
    sources: tuple[str, ...]


class Unconfirmed(FactFields, frozen=True):
    """`[[unconfirmed]]` of a company: what is said of it and a programme, and no source seen confirms."""

    programme: str
    reason: str
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
    unconfirmed: tuple[Unconfirmed, ...] = ()
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


class Profile(FactFields, frozen=True):
    """`profiles/<id>.toml`: a kind of organisation, and the programmes that concern it, the nearest first."""

    id: str
    name: str
    programmes: tuple[str, ...]
    sources: tuple[str, ...]
    confidence: Confidence
    note: str | None = None


class AssumedListing(FactFields, frozen=True):
    """`[[listings]]` of a scenario: a company is listed from the scenario's first day on. `wind_down_days`: how long a
    licence for winding down runs from that day, as in `precedent`."""

    entity: str
    programme: str
    wind_down_days: int | None = None
    precedent: str | None = None


class AssumedShare(FactFields, frozen=True):
    """`[[shares]]` of a scenario: a share moves to this figure on the scenario's first day."""

    entity: str
    by: str
    percent: float


class AssumedReach(FactFields, frozen=True):
    """`[[reach]]` of a scenario: a test of a programme that is off applies from the scenario's first day on."""

    programme: str
    test: ReachTest


class Scenario(FactFields, frozen=True):
    """`scenarios/<id>.toml`: what if the facts changed on a day that the question names. `waivers_ended`: ids of
    waivers that end the day before; "*" is all. `sources`: of the precedents, and of what makes the question worth
    asking.
    """

    id: str
    name: str
    sources: tuple[str, ...]
    confidence: Confidence
    listings: tuple[AssumedListing, ...] = ()
    shares: tuple[AssumedShare, ...] = ()
    reach: tuple[AssumedReach, ...] = ()
    waivers_ended: tuple[str, ...] = ()
    note: str | None = None
