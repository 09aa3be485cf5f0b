"""An alert is an ECS document; here it is made shorter, for whoever takes no long ones."""

from collections.abc import Iterator
from typing import Any

import msgspec

from rules.alert import Alert
from streams.formats.plain import sound_document


def versions(alert: Alert) -> Iterator[dict[str, Any]]:
    """The alert as a document, whole, and then shorter and shorter; `shortened` says where the whole is."""
    yield sound_document(msgspec.to_builtins(alert))
    where = {"shortened": f"lenswatch alerts show {alert.event.id}"}
    short = sound_document(shortened(alert))
    for most in (400, 100, 40):
        yield cut(short, most) | where
    event = {"kind": alert.event.kind, "id": alert.event.id}
    yield {"event": event, "lenswatch": {"revision": alert.lenswatch.revision}} | where


def shortened(alert: Alert) -> dict[str, Any]:
    """What a person needs first of an alert that is too long; every text and list is cut."""
    document = msgspec.to_builtins(alert)
    detail = document["lenswatch"]
    keep = ("revision", "level", "state", "count", "first_seen", "last_seen", "activity", "role", "entity", "site")
    listings = [
        {key: each[key] for key in ("programme", "programme_name", "citation", "since") if key in each}
        for each in detail.get("listings", [])[:10]
    ]
    detail = {key: detail[key] for key in keep if key in detail} | {"listings": listings}
    short = {key: document[key] for key in ("@timestamp", "event", "rule", "message", "observer") if key in document}
    ends = {key: document[key] for key in ("source", "destination", "device") if key in document}
    return cut({**short, **ends, "lenswatch": detail})  # type: ignore[no-any-return]


def cut(value: Any, most: int = 400) -> Any:
    """A document with no text longer than `most` characters and no list of more than ten."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[: most - 1]}…"
    if isinstance(value, list):
        return [cut(each, most) for each in value[:10]]
    if isinstance(value, dict):
        return {key: cut(each, most) for key, each in value.items()}
    return value
