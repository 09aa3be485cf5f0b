"""The product of `rules`: an alert, one finding, in ECS names; the document explains itself."""

import datetime
from typing import Final

from collector.observation import Device, EgressBreach, Endpoint, Fields, Network, Novelty, Observer

LEVELS = ("informational", "low", "medium", "high", "critical")
RISK_SCORES = {"informational": 1, "low": 21, "medium": 47, "high": 73, "critical": 99}
# One finding is rule, device, endpoint or company, and this much packet time.
WINDOW_SECONDS: Final = 24 * 60 * 60
MAX_RELATED: Final = 20
# The company itself is on the list: by name, or because the list's own words reach it through its owner. A unit of the
# group (listed_unit), a category of products, a scope rule or a statement is shown, and is no listing of the company.
LISTED_STATUSES: Final = frozenset({"listed", "derived", "removed"})


class AlertEvent(Fields):
    """`event.*`: `id` is the finding's, the same for a replay; `severity` 1 (informational) to 5 (critical)."""

    kind: str
    id: str
    severity: int
    risk_score: int
    reason: str


class RuleReference(Fields):
    """`rule.*`: the detection that fired. `version` is its file's digest, `ruleset` that of all facts and rules."""

    id: str
    name: str
    version: str
    ruleset: str
    reference: str | None = None


class IndicatorUrl(Fields):
    """`threat.indicator.url.*`."""

    domain: str


class Indicator(Fields):
    """`threat.indicator.*`: `type` is domain-name, ipv4-addr or ipv6-addr; `confidence` Low, Medium or High."""

    type: str
    confidence: str | None = None
    description: str | None = None
    ip: str | None = None
    url: IndicatorUrl | None = None


class Threat(Fields):
    """`threat.*`."""

    indicator: Indicator


class Related(Fields):
    """`related.*`: every address and name of the finding, each once, at most 20."""

    ip: list[str]
    hosts: list[str] | None = None


class MilitaryBasis(Fields):
    """`lenswatch.entity.military_link.*`: what an official finding says, in its words, with citation and edition."""

    claim: str
    citation: str
    source: str
    grounds: list[str]
    edition: datetime.date | None = None


class Company(Fields):
    """`lenswatch.entity.*`: the company behind the endpoint. `listed`: a listing was in force on the packet's day.
    `military_link` only where an official finding of that day or before names one."""

    id: str
    name: str
    listed: bool
    country: str | None = None
    military_link: MilitaryBasis | None = None


class EndpointBasis(Fields):
    """`lenswatch.endpoint.*`: the fact that tied name or address to the company."""

    pattern: str
    match: str
    confidence: str
    sources: list[str]
    note: str | None = None


class ListingBasis(Fields):
    """`lenswatch.listings[]`: a listing in force on the packet's day, with its citation."""

    programme: str
    programme_name: str
    status: str
    citation: str
    confidence: str
    sources: list[str]
    since: datetime.date | None = None
    note: str | None = None


class OwnershipLink(Fields):
    """`lenswatch.verdicts[].ownership[]`: who holds how much of whom; `percent` absent: unknown."""

    holder: str
    company: str
    confidence: str
    sources: list[str]
    percent: float | None = None
    as_of: str | None = None


class Verdict(Fields):
    """`lenswatch.verdicts[]`: what one programme says of one activity with one company, for one profile, on a day.

    `outcome` is prohibited, licence_required, reportable, review, context_only, not_restricted or checked_not_listed;
    `says` why, in a sentence; `duties` are what is asked besides. `citation` is the programme's rule, `listing` that of
    the company's listing. `since` is the first day of the outcome. `basis` is how the programme reaches the company:
    named, unit, category, derived, by_rule, statement, ownership, origin, other_list, everybody, unconfirmed, unknown,
    not_found or not_checked. `profile` absent: the general picture, no profile being set. `list_as_of`: the edition in
    which the company was not found. `concerns`: the programme is one of the profile's.
    """

    programme: str
    programme_name: str
    outcome: str
    says: str
    citation: str
    sources: list[str]
    entity: str
    activity: str
    relation: str
    basis: str
    concerns: bool = True
    profile: str | None = None
    since: datetime.date | None = None
    duties: list[str] | None = None
    listing: str | None = None
    list_as_of: str | None = None
    ownership: list[OwnershipLink] | None = None
    wind_down_until: datetime.date | None = None
    waiver: str | None = None


