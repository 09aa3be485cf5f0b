"""Facts → the indicators that travel: each name, network or firmware pattern by itself, with its company's listings.

What a format of `rules/export/` writes comes from here, in one order. An indicator's `id` is made of what the fact
is, so that the same fact has the same id in every pack and every format.
"""

import datetime
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from rules.alert import LISTED_STATUSES, ListingBasis
from rules.endpoints import is_below
from rules.fact import BulkList, Confidence, EndpointFile, EndpointName, FirmwareFact, NetworkAddress
from rules.factbook import Facts
from rules.listing import standing

Kind = Literal["name", "zone", "pattern", "network", "path", "file", "useragent"]
Fact = EndpointName | NetworkAddress | FirmwareFact | BulkList
CONFIDENCES: Final[tuple[str, ...]] = get_args(Confidence)
# RFC 9562 section 5.5: a name-based identifier needs a name space; this one is lenswatch's own.
NAMESPACE: Final = uuid.UUID("9c7d3a52-4c1b-5f7e-8a64-6c656e737761")


class Except(NamedTuple):
    """A name below a zone that the zone's fact does not speak of; with all below it where `below` is true."""

    name: str
    below: bool


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """One fact as it travels.

    `kind` name: the host `value` alone; zone: `value` and all below it but `excluded`; pattern: a regular expression
    over the whole host name, at or below one of `hosts`; network: a CIDR; path: a regular expression searched for in
    path and query at or below one of `hosts`; file: one over the last path segment; useragent: one over the user agent.
    `listings` are in force on the pack's day, those of the company itself first. `reference` is the address of the
    fact's first source that has one.
    """

    id: str
    uuid: str
    kind: Kind
    value: str
    entity: str
    company: str
    role: str
    confidence: str
    reference: str
    sources: tuple[str, ...]
    listings: tuple[ListingBasis, ...] = ()
    hosts: tuple[str, ...] = ()
    excluded: tuple[Except, ...] = ()
    step: str | None = None
    note: str | None = None

    @property
    def programmes(self) -> tuple[str, ...]:
        """The programmes that list the company itself."""
        return tuple(dict.fromkeys(each.programme for each in self.listings if each.status in LISTED_STATUSES))

    @property
    def citations(self) -> str:
        """Programme, first day and citation of each listing of the company itself, as text."""
        own = [each for each in self.listings if each.status in LISTED_STATUSES]
        words = [f"{each.programme}{f' since {each.since}' if each.since else ''}: {each.citation}" for each in own]
        return "; ".join(words)


class Pack(NamedTuple):
    """What is exported: `digest` of the facts and detections, the `day` whose listings count, the indicators in order.
    `block`: act on a match, where a format can; else only tell."""

    digest: str
    day: datetime.date
    indicators: tuple[Indicator, ...]
    block: bool = False


class Wanted(NamedTuple):
    """Which indicators travel: of these roles, of companies on these programmes (empty: all), at least so sure."""

    roles: frozenset[str] = frozenset()
    programmes: frozenset[str] = frozenset()
    min_confidence: str = "low"

    def takes(self, role: str, confidence: str, programmes: Collection[str]) -> bool:
        """Whether an indicator of this role and confidence, of a company on these programmes, is wanted."""
        return (
            (not self.roles or role in self.roles)
            and CONFIDENCES.index(confidence) <= CONFIDENCES.index(self.min_confidence)
            and (not self.programmes or not self.programmes.isdisjoint(programmes))
        )


def gather(
    facts: Facts, day: datetime.date, wanted: Wanted, bulk: Sequence[tuple[str, BulkList, Sequence[str]]] = ()
) -> tuple[Indicator, ...]:
    """The wanted indicators in order of company, role, kind and value. `bulk` are the lines of the long lists, by
    entity. Hosts of a dynamic DNS zone are its customers', so only the zone's own names travel."""
    wanted_ones: dict[tuple[str, str], Indicator] = {}
    unwanted: list[Except] = [Except(name, True) for fact in facts.not_endpoints for name in fact.names]
    for indicator in _all(facts, day, bulk):
        if wanted.takes(indicator.role, indicator.confidence, indicator.programmes):
            wanted_ones.setdefault((indicator.kind, indicator.value), indicator)
        elif indicator.kind in ("name", "zone"):
            unwanted.append(Except(indicator.value, indicator.kind == "zone"))
    unwanted += [
        Except(name.name, True)
        for file in facts.endpoints.values()
        for name in file.endpoint
        if name.role == "ddns" and name.match == "suffix"
    ]
    holes = _by_zone(unwanted)
    rejected = {name for fact in facts.not_endpoints for name in fact.names}
    chosen = [
        msgspec.structs.replace(each, excluded=tuple(holes.get(each.value, ()))) if each.kind == "zone" else each
        for each in wanted_ones.values()
        if each.kind not in ("name", "zone") or not any(is_below(each.value, name) for name in rejected)
    ]
    return tuple(sorted(chosen, key=lambda each: (each.entity, each.role, each.kind, each.value)))


