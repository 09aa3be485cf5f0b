"""`lenswatch rules`: check, list, lookup, test. (`explain` needs alerts, and is mounted beside them.)"""

import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rules.check import run_cases
from rules.load import load_rules
from rules.match import Lookup

app = typer.Typer(no_args_is_help=True, help="Facts and detections: check, list, look up, test.")
PLAIN_WIDTH = 160
Folders = Annotated[
    list[Path], typer.Option("--rules", help="A folder of your own facts/ and detections/; may be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")]


def screen() -> Console:
    """Standard output; where that is no terminal, wide and without colour."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


@app.command()
def check(folders: Folders = []) -> None:  # noqa: B006
    """Load all facts and detections; say everything that is wrong."""
    rules = load_rules(folders)
    facts = rules.facts
    names = sum(len(file.endpoint) for file in facts.endpoints.values())
    listings = sum(len(entity.listings) for entity in facts.entities.values())
    typer.echo(
        f"{len(rules.detections)} detections, {names} endpoint names, {len(facts.entities)} companies, "
        f"{len(facts.programmes)} programmes, {listings} listings, {len(facts.as_numbers)} AS numbers: all right\n"
        f"digest {rules.digest}"
    )


@app.command("list")
def list_detections(folders: Folders = [], as_json: AsJson = False) -> None:  # noqa: B006
    """The detections that are in force."""
    rules = load_rules(folders)
    ordered = sorted(rules.detections, key=lambda each: str(each.path))
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
    table = Table("Level", "Detection", "Title", "Id")
    for each in ordered:
        table.add_row(each.level, f"{each.path.parent.name}/{each.path.stem}", escape(each.title), each.id)
    screen().print(table)


@app.command()
def lookup(
    name: Annotated[str, typer.Argument(help="A host name, an IP address, or an AS number such as AS4134.")],
    folders: Folders = [],  # noqa: B006
    as_json: AsJson = False,
    as_of: Annotated[str | None, typer.Option(help="The day whose listings count (YYYY-MM-DD).")] = None,
) -> None:
    """All that the facts say of a name, an address or an AS number."""
    day = None if as_of is None else read_day(as_of)
    found = load_rules(folders).lookup(name, day)
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for label, text in lookup_rows(found):
        table.add_row(label, escape(text))
    screen().print(table)


def read_day(text: str) -> datetime.date:
    """A day. Raises a usage error that says the form."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD") from error


def lookup_rows(found: Lookup) -> list[tuple[str, str]]:
    """What is known, as label and text."""
    rows = [(found.kind, found.normalised)]
    if found.match is not None:
        match = found.match
        rows.append(("endpoint", f"{match.pattern} ({match.match}), role {match.role}, confidence {match.confidence}"))
        rows += [("note", match.note)] if match.note else []
        rows += [("source", source) for source in match.sources]
    if found.as_number is not None:
        number = found.as_number
        rows.append(("operator", f"{number.organization} ({number.operator}, {number.relation or 'relation unknown'})"))
    if found.not_endpoint is not None:
        rows.append(("not matched", found.not_endpoint))
    if found.lookalike is not None:
        rows.append(
            ("lookalike", f"resembles {found.lookalike.resembles} ({found.lookalike.method.replace('_', ' ')})")
        )
    if found.entity is not None:
        rows.append(("company", f"{found.entity.name} ({found.entity.id})"))
        for listing in found.listings:
            since = f" since {listing.since}" if listing.since else ""
            rows.append(("listing", f"{listing.programme}: {listing.status}{since}, {listing.citation}"))
    if len(rows) == 1:
        rows.append(("facts", "nothing is known of it"))
    return rows


@app.command()
def test(folders: Folders = []) -> None:  # noqa: B006
    """Run every detection's own cases; name what failed."""
    results = run_cases(load_rules(folders))
    failed = [result for result in results if not result.passed]
    for result in failed:
        typer.echo(str(result))
    typer.echo(f"{len(results) - len(failed)} cases passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)