class Lookalike(Fields):
    """`lenswatch.lookalike.*`: the known name that `name` resembles; `method` is edit_distance, containment,
    other_suffix or homoglyph."""

    name: str
    resembles: str
    method: str


class Step(Fields):
    """`lenswatch.steps[]`: one step of a firmware transaction, the first time it was seen: check, download, install,
    new_version.

    `host` is who was asked or who gave it, by name, else address; `origin` is inside where that is one of our own.
    `size_bytes`, `mime_type`, `sha256` and `container` are of the file where it passed in the clear. `probable`: it is
    taken for this step by its size alone. `silent_seconds`: how long nothing was seen of the device before it was back.
    """

    step: str
    at: datetime.datetime
    detail: str
    observation: str
    host: str | None = None
    origin: str | None = None
    size_bytes: int | None = None
    mime_type: str | None = None
    sha256: str | None = None
    container: str | None = None
    probable: bool | None = None
    silent_seconds: float | None = None
    version_before: str | None = None
    version_after: str | None = None


class Update(Fields):
    """`lenswatch.update.*`: a firmware transaction as a whole. `origin` is maker (it was fetched from outside) or
    inside; `by` who gave it. `not_seen` names in words what a whole transaction has and was not seen; `says` is it in a
    sentence."""

    origin: str
    by: str
    not_seen: list[str]
    says: str
    version_before: str | None = None
    version_after: str | None = None


class CorrelationBasis(Fields):
    """`lenswatch.correlation.*`: what a correlation counted (`type`: event_count, value_count or temporal) when it was
    fulfilled. `count` of at least `least`, within `timespan_seconds`, `since` the first of them; `values` (20 at most)
    are those that value_count counted, `rules` the titles of the rules that fed it."""

    type: str
    count: int
    least: int
    timespan_seconds: int
    since: datetime.datetime
    group: dict[str, str]
    rules: list[str]
    values: list[str] | None = None


class AlertDetail(Fields, frozen=True):  # type: ignore[misc]
    """`lenswatch.*` of an alert. `revision` rises with each news of a finding; `evidence` are observation ids;
    `outcome` is the strongest of `verdicts` that is not waived."""

    revision: int
    level: str
    count: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    evidence: list[str]
    state: str
    activity: str | None = None
    role: str | None = None
    entity: Company | None = None
    endpoint: EndpointBasis | None = None
    listings: list[ListingBasis] | None = None
    outcome: str | None = None
    duties: list[str] | None = None
    verdicts: list[Verdict] | None = None
    lookalike: Lookalike | None = None
    steps: list[Step] | None = None
    update: Update | None = None
    device_type: str | None = None
    device_evidence: list[str] | None = None
    domain_source: str | None = None
    site: str | None = None
    correlation: CorrelationBasis | None = None
    egress: EgressBreach | None = None
    baseline: Novelty | None = None


class Alert(Fields, frozen=True, rename={"timestamp": "@timestamp"}):  # type: ignore[misc]
    """One finding. `timestamp` is the packet time of this revision's news. What was told is shared, and never
    changed: news is a new one."""

    timestamp: datetime.datetime
    event: AlertEvent
    rule: RuleReference
    message: str
    observer: Observer
    source: Endpoint
    destination: Endpoint
    network: Network
    related: Related
    lenswatch: AlertDetail
    device: Device | None = None
    threat: Threat | None = None

    @property
    def news_id(self) -> str:
        """The id of this revision of the finding: the same news again has the same."""
        return f"{self.event.id}-{self.lenswatch.revision}"
