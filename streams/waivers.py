"""`lenswatch waivers`: the exceptions, with the days left; and the warning before one ends."""

import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rules.cli import read_day
from rules.waivers import WARNING_DAYS, Waiver, Waivers
from streams.ruleset import rules_for
from streams.screen import story_text
from streams.settings import load_settings


def list_waivers(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file (TOML).")] = None,
    on: Annotated[str | None, typer.Option(metavar="DAY", help="The day to count from; default: today.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of words.")] = False,
) -> None:
    """The exceptions that are made, with the days left."""
    day = datetime.datetime.now(datetime.UTC).date() if on is None else read_day(on, "--on")
    waivers = rules_for(load_settings(config)).court.waivers
    ordered = sorted(waivers.all, key=lambda waiver: (waiver.until, waiver.id))
    if as_json:
        for waiver in ordered:
            more = {"days_left": waiver.days_left(day), "in_force": waiver.in_force(day)}
            typer.echo(msgspec.json.encode(msgspec.to_builtins(waiver) | more))
    elif not ordered:
        typer.echo("no waivers; name their files at [rules] waivers")
    else:
        typer.echo("\n\n".join(story_text(waiver_rows(waiver, day)) for waiver in ordered))


def waiver_rows(waiver: Waiver, day: datetime.date) -> list[tuple[str, str]]:
    """One waiver as label and text."""
    return [
        ("waiver", f"{waiver.id}: {state(waiver, day)}"),
        ("covers", waiver.scope()),
        ("from", f"{waiver.begins} until {waiver.until}"),
        ("ground", waiver.ground),
        ("approver", f"{waiver.approver}, {waiver.reference}"),
    ]


def state(waiver: Waiver, day: datetime.date) -> str:
    """Where a waiver stands on a day."""
    left = waiver.days_left(day)
    if left < 0:
        return f"ended {-left} days ago"
    if not waiver.in_force(day):
        return f"begins in {(waiver.begins - day).days} days"
    return f"{left} days left" + (", ends soon" if left <= WARNING_DAYS else "")


def warnings(waivers: Waivers, day: datetime.date) -> list[str]:
    """A line for each waiver that ends within 30 days."""
    return [
        f"waiver {waiver.id} ends in {waiver.days_left(day)} days, on {waiver.until}; then its alerts begin"
        for waiver in waivers.ending(day)
    ]
