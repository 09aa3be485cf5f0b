"""`lenswatch facts`: official lists in, and what changed."""

import datetime
import hashlib
import importlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from rules.errors import RuleError
from rules.fact import Source
from rules.factbook import SHIPPED, Facts, read_facts
from rules.lists import READERS
from rules.lists.reader import Reader

if TYPE_CHECKING:
    from rules.intake import Loaded, Taken

app = typer.Typer(rich_markup_mode=None, help="The facts: official lists in (import), what changed (diff).")
USAGE = 2
# A module cannot begin with a digit in an import, so the one of Section 1260H has its department before it.
LISTS = {dotted.split(".")[-2].removeprefix("dod"): dotted for dotted in READERS}
Folders = Annotated[
    list[Path],
    typer.Option("--rules", metavar="DIR", help="A folder of your own facts/ and detections/; may be repeated."),
]


@app.callback(invoke_without_command=True)
def facts(context: typer.Context) -> None:
    """The facts: official lists in (import), what changed (diff)."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)


@app.command("import")
def import_list(
    list_name: Annotated[str, typer.Argument(metavar="LIST", help=f"One of {', '.join(LISTS)}.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The list, as its publisher gives it.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder of rules that it goes into; made if need be.")],
    published: Annotated[
        datetime.datetime | None,
        typer.Option(metavar="DAY", formats=["%Y-%m-%d"], help="The list's day, where its file does not say it."),
    ] = None,
    removed: Annotated[
        list[str], typer.Option(metavar="COMPANY", help="This company is rightly off the list now; may be repeated.")
    ] = [],  # noqa: B006
    relisted: Annotated[
        list[str], typer.Option(metavar="COMPANY", help="This company is on the list again; may be repeated.")
    ] = [],  # noqa: B006
    same: Annotated[
        list[str],
        typer.Option(metavar="COMPANY=NAME", help="The party of this name is this company; may be repeated."),
    ] = [],  # noqa: B006
    accept_shrink: Annotated[bool, typer.Option("--accept-shrink", help="The list is rightly smaller now.")] = False,
    folders: Folders = [],  # noqa: B006
) -> None:
    """Read an official list and write what it says of the known companies into a folder of rules, to be reviewed.

    Nothing is fetched, and the shipped facts stay as they are. A list that is cut off, older than the last one, much
    smaller, or without a company that it must name, is refused whole.
    """
    from rules import overlay
    from rules.intake import Consent, Loaded, take

    reader = find_reader(list_name)
    earlier = [into] if (into / "facts").is_dir() else []
    known = read_facts([SHIPPED, *fact_folders([*folders, *earlier])])
    by_hand = {name.strip(): company for company, _, name in (each.partition("=") for each in same)}
    if "" in by_hand:
        words = "names no party; write COMPANY=NAME, with the name as it stands on the list"
        raise typer.BadParameter(words, param_hint="--same")
    for company in (*removed, *relisted, *by_hand.values()):
        if company not in known.entities:
            words = f"{company!r} is no company; they are {', '.join(sorted(known.entities))}"
            raise typer.BadParameter(words, param_hint="COMPANY")
    day = None if published is None else published.date()
    today = datetime.date.today()
    consent = Consent(day, frozenset(removed), frozenset(relisted), by_hand, accept_shrink, today)
    imports = overlay.read_imports(into)
    digest = digest_of(file)
    taken = take(reader, file, known, consent, imports)
    loaded = Loaded(taken.listings.published, taken.counts, file.name, digest)
    source = Source(
        title=f"{reader.title} of {loaded.published}", kind=reader.kind, url=reader.url,
        published=str(loaded.published), seen=f"{file.name}, SHA-256 {digest}",
    )  # fmt: skip
    overlay.write(into, source, loaded, taken)
    for line in told(taken, imports.get(taken.name)):
        typer.echo(line)
    refused = Counter(each.by for each in taken.candidates if not each.accepted) + Counter(taken.dropped)
    reasons = ", ".join(f"{count} by {by.replace('_', ' ')}" for by, count in sorted(refused.items())) or "none"
    typer.echo(f"{len(taken.listings.listing)} listings written; candidates refused: {reasons}", err=True)
    typer.echo(f"review: lenswatch facts diff shipped {into}, and {into / 'review' / f'{taken.name}.jsonl'}", err=True)


def told(taken: "Taken", last: "Loaded | None") -> Iterator[str]:
    """What was read and taken, a line each: counts by list, companies, removals."""
    for name, count in sorted(taken.counts.items()):
        yield f"{name}: {count} entries{f', {last.counts.get(name, 0)} on {last.published}' if last else ''}"
    accepted = [each for each in taken.candidates if each.accepted]
    for each in sorted(accepted, key=lambda each: (each.entity, each.entry.place)):
        yield f"{each.entity}: {', '.join(each.entry.programmes)}: {each.reason}"
    for listing in taken.listings.listing:
        if listing.status == "removed":
            yield f"{listing.entity}: {listing.programme}: removed, last day {listing.until}"


def find_reader(name: str) -> Reader:
    """The reader of a list. Raises a usage error that names the known ones."""
    if name not in LISTS:
        raise typer.BadParameter(f"{name!r} is no list; one of {', '.join(LISTS)}", param_hint="LIST")
    module, _, attribute = LISTS[name].rpartition(".")
    found: Reader = getattr(importlib.import_module(module), attribute)
    return found


def digest_of(file: Path) -> str:
    """The SHA-256 of a file. Raises RuleError."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise RuleError(file, "", f"cannot be read: {error.strerror or error}") from error


def fact_folders(folders: Sequence[Path]) -> list[Path]:
    """The facts of folders of rules. Raises RuleError for a folder without."""
    for folder in folders:
        if not (folder / "facts").is_dir():
            raise RuleError(folder, "", "holds no facts; put them in its folder facts/")
    return [folder / "facts" for folder in folders]


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A folder of rules over the shipped ones, or: shipped.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of words.")] = False,
) -> None:
    """What changed between two sets of facts, and for which companies; those whose devices can be seen come first."""
    from rules.factdiff import changes

    found = changes(read_side(old), read_side(new))
    for each in found:
        if as_json:
            typer.echo(msgspec.json.encode(each._asdict()))
        else:
            who = f"{each.entity}{'' if each.maker else ' (no names known)'}"
            typer.echo(f"{each.how:<8} {who}: {each.what} {each.key}{f': {each.text}' if each.text else ''}")
    companies = {each.entity for each in found if each.what != "programme"}
    makers = {each.entity for each in found if each.maker}
    typer.echo(
        f"{len(found)} changes, for {len(companies)} companies, {len(makers)} of them with known names", err=True
    )


def read_side(side: str) -> Facts:
    """One side of a comparison."""
    return read_facts([SHIPPED] if side == "shipped" else [SHIPPED, *fact_folders([Path(side)])])
