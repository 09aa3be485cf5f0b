"""The vocabulary is ECS: nested names, absent fields left out, unknown ones ignored, times in UTC."""

import datetime
import json
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from collector import observation
from collector.observation import (
    DATASET_PREFIX,
    AutonomousSystem,
    Dns,
    DnsQuestion,
    Endpoint,
    Event,
    Fields,
    Network,
    Observation,
    Observer,
)

SMALLEST = Observation(
    timestamp=datetime.datetime(2026, 11, 2, 8, 0, tzinfo=datetime.UTC),
    event=Event(kind="event", dataset=DATASET_PREFIX + "dns", id="1"),
    observer=Observer(name="sensor"),
    source=Endpoint(ip="10.0.0.1", port=40_000),
    destination=Endpoint(ip="192.0.2.1", as_=AutonomousSystem(number=64_496)),
    network=Network(transport="udp", type="ipv4", community_id="1:x"),
)


def test_absent_fields_are_left_out_and_names_are_those_of_ecs() -> None:
    assert json.loads(msgspec.json.encode(SMALLEST)) == {
        "@timestamp": "2026-11-02T08:00:00Z",
        "event": {"kind": "event", "dataset": "lenswatch.dns", "id": "1"},
        "observer": {"name": "sensor"},
        "source": {"ip": "10.0.0.1", "port": 40_000},
        "destination": {"ip": "192.0.2.1", "as": {"number": 64_496}},
        "network": {"transport": "udp", "type": "ipv4", "community_id": "1:x"},
    }


def test_a_document_comes_back_as_it_went() -> None:
    whole = msgspec.structs.replace(
        SMALLEST, dns=Dns(type="query", question=DnsQuestion(name="a\\000.example", type="A"))
    )
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Observation) == whole


def test_fields_that_are_not_known_are_ignored() -> None:
    document = json.loads(msgspec.json.encode(SMALLEST)) | {"agent": {"name": "x"}}
    assert msgspec.convert(document, Observation) == SMALLEST


def structs_in(kind: Any) -> list[type]:
    """The field sets that a type mentions."""
    if get_origin(kind) is not None:
        return [found for part in get_args(kind) for found in structs_in(part)]
    return [kind] if isinstance(kind, type) and issubclass(kind, Fields) else []


def test_every_field_set_is_documented_and_within_reach_of_a_document() -> None:
    reached, waiting = set(), [Observation]
    while waiting:
        kind = waiting.pop()
        if kind not in reached:
            reached.add(kind)
            hints = get_type_hints(kind, vars(observation))
            waiting += [found for hint in hints.values() for found in structs_in(hint)]
    declared = {each for each in vars(observation).values() if isinstance(each, type) and issubclass(each, Fields)}
    assert declared - {Fields} == reached
    assert all(each.__doc__ for each in declared)
