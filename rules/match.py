"""An observation through the facts and the detections: `RuleSet.match(observation)` → alerts. Pure.

First the facts: whose name or address is it (`contact`), else does the name resemble a maker's. Then only the
detections that ask for just that are evaluated, so that an observation that touches nothing costs two look-ups.

What a contact is evidence of: a DNS look-up, and a flow that nobody answered, show that the device uses the service
and nothing more (activity name_lookup). A contact with a firmware host is an update check; that an update was
fetched is said only where a path or a file name says so.
"""

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from collector.observation import DATASET_PREFIX, Observation, Url
from rules.alert import Alert, ListingBasis, Lookalike, MilitaryBasis, Verdict
from rules.correlate import Occurrence
from rules.correlation import Correlation
from rules.court import Court
from rules.detection import Detection
from rules.endpoints import CUSTOMER_ROLE, MAX_NAME_LENGTH, EndpointIndex, EndpointMatch, normalise_name
from rules.fact import AsNumber, Entity
from rules.factbook import Facts
from rules.finding import Finding, device_of, step_of
from rules.firmware import FIRMWARE_ROLE, FirmwareIndex, FirmwareStep
from rules.listing import Standings
from rules.lookalike import Lookalikes
from rules.plan import Feed, Plan, Question, plan_for
from rules.sentence import INBOUND, their_side
from rules.sighting import Contact, Sighting
from rules.signature import Signature
from rules.verdict import Judge

NAME_LOOKUP: Final = "name_lookup"
FIRMWARE_DOWNLOAD: Final = "firmware_download"
MAX_DATASETS: Final = 256
MAX_ZONES: Final = 65_536
MAX_NAMES: Final = 16_384
NETWORK: Final = "network"
# Names that are asked of the neighbours (RFC 6762, RFC 4795, NetBIOS), or that stand for an address, are nobody's.
LOCAL_DATASETS: Final = frozenset(DATASET_PREFIX + name for name in ("mdns", "llmnr", "nbns"))
LOCAL_SUFFIXES: Final = (".arpa", ".local")
_DNS: Final = DATASET_PREFIX + "dns"
_AS_NUMBER = re.compile(r"(?:AS)?(\d{1,10})", re.IGNORECASE)


class Judgement(NamedTuple):
    """What the rules say of one observation: the detections that fired, and what they feed to correlations."""

    hits: list["Hit"]
    occurrences: list[Occurrence]


class Hit:
    """A detection fired on a sighting. `id` is the finding's; the whole document is made only when it is asked for."""

    __slots__ = ("_court", "_finding", "id", "seen")

    def __init__(self, finding: Finding, seen: Sighting, court: Court) -> None:
        self._finding, self.seen, self._court = finding, seen, court
        self.id = finding.id_of(seen)

    @property
    def observation(self) -> Observation:
        """What was seen."""
        return self.seen.observation

    @property
    def device(self) -> str:
        """The id of the device whose finding it is."""
        return device_of(self.seen.observation)

    @property
    def level(self) -> str:
        """The detection's level."""
        return self._finding.level

    @property
    def step(self) -> str | None:
        """The step of an update that the alert would tell, if any."""
        return step_of(self.seen.observation, self.seen.contact) if self._finding.tells_steps else None

    @property
    def activity(self) -> str | None:
        """What the contact is evidence of."""
        return self.seen.contact.activity if self.seen.contact is not None else None

    @property
    def waiver(self) -> str | None:
        """The id of the waiver under which this is counted and not told, if any."""
        return self._court.waiver(self.seen)

    def alert(self) -> Alert:
        """The alert, revision 1, with what it means for this organisation."""
        self._court.verdicts(self.seen)
        return self._finding.alert(self.seen, self.id)


