"""`lenswatch geo build`: MaxMind DB files from open data, with whose it is."""

import datetime
import functools
from pathlib import Path
from typing import Annotated

import typer

from collector.errors import LenswatchError
from rules.load import load_rules
from streams.geobuild import Attribution, make, read_as_ranges, read_country_ranges

app = typer.Typer(rich_markup_mode=None, help="Who announces an address, and in which country: build the files.")
USAGE = 2
FORM = "none but the form, a MaxMind DB file"
ONLY_KNOWN = f"{FORM}; of AS numbers only those that lenswatch's facts name, each under the name that they give it"
SOURCE = "A file (.csv, .mmdb, .tgz), or the name of an npm package"


@app.callback(invoke_without_command=True)
def geo(context: typer.Context) -> None:
    """Who announces an address, and in which country: build the files."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")],
    asn: Annotated[str | None, typer.Option(metavar="SOURCE", help=f"{SOURCE}, such as @ip-location-db/asn.")] = None,
    country: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help=f"{SOURCE}, such as @ip-location-db/geo-whois-asn-country-mmdb."),
    ] = None,
    known: Annotated[bool, typer.Option("--known", help="Only the AS numbers that the facts name.")] = False,
    folders: Annotated[
        list[Path], typer.Option("--rules", metavar="DIR", help="A folder of your own facts/; may be repeated.")
    ] = [],  # noqa: B006
) -> None:
    """Build asn.mmdb and country.mmdb, and ATTRIBUTION.txt, which says whose data it is.

    All numbers of the world take some minutes and 2 GB of memory.
    """
    if asn is None and country is None:
        raise typer.BadParameter("name --asn, --country or both")
    numbers = None
    if known:
        numbers = {each.number: each.organization for each in load_rules(folders).facts.as_numbers.values()}
    now = datetime.datetime.now(datetime.UTC)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LenswatchError(f"{out}: cannot be written: {error.strerror}") from error
    read_numbers = functools.partial(read_as_ranges, known=numbers)
    asked = (
        (asn, "operators.mmdb" if known else "asn.mmdb", "lenswatch-ASN", read_numbers),
        (country, "country.mmdb", "lenswatch-Country", read_country_ranges),
    )
    told: list[tuple[str, Attribution]] = []
    for source, name, kind, read in asked:
        if source is not None:
            told.append((name, make(source, out / name, kind, read, now)))
    attribute(out, told, ONLY_KNOWN if known else FORM)


def attribute(out: Path, told: list[tuple[str, Attribution]], changes: str) -> None:
    """Say whose the data is, on the screen and beside the files. Raises LenswatchError."""
    text = "\n\n\n".join(f"{name} is made from\n\n{whose.words(changes)}" for name, whose in told)
    try:
        (out / "ATTRIBUTION.txt").write_text(text + "\n", "utf-8")
    except OSError as error:
        raise LenswatchError(f"{out / 'ATTRIBUTION.txt'}: cannot be written: {error.strerror}") from error
    for name, whose in told:
        licence = whose.licence or "no licence is said; which one applies is for you to know"
        typer.echo(f"{out / name}: from {whose.name} {whose.version} ({licence})")
    typer.echo(f"{out / 'ATTRIBUTION.txt'}: whose the data is; it goes where the data goes")
