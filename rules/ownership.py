"""Who owns and who controls whom on a day: three legal tests on one dated graph of sourced shares. Pure.

A share counts from its `as_of` until the next known figure of the same holder, or its `until`. A holder whose share is
not known on the day makes an answer *unknown* wherever the share could decide; it is never guessed.
"""

import calendar
import datetime
from collections.abc import Collection, Iterable, Iterator
from typing import Final, Literal, NamedTuple

from rules.alert import OwnershipLink
from rules.fact import Entity, Share

HALF: Final = 50.0
WHOLE: Final = 100.0
SURE: Final = frozenset({"high", "medium"})

Certainty = Literal["yes", "no", "unknown"]


class Holding(NamedTuple):
    """A holder's part of a company on a day; `percent` None: unknown. `stated` : a source calls it the parent."""

    holder: str
    company: str
    percent: float | None
    as_of: str | None
    stated: bool
    confidence: str
    sources: tuple[str, ...]


class Answer(NamedTuple):
    """What a test says. `links` lead from the company up to the owner; `reason` is one clause for a person. `low` and
    `high` bound the aggregated share, where shares were counted."""

    certainty: Certainty
    reason: str
    links: tuple[OwnershipLink, ...] = ()
    low: float = 0.0
    high: float = 0.0


class Ownership:
    """The graph of all companies. Holders that are no company of the facts are leaves."""

    def __init__(self, entities: dict[str, Entity]) -> None:
        self._entities = entities
        self._shares = {id: _by_holder(entity.ownership) for id, entity in entities.items()}
        self._above: dict[str, frozenset[str]] = {}

    def above(self, company: str) -> frozenset[str]:
        """Every company that stands above this one on any day, by share or as parent."""
        known = self._above.get(company)
        if known is None:
            found: set[str] = set()
            open_ = [company]
            while open_:
                for holder in self._holders(open_.pop()):
                    if holder not in found and holder in self._entities and holder != company:
                        found.add(holder)
                        open_.append(holder)
            known = self._above[company] = frozenset(found)
        return known

    def holdings(self, company: str, day: datetime.date) -> tuple[Holding, ...]:
        """Who holds how much of a company on a day."""
        entity = self._entities.get(company)
        if entity is None:
            return ()
        found = []
        for holder, dated in self._shares[company].items():
            holding = _on(company, holder, dated, day, stated=holder == entity.parent)
            if holding is not None:
                found.append(holding)
        if entity.parent is not None and all(holding.holder != entity.parent for holding in found):
            found.append(_parent(entity))
        return tuple(found)

    def fifty_percent(self, company: str, owners: Collection[str], day: datetime.date) -> Answer:
        """Whether the owners hold at least 50 percent of a company, directly or through companies that they hold so,
        in aggregate; ownership only."""
        return self._count(company, frozenset(owners), day, {})

    def subsidiary_or_affiliate(self, company: str, owners: Collection[str], day: datetime.date) -> Answer:
        """Whether a company is a subsidiary or affiliate of one of the owners: a source calls one of them its parent,
        or it holds half, link by link. What share makes an affiliate the programmes do not say: less is unknown."""
        return self._walk(company, frozenset(owners), day, less_is_unknown=True)

    def control(self, company: str, owners: Collection[str], day: datetime.date) -> Answer:
        """Whether one of the owners controls a company: a source calls it the parent, or it holds more than half. A
        known smaller share without such a source is no control."""
        return self._walk(company, frozenset(owners), day, less_is_unknown=False)

    def _holders(self, company: str) -> Iterator[str]:
        entity = self._entities[company]
        yield from self._shares[company]
        if entity.parent is not None:
            yield entity.parent

    def _count(
        self, company: str, owners: frozenset[str], day: datetime.date, known: dict[str, Answer | None]
    ) -> Answer:
        if company in owners:
            return Answer("yes", f"{self._name(company)} itself", (), WHOLE, WHOLE)
        if company in known:
            # On a circle of holdings the outcome is not known yet, and must not be taken as given.
            return known[company] or Answer("unknown", "holdings run in a circle", (), 0.0, WHOLE)
        known[company] = None
        low = high = others = 0.0
        links: list[OwnershipLink] = []
        missing = False
        for holding in self.holdings(company, day):
            above = self._count(holding.holder, owners, day, known) if holding.holder in self._entities else NOBODY
            if above.certainty == "no":
                others += holding.percent or 0.0
                continue
            links += [_link(holding), *above.links]
            if holding.percent is None:
                missing = True
                continue
            high += holding.percent
            if above.certainty == "yes" and holding.confidence in SURE:
                low += holding.percent
        if missing:
            high = max(high, WHOLE - others)
        answer = known[company] = self._judged(company, low, min(high, WHOLE), missing, tuple(links))
        return answer

    def _judged(self, company: str, low: float, high: float, missing: bool, links: tuple[OwnershipLink, ...]) -> Answer:
        if low >= HALF:
            return Answer("yes", f"at least {low:g} % of {self._name(company)} in aggregate", links, low, high)
        if high < HALF:
            reason = (
                f"no more than {high:g} % of {self._name(company)} is known to be held" if links else "no link known"
            )
            return Answer("no", reason, links, low, high)
        reason = "a share is not known" if missing else "a share above is not known or not sure"
        return Answer("unknown", f"{reason}: between {low:g} and {high:g} % of {self._name(company)}", links, low, high)

    def _walk(self, company: str, owners: frozenset[str], day: datetime.date, less_is_unknown: bool) -> Answer:
        """The surest way up from a company to an owner, over links that hold."""
        if company in owners:
            return Answer("yes", f"{self._name(company)} itself")
        doubt: Answer | None = None
        open_: list[tuple[str, tuple[OwnershipLink, ...], bool]] = [(company, (), True)]
        seen: set[tuple[str, bool]] = set()
        while open_:
            below, links, sure = open_.pop(0)
            for holding in self.holdings(below, day):
                holds = _holds(holding, less_is_unknown)
                if holds == "no":
                    continue
                way = (*links, _link(holding))
                certain = sure and holds == "yes"
                if holding.holder in owners:
                    reason = f"{self._name(company)} is below {self._name(holding.holder)}"
                    if certain:
                        return Answer("yes", reason, way)
                    doubt = doubt or Answer("unknown", f"{reason} by a link that is not sure", way)
                elif (holding.holder, certain) not in seen and holding.holder in self._entities:
                    seen.add((holding.holder, certain))
                    open_.append((holding.holder, way, certain))
        return doubt or Answer("no", "no link known")

    def _name(self, company: str) -> str:
        entity = self._entities.get(company)
        return entity.name if entity else company