class Lookup(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Everything that is known of a name, an address or an AS number. `kind` says which it was taken for."""

    asked: str
    kind: str
    normalised: str
    match: EndpointMatch | None = None
    entity: Entity | None = None
    listings: tuple[ListingBasis, ...] = ()
    not_endpoint: str | None = None
    lookalike: Lookalike | None = None
    as_number: AsNumber | None = None


class RuleSet:
    """All facts, detections and linked correlations, ready to match. `digest` is the SHA-256 over all of them;
    `signatures` are those of the packs that they came in, as far as they were asked for."""

    def __init__(
        self,
        facts: Facts,
        endpoints: EndpointIndex,
        detections: Sequence[Detection],
        digest: str,
        court: Court | None = None,
        correlations: Sequence[Correlation] = (),
    ) -> None:
        self.facts, self.endpoints, self.digest = facts, endpoints, digest
        self.detections, self.correlations = tuple(detections), tuple(correlations)
        self.court = court or Court(Judge(facts))
        self.signatures: tuple[Signature | None, ...] = ()
        self._firmware = FirmwareIndex(facts.endpoints)
        self._lookalikes = Lookalikes(facts.endpoints, facts.entities)
        self._standings = Standings(facts.entities, facts.programmes)
        self._questions = self._ask()
        self._plans: dict[str, Plan] = {}
        self._nobodys: dict[str, bool] = {}
        self._matches: dict[str, EndpointMatch | None] = {}
        self._concerned: dict[tuple[str, str | None, str, str], bool] = {}
        self._has_networks = endpoints.has_networks

    def prepare(self) -> None:
        """Do now what the first observation would have to wait for."""
        self._lookalikes.prepare()

    def match(self, observation: Observation, on: datetime.date | None = None) -> list[Alert]:
        """The alerts of one observation that no waiver covers. `on`: the day whose listings count; by default the
        packet's day (UTC)."""
        return [hit.alert() for hit in self.hits(observation, on) if hit.waiver is None]

    def hits(self, observation: Observation, on: datetime.date | None = None) -> list[Hit]:
        """As `match`, with each alert still to be made: one that only counts need not be."""
        return self.judge(observation, on).hits

    def judge(self, observation: Observation, on: datetime.date | None = None) -> Judgement:
        """As `hits`, with what is fed to the correlations; counting that is for whoever keeps the windows."""
        dataset = observation.event.dataset
        plan = self._plans.get(dataset) or self._plan(dataset)
        name, contact = self._look(observation)
        if contact is not None:
            judges = plan.neither if contact.endpoint.confidence == "background" else plan.contact
            lookalike = None
        else:
            lookalike = self._resembles(name) if name else None
            judges = plan.lookalike if lookalike else plan.neither
        found = Judgement([], [])
        if not judges:
            return found
        seen = Sighting(observation, name, contact, None, lookalike, on)
        if contact is not None:
            seen.day = on or observation.timestamp.astimezone(datetime.UTC).date()
            seen.standing = self._standings.on(contact.endpoint.entity, seen.day)
        for _, finding, feeds in judges.firing(seen):
            if finding is not None:
                found.hits.append(Hit(finding, seen, self.court))
            # What a waiver covers feeds nothing: it is not for the last to come in to decide.
            if feeds and self.court.waiver(seen) is None:
                found.occurrences.extend(self._occurrences(feeds, seen))
        return found

    def _occurrences(self, feeds: tuple[Feed, ...], seen: Sighting) -> Iterator[Occurrence]:
        for correlation, finding, number in feeds:
            group = correlation.group(number, seen)
            if group is not None:
                yield Occurrence(correlation, finding, number, seen, group, self.court)

    def contact(self, observation: Observation) -> Contact | None:
        """The company's endpoint that the observation touched: by name first, then by a network fact."""
        return self._look(observation)[1]

    def military_link(self, entity: str, on: datetime.date) -> MilitaryBasis | None:
        """The official finding of a day or before that ties a company to armed forces."""
        return self._standings.on(entity, on).military_link

    def judged(self, observation: Observation, on: datetime.date | None = None) -> list[Verdict]:
        """What an observation means for this organisation, whether a detection asks for it or not; what a waiver covers
        is marked with its id."""
        return self.court.verdicts(Sighting(observation, None, self.contact(observation), day=on))

    def lookup(self, text: str, on: datetime.date | None = None) -> Lookup:
        """Everything known of a name, an address or an AS number. `on`: the day whose listings count; by default
        those without an end."""
        text = text.strip()
        number = _AS_NUMBER.fullmatch(text)
        if number:
            found = self.facts.as_numbers.get(int(number[1]))
            answer = Lookup(asked=text, kind="as", normalised=f"AS{int(number[1])}", as_number=found)
            return self._with_company(answer, found.entity if found else None, on)
        name = normalise_name(text)
        match = self.endpoints.match_address(name)
        if match is not None or ":" in name or name.replace(".", "").isdigit():
            answer = Lookup(asked=text, kind="address", normalised=name, match=match)
            return self._with_company(answer, match.entity if match else None, on)
        match, rejected = self.endpoints.match_name(name), self.endpoints.rejection(name)
        answer = Lookup(asked=text, kind="name", normalised=name, match=match)
        if rejected is not None:
            answer.not_endpoint = f"looks like {rejected.looks_like}: {rejected.reason}"
        elif match is None:
            answer.lookalike = self._lookalikes.resembles(name)
        return self._with_company(answer, match.entity if match else None, on)

    def company(self, entity: str, on: datetime.date | None = None) -> Lookup:
        """What is known of a company, by its id; nothing where there is none of this id. `on`: as in `lookup`."""
        known = entity if entity in self.facts.entities else None
        return self._with_company(Lookup(asked=entity, kind="company", normalised=entity), known, on)

    def _with_company(self, answer: Lookup, entity: str | None, on: datetime.date | None) -> Lookup:
        if entity is not None:
            answer.entity = self.facts.entities.get(entity)
            answer.listings = self._standings.on(entity, on or datetime.date.max).listings
        return answer

    def _ask(self) -> tuple[Question, ...]:
        """Each detection once: those that make alerts, then those that only feed a correlation."""
        feeds: dict[str, list[Feed]] = {}
        asked = {detection.id: detection for detection in self.detections}
        for correlation in self.correlations:
            finding = Finding(correlation.head, self.digest)
            for number, detection in enumerate(correlation.feeds):
                asked.setdefault(detection.id, detection)
                feeds.setdefault(detection.id, []).append(Feed(correlation, finding, number))
        alone = {detection.id for detection in self.detections}
        return tuple(
            Question(each, Finding(each, self.digest) if name in alone else None, tuple(feeds.get(name, ())))
            for name, each in asked.items()
        )

    def _plan(self, dataset: str) -> Plan:
        plan = plan_for(dataset.removeprefix(DATASET_PREFIX), self._questions)
        if len(self._plans) < MAX_DATASETS:
            self._plans[dataset] = plan
        return plan

    def _resembles(self, name: str) -> Lookalike | None:
        found = self._lookalikes.resembles(name)
        return None if found is None or self.endpoints.rejection(name) is not None else found

    def concerns(
        self,
        dataset: str,
        name: str | None,
        direction: str,
        peer: Callable[[], str],
        url: Url | None = None,
        agent: str | None = None,
    ) -> bool:
        """Whether an observation that says this could make an alert; asked before one is made, for most never need be.

        `name` is the name that was called or asked for, `peer` gives the other side's address. Where this is
        False, `match` gives no alert.
        """
        plan = self._plans.get(dataset) or self._plan(dataset)
        return plan.neither.may_fire(direction) or self.touches(dataset, name, direction, peer, url, agent)

    def concerns_call(self, dataset: str, name: str | None, direction: str, address: str) -> bool:
        """As `concerns`, of what has no URL; remembered, because devices call the same few names and addresses."""
        # Of the address nothing is asked where no fact has one.
        key = (dataset, name, direction, address if self._has_networks else "")
        known = self._concerned.get(key)
        if known is None:
            known = self.concerns(dataset, name, direction, lambda: address)
            if len(self._concerned) >= MAX_NAMES:
                self._concerned.clear()
            # What is longer is no name.
            if name is None or len(name) <= MAX_NAME_LENGTH:
                self._concerned[key] = known
        return known

    def touches(
        self,
        dataset: str,
        name: str | None,
        direction: str,
        peer: Callable[[], str],
        url: Url | None = None,
        agent: str | None = None,
    ) -> bool:
        """Whether what an observation would say (as in `concerns`) is of an endpoint that the facts know, or of a name
        that resembles one where a detection asks for such."""
        name = _fold_name(name)
        if name is not None and self._is_nobodys(name):
            name = None
        name, match, _ = self._find(dataset, name, direction, peer, url, agent)
        if match is not None or not name:
            return match is not None
        plan = self._plans.get(dataset) or self._plan(dataset)
        return bool(plan.lookalike) and self._resembles(name) is not None

    def is_unclaimed(self, name: str) -> bool:
        """Whether no fact and no resemblance can be at any name with the last two labels of this one, as it is compared
        (`normalise_name`): then `concerns` and `touches` answer for such a name as for none."""
        return name.endswith(LOCAL_SUFFIXES) or self._is_nobodys(name)

    def are_unclaimed_paths(self, paths: Sequence[str]) -> list[bool]:
        """Of each path whether `concerns` and `touches` answer of a request for it at no host that the facts know as
        of one for `/`."""
        return [step is None for step in map(self._firmware.file_at, paths)]

    def _is_nobodys(self, name: str) -> bool:
        """Whether no fact and no resemblance can be below the last two labels of a name; remembered: names repeat."""
        last = name.rfind(".")
        zone = name[name.rfind(".", 0, last) + 1 :] if last > 0 else name
        known = self._nobodys.get(zone)
        if known is None:
            if len(self._nobodys) >= MAX_ZONES:
                self._nobodys.clear()
            known = not self.endpoints.knows_zone(zone) and self._lookalikes.is_plain(zone)
            self._nobodys[zone] = known
        return known

    def _look(self, observation: Observation) -> tuple[str | None, Contact | None]:
        """The name that the facts were asked for, and the contact."""
        agent = observation.user_agent
        peer = their_side(observation).ip
        name, match, step = self._find(
            observation.event.dataset,
            _asked_name(observation),
            observation.network.direction,
            lambda: peer,
            observation.url,
            agent.original if agent else None,
        )
        if match is None:
            return name, None
        return name, self._contact(observation, match, step, name if match.match != NETWORK else None, peer)

    def _find(
        self,
        dataset: str,
        name: str | None,
        direction: str | None,
        peer: Callable[[], str],
        url: Url | None,
        agent: str | None,
    ) -> tuple[str | None, EndpointMatch | None, FirmwareStep | None]:
        """The name that counts, the endpoint fact that matched it or the peer's address, and the step of an update."""
        if dataset in LOCAL_DATASETS:
            return None, None, None
        if direction == INBOUND:
            name, url = None, None
        match = self._match_name(name) if name else None
        step = None
        if url is not None:
            step = self._firmware_step(direction, url, agent, name)
            if step is not None and (match is None or match.role == CUSTOMER_ROLE):
                match = step.match
        if match is None and self._has_networks:
            match = self.endpoints.match_address(peer())
        return name, match, step

    def _match_name(self, name: str) -> EndpointMatch | None:
        """As `EndpointIndex.match_name`; remembered, because devices call the same few names."""
        known = self._matches.get(name, self)
        if known is not self:
            return known  # type: ignore[return-value]
        if len(self._matches) >= MAX_NAMES:
            self._matches.clear()
        match = self._matches[name] = self.endpoints.match_name(name)
        return match

    def _firmware_step(
        self, direction: str | None, url: Url, agent: str | None, name: str | None
    ) -> FirmwareStep | None:
        path = url.path or url.original
        step = None
        if name is not None:
            step = self._firmware.at_host(name, f"{path}?{url.query}" if url.query else path)
        # A file that is handed round at home (an image sent to a camera by its owner) is no call to a maker.
        if (step is None or step.step != "download") and direction != "internal":
            anywhere = self._firmware.anywhere(path, agent)
            if anywhere is not None and (step is None or anywhere.step == "download"):
                return anywhere
        return step

    def _contact(
        self, observation: Observation, match: EndpointMatch, step: FirmwareStep | None, name: str | None, address: str
    ) -> Contact:
        activities = self.facts.activities
        flow = observation.lenswatch.flow if observation.lenswatch else None
        shown: str | None = step.step if step else None
        if observation.event.dataset == _DNS or (flow is not None and flow.state == "attempt"):
            activity, shown = NAME_LOOKUP, None
        elif shown == "download":
            activity = activities[FIRMWARE_DOWNLOAD]
        elif shown == "check" or match.role == FIRMWARE_ROLE:
            activity, shown = activities[FIRMWARE_ROLE], "check"
        else:
            activity = activities[match.role]
        entity = self.facts.entities.get(match.entity)
        return Contact(match, entity, match.role, activity, name, address, shown)


def _asked_name(observation: Observation) -> str | None:
    name = observation.destination.domain
    if name is None and observation.dns is not None and observation.dns.question is not None:
        name = observation.dns.question.name
    return _fold_name(name)


def _fold_name(name: str | None) -> str | None:
    """A name as the facts have it; None for none, and for names that are nobody's."""
    if name is None:
        return None
    name = normalise_name(name)
    return None if not name or name.endswith(LOCAL_SUFFIXES) else name
