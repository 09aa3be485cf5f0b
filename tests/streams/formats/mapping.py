"""Which field of an alert goes where, found by changing it: what changes in a format is where it goes.

`python -m tests.streams.formats.mapping` prints the table of docs/45-siem.md.
"""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

from rules.alert import Alert
from streams.formats import cef, ocsf, stix
from tests.streams.formats.test_cef import parse
from tests.streams.formats.whole import leaves, other, read, whole_document

HEAD = "| alert, ECS | CEF | OCSF | STIX |\n|---|---|---|---|"
NOTHING = "–"
# What holds the rest as it is.
WHOLE = {"unmapped.lenswatch", "unmapped.source", "unmapped.destination", "unmapped.observer"}
# Which places of a list are told apart, and by what.
SORTS = {"enrichments": "type", "evidences": "name"}
REFERS = ("_ref", "_refs")
Values = set[tuple[str, str]]


def in_cef(alert: Alert) -> Values:
    """Keys and values, without labels."""
    header, pairs = parse(cef.write_cef(alert, "1"))
    return {(key, value) for key, value in (header | pairs).items() if not key.endswith("Label")}


def in_ocsf(alert: Alert) -> Values:
    """Attributes and values."""
    return set(flat(ocsf.write_ocsf(alert, "1"), ""))


def in_stix(alert: Alert) -> Values:
    """Properties and values, without references to other objects and the ids that are made of other properties."""
    found: Values = set()
    for each in stix.sighting_objects(alert):
        kind = each["type"]
        if kind == "identity":
            kind += " (company)" if each["identity_class"] == "organization" else " (sensor)"
        skipped = {"type", *(() if kind in ("indicator", "observed-data", "sighting") else ("id",))}
        properties = {key: value for key, value in each.items() if key not in skipped and not key.endswith(REFERS)}
        if each["type"] != "relationship":
            found |= set(flat(properties, kind))
    return found


def flat(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every place below a value, and what is there."""
    if isinstance(value, dict) and place not in WHOLE and not place.endswith(".data"):
        for key, each in value.items():
            yield from flat(each, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            sort = each.get(SORTS.get(place, ""), "")
            yield from flat(each, f"{place}[{'file' if 'file' in each else sort}]")
    else:
        yield place, str(value)


def changed(document: dict[str, Any], way: list[Any], value: Any) -> Alert:
    """The alert with another value in one field."""
    document = copy.deepcopy(document)
    inner = document
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = value
    return read(document)


def cells() -> dict[str, tuple[str, str, str]]:
    """For every field of an alert, where it goes in CEF, OCSF and STIX."""
    named = whole_document()
    bare = copy.deepcopy(named)
    del bare["threat"]["indicator"]["url"]
    found: dict[str, tuple[str, str, str]] = {}
    for name, way in leaves(named):
        places: list[set[str]] = [set(), set(), set()]
        for document in (named, bare):
            if document is bare and name.startswith("threat.indicator.url"):
                continue
            value = named
            for key in way:
                value = value[key]
            before, after = read(document), changed(document, way, other(name, value))
            for number, write in enumerate((in_cef, in_ocsf, in_stix)):
                places[number] |= {place for place, _ in write(before) ^ write(after)}
        found[name] = tuple(  # type: ignore[assignment]
            ", ".join(f"`{place}`" for place in sorted(each)) or NOTHING for each in places
        )
    return found


def rows() -> Iterator[str]:
    """The lines of the table; neighbours that go to the same places share one."""
    for (parent, where), group in itertools.groupby(
        cells().items(), key=lambda item: (item[0].rpartition(".")[0], item[1])
    ):
        first, *rest = (name for name, _ in group)
        names = [f"`{first}`", *(f"`{name.removeprefix(parent)}`" for name in rest)]
        yield f"| {', '.join(names)} | {' | '.join(where)} |"


def table() -> str:
    """The whole table."""
    return "\n".join([HEAD, *rows()])


if __name__ == "__main__":
    print(table())
