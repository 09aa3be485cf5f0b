"""An observation through the facts and the detections: `RuleSet.match(observation)` → alerts. Pure.

First the facts: whose name or address is it (`contact`), else does the name resemble a maker's. Then only the
detections that ask for just that are evaluated, so that an observation that touches nothing costs two look-ups.

What a contact is evidence of: a DNS look-up, and a flow that nobody answered, show that the device uses the service
and nothing more (activity name_lookup). A contact with a firmware host is an update check; that an update was
fetched is said only where a path or a file name says so.
"""

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from collector.observation import DATASET_PREFIX, Observation, Url
from rules.alert import Alert, ListingBasis, Lookalike
from rules.detection import Detection
from rules.endpoints import CUSTOMER_ROLE, EndpointIndex, EndpointMatch, normalise_name
from rules.fact import AsNumber, Entity
from rules.factbook import Facts
from rules.finding import Finding
from rules.firmware import FIRMWARE_ROLE, FirmwareIndex, FirmwareStep
from rules.listing import Standings
from rules.lookalike import Lookalikes
from rules.plan import Plan, plan_for
from rules.sentence import INBOUND, their_side
from rules.sighting import Contact, Sighting

NAME_LOOKUP: Final = "name_lookup"
FIRMWARE_DOWNLOAD: Final = "firmware_download"
MAX_DATASETS: Final = 256
MAX_ZONES: Final = 65_536
NETWORK: Final = "network"
# Names that are asked of the neighbours (RFC 6762, RFC 4795, NetBIOS), or that stand for an address, are nobody's.
LOCAL_DATASETS: Final = frozenset(DATASET_PREFIX + name for name in ("mdns", "llmnr", "nbns"))
LOCAL_SUFFIXES: Final = (".arpa", ".local")
_DNS: Final = DATASET_PREFIX + "dns"
_AS_NUMBER = re.compile(r"(?:AS)?(\d{1,10})", re.IGNORECASE)


class Hit:
    """A detection fired on a sighting. `id` is the finding's; the whole document is made only when it is asked for."""

    __slots__ = ("_finding", "id", "seen")

    def __init__(self, finding: Finding, seen: Sighting) -> None:
        self._finding, self.seen = finding, seen
        self.id = finding.id_of(seen)

    @property
    def observation(self) -> Observation:
        """What was seen."""
        return self.seen.observation

    @property
    def level(self) -> str:
        """The detection's level."""
        return self._finding.level

    @property
    def step(self) -> str | None:
        """The step of an update that the alert would tell, if any."""
        contact = self.seen.contact
        return contact.step if contact is not None and self._finding.tells_steps else None

    @property
    def activity(self) -> str | None:
        """What the contact is evidence of."""
        return self.seen.contact.activity if self.seen.contact is not None else None

    def alert(self) -> Alert:
        """The alert, revision 1."""
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
    """All facts and detections, ready to match. `digest` is the SHA-256 over all of them."""

    def __init__(self, facts: Facts, endpoints: EndpointIndex, detections: Sequence[Detection], digest: str) -> None:
        self.facts, self.endpoints, self.digest = facts, endpoints, digest
        self.detections = tuple(detections)
        self._firmware = FirmwareIndex(facts.endpoints)
        self._lookalikes = Lookalikes(facts.endpoints, facts.entities)
        self._standings = Standings(facts.entities, facts.programmes)
        self._pairs = tuple((detection, Finding(detection, digest)) for detection in self.detections)
        self._plans: dict[str, Plan] = {}
        self._nobodys: dict[str, bool] = {}

    def prepare(self) -> None:
        """Do now what the first observation would have to wait for."""
        self._lookalikes.prepare()

    def match(self, observation: Observation, on: datetime.date | None = None) -> list[Alert]:
        """The alerts of one observation. `on`: the day whose listings count; by default the packet's day (UTC)."""
        return [hit.alert() for hit in self.hits(observation, on)]

    def hits(self, observation: Observation, on: datetime.date | None = None) -> list[Hit]:
        """As `match`, with each alert still to be made: one that only counts need not be."""
        dataset = observation.event.dataset
        plan = self._plans.get(dataset) or self._plan(dataset)
        name, contact = self._look(observation)
        if contact is not None:
            judges = plan.neither if contact.endpoint.confidence == "background" else plan.contact
            lookalike = None
        else:
            lookalike = self._resembles(name) if name else None
            judges = plan.lookalike if lookalike else plan.neither
        if not judges:
            return []
        seen = Sighting(observation, name, contact, None, lookalike)
        if contact is not None:
            day = on or observation.timestamp.astimezone(datetime.UTC).date()
            seen.standing = self._standings.on(contact.endpoint.entity, day)
        return [Hit(finding, seen) for finding in judges.firing(seen)]

    def contact(self, observation: Observation) -> Contact | None:
        """The company's endpoint that the observation touched: by name first, then by a network fact."""
        return self._look(observation)[1]

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

    def _with_company(self, answer: Lookup, entity: str | None, on: datetime.date | None) -> Lookup:
        if entity is not None:
            answer.entity = self.facts.entities.get(entity)
            answer.listings = self._standings.on(entity, on or datetime.date.max).listings
        return answer

    def _plan(self, dataset: str) -> Plan:
        plan = plan_for(dataset.removeprefix(DATASET_PREFIX), self._pairs)
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
        if plan.neither:
            return True
        name = _fold_name(name)
        if name is not None and self._is_nobodys(name):
            name = None
        name, match, _ = self._find(dataset, name, direction, peer, url, agent)
        return match is not None or bool(name and plan.lookalike and self._resembles(name))

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
        match = self.endpoints.match_name(name) if name else None
        step = None
        if url is not None:
            step = self._firmware_step(direction, url, agent, name)
            if step is not None and (match is None or match.role == CUSTOMER_ROLE):
                match = step.match
        if match is None and self.endpoints.has_networks:
            match = self.endpoints.match_address(peer())
        return name, match, step

    def _firmware_step(
        self, direction: str | None, url: Url, agent: str | None, name: str | None
    ) -> FirmwareStep | None:
        path = url.path or url.original
        target = f"{path}?{url.query}" if url.query else path
        step = self._firmware.at_host(name, target)
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
