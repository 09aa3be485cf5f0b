"""`lenswatch verdict`: what the programmes say of a company, without any traffic."""

import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from collector.errors import SettingsError
from rules.alert import Verdict
from rules.cli import read_day
from rules.errors import known_word
from rules.load import under_scenario
from rules.match import RuleSet
from rules.verdict import ACTIVITIES, MADE_ACTIVITIES, USE_CLASSES, Question, duties_of, rank, strongest, telling_first
from streams.ruleset import rules_for
from streams.screen import GENERAL, plain, story_text, verdict_heading, verdict_rows
from streams.settings import load_settings

KnownAt = Annotated[
    str | None,
    typer.Option(metavar="DAY", help="With the law as it could be known on this day; default: all that is known."),
]
Profiles = Annotated[
    list[str], typer.Option("--profile", metavar="P", help="Who we are; may be repeated. Default: the settings'.")
]
Folders = Annotated[
    list[Path],
    typer.Option("--rules", metavar="DIR", help="A folder of your own facts/ and detections/; may be repeated."),
]
Begins = Annotated[
    str | None, typer.Option("--from", metavar="DAY", help="The scenario's first day; default: the day asked about.")
]
Row = dict[str, Verdict]


def verdict(
    company: Annotated[str, typer.Argument(metavar="COMPANY", help="Its id, name, or a brand.")],
    activity: Annotated[str | None, typer.Option(metavar="A", help="What is done; default: everything.")] = None,
    profile: Profiles = [],  # noqa: B006
    use_class: Annotated[str | None, typer.Option(metavar="U", help="What the site's cameras are for.")] = None,
    on: Annotated[str | None, typer.Option(metavar="DAY", help="The day whose law counts; default: today.")] = None,
    known_at: KnownAt = None,
    scenario: Annotated[str | None, typer.Option(metavar="S", help="What if: a scenario of the facts.")] = None,
    begins: Begins = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file (TOML).")] = None,
    folders: Folders = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of words.")] = False,
) -> None:
    """What each legal programme says of a company, for us.

    A row a programme: outcome, since when, the sentence, citation and sources. `--json` for machines.
    """
    if begins is not None and scenario is None:
        raise typer.BadParameter("is a scenario's first day; name one with --scenario", param_hint="--from")
    day = datetime.datetime.now(datetime.UTC).date() if on is None else read_day(on, "--on")
    known = None if known_at is None else read_day(known_at, "--known-at")
    settings = load_settings(config)
    rules = rules_for(settings, folders, known)
    if scenario is not None:
        rules = under_scenario(rules, scenario, day if begins is None else read_day(begins, "--from"))
    us = rules.court.organisation.everywhere
    profiles = tuple(known_word(each, rules.facts.profiles, "profile") for each in profile) or us.profiles
    use_class = us.use_class if use_class is None else known_word(use_class, USE_CLASSES, "use class")
    asked = ACTIVITIES if activity is None else (known_word(activity, ACTIVITIES, "activity"),)
    question = Question(find_company(rules, company), "", day, profiles, use_class)
    rows = ask(rules, question, asked)
    if as_json:
        typer.echo(msgspec.json.encode(document(rules, question, rows, scenario, known)))
    else:
        typer.echo(story_text(answer(rules, question, rows)))


def find_company(rules: RuleSet, text: str) -> str:
    """The id of a company by id, name, alias or brand. Raises SettingsError that lists the ids."""
    entities = rules.facts.entities
    if text in entities:
        return text
    wanted = text.casefold()
    found = {
        id
        for id, entity in entities.items()
        if wanted in {name.casefold() for name in (id, entity.name, *entity.aliases, *entity.brands)}
    }
    if len(found) > 1:
        raise SettingsError(f"{text}: {' or '.join(sorted(found))}? Give the id")
    return found.pop() if found else known_word(text, entities, "company")


def ask(rules: RuleSet, question: Question, activities: Iterable[str]) -> list[Row]:
    """For each programme and profile, its verdicts by activity, the strongest activity first; programmes that concern
    us before others."""
    rows: dict[tuple[str, str | None], Row] = {}
    for activity in activities:
        relation = "made" if activity in MADE_ACTIVITIES else "operates"
        for each in rules.court.judge.picture(question._replace(activity=activity, relation=relation)):
            rows.setdefault((each.programme, each.profile), {})[activity] = each
    ordered = [dict(sorted(row.items(), key=lambda pair: telling_first(pair[1]))) for row in rows.values()]
    return sorted(ordered, key=lambda row: (not leading(row).concerns, rank(leading(row).outcome)))


def leading(row: Row) -> Verdict:
    """A row's strongest verdict."""
    return next(iter(row.values()))


def answer(rules: RuleSet, question: Question, rows: list[Row]) -> Iterator[tuple[str, str]]:
    """The answer as label and text."""
    entity = rules.facts.entities[question.entity]
    use = f", cameras for {plain(question.use_class)}" if question.use_class else ""
    yield "company", f"{entity.name} ({entity.id})"
    yield "asked", f"on {question.day}{f', as {chr(44).join(question.profiles)}' if question.profiles else ''}{use}"
    leads = [leading(row) for row in rows]
    yield "outcome", plain(strongest(leads) or "") + ("" if question.profiles else GENERAL)
    yield from (("duty", duty) for duty in duties_of(leads))
    link = rules.military_link(question.entity, question.day)
    if link is not None:
        yield "finding", f"“{link.claim}”: {link.citation} ({link.source})"
    beside = False
    for row in rows:
        first = leading(row)
        if not first.concerns and not beside:
            beside = True
            yield "", ""
            yield "beside", "these list the company and do not concern this profile"
        yield "", ""
        yield "programme", verdict_heading(first)
        if len(row) > 1:
            yield "", by_outcome(row)
        yield from verdict_rows(first, None)


def by_outcome(row: Row) -> str:
    """The activities by outcome, in words."""
    found: dict[str, list[str]] = {}
    for activity, each in row.items():
        found.setdefault(plain(each.outcome), []).append(plain(activity))
    return "; ".join(f"{outcome}: {', '.join(activities)}" for outcome, activities in found.items())


def document(
    rules: RuleSet, question: Question, rows: list[Row], scenario: str | None, known: datetime.date | None
) -> dict[str, Any]:
    """The answer as one JSON document."""
    leads = [leading(row) for row in rows]
    return {
        "company": question.entity,
        "name": rules.facts.entities[question.entity].name,
        "on": question.day,
        "known_at": known,
        "scenario": scenario,
        "profiles": question.profiles,
        "use_class": question.use_class,
        "outcome": strongest(leads),
        "duties": duties_of(leads),
        "military_link": rules.military_link(question.entity, question.day),
        "verdicts": [
            msgspec.to_builtins(leading(row))
            | {"activities": {activity: each.outcome for activity, each in row.items()}}
            for row in rows
        ],
        "ruleset": rules.digest,
    }
