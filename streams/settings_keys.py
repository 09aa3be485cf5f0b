"""What there is to set: every key with its words, its value and where that comes from.

The words of a key stand once: as a string below its field, in the struct of its section.
"""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from collector.settings import ENVIRONMENT_PREFIX, read_tables, sections, variable_of
from rules.court import Site
from streams.dispatch.opening import kinds
from streams.processors.egress import Policy
from streams.settings import Settings

UNITS: Final = {"_seconds": "seconds", "_bytes": "bytes", "_days": "days"}
DEFAULT, FILE = "default", "file"
NAMED: Final[dict[str, type[msgspec.Struct]]] = {"rules.sites": Site, "egress": Policy}
"""Tables by name, and what stands in each; those of the sinks are their kinds' own."""
SECRET: Final = re.compile(r"password|passphrase|secret|token|credential|api_?key|routing_?key", re.IGNORECASE)
PLACE: Final = re.compile(r"(_file|_env|_command|file)$")
HIDDEN: Final = "(set, and not shown)"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key: where it stands, what it is, its value as TOML has it (None: not set) and where that comes from:
    "default", "file", or the environment variable's name. `unit` is "" where there is none."""

    section: str
    key: str
    value: str | None
    origin: str = msgspec.field(name="from")
    default: str | None
    unit: str
    words: str


@functools.cache
def words_of(kind: type) -> Mapping[str, str]:
    """The words below each field of a struct, by the field's name."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return found


def unit_of(name: str) -> str:
    """The unit that a key's name ends in; "" where it ends in none."""
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def written(value: object) -> str | None:
    """A value as TOML has it; None where nothing is set."""
    return None if value is None else msgspec.json.encode(value, enc_hook=str).decode()


def shown(name: str, value: object) -> object:
    """What may be shown of a value: no secret, and of an address only whose it is."""
    if value is not None and SECRET.search(name) and not PLACE.search(name):
        return HIDDEN
    if isinstance(value, str) and "://" in value:
        from yarl import URL

        try:
            return f"{URL(value).origin()}/…"
        except ValueError:
            return HIDDEN
    if isinstance(value, list | tuple):
        return [shown(name, each) for each in value]
    return value


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """A field's default; None also where it has none, and has to be set."""
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def keys_of(
    kind: type[msgspec.Struct], section: str, values: Mapping[str, Any], origins: Mapping[str, str]
) -> list[Key]:
    """Every key of a struct, with its value among `values` and where that comes from."""
    words = words_of(kind)
    return [
        Key(
            section=section, key=field.name,
            value=written(shown(field.name, values.get(field.name, default_of(field)))),
            origin=origins.get(field.name, DEFAULT), default=written(default_of(field)), unit=unit_of(field.name),
            words=words.get(field.name, ""),
        )
        for field in msgspec.structs.fields(kind)
    ]  # fmt: skip


def keys_in_force(settings: Settings, path: Path | None, environment: Mapping[str, str]) -> Iterator[Key]:
    """Every key of the settings as they are in force, section by section, and of each table that the file names."""
    tables = read_tables(path)
    for section in sections(Settings):
        origins = dict.fromkeys(tables.get(section.name, ()), FILE)
        origins |= {
            field.name: variable
            for field in msgspec.structs.fields(section.type)
            if (variable := variable_of(section.name, field.name)) in environment
        }
        values = msgspec.structs.asdict(getattr(settings, section.name))
        yield from keys_of(section.type, section.name, values, origins)
    for place, kind in NAMED.items():
        named: Mapping[str, Any] = settings.rules.sites if place == "rules.sites" else settings.egress
        for name, table in named.items():
            written_keys = _table(tables, f"{place}.{name}")
            yield from keys_of(
                kind, f"{place}.{name}", msgspec.structs.asdict(table), dict.fromkeys(written_keys, FILE)
            )
    known = kinds() if settings.sinks else {}
    for name, keys in settings.sinks.items():
        kind = known[str(keys["kind"])].table
        yield from keys_of(kind, f"sinks.{name}", keys, dict.fromkeys(keys, FILE))


def _table(tables: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    found: Any = tables
    for name in place.split(".", place.startswith("rules.") + 1):
        found = found.get(name, {})
    return found  # type: ignore[no-any-return]


def strangers(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Variables of our prefix that set nothing: none of a section's, and none that a sink takes a secret from."""
    ours = tuple(f"{ENVIRONMENT_PREFIX}{section.name}_".upper() for section in sections(Settings))
    asked = {value for keys in settings.sinks.values() for name, value in keys.items() if name.endswith("_env")}
    return sorted(
        name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and not name.startswith(ours)
        and name not in asked
    )  # fmt: skip


def example() -> Iterator[str]:
    """A settings file with every key that there is, as lines: each with its words, and commented out with its
    default."""
    yield "# Every key that there is; what is commented out is the default. Each key of a section can also be set as"
    yield f"# {ENVIRONMENT_PREFIX}<SECTION>_<KEY> in the environment. What is in force: lenswatch settings check FILE"
    for section in sections(Settings):
        yield from _example(section.type, section.name, f"[{section.name}]")
    for place, kind in NAMED.items():
        yield from _example(kind, f"{place}.NAME", f"# [{place}.NAME]")
    for name, sink in kinds().items():
        yield from _example(sink.table, "sinks.NAME", "# [sinks.NAME]", f'# kind = "{name}"')


def _example(kind: type[msgspec.Struct], section: str, *head: str) -> Iterator[str]:
    yield ""
    yield from textwrap.wrap(inspect.getdoc(kind) or "", 116, initial_indent="# ", subsequent_indent="# ")
    yield from head
    for key in keys_of(kind, section, {}, {}):
        unit = f" ({key.unit})" if key.unit else ""
        yield from textwrap.wrap(f"{key.words}{unit}", 112, initial_indent="#     ", subsequent_indent="#     ")
        yield f"# {key.key} = {'…' if key.default is None else key.default}"
