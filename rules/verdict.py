"""What a programme says of an activity with a company, for this organisation, on a day. Pure; days are arguments.

Verdict = programme × activity × profile. First how the programme reaches the company (`Position`): by a listing, by its
own words on owners and origin, or not at all. Then what the programme says of the activity (its `acts`, the first row
that fits). A doubt on the way never makes an answer stronger than review: a person has to look.
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from rules.alert import OwnershipLink, Verdict
from rules.fact import ACTIVITIES as ACTIVITIES
from rules.fact import OUTCOMES as OUTCOMES
from rules.fact import USE_CLASSES as USE_CLASSES
from rules.fact import Act, Entity, Listing, Programme, Reach
from rules.factbook import Facts
from rules.listing import applies
from rules.ownership import SURE, Ownership

# A look-up, a time server and a name server of the company are evidence of use and nothing more.
EVIDENCE_ONLY: Final = frozenset({"name_lookup", "time_sync", "ddns"})
# The device itself is the matter, and who made it.
MADE_ACTIVITIES: Final = frozenset({"device_present", "new_device"})
EVIDENCE_WORDS: Final = "It is evidence that a device uses {company}, and nothing more."
MADE, OPERATES, HOSTS = "made", "operates", "hosts"
NAMING: Final = {
    "listed": "named", "removed": "named", "derived": "derived", "category": "category", "listed_unit": "unit",
    "in_scope_by_rule": "by_rule", "named_in_statement": "statement",
}  # fmt: skip
STRENGTH: Final = {outcome: len(OUTCOMES) - place for place, outcome in enumerate(OUTCOMES)}
REVIEW: Final = "review"
MAX_REMEMBERED: Final = 8_192
MAX_POSITIONS: Final = 65_536


class Position(NamedTuple):
    """How a programme reaches a company on a day. `doubt`: why it may not; then nothing above review follows."""

    basis: str
    since: datetime.date | None = None
    listing: Listing | None = None
    links: tuple[OwnershipLink, ...] = ()
    citation: str | None = None
    sources: tuple[str, ...] = ()
    doubt: str | None = None
    reason: str | None = None


class Question(NamedTuple):
    """What is asked of every programme."""

    entity: str
    activity: str
    day: datetime.date
    profiles: tuple[str, ...] = ()
    use_class: str | None = None
    relation: str = OPERATES


class Judge:
    """All programmes over all companies. At most `MAX_REMEMBERED` answers are remembered, and `MAX_POSITIONS` of what
    they are made of."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.ownership = Ownership(facts.entities)
        self._named: dict[str, dict[str, list[Listing]]] = {}
        for id, entity in facts.entities.items():
            for listing in entity.listings:
                self._named.setdefault(listing.programme, {}).setdefault(id, []).append(listing)
        self._unconfirmed = {
            (id, each.programme): each for id, entity in facts.entities.items() for each in entity.unconfirmed
        }
        self._rows: dict[tuple[str, str, str, str | None, str | None], tuple[Act, ...]] = {}
        self._remembered: dict[Question, tuple[Verdict, ...]] = {}
        self._positions: dict[tuple[str, str, datetime.date], Position] = {}

    def verdicts(self, question: Question) -> tuple[Verdict, ...]:
        """One verdict for each programme that the profiles name, profile by profile; without a profile, for each that
        lists the company or reaches it through its owners. Remembered."""
        known = self._remembered.get(question)
        if known is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            known = self._remembered[question] = tuple(self._all(question))
        return known

    def picture(self, question: Question) -> list[Verdict]:
        """As `verdicts`, and beside them the programmes that list the company and do not concern the profile, marked
        so; without a profile, every programme."""
        if not question.profiles:
            return [self.judge(question, id, None) for id in self.facts.programmes]
        found = self._all(question)
        told = {verdict.programme for verdict in found}
        for id in self.facts.programmes:
            if id not in told and self.position(question.entity, id, question.day).basis in LISTED - {"origin"}:
                verdict = self.judge(question, id, question.profiles[0])
                found.append(msgspec.structs.replace(verdict, concerns=False))
        return found

    def _all(self, question: Question) -> list[Verdict]:
        programmes = self.facts.programmes
        if not question.profiles:
            reached = (id for id in programmes if self.position(question.entity, id, question.day).basis in TOLD)
            return [self.judge(question, id, None) for id in reached]
        return [
            self.judge(question, id, profile)
            for profile in question.profiles
            for id in self.facts.profiles[profile].programmes
        ]

    def judge(self, question: Question, programme_id: str, profile: str | None) -> Verdict:
        """One programme for one profile; None asks what holds whoever one is."""
        entity_id, activity, day, relation = question.entity, question.activity, question.day, question.relation
        programme = self.facts.programmes[programme_id]
        entity = self.facts.entities.get(entity_id)
        company = short_name(entity, entity_id)
        place = self.position(entity_id, programme_id, day)
        outcome, says, citation = "context_only", "", programme.authority
        since, sources = place.since, place.sources
        duties: tuple[str, ...] = ()
        list_as_of = wind_down_until = None
        if place.basis in UNREACHED:
            outcome, says, list_as_of = _unreached(place, programme, company, day)
        else:
            act = self._act(question, programme, profile, place)
            if act is None:
                outcome, says = REVIEW, f"What {programme.name} says of this was not researched."
            else:
                outcome, citation, duties = act.outcome, act.citation, act.duties
                sources = tuple(dict.fromkeys((*place.sources, *act.sources)))
                since = max(filter(None, (place.since, act.since)), default=None)
                says = act.says.format(company=company)
            if activity in EVIDENCE_ONLY:
                outcome, says, duties = "context_only", EVIDENCE_WORDS.format(company=company), ()
            outcome, says, duties = _doubted(outcome, says, duties, place, act)
            if profile is None:
                outcome, says, duties = self._general(question, programme, place, (outcome, says, duties))
            wind_down_until = place.listing.wind_down_until if place.listing else None
            says = _wind_down(says, wind_down_until, day)
        return Verdict(
            programme=programme_id,
            programme_name=programme.name,
            outcome=outcome,
            says=says,
            citation=citation,
            sources=list(sources or programme.sources),
            entity=entity_id,
            activity=activity,
            relation=relation,
            basis=place.basis,
            profile=profile,
            since=since,
            duties=list(duties) or None,
            listing=place.citation,
            list_as_of=list_as_of,
            ownership=list(place.links) or None,
            wind_down_until=wind_down_until,
        )

    def _general(
        self, question: Question, programme: Programme, place: Position, general: tuple[str, str, tuple[str, ...]]
    ) -> tuple[str, str, tuple[str, ...]]:
        """What holds whoever one is; review, where it is more for some and no profile says who asks."""
        outcome, says, duties = general
        if question.activity in EVIDENCE_ONLY:
            return general
        more: dict[str, list[str]] = {}
        for profile in dict.fromkeys(profile for act in programme.acts for profile in act.profiles):
            act = self._act(question, programme, profile, place)
            if act is not None and STRENGTH[act.outcome] > STRENGTH[outcome]:
                more.setdefault(act.outcome, []).append(profile)
        if not more:
            return general
        told = "; ".join(
            f"{strongest.replace('_', ' ')} for {', '.join(more[strongest])}" for strongest in sorted(more, key=rank)
        )
        strongest = min(more, key=rank)
        held = REVIEW if STRENGTH[strongest] >= STRENGTH[REVIEW] else strongest
        doubt = f"To be looked at, for {place.doubt}. If it holds: " if place.doubt else ""
        return held, f"{doubt}It depends on who you are: {told}; for others: {says}", duties

    def _act(self, question: Question, programme: Programme, profile: str | None, place: Position) -> Act | None:
        """The first row that fits."""
        key = (programme.id, question.activity, question.relation, profile, question.use_class)
        rows = self._rows.get(key)
        if rows is None:
            if len(self._rows) >= MAX_POSITIONS:
                self._rows.clear()
            rows = self._rows[key] = tuple(act for act in programme.acts if _asks(act, key))
        day, status = question.day, place.listing.status if place.listing else None
        for act in rows:
            if (act.since is not None and day < act.since) or (act.until is not None and act.until < day):
                continue
            if act.statuses and status not in act.statuses:
                continue
            if act.companies and not self._is_of(question.entity, act.companies):
                continue
            return act
        return None

    def _is_of(self, entity: str, companies: Iterable[str]) -> bool:
        above = self.ownership.above(entity)
        return any(company == entity or company in above for company in companies)

    def position(self, entity_id: str, programme_id: str, day: datetime.date) -> Position:
        """How a programme reaches a company on a day. Remembered."""
        key = (entity_id, programme_id, day)
        known = self._positions.get(key)
        if known is None:
            if len(self._positions) >= MAX_POSITIONS:
                self._positions.clear()
            known = self._positions[key] = self._position(entity_id, self.facts.programmes[programme_id], day)
        return known

    def _position(self, entity_id: str, programme: Programme, day: datetime.date) -> Position:
        entity = self.facts.entities.get(entity_id)
        listings = self._named.get(programme.id, {}).get(entity_id, ())
        in_force = [each for each in listings if each.status in NAMING and applies(each, day)]
        if in_force:
            listing = min(in_force, key=_naming_rank)
            links = self._derivation(entity_id, programme.id, day) if listing.status == "derived" else ()
            return _by_listing(listing, links)
        warning = None
        for reach in programme.reach:
            if (reach.since is None or reach.since <= day) and (reach.until is None or day <= reach.until):
                found = self._reached(entity_id, entity, programme, reach, day)
                if found is not None and not reach.off:
                    return found
                if found is not None:
                    warning = reach.note
        unconfirmed = self._unconfirmed.get((entity_id, programme.id))
        if unconfirmed is not None:
            return Position("unconfirmed", doubt=unconfirmed.reason, sources=unconfirmed.sources)
        return self._not_reached(entity, programme, listings, day, warning)

    def _reached(
        self, entity_id: str, entity: Entity | None, programme: Programme, reach: Reach, day: datetime.date
    ) -> Position | None:
        """The position that a reach gives a company it reaches, or may reach."""
        doubt = None if reach.confidence in SURE else (reach.note or f"its words reach by {reach.test}")
        if reach.test == "any_maker":
            return Position("everybody", reach.since, citation=reach.citation, sources=reach.sources, doubt=doubt)
        if reach.test == "origin":
            if entity is None or entity.country not in reach.countries:
                return None
            return Position("origin", reach.since, citation=reach.citation, sources=reach.sources, doubt=doubt)
        if reach.test == "listed_on":
            other = self.position(entity_id, reach.programme or "", day)
            if other.basis not in LISTED:
                return None
            since = max(filter(None, (other.since, reach.since)), default=None)
            return Position("other_list", since, None, other.links, reach.citation, reach.sources, other.doubt)
        return self._owned(entity_id, entity, programme, reach, day)

    def _derivation(self, entity_id: str, programme: str, day: datetime.date) -> tuple[OwnershipLink, ...]:
        """The links from a company whose listing is derived to the one that is named."""
        owners = self._owners(entity_id, programme, day)
        return self.ownership.subsidiary_or_affiliate(entity_id, owners.keys(), day).links if owners else ()

    def _owners(self, entity_id: str, programme: str, day: datetime.date) -> dict[str, Listing]:
        """The companies above one that the programme itself lists on a day."""
        named = self._named.get(programme, {})
        return {
            owner: listing
            for owner in self.ownership.above(entity_id) & named.keys()
            for listing in named[owner]
            if listing.status in ("listed", "removed") and applies(listing, day)
        }

    def _owned(
        self, entity_id: str, entity: Entity | None, programme: Programme, reach: Reach, day: datetime.date
    ) -> Position | None:
        owners = self._owners(entity_id, programme.id, day) if entity is not None else {}
        if not owners or entity is None:
            return None
        test = getattr(self.ownership, reach.test)
        answer = test(entity_id, owners.keys(), day)
        if answer.certainty == "no":
            return None
        top = next((link.holder for link in answer.links if link.holder in owners), next(iter(owners)))
        listing = owners[top]
        since = max(filter(None, (listing.since, reach.since)), default=None)
        sources = (*listing.sources, *reach.sources, *(each for link in answer.links for each in link.sources))
        sources = tuple(dict.fromkeys(sources))
        citation = f"{reach.citation}; {listing.citation}"
        doubt = None
        if answer.certainty == "unknown":
            doubt = f"whether the programme reaches the company is not known ({answer.reason})"
        elif programme.id in entity.not_found_on and reach.test != "fifty_percent":
            doubt = f"the list does not name the company; {answer.reason}"
        basis = "unknown" if answer.certainty == "unknown" else "ownership"
        # The listing of the owner carries the wind-down; its status is not the company's.
        carried = msgspec.structs.replace(listing, status="derived")
        return Position(basis, since, carried, answer.links, citation, sources, doubt, answer.reason)

    def _not_reached(
        self,
        entity: Entity | None,
        programme: Programme,
        listings: Sequence[Listing],
        day: datetime.date,
        warning: str | None,
    ) -> Position:
        reason = f" {warning}" if warning else ""
        read = programme.list_read
        sources = read.sources if read is not None else ()
        dated = [each for each in listings if each.status in NAMING]
        if dated:
            listing = min(dated, key=lambda each: each.since or day)
            return Position(
                "not_found", None, listing, sources=listing.sources, reason=_other_days(dated, day) + reason
            )
        checked = [each for each in listings if each.status == "not_listed"]
        if checked:
            return Position("not_found", sources=checked[0].sources, reason=reason.strip() or None)
        if (entity is not None and programme.id in entity.not_found_on) or (read is not None and read.whole):
            return Position("not_found", sources=sources, reason=reason.strip() or None)
        return Position("not_checked", reason=reason.strip() or None)


