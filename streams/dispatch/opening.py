"""The sinks that the settings name: `[sinks.NAME]`, each with its `kind`."""

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from collector.errors import SettingsError
from streams.sinks import SINKS
from streams.sinks.sink import Sink

MAX_SINKS: Final = 20
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def kinds() -> dict[str, type[Sink]]:
    """Every kind of sink, by its word."""
    found = {}
    for dotted in SINKS:
        module, _, name = dotted.rpartition(".")
        kind: type[Sink] = getattr(importlib.import_module(module), name)
        found[kind.kind] = kind
    return found


def open_sinks(tables: Mapping[str, Mapping[str, Any]]) -> list[Sink]:
    """The sinks, in the order of the settings. Raises SettingsError, naming sink and key."""
    if len(tables) > MAX_SINKS:
        raise SettingsError(f"sinks: {len(tables)} are named; {MAX_SINKS} are the most")
    # Starting costs only what is used.
    known = kinds() if tables else {}
    return [open_sink(name, table, known) for name, table in tables.items()]


def open_sink(name: str, table: Mapping[str, Any], known: Mapping[str, type[Sink]]) -> Sink:
    """One sink. Raises SettingsError."""
    if not NAME.fullmatch(name):
        raise SettingsError(f"sinks.{name}: a name holds small letters, digits, - and _ only, 40 at most")
    kind = str(table.get("kind"))
    if kind not in known:
        raise SettingsError(f"sinks.{name}: kind is {kind!r}; there are {', '.join(known)}")
    try:
        return known[kind].build(name, table)
    except SettingsError as error:
        raise SettingsError(f"sinks.{name}: {error}") from error


async def close_sinks(sinks: Sequence[Sink]) -> None:
    """No more will come."""
    for sink in sinks:
        await sink.close()