NOBODY: Final = Answer("no", "no company of the facts")


def _holds(holding: Holding, less_is_unknown: bool) -> Certainty:
    """Whether one link makes a subsidiary, an affiliate, or a controlled company."""
    if holding.stated or (holding.percent is not None and holding.percent >= HALF):
        # Exactly half alone controls nobody.
        if not (holding.stated or less_is_unknown) and holding.percent == HALF:
            return "unknown"
        return "yes" if holding.confidence in SURE else "unknown"
    return "unknown" if less_is_unknown or holding.percent is None else "no"


def _link(holding: Holding) -> OwnershipLink:
    return OwnershipLink(
        holder=holding.holder,
        company=holding.company,
        percent=holding.percent,
        as_of=holding.as_of,
        confidence=holding.confidence,
        sources=list(holding.sources),
    )


def _parent(entity: Entity) -> Holding:
    return Holding(
        entity.parent or "",
        entity.id,
        None,
        None,
        True,
        entity.parent_confidence or "background",
        entity.parent_sources,
    )


Dated = list[tuple[datetime.date, datetime.date, Share]]


def _by_holder(shares: Iterable[Share]) -> dict[str, Dated]:
    """Each holder's figures in order of their first days."""
    found: dict[str, Dated] = {}
    for share in shares:
        begins = read_day(share.as_of, last=False) if share.as_of else datetime.date.min
        ends = read_day(share.until, last=True) if share.until else datetime.date.max
        found.setdefault(share.by, []).append((begins, ends, share))
    for dated in found.values():
        dated.sort(key=lambda each: each[0])
    return found


def _on(company: str, holder: str, dated: Dated, day: datetime.date, stated: bool) -> Holding | None:
    """The latest figure that is not younger than the day; before the first, the holder's share is unknown."""
    current = None
    for begins, ends, share in dated:
        if begins <= day:
            current = (ends, share)
    if current is None:
        share = dated[0][2]
        return Holding(holder, company, None, None, stated, share.confidence, share.sources)
    ends, share = current
    if ends < day:
        return None
    return Holding(holder, company, share.percent, share.as_of, stated, share.confidence, share.sources)


def read_day(text: str, last: bool) -> datetime.date:
    """The first or last day of a day, month or year, as 2025-09-30, 2025-09 or 2025. Raises ValueError."""
    parts = [int(part) for part in text.split("-")]
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"{text!r} is no day, month or year; write 2025-09-30, 2025-09 or 2025")
    year = parts[0]
    month = parts[1] if len(parts) > 1 else (12 if last else 1)
    if len(parts) == 3:
        return datetime.date(year, month, parts[2])
    return datetime.date(year, month, calendar.monthrange(year, month)[1] if last else 1)
