"""A document that is too long says less, and where the whole is."""

import contextlib
import datetime
import functools
import ipaddress
import json
import operator
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from rules.alert import Alert
from streams.formats.ecs import cut, shortened, versions
from tests.house.tree import ROOT
from tests.streams.formats.whole import ANY_TEXT, leaves, whole_document


def test_the_first_version_is_the_alert(told: list[Alert], whole: Alert) -> None:
    for alert in (*told, whole):
        assert msgspec.convert(next(versions(alert)), Alert) == alert


SCHEMA = json.loads((ROOT / "tests" / "streams" / "formats" / "ecs.json").read_text("utf-8"))["fields"]
# ECS suggests upper case with hyphens. Alerts have MACs as captures and most tools show them.
OTHERWISE = ("source.mac", "destination.mac")


def ecs_faults(document: dict[str, Any]) -> list[str]:
    """Fields outside `lenswatch` that ECS does not know, or knows as something else."""
    broken = []
    for name, way in leaves(document):
        if name.startswith("lenswatch."):
            continue
        field, value = SCHEMA.get(name), functools.reduce(operator.getitem, way, document)
        values = value if isinstance(value, list) else [value]
        if field is None or isinstance(value, list) != field.get("array", False):
            broken.append(f"{name}: ECS has no such field, or another sort of list")
            continue
        for each in values:
            allowed = field.get("allowed", field.get("expected", [each]))
            pattern = field.get("pattern", "") if name not in OTHERWISE else ""
            if each not in allowed or not re.search(pattern, str(each)) or not is_of(each, field["type"]):
                broken.append(f"{name}: {each!r} is no {field['type']} as ECS has it")
    return broken


def is_of(value: Any, kind: str) -> bool:
    """Whether a value is of a type of ECS."""
    with contextlib.suppress(ValueError):
        if kind == "date":
            return datetime.datetime.fromisoformat(value).tzinfo is not None
        if kind == "ip":
            return bool(ipaddress.ip_address(value))
    if kind in ("long", "float"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) and kind in ("keyword", "match_only_text")


def test_every_alert_is_of_the_fields_and_types_of_ecs(told: list[Alert]) -> None:
    for document in (whole_document(), *(msgspec.json.decode(msgspec.json.encode(alert)) for alert in told)):
        assert ecs_faults(document) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event.kind", "finding"), ("source.ip", "here"), ("related.ip", "10.0.0.1"), ("message", 7),
        ("event.severity", "4"), ("observer.nick", "x"), ("network.direction", "out"),
        ("@timestamp", "2026-11-02T08:00:00"),
    ],
)  # fmt: skip
def test_what_is_no_ecs_is_found(name: str, value: object) -> None:
    document = whole_document()
    first, _, last = name.rpartition(".")
    (document[first] if first else document)[last] = value
    assert len(ecs_faults(document)) == 1


def test_later_versions_are_shorter_and_say_where_the_whole_is(told: list[Alert]) -> None:
    for alert in told:
        sizes = [len(json.dumps(each, ensure_ascii=False)) for each in versions(alert)]
        assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 300
        _, *short = versions(alert)
        assert all(each["shortened"] == f"lenswatch alerts show {alert.event.id}" for each in short)
        assert all(each["lenswatch"]["revision"] == alert.lenswatch.revision for each in short)


@settings(max_examples=40)
@given(ANY_TEXT)
def test_whatever_is_said_the_last_version_is_small(hostile: Callable[[str], Alert], text: str) -> None:
    *_, last = versions(hostile(text))
    assert len(json.dumps(last)) < 300


def test_what_a_person_needs_first_stays(alert: Alert) -> None:
    short = shortened(alert)
    assert short["message"] == alert.message and short["lenswatch"]["listings"][0]["citation"]
    assert "evidence" not in short["lenswatch"]


def test_a_cut_is_of_texts_and_lists() -> None:
    assert cut({"a": ["xxxx"] * 20, "n": 1}, 3) == {"a": ["xx…"] * 10, "n": 1}
