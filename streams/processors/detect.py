"""Observations through the rules into their findings: the one loop that every wiring runs."""

import datetime
from collections.abc import Callable, Iterable
from typing import NamedTuple

from collector.observation import Observation
from rules.alert import Alert
from rules.match import Hit, RuleSet
from streams.processors.enrich import AddressFacts, enrich
from streams.processors.fold import Fold

INBOUND = "inbound"
LookUp = Callable[[str], AddressFacts]


class Judged(NamedTuple):
    """The news of some observations, the hits there were, and how many of them were told at once; the rest folded."""

    news: list[Alert]
    matched: int
    told: int


def judge(
    found: Iterable[Observation],
    rules: RuleSet,
    fold_of: Callable[[Hit], Fold | None],
    on: datetime.date | None = None,
) -> Judged:
    """Every hit of the rules into the fold that `fold_of` names for it; None lets the hit go, as one that was counted
    before. `on`: the day whose listings count; by default each packet's."""
    news: list[Alert] = []
    matched = told = 0
    hits = rules.hits
    for observation in found:
        for hit in hits(observation, on):
            fold = fold_of(hit)
            if fold is None:
                continue
            matched += 1
            if not fold.counts(hit):
                added = fold.add(hit.alert())
                told += sum(each.event.id == hit.id for each in added)
                news += added
    return Judged(news, matched, told)


def concerning(found: Iterable[Observation], rules: RuleSet) -> list[Observation]:
    """The observations that could be a hit: most touch nobody, and are told apart by the end of a name alone."""
    concerns = rules.concerns
    kept = []
    for observation in found:
        dns, direction = observation.dns, observation.network.direction
        name = observation.destination.domain
        if name is None and dns is not None and dns.question is not None:
            name = dns.question.name
        peer = observation.source if direction == INBOUND else observation.destination
        agent = observation.user_agent.original if observation.user_agent is not None else None
        if concerns(observation.event.dataset, name, direction or "", lambda ip=peer.ip: ip, observation.url, agent):  # type: ignore[misc]
            kept.append(observation)
    return kept


def enriched(found: list[Observation], look_up: LookUp | None) -> list[Observation]:
    """The observations with what is known of their peers' addresses; None knows nothing."""
    return found if look_up is None else [enrich(observation, look_up) for observation in found]