def _by_zone(unwanted: Sequence[Except]) -> dict[str, list[Except]]:
    """The unwanted names by every name above them."""
    holes: dict[str, list[Except]] = {}
    for hole in sorted(set(unwanted)):
        above = hole.name.partition(".")[2]
        while above:
            holes.setdefault(above, []).append(hole)
            above = above.partition(".")[2]
    return holes


def _all(facts: Facts, day: datetime.date, bulk: Sequence[tuple[str, BulkList, Sequence[str]]]) -> Iterator[Indicator]:
    for entity, file in facts.endpoints.items():
        make = _Maker(facts, entity, day)
        yield from make.of_file(file)
    for entity, long_list, lines in bulk:
        make = _Maker(facts, entity, day)
        for line in lines:
            yield from make.of_line(long_list, line)


def number_of(entity: str, role: str, kind: Kind, value: str) -> uuid.UUID:
    """The same number for the same fact, wherever it is told."""
    return uuid.uuid5(NAMESPACE, f"{entity} {role} {kind} {value}")


class _Maker:
    """Makes the indicators of one company."""

    def __init__(self, facts: Facts, entity: str, day: datetime.date) -> None:
        self._facts, self._entity = facts, entity
        company = facts.entities.get(entity)
        self._company = company.name if company else entity
        self._listings = standing(company, facts.programmes, day).listings if company else ()

    def of_file(self, file: EndpointFile) -> Iterator[Indicator]:
        for fact in file.endpoint:
            if fact.role == "ddns" and fact.match == "suffix":
                yield self._make("name", fact.name, fact.role, fact)
                yield self._make("name", f"www.{fact.name}", fact.role, fact)
            elif fact.match == "regex":
                yield self._make("pattern", fact.name, fact.role, fact, hosts=fact.under)
            else:
                yield self._make("zone" if fact.match == "suffix" else "name", fact.name, fact.role, fact)
        for network in file.network:
            yield self._make("network", network.network, network.role, network)
        for firmware in file.firmware:
            # A firmware host is an endpoint name too, and a call of the local network is never seen at a gateway.
            if firmware.on_wire and firmware.kind in ("path", "file", "useragent"):
                kind: Kind = firmware.kind
                yield self._make(kind, firmware.pattern, "firmware", firmware, hosts=firmware.hosts, step=firmware.step)

    def of_line(self, fact: BulkList, line: str) -> Iterator[Indicator]:
        text = line.partition("#")[0].strip().lower()
        if not text:
            return
        if "/" in text or ":" in text or text.replace(".", "").isdigit():
            yield self._make("network", text, fact.role, fact)
        elif fact.role == "ddns" or fact.match == "exact":
            yield self._make("name", text, fact.role, fact)
        else:
            yield self._make("zone", text, fact.role, fact)

    def _make(
        self,
        kind: Kind,
        value: str,
        role: str,
        fact: Fact,
        hosts: tuple[str, ...] = (),
        step: str | None = None,
    ) -> Indicator:
        number = number_of(self._entity, role, kind, value)
        sources = fact.sources
        return Indicator(
            id=f"lenswatch-{self._entity}-{role}-{number.hex[:8]}",
            uuid=str(number),
            kind=kind,
            value=value,
            entity=self._entity,
            company=self._company,
            role=role,
            confidence=fact.confidence,
            reference=self._reference(sources),
            sources=sources,
            listings=self._listings,
            hosts=hosts,
            step=step,
            note=fact.note,
        )

    def _reference(self, sources: Sequence[str]) -> str:
        known = [self._facts.sources[each] for each in sources if each in self._facts.sources]
        return next((each.url for each in known if each.url), f"source:{sources[0]}")
