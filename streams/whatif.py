"""`lenswatch whatif`: recorded traffic under today's facts and under a scenario's, and the difference."""

import dataclasses
import datetime
import itertools
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from collector.capture.source import open_source
from collector.errors import LenswatchError
from collector.observation import Observation
from rules.alert import Alert, Verdict
from rules.cli import read_day
from rules.errors import known_word
from rules.load import under_scenario
from rules.match import RuleSet
from rules.verdict import Question, rank
from streams.local import LocalWatch, Run
from streams.ruleset import rules_for
from streams.screen import RELATIONS, plain, story_text, time_words, times_words
from streams.settings import Settings, load_settings
from streams.verdict import Begins, Folders, KnownAt, Profiles

MAX_CONTACTS = 100_000
UPDATES = ("update_check", "update_received")
WAIVED = "waived"
BARRED = ("prohibited", "licence_required")
SAME = ("programme", "profile", "before", "after", "company", "relation", "activity")
FAILED = 1


@dataclasses.dataclass(slots=True)
class Calls:
    """What one device did with one company: how often, when last, and one observation that stands for all."""

    sample: Observation
    device: str
    company: str
    activity: str
    first: datetime.datetime
    last: datetime.datetime
    count: int = 0


class Contacts:
    """An output that keeps which device did what with which company. At most `MAX_CONTACTS`; what comes after them is
    counted in `let_go`."""

    def __init__(self, rules: RuleSet, max_contacts: int = MAX_CONTACTS) -> None:
        self.rules, self.max_contacts = rules, max_contacts
        self.calls: dict[tuple[str, str, str], Calls] = {}
        self.devices: set[str] = set()
        self.let_go = 0

    def write(self, documents: Sequence[Observation | Alert]) -> None:
        """Take observations."""
        for each in documents:
            if isinstance(each, Observation):
                self._take(each)

    def _take(self, observation: Observation) -> None:
        contact = self.rules.contact(observation)
        if contact is None or contact.endpoint.confidence == "background":
            return
        device = observation.device.id if observation.device else observation.source.ip
        key = (device, contact.entity_id, contact.activity)
        calls = self.calls.get(key)
        at = observation.timestamp
        if calls is None:
            if len(self.calls) >= self.max_contacts:
                self.let_go += 1
                return
            calls = self.calls[key] = Calls(observation, *key, at, at)
        calls.count += 1
        calls.first, calls.last = min(calls.first, at), max(calls.last, at)
        self.devices.add(device)


@dataclasses.dataclass(slots=True)
class Change:
    """A verdict that the scenario changes for some calls."""

    calls: Calls
    verdict: Verdict
    before: str
    after: str
    count: int = 0
    last: datetime.datetime | None = None


def whatif(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario of the facts.")],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Capture files; - is standard input.")],
    profile: Profiles = [],  # noqa: B006
    begins: Begins = None,
    on: Annotated[
        str | None, typer.Option(metavar="DAY", help="The day to ask about; default: the recording's last.")
    ] = None,
    known_at: KnownAt = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file (TOML).")] = None,
    folders: Folders = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of words.")] = False,
) -> None:
    """Run recorded traffic under today's facts and a scenario's; say which devices, calls and verdicts change."""
    settings = load_settings(config)
    if profile:
        ours = msgspec.structs.replace(settings.rules, profiles=tuple(profile), sites={})
        settings = msgspec.structs.replace(settings, rules=ours)
    known = None if known_at is None else read_day(known_at, "--known-at")
    rules = rules_for(settings, folders, known)
    # A word that is not known is said before a long recording is read.
    known_word(scenario, rules.facts.scenarios, "scenario")
    contacts, run = read_contacts(settings, rules, sources)
    day = recorded_last(contacts) if on is None else read_day(on, "--on")
    first_day = day if begins is None else read_day(begins, "--from")
    found = compare(rules, under_scenario(rules, scenario, first_day), contacts, day)
    told = summary(rules, scenario, contacts, found, day, first_day)
    typer.echo(msgspec.json.encode(told) if as_json else story_text(told_rows(told)))
    for problem in run.problems:
        typer.echo(f"lenswatch: {problem}", err=True)
    if run.problems:
        raise typer.Exit(FAILED)


def read_contacts(settings: Settings, rules: RuleSet, names: Sequence[str]) -> tuple[Contacts, Run]:
    """Every contact of the recordings."""
    contacts = Contacts(rules)
    watch = LocalWatch(settings, rules, observations=[contacts])
    return contacts, watch.watch([open_source(name) for name in names])


def recorded_last(contacts: Contacts) -> datetime.date:
    """The last day of the recording. Raises LenswatchError where there is none."""
    last = max((calls.last for calls in contacts.calls.values()), default=None)
    if last is None:
        raise LenswatchError("no call to a known company is in these recordings; there is nothing to compare")
    return last.astimezone(datetime.UTC).date()


def compare(today: RuleSet, then: RuleSet, contacts: Contacts, day: datetime.date) -> list[Change]:
    """Every verdict that is another under the scenario, or that a waiver no longer covers; each once a device."""
    found: dict[tuple[object, ...], Change] = {}
    for calls in contacts.calls.values():
        before = {key_of(each): each for each in today.judged(calls.sample, day)}
        for verdict in then.judged(calls.sample, day):
            now = before.get(key_of(verdict)) or asked_alone(today, calls, verdict, day)
            was = WAIVED if now.waiver else now.outcome
            will = WAIVED if verdict.waiver else verdict.outcome
            if was != will:
                key = (calls.device, *key_of(verdict))
                change = found.setdefault(key, Change(calls, verdict, was, will))
                change.count += calls.count
                change.last = max(change.last or calls.last, calls.last)
    return list(found.values())


