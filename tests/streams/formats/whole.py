"""Alerts as the tests of the formats want them: one that has every field, and those of the demo."""

import datetime
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from rules.alert import Alert

ANY_TEXT = st.text(st.characters(exclude_categories=()))

# What is not any text: by its place, or by the name that ends it.
CHOSEN: dict[str, Any] = {
    "event.kind": "alert", "event.severity": 4, "event.risk_score": 73, "lenswatch.level": "high",
    "lenswatch.state": "step", "lenswatch.revision": 3, "lenswatch.count": 7, "network.direction": "outbound",
    "network.transport": "tcp", "network.type": "ipv4", "network.protocol": "tls", "network.vlan.id": "20",
    "threat.indicator.type": "domain-name", "threat.indicator.confidence": "High",
    "threat.indicator.url.domain": "called.example", "lenswatch.endpoint.match": "suffix",
    "lenswatch.endpoint.pattern": "maker.example", "lenswatch.endpoint.confidence": "high",
    "source.ip": "10.0.0.11", "destination.ip": "198.51.100.7", "related.ip": ["10.0.0.11", "198.51.100.8"],
    "related.hosts": ["called.example"], "source.mac": "3c:ef:8c:00:53:11", "destination.mac": "3c:ef:8c:00:53:12",
    "threat.indicator.ip": "198.51.100.9", "rule.reference": "https://law.example/rule",
    "lenswatch.listings[].status": "listed",
    "lenswatch.steps[].size_bytes": 4_096, "lenswatch.steps[].sha256": "ab" * 32,
    "lenswatch.steps[].detail": "/firmware/camera.bin?x=1", "@timestamp": "2026-11-02T08:05:00.250000Z",
    "lenswatch.first_seen": "2026-11-02T08:00:00.250000Z", "lenswatch.last_seen": "2026-11-02T08:05:00.250000Z",
}  # fmt: skip
# Another value of the same sort, for those of which not every value is one.
OTHER: dict[str, Any] = {
    "lenswatch.level": "low", "lenswatch.state": "ended", "network.direction": "inbound", "network.type": "ipv6",
    "threat.indicator.confidence": "Low", "lenswatch.endpoint.match": "exact", "lenswatch.endpoint.confidence": "low",
    "lenswatch.listings[].status": "category", "source.ip": "10.0.0.12", "destination.ip": "198.51.100.17",
    "related.ip": ["10.0.0.11", "198.51.100.18"], "related.hosts": ["other.example"],
    "threat.indicator.ip": "198.51.100.19", "source.mac": "3c:ef:8c:00:53:21", "destination.mac": "3c:ef:8c:00:53:22",
    "rule.reference": "https://law.example/other", "lenswatch.steps[].detail": "/firmware/other.bin",
    "threat.indicator.type": "ipv4-addr", "threat.indicator.url.domain": "other.example",
}  # fmt: skip


def made(kind: Any, place: str) -> Any:
    """A plain value of a type, with every field of a struct."""
    if place in CHOSEN:
        return CHOSEN[place]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return made(next(each for each in inner if each is not type(None)), place)
    if origin is list:
        return [made(inner[0], f"{place}[]")]
    if origin is dict:
        return {"*": made(inner[1], f"{place}.*")}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return {
            field.encode_name: made(hints[field.name], f"{place}.{field.encode_name}".lstrip("."))
            for field in msgspec.structs.fields(kind)
        }
    number = sum(map(ord, place))
    return {
        str: f"text-{place}", int: 1 + number % 1000, float: 0.5, bool: True,
        datetime.datetime: "2026-11-02T08:01:00Z", datetime.date: "2019-10-09",
    }[kind]  # fmt: skip


def whole_document() -> dict[str, Any]:
    """An alert that has every field, as plain values."""
    return typing.cast("dict[str, Any]", made(Alert, ""))


def read(document: dict[str, Any]) -> Alert:
    """The alert of a document."""
    return msgspec.convert(document, Alert)


def leaves(document: Any, place: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every field that holds a value and not more fields: its name, and the way to it. A list of texts is one."""
    for key, value in document.items():
        name, way = f"{place}.{key}".lstrip("."), [key]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ((leaf, [*way, 0, *rest]) for leaf, rest in leaves(value[0], f"{name}[]"))
        elif isinstance(value, dict):
            yield from ((leaf, way + rest) for leaf, rest in leaves(value, name))
        else:
            yield name, way


def other(name: str, value: Any) -> Any:
    """Another value for a field."""
    if name in OTHER:
        return OTHER[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [other(f"{name}[]", each) for each in value]
    for kind, changed in ((datetime.datetime, "2026-11-02T08:02:00Z"), (datetime.date, "2020-12-18")):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            continue
        return changed
    return f"other-{value}"