LISTED: Final = frozenset(
    {"named", "derived", "category", "unit", "by_rule", "statement", "ownership", "unknown", "unconfirmed", "origin",
     "other_list"}
)  # fmt: skip
UNREACHED: Final = frozenset({"not_found", "not_checked"})
TOLD: Final = LISTED - {"origin", "other_list", "unconfirmed"}


def telling_first(verdict: Verdict) -> tuple[bool, int]:
    """The order in which activities tell: acts before what is evidence only, the strongest first."""
    return verdict.activity in EVIDENCE_ONLY, rank(verdict.outcome)


def rank(outcome: str) -> int:
    """Place of an outcome, the strongest first."""
    return -STRENGTH[outcome]


def strongest(verdicts: Iterable[Verdict]) -> str | None:
    """*The* outcome of several verdicts; waived ones do not count while another stands."""
    outcomes = [verdict.outcome for verdict in verdicts if verdict.concerns and verdict.waiver is None]
    return min(outcomes, key=rank, default=None)


def duties_of(verdicts: Iterable[Verdict]) -> list[str]:
    """The duties that stand beside the outcome, each once."""
    return list(
        dict.fromkeys(
            duty for verdict in verdicts if verdict.concerns and verdict.waiver is None for duty in verdict.duties or ()
        )
    )


