"""`lenswatch rules`: list, lookup, test, export. (What needs alerts or settings is mounted beside them.)"""

import datetime
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rules.check import run_cases
from rules.export_cli import export
from rules.load import load_rules
from rules.match import Lookup

app = typer.Typer(rich_markup_mode=None, help="The facts and detections: check, list, look up, test, explain.")
FAILED, USAGE = 1, 2
PLAIN_WIDTH = 160
Folders = Annotated[
    list[Path],
    typer.Option("--rules", metavar="DIR", help="A folder of your own facts/ and detections/; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]
app.command()(export)


@app.callback(invoke_without_command=True)
def rules(context: typer.Context) -> None:
    """The facts and detections: check, list, look up, test, explain."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)


@app.command("list")
def list_detections(folders: Folders = [], as_json: AsJson = False) -> None:  # noqa: B006
    """The detections and correlations that are in force, with level and title."""
    loaded = load_rules(folders)
    heads = (correlation.head for correlation in loaded.correlations)
    ordered = sorted((*loaded.detections, *heads), key=lambda each: (each.path.parent.name, each.path.stem))
    if as_json:
        for each in ordered:
            document = {
                "id": each.id,
                "name": each.title,
                "level": each.level,
                "file": str(each.path),
                "version": each.version,
            }
            typer.echo(msgspec.json.encode(document))
        return
    names = [f"{each.path.parent.name}/{each.path.stem}" for each in ordered]
    width = max(map(len, names), default=0)
    for each, name in zip(ordered, names, strict=True):
        typer.echo(f"{each.level:<13}  {name:<{width}}  {each.title}")


@app.command()
def lookup(
    name: Annotated[str, typer.Argument(help="A host name, an IP address, or an AS number such as AS4134.")],
    folders: Folders = [],  # noqa: B006
    as_json: AsJson = False,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="The day whose listings count, YYYY-MM-DD; default: those without an end."),
    ] = None,
) -> None:
    """All that the facts say of a name, an address or an AS number, and where they have it from."""
    day = None if as_of is None else read_day(as_of)
    loaded = load_rules(folders)
    found = loaded.lookup(name, day)
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    titles = {key: source.title for key, source in loaded.facts.sources.items()}
    typer.echo(two_columns(lookup_rows(found, titles)))


def read_day(text: str, option: str = "--as-of") -> datetime.date:
    """A day. Raises a usage error that says the form."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD", param_hint=option) from error


def lookup_rows(found: Lookup, titles: dict[str, str]) -> list[tuple[str, str]]:
    """What is known, as label and text. `titles` are the sources' by id."""
    rows = [(found.kind, found.normalised)]
    if found.match is not None:
        match = found.match
        rows.append(("endpoint", f"{match.pattern} ({match.match}), role {match.role}, confidence {match.confidence}"))
        rows += [("note", match.note)] if match.note else []
        rows += [("source", f"{each}: {titles[each]}" if each in titles else each) for each in match.sources]
    if found.as_number is not None:
        number = found.as_number
        rows.append(("operator", f"{number.organization} ({number.operator}, {number.relation or 'relation unknown'})"))
    if found.not_endpoint is not None:
        rows.append(("not matched", found.not_endpoint))
    if found.lookalike is not None:
        method = found.lookalike.method.replace("_", " ")
        rows.append(("lookalike", f"resembles {found.lookalike.resembles} ({method})"))
    if found.entity is not None:
        rows.append(("company", f"{found.entity.name} ({found.entity.id})"))
        rows += [] if found.listings else [("listings", "none is known here")]
    for listing in found.listings:
        since = f" since {listing.since}" if listing.since else ""
        rows.append(("listing", f"{listing.programme}: {listing.status.replace('_', ' ')}{since}, {listing.citation}"))
    if len(rows) == 1:
        rows.append(("facts", "nothing is known of it"))
    return rows


def two_columns(rows: list[tuple[str, str]]) -> str:
    """Labels and texts as lines, wrapped between words; a label that repeats is told once."""
    import textwrap

    terminal = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    width = max((shutil.get_terminal_size().columns if terminal else PLAIN_WIDTH) - 13, 20)
    lines, before = [], None
    for label, text in rows:
        plain = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
        for line in textwrap.wrap(plain, width, break_long_words=False, break_on_hyphens=False):
            lines.append(f"{label if label != before else '':<13}{line}")
            before = label
    return "\n".join(lines)


@app.command()
def test(folders: Folders = []) -> None:  # noqa: B006
    """Run every detection's own cases; name what failed."""
    results = run_cases(load_rules(folders))
    failed = [result for result in results if not result.passed]
    for result in failed:
        typer.echo(str(result))
    typer.echo(f"{len(results) - len(failed)} cases passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(FAILED)
