"""One detection that fired on one sighting → an alert document that explains itself."""

import functools
import hashlib
import string
from collections.abc import Callable
from typing import Final

from collector.observation import FIRMWARE_PUSH, Observation
from rules.alert import (
    LEVELS,
    MAX_RELATED,
    RISK_SCORES,
    WINDOW_SECONDS,
    Alert,
    AlertDetail,
    AlertEvent,
    Company,
    EndpointBasis,
    Indicator,
    IndicatorUrl,
    Related,
    RuleReference,
    Step,
    Threat,
)
from rules.court import in_words
from rules.detection import Detection
from rules.sentence import WORDS, our_side, their_side, write_reason
from rules.sighting import Contact, Sighting
from rules.verdict import duties_of, strongest

MAX_IDENTIFIERS: Final = 1 << 14
ID_DIGITS: Final = 32
INSIDE: Final = "inside"
_FORMATTER: Final = string.Formatter()


class Finding:
    """What a detection makes of a sighting. One is made per detection, when the rules are loaded."""

    __slots__ = ("_detection", "_parts", "_rule", "level", "tells_steps")

    def __init__(self, detection: Detection, ruleset: str) -> None:
        self._detection = detection
        self.level, self.tells_steps = detection.level, detection.steps
        self._parts = [(text, WORDS.get(word or "")) for text, word, _, _ in _FORMATTER.parse(detection.message)]
        self._rule = RuleReference(
            id=detection.id,
            name=detection.title,
            version=detection.version,
            ruleset=ruleset,
            reference=detection.reference,
        )

    def alert(self, seen: Sighting, identifier: str) -> Alert:
        """The alert, revision 1, with the finding's id (`id_of`)."""
        observation, level = seen.observation, self.level
        return Alert(
            timestamp=observation.timestamp,
            event=AlertEvent(
                kind="alert",
                id=identifier,
                severity=LEVELS.index(level) + 1,
                risk_score=RISK_SCORES[level],
                reason=write_reason(seen),
            ),
            rule=self._rule,
            message=self._message(seen),
            observer=observation.observer,
            source=observation.source,
            destination=observation.destination,
            network=observation.network,
            related=_related(seen),
            lenswatch=_detail(seen, level, self.tells_steps),
            device=observation.device,
            threat=_threat(seen),
        )

    def _message(self, seen: Sighting) -> str:
        text = "".join([text + word(seen) if word else text for text, word in self._parts])
        for_us = in_words(seen.verdicts) if seen.verdicts else ""
        return f"{text} {for_us}" if for_us else text

    def id_of(self, seen: Sighting) -> str:
        """The id of everything that is the same finding: rule, device, what the rule folds by, window."""
        observation = seen.observation
        window = int(observation.timestamp.timestamp() // WINDOW_SECONDS)
        device = device_of(observation)
        fold = self._detection.fold
        return _identifier(self._detection.id, device, fold, fold_key(seen, fold), window)


@functools.lru_cache(MAX_IDENTIFIERS)
def _identifier(rule: str, device: str, fold: str, key: str, window: int) -> str:
    text = "\0".join((rule, device, fold, key, str(window)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:ID_DIGITS]


def fill(template: str, word: Callable[[str], str]) -> str:
    """A message with its words filled in."""
    return "".join(text + word(name) if name is not None else text for text, name, _, _ in _FORMATTER.parse(template))


def fold_key(seen: Sighting, fold: str) -> str:
    """What a finding is besides rule, device and window: the company's id, the fact's pattern, the name, or whom the
    device met for the first time."""
    if fold == "device":
        return ""
    more = seen.observation.lenswatch
    if fold == "news" and more is not None and more.baseline is not None:
        return " ".join(more.baseline.new or ())
    contact = seen.contact
    if contact is not None:
        if fold == "company":
            return contact.entity_id
        if fold == "endpoint":
            return f"{contact.entity_id} {contact.endpoint.pattern}"
    if seen.lookalike is not None:
        return seen.lookalike.name
    return seen.name or their_side(seen.observation).ip


def device_of(observation: Observation) -> str:
    """The id of the device that an observation is about: its own, else site and address of our side."""
    if observation.device is not None:
        return observation.device.id
    site = observation.lenswatch.site if observation.lenswatch else None
    return f"{site or observation.observer.name}/{our_side(observation).ip}"


def _related(seen: Sighting) -> Related:
    observation = seen.observation
    addresses = dict.fromkeys((observation.source.ip, observation.destination.ip))
    names = dict.fromkeys((seen.name,)) if seen.name else {}
    if observation.dns and observation.dns.resolved_ip:
        addresses |= dict.fromkeys(observation.dns.resolved_ip)
    return Related(ip=list(addresses)[:MAX_RELATED], hosts=list(names) or None)


def _detail(seen: Sighting, level: str, tells_steps: bool) -> AlertDetail:
    observation, contact = seen.observation, seen.contact
    more = observation.lenswatch
    identity = more.device if more else None
    return AlertDetail(
        revision=1,
        level=level,
        count=1,
        first_seen=observation.timestamp,
        last_seen=observation.timestamp,
        evidence=[observation.event.id],
        state="new",
        activity=contact.activity if contact else None,
        role=contact.role if contact else None,
        entity=_company(seen, contact) if contact else None,
        endpoint=_endpoint(contact) if contact else None,
        listings=list(seen.standing.listings) or None if seen.standing else None,
        outcome=strongest(seen.verdicts or ()),
        duties=duties_of(seen.verdicts or ()) or None,
        verdicts=seen.verdicts or None,
        lookalike=seen.lookalike,
        steps=_steps(observation, contact) if tells_steps else None,
        device_type=identity.type if identity else None,
        device_evidence=identity.evidence if identity else None,
        domain_source=more.domain_source if more else None,
        site=more.site if more else None,
        egress=more.egress if more else None,
        baseline=more.baseline if more else None,
    )


def _company(seen: Sighting, contact: Contact) -> Company:
    listed = seen.standing is not None and seen.standing.listed
    return Company(
        id=contact.entity_id,
        name=contact.company,
        listed=listed,
        country=contact.country,
        military_link=seen.standing.military_link if seen.standing else None,
    )


def _endpoint(contact: Contact) -> EndpointBasis:
    fact = contact.endpoint
    return EndpointBasis(
        pattern=fact.pattern, match=fact.match, confidence=fact.confidence, sources=list(fact.sources), note=fact.note
    )


def step_of(observation: Observation, contact: Contact | None) -> str | None:
    """The step of an update that an observation shows: what it touched says it, or that firmware was pushed."""
    if contact is not None and contact.step is not None:
        return contact.step
    return "download" if observation.event.action == FIRMWARE_PUSH else None


def _steps(observation: Observation, contact: Contact | None) -> list[Step] | None:
    step = step_of(observation, contact)
    if step is None:
        return None
    pushed, url = observation.event.action == FIRMWARE_PUSH, observation.url
    known = (contact.name or contact.address) if contact is not None else None
    giver = observation.lenswatch.pushed_by if pushed and observation.lenswatch is not None else None
    file, more = observation.file, observation.lenswatch
    return [
        Step(
            step=step,
            at=observation.timestamp,
            detail=url.original if url is not None else known or "",
            observation=observation.event.id,
            host=giver or known or observation.destination.domain or their_side(observation).ip,
            origin=INSIDE if pushed else None,
            size_bytes=file.size if file is not None else None,
            mime_type=file.mime_type if file is not None else None,
            sha256=file.hash.sha256 if file is not None else None,
            container=more.file.container if more is not None and more.file is not None else None,
        )
    ]


def _threat(seen: Sighting) -> Threat:
    contact = seen.contact
    confidence = contact.endpoint.confidence.capitalize() if contact else None
    if contact is not None:
        description = f"{contact.company}: {contact.role}"
    elif seen.lookalike is not None:
        description = f"resembles {seen.lookalike.resembles}"
    else:
        description = None
    if seen.name:
        kind, url, ip = "domain-name", IndicatorUrl(domain=seen.name), None
    else:
        url, ip = None, their_side(seen.observation).ip
        kind = "ipv6-addr" if ":" in ip else "ipv4-addr"
    return Threat(indicator=Indicator(type=kind, confidence=confidence, description=description, ip=ip, url=url))
