"""`lenswatch rules export FORMAT`: the facts as other tools' rules, on standard output."""

import datetime
import importlib
from pathlib import Path
from typing import Annotated, get_args

import typer

from rules.export import EXPORTS
from rules.export.export import Export
from rules.fact import BulkList, Role
from rules.factbook import Facts
from rules.indicator import CONFIDENCES, Pack, Wanted, gather
from rules.load import load_rules

# Hosts below a dynamic DNS zone are the customers', and never travel.
ROLES = tuple(role for role in get_args(Role) if role != "ddns_customer")
FORMATS = {dotted.split(".")[-2]: dotted for dotted in EXPORTS}


def find_export(name: str) -> Export:
    """The format of this name. Raises a usage error that names the known ones."""
    if name not in FORMATS:
        raise typer.BadParameter(f"{name!r} is no format; one of {', '.join(FORMATS)}", param_hint="FORMAT")
    module, _, attribute = FORMATS[name].rpartition(".")
    found: Export = getattr(importlib.import_module(module), attribute)
    return found


def read_bulk(facts: Facts) -> list[tuple[str, BulkList, list[str]]]:
    """The lines of the long lists."""
    return [(entity, bulk, path.read_text("utf-8").splitlines()) for entity, bulk, path in facts.bulk]


def export(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")],
    role: Annotated[
        list[str], typer.Option(metavar="ROLE", help=f"Only this role; may be repeated: {', '.join(ROLES)}.")
    ] = [],  # noqa: B006
    programme: Annotated[
        list[str], typer.Option(metavar="ID", help="Only companies that this programme lists; may be repeated.")
    ] = [],  # noqa: B006
    min_confidence: Annotated[str, typer.Option(metavar="LEVEL", help=f"At least: {', '.join(CONFIDENCES)}.")] = "low",
    block: Annotated[
        bool, typer.Option("--block", help="Act on a match, where the format can; else only tell.")
    ] = False,
    on: Annotated[
        datetime.datetime | None,
        typer.Option(metavar="DAY", formats=["%Y-%m-%d"], help="The day whose listings count; default: today."),
    ] = None,
    folders: Annotated[
        list[Path],
        typer.Option("--rules", metavar="DIR", help="A folder of your own facts/ and detections/; may be repeated."),
    ] = [],  # noqa: B006
) -> None:
    """The names, networks and firmware patterns as rules of another tool, each with its id and reference.

    What the format cannot say is counted on standard error.
    """
    found = find_export(format_name)
    known("--role", role, ROLES)
    known("--min-confidence", [min_confidence], CONFIDENCES)
    if block and not found.acts:
        raise typer.BadParameter(f"{found.name} only tells; it has nothing that acts", param_hint="--block")
    loaded = load_rules(folders)
    known("--programme", programme, tuple(sorted(loaded.facts.programmes)))
    day = datetime.datetime.now(datetime.UTC).date() if on is None else on.date()
    wanted = Wanted(frozenset(role), frozenset(programme), min_confidence)
    indicators = gather(loaded.facts, day, wanted, read_bulk(loaded.facts))
    written = found.write(Pack(loaded.digest, day, indicators, block))
    typer.echo(written.text, nl=False)
    typer.echo(f"{written.count} of {len(indicators)} indicators written for {found.reader}", err=True)
    for reason, count in sorted(written.left_out.items()):
        typer.echo(f"left out: {count} {reason}", err=True)
    for note in written.notes:
        typer.echo(f"note: {note}", err=True)


def known(option: str, given: list[str], words: tuple[str, ...]) -> None:
    """Raises a usage error for a word that is not known."""
    for word in given:
        if word not in words:
            raise typer.BadParameter(f"{word!r} is not known; one of {', '.join(words)}", param_hint=option)