def short_name(entity: Entity | None, id: str) -> str:
    """What people call a company."""
    if entity is None:
        return id
    return entity.aliases[0] if entity.aliases else entity.name


def _asks(act: Act, key: tuple[str, str, str, str | None, str | None]) -> bool:
    """Whether a row is for this activity, relation, profile and use class."""
    _, activity, relation, profile, use_class = key
    return (
        (not act.activities or activity in act.activities)
        and (not act.relations or relation in act.relations)
        and (not act.profiles or profile in act.profiles)
        and (not act.use_classes or use_class in act.use_classes)
    )


def _naming_rank(listing: Listing) -> tuple[bool, bool, datetime.date]:
    """A listing of the company itself before one of a unit or category; then the earlier."""
    own = NAMING[listing.status] in ("named", "derived", "by_rule", "statement")
    return (not own, listing.confidence not in SURE, listing.since or datetime.date.min)


def _by_listing(listing: Listing, links: tuple[OwnershipLink, ...]) -> Position:
    doubt = None
    if listing.status == "listed_unit":
        doubt = "a unit of the group is named, and not the group"
    elif listing.confidence not in SURE:
        doubt = f"the listing rests on {'general knowledge' if listing.confidence == 'background' else 'a weak source'}"
    return Position(NAMING[listing.status], listing.since, listing, links, listing.citation, listing.sources, doubt)


