"""`lenswatch settings check|example`: every key explained, and what would keep a command from starting."""

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from collector.errors import LenswatchError, SettingsError
from collector.kafka_settings import KafkaSettings, read_password, read_secret, read_token, tls_context
from collector.settings import read_tables
from streams.dispatch.opening import close_sinks, kinds, open_sink
from streams.dispatch.tables import read_table
from streams.geo import GeoFiles
from streams.options import AsJson
from streams.ruleset import rules_for
from streams.screen import fill, say, screen_width
from streams.settings import Settings, load_settings
from streams.settings_keys import DEFAULT, HIDDEN, Key, example, keys_in_force, shown, strangers

MAX_WIDTH = 120
settings_app = typer.Typer(rich_markup_mode=None, help="The settings: what there is, and whether yours are sound.")


@settings_app.command("check")
def check(
    path: Annotated[Path | None, typer.Argument(metavar="FILE", help="The settings file (TOML).")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain every key: what it is, its value, and where that comes from. Refuse what is wrong.

    Unknown keys, wrong values, files that cannot be read and secrets that every user of the machine may read: exit 2.
    Nothing is made and nobody is asked; `lenswatch doctor` looks at the machine, `topics check` at Kafka.
    """
    settings = load_settings(path)
    for name, keys in settings.sinks.items():
        if keys.get("kind") not in kinds():
            raise SettingsError(f"{path}: sinks.{name}: kind is {keys.get('kind')!r}; there are {', '.join(kinds())}")
    show(list(keys_in_force(settings, path, os.environ)), as_json)
    for name in strangers(settings, os.environ):
        say(f"{name} sets nothing: no section is called so")
    wrong = list(faults(settings, path))
    if wrong:
        raise SettingsError("\n".join(f"{path}: {line}" if path is not None else line for line in wrong))


@settings_app.command("example")
def print_example() -> None:
    """Print a settings file with every key that there is, each explained and commented out."""
    for line in example():
        typer.echo(line)


def show(keys: list[Key], as_json: bool) -> None:
    """The keys on standard output: as lines of JSON, or as words below each section."""
    if as_json:
        for key in keys:
            typer.echo(msgspec.json.encode(key))
        return
    width = min(screen_width(), MAX_WIDTH)
    for section, each in groupby(keys, lambda key: key.section):
        typer.echo(f"[{section}]")
        for key in each:
            typer.echo(f"{key.key} = {'…' if key.value is None else key.value}   # {key.origin}")
            default = f" Default: {key.default}." if key.origin != DEFAULT and key.default is not None else ""
            unit = f" ({key.unit})" if key.unit else ""
            for line in fill(f"{key.words}{unit}{default}", width - 4):
                typer.echo(f"    {line}")
        typer.echo()


def faults(settings: Settings, path: Path | None) -> Iterator[str]:
    """What would keep a command from starting, or give a secret away, a line each."""
    checks: list[Callable[[], object]] = [lambda: refuse_open_file(path)]
    checks += kafka_checks(settings.kafka)
    checks += [lambda name=name, keys=keys: check_sink(name, keys) for name, keys in settings.sinks.items()]  # type: ignore[misc]
    checks += [lambda: GeoFiles(settings.geo.asn, settings.geo.country), lambda: rules_for(settings)]
    for each in checks:
        try:
            each()
        except LenswatchError as error:
            yield str(error)


def refuse_open_file(path: Path | None) -> None:
    """Raises SettingsError for a settings file that holds a secret itself and may be read by everybody."""
    if path is None or not path.stat().st_mode & stat.S_IROTH:
        return
    for place, name in secret_places(read_tables(path)):
        raise SettingsError(
            f"{place}.{name} is in this file, which every user of this machine can read: chmod 600 {path}"
        )


def secret_places(tables: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """The table and key of each secret that is written out."""
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from secret_places(value, f"{place}.{name}".strip("."))
        elif shown(name, value) == HIDDEN:
            yield place, name


def kafka_checks(kafka: KafkaSettings) -> list[Callable[[], object]]:
    """Certificates, keys, secrets and token of [kafka]. A command that gets a token is not run, no issuer asked."""
    checks: list[Callable[[], object]] = [lambda: tls_context(kafka)]
    if kafka.password_file is not None:
        checks.append(lambda: read_password(kafka))
    if kafka.token_file is not None and kafka.token_command is None and kafka.token_url is None:
        checks.append(lambda: read_token(kafka))
    if kafka.client_secret_file is not None:
        checks.append(lambda: read_secret(kafka.client_secret_file, "client_secret_file"))
    return checks


def check_sink(name: str, keys: dict[str, Any]) -> None:
    """Raises SettingsError for a sink that could not be opened."""
    known = kinds()
    kind = known[str(keys["kind"])]
    try:
        read_table(kind.table, keys)
    except SettingsError as error:
        raise SettingsError(f"sinks.{name}: {error}") from error
    # To open one that is a file would make it, as whoever types this.
    if "path" not in kind.table.__struct_fields__:
        asyncio.run(close_sinks([open_sink(name, keys, known)]))
