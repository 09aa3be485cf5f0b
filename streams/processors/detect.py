"""Observations through the rules into their findings: the one loop that every wiring runs."""

import datetime
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from collector.observation import Observation
from rules.alert import Alert
from rules.correlate import CorrelationHit
from rules.match import Hit, RuleSet
from streams.processors import baseline
from streams.processors.baseline import Baseline
from streams.processors.correlate import Correlate
from streams.processors.egress import Policies
from streams.processors.enrich import AddressFacts, enrich
from streams.processors.firmware import TELLING, Updates, concerns_updates
from streams.processors.fold import ENDED, Fold

INBOUND = "inbound"
SAYING = TELLING | baseline.TELLING
"""The datasets that may tell anything of an update, or of what is usual: most observations are of others."""
LookUp = Callable[[str], AddressFacts]


class Memory(NamedTuple):
    """What is known of a device, or of all: its findings, the windows of its correlations, its updates, and what is
    usual."""

    fold: Fold
    correlate: Correlate
    updates: Updates
    baseline: Baseline | None = None


class Judged(NamedTuple):
    """The news of some observations, the hits there were, how many of them were told at once, and how many a waiver
    covers, by its id; the rest folded."""

    news: list[Alert]
    matched: int
    told: int
    waived: Counter[str]


def judge(
    found: Iterable[Observation],
    rules: RuleSet,
    memory_of: Callable[[str], Memory | None],
    on: datetime.date | None = None,
    pending: Collection[str] = (),
) -> Judged:
    """Every hit of the rules, every correlation that is fulfilled, and every step of an update, into the memory that
    `memory_of` names for its device; None lets it go, as one that was counted before. `on`: the day whose listings
    count; by default each packet's. `pending`: devices whose every observation may tell of an update."""
    news: list[Alert] = []
    matched = told = 0
    waived: Counter[str] = Counter()
    for each in found:
        observation = compared(each, rules, memory_of) if baseline.concerns(each) else each
        fired, occurrences = rules.judge(observation, on)
        hits: list[Hit | CorrelationHit] = list(fired)
        for occurrence in occurrences:
            memory = memory_of(occurrence.device)
            if memory is not None:
                hits += memory.correlate.add((occurrence,))
        for hit in hits:
            memory = memory_of(hit.device)
            if memory is None:
                continue
            matched += 1
            waiver = hit.waiver
            if waiver is not None:
                waived[waiver] += 1
            else:
                added = add_hit(memory, hit)
                told += is_told(added, hit.id)
                news += added
            if hit.step is not None and isinstance(hit, Hit):
                memory.updates.note(hit, memory.fold.known(hit.id) if waiver is None else None)
        device = observation.device
        if device is not None and (device.id in pending or concerns_updates(observation)):
            memory = memory_of(device.id)
            if memory is not None:
                update, added = follow(memory, device.id, observation)
                matched += update is not None
                told += update is not None and is_told(added, update.event.id)
                news += added
    return Judged(news, matched, told, waived)


def compared(observation: Observation, rules: RuleSet, memory_of: Callable[[str], Memory | None]) -> Observation:
    """The observation, with what is not usual for its device."""
    memory = memory_of(observation.device.id) if observation.device is not None else None
    if memory is None or memory.baseline is None:
        return observation
    contact = rules.contact(observation)
    return memory.baseline.compare(observation, contact.entity_id if contact is not None else None)


def add_hit(memory: Memory, hit: Hit | CorrelationHit) -> list[Alert]:
    """The news that a hit makes: of its transaction, where it is a step of one that has begun."""
    if hit.step is not None and isinstance(hit, Hit):
        begun = memory.updates.claim(hit)
        if begun is not None:
            memory.fold.recall(begun)
    return [] if memory.fold.counts(hit) else memory.fold.add(hit.alert())


def is_told(added: list[Alert], identifier: str) -> bool:
    """Whether what was put into a fold is news of its own; before it may stand what ended meanwhile, of any finding."""
    return bool(added) and added[-1].event.id == identifier and added[-1].lenswatch.state != ENDED


def follow(memory: Memory, device: str, observation: Observation) -> tuple[Alert | None, list[Alert]]:
    """A step which no detection told, and its news."""
    begun = memory.updates.begun(device)
    update = memory.updates.follow(observation)
    if update is None:
        return None, []
    if begun is not None:
        memory.fold.recall(begun)
    added = memory.fold.add(update)
    memory.updates.told(device, memory.fold.known(update.event.id))
    return update, added


def concerning(found: Iterable[Observation], rules: RuleSet, pending: Collection[str] = ()) -> Iterator[Observation]:
    """The observations that could be a hit or a step, or say what is usual: most touch nobody, and are told apart by
    the end of a name. Each is looked at when the one before it has been judged, which may have made its device one of
    `pending`."""
    concerns, concerns_call = rules.concerns, rules.concerns_call
    for observation in found:
        device, dataset = observation.device, observation.event.dataset
        if (device is not None and device.id in pending) or (
            dataset in SAYING and (concerns_updates(observation) or baseline.concerns(observation))
        ):
            yield observation
            continue
        dns, direction = observation.dns, observation.network.direction
        name = observation.destination.domain
        if name is None and dns is not None and dns.question is not None:
            name = dns.question.name
        peer = observation.source if direction == INBOUND else observation.destination
        url = observation.url
        if url is None:
            if concerns_call(dataset, name, direction or "", peer.ip):
                yield observation
            continue
        agent = observation.user_agent.original if observation.user_agent is not None else None
        if concerns(dataset, name, direction or "", lambda ip=peer.ip: ip, url, agent):  # type: ignore[misc]
            yield observation


def enriched(found: list[Observation], look_up: LookUp | None, policies: Policies | None = None) -> list[Observation]:
    """The observations with what is known of their peers' addresses (None knows nothing), and with which of them break
    their device's policy."""
    if look_up is not None:
        found = [enrich(observation, look_up) for observation in found]
    return [policies.judge(observation) for observation in found] if policies else found