def asked_alone(rules: RuleSet, calls: Calls, verdict: Verdict, day: datetime.date) -> Verdict:
    """The same question, where it was not worth telling."""
    more = calls.sample.lenswatch
    use_class = rules.court.organisation.at(more.site if more else None).use_class
    question = Question(verdict.entity, verdict.activity, day, (), use_class, verdict.relation)
    return rules.court.judge.judge(question, verdict.programme, verdict.profile)


def key_of(verdict: Verdict) -> tuple[str, str, str, str, str | None]:
    """What makes two verdicts answers to the same question."""
    return verdict.programme, verdict.entity, verdict.activity, verdict.relation, verdict.profile


def summary(
    rules: RuleSet,
    scenario: str,
    contacts: Contacts,
    changes: list[Change],
    day: datetime.date,
    begins: datetime.date,
) -> dict[str, Any]:
    """The difference as one document."""
    ends = [change.verdict.wind_down_until for change in changes if change.verdict.wind_down_until is not None]
    until = max(ends, default=None)
    changed = {id(change.calls): change.calls for change in changes}
    return {
        "scenario": scenario,
        "name": rules.facts.scenarios[scenario].name,
        "begins": begins,
        "on": day,
        "profiles": rules.court.organisation.everywhere.profiles,
        "wind_down_until": until,
        "days_left": None if until is None else (until - day).days,
        "devices": {"seen": len(contacts.devices), "changed": len({change.calls.device for change in changes})},
        "calls": {
            "seen": sum(calls.count for calls in contacts.calls.values()),
            "changed": sum(calls.count for calls in changed.values()),
            "let_go": contacts.let_go,
        },
        "update_dependence": dependence(changes),
        "changes": [change_document(change) for change in sorted(changes, key=change_order)],
    }


def change_order(change: Change) -> tuple[int, str, str, str]:
    """The strongest first; what belongs together side by side."""
    verdict = change.verdict
    return rank(verdict.outcome), verdict.programme, f"{verdict.entity} {verdict.activity}", change.calls.device


def change_document(change: Change) -> dict[str, Any]:
    """One change as JSON."""
    calls, verdict = change.calls, change.verdict
    device = calls.sample.device
    return {
        "device": calls.device,
        "manufacturer": device.manufacturer if device else None,
        "company": verdict.entity,
        "relation": verdict.relation,
        "activity": verdict.activity,
        "calls": change.count,
        "last_seen": change.last,
        "programme": verdict.programme,
        "profile": verdict.profile,
        "before": change.before,
        "after": change.after,
        "says": verdict.says,
        "citation": verdict.citation,
        "listing": verdict.listing,
        "sources": verdict.sources,
        "wind_down_until": verdict.wind_down_until,
    }


def dependence(changes: list[Change]) -> list[dict[str, Any]]:
    """The devices that were seen to take updates from a company from which they no longer may, with the last time."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for change in changes:
        calls, verdict = change.calls, change.verdict
        if verdict.activity in UPDATES and change.after in BARRED:
            row = found.setdefault(
                (calls.device, verdict.entity),
                {"device": calls.device, "company": verdict.entity, "last_update": calls.last, "times": 0},
            )
            row["last_update"] = max(row["last_update"], calls.last)
            row["times"] += calls.count
    return [found[key] for key in sorted(found)]


def told_rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The difference as label and text; devices with the same change stand together."""
    yield "what if", f"{told['name']} ({told['scenario']}), from {told['begins']}"
    who = ", ".join(told["profiles"]) or "no profile says who we are: the general picture"
    yield "asked", f"on {told['on']}; {who}"
    if told["wind_down_until"] is not None:
        yield "days left", f"{told['days_left']}: winding down until {told['wind_down_until']}"
    devices, calls = told["devices"], told["calls"]
    yield "devices", f"{devices['changed']:,} of {devices['seen']:,} that call a known company"
    yield "calls", f"{calls['changed']:,} of {calls['seen']:,}"
    yield from [("let go", f"{calls['let_go']:,} contacts past the most that are kept")] if calls["let_go"] else []
    for row in told["update_dependence"]:
        often = f"{times_words(row['times'])}, last {time_words(row['last_update'])} UTC"
        yield "updates", f"{row['device']} takes them from {row['company']}: {often}"
    if not told["changes"]:
        yield "changes", "none"
    for _, group in itertools.groupby(told["changes"], key=itemgetter(*SAME)):
        rows = list(group)
        first = rows[0]
        whose = f" for {first['profile']}" if first["profile"] else ""
        yield "", ""
        yield "change", f"{first['programme']}{whose}: {plain(first['before'])} → {plain(first['after'])}"
        yield "", f"{first['company']} {RELATIONS[first['relation']]}: {plain(first['activity'])}"
        yield from (("", f"{row['device']}, {times_words(row['calls'])}") for row in rows)
        yield "", first["says"]
        yield "", first["listing"] or first["citation"]
