"""Observations through the rules into their findings: the one loop that every wiring runs."""

import datetime
from collections import Counter
from collections.abc import Callable, Iterable
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
from streams.processors.fold import Fold

INBOUND = "inbound"
LookUp = Callable[[str], AddressFacts]


class Memory(NamedTuple):
    """What is known of a device, or of all: its findings, the windows of its correlations, and what is usual."""

    fold: Fold
    correlate: Correlate
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
) -> Judged:
    """Every hit of the rules, and every correlation that is fulfilled, into the memory that `memory_of` names for its
    device; None lets it go, as one that was counted before. `on`: the day whose listings count; by default each
    packet's."""
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
            elif not memory.fold.counts(hit):
                added = memory.fold.add(hit.alert())
                told += sum(each.event.id == hit.id for each in added)
                news += added
    return Judged(news, matched, told, waived)


def compared(observation: Observation, rules: RuleSet, memory_of: Callable[[str], Memory | None]) -> Observation:
    """The observation, with what is not usual for its device."""
    memory = memory_of(observation.device.id) if observation.device is not None else None
    if memory is None or memory.baseline is None:
        return observation
    contact = rules.contact(observation)
    return memory.baseline.compare(observation, contact.entity_id if contact is not None else None)


def concerning(found: Iterable[Observation], rules: RuleSet) -> list[Observation]:
    """The observations that could be a hit, or say what is usual: most touch nobody, and are told apart by the end of a
    name alone."""
    concerns = rules.concerns
    kept = []
    for observation in found:
        if baseline.concerns(observation):
            kept.append(observation)
            continue
        dns, direction = observation.dns, observation.network.direction
        name = observation.destination.domain
        if name is None and dns is not None and dns.question is not None:
            name = dns.question.name
        peer = observation.source if direction == INBOUND else observation.destination
        agent = observation.user_agent.original if observation.user_agent is not None else None
        if concerns(observation.event.dataset, name, direction or "", lambda ip=peer.ip: ip, observation.url, agent):  # type: ignore[misc]
            kept.append(observation)
    return kept


def enriched(found: list[Observation], look_up: LookUp | None, policies: Policies | None = None) -> list[Observation]:
    """The observations with what is known of their peers' addresses (None knows nothing), and with which of them break
    their device's policy."""
    if look_up is not None:
        found = [enrich(observation, look_up) for observation in found]
    return [policies.judge(observation) for observation in found] if policies else found