def _other_days(listings: Sequence[Listing], day: datetime.date) -> str:
    listing = max(listings, key=lambda each: each.since or day)
    if listing.withdrawn is not None:
        return f"It was named in a list that was withdrawn on {listing.withdrawn} and never applied."
    if listing.since is not None and day < listing.since:
        return f"It is since {listing.since}."
    return f"It was listed until {listing.until}." if listing.until else ""


def _doubted(
    outcome: str, says: str, duties: tuple[str, ...], place: Position, act: Act | None
) -> tuple[str, str, tuple[str, ...]]:
    """The outcome held at review, and without duties, where it is doubtful that the programme reaches the company, or
    what its row says."""
    doubt = place.doubt
    if doubt is None and act is not None and act.confidence not in SURE:
        doubt = f"what the rule says rests on a {act.confidence} source"
    if doubt is None or STRENGTH[outcome] <= STRENGTH[REVIEW]:
        return outcome, says, duties
    return REVIEW, f"To be looked at, for {doubt}. If it holds: {says}", ()


def _unreached(place: Position, programme: Programme, company: str, day: datetime.date) -> tuple[str, str, str | None]:
    """Outcome, words, and the list's date for a company that a programme does not reach, as far as is known."""
    more = f" {place.reason}" if place.reason else ""
    if place.basis == "not_checked":
        words = f"Whether {company} is on it was not checked here; that nothing is known is no all-clear.{more}"
        return "context_only", words, None
    read = programme.list_read
    as_of = read.as_of if read is not None else None
    when = f" (list of {as_of})" if as_of else ""
    if place.listing is not None:
        # Of a day before the list was read, its own days tell.
        told = when if as_of is not None and as_of <= day.isoformat() else ""
        return "checked_not_listed", f"{company} is not listed on that day{told}.{more}", as_of
    return "checked_not_listed", f"{company} was looked for and is not listed{when}.{more}", as_of


def _wind_down(says: str, last: datetime.date | None, day: datetime.date) -> str:
    """The sentence with what is left of a wind-down licence."""
    if last is None:
        return says
    left = (last - day).days
    if left < 0:
        return f"{says} The time for winding down ended on {last}."
    return f"{says} A licence for winding down, and for no more, would run until {last}: {left} days left."
