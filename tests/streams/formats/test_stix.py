"""STIX as its reference library reads it and as OASIS's own schemas and validator take it; the same ids as exported."""

import datetime
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import stix2
from hypothesis import given, settings
from stix2.pattern_visitor import create_pattern_object
from stix2validator import ValidationOptions, validate_instance

from rules.alert import Alert
from rules.match import RuleSet
from streams.formats.stix import Object, sighting_objects, write_bundle
from streams.processors.fold import revise
from tests.streams.command import run
from tests.streams.formats.whole import ANY_TEXT
from tests.streams.told import write_sightings

# What the validator asks of an object besides its schema, and none of it is a MUST of ours: words of its own lists
# for protocols, which IANA's has no lookups for.
OPTIONS = ValidationOptions(version="2.1", disabled=["all"])


@functools.cache
def validate(text: str) -> None:
    """Refuse what the schema of an object, or the validator, refuses."""
    found = validate_instance(json.loads(text), OPTIONS)
    assert found.is_valid, f"{text[:200]}: {[str(error) for error in found.errors]}"


def check(objects: Sequence[Object]) -> None:
    """Refuse what schema, validator or library refuse, and a reference that leads nowhere."""
    objects = json.loads(json.dumps(objects))
    for each in objects:
        validate(json.dumps(each))
    read = stix2.parse(write_bundle(objects), allow_custom=False, version="2.1").objects
    known: set[str] = set()
    for each in read:
        for key in each:
            if key.endswith(("_ref", "_refs")):
                named = each[key] if isinstance(each[key], list) else [each[key]]
                assert set(named) <= known, f"{each.id}: {key}"
        known.add(each.id)
        if each.type == "indicator":
            create_pattern_object(each.pattern, version="2.1")


def only(objects: Sequence[Object], kind: str) -> Object:
    """The one object of a type."""
    (found,) = (each for each in objects if each["type"] == kind)
    return found


def test_every_alert_of_the_demo_is_a_valid_sighting(told: list[Alert]) -> None:
    for alert in told:
        objects = sighting_objects(alert)
        check(objects)
        sighting = only(objects, "sighting")
        assert sighting["count"] == alert.lenswatch.count and sighting["description"].startswith(alert.message)
        assert sighting["sighting_of_ref"] == only(objects, "indicator")["id"]


def test_all_of_them_in_one_bundle_are_each_once(told: list[Alert]) -> None:
    objects = write_sightings(told)
    check(objects)
    keys = [(each["id"], each.get("modified")) for each in objects]
    assert len(set(keys)) == len(keys) < sum(len(sighting_objects(alert)) for alert in told)
    assert write_bundle(objects)["id"] == write_bundle(write_sightings(told))["id"]


def test_an_alert_with_every_field_and_one_with_the_fewest_are_valid(whole: Alert) -> None:
    check(sighting_objects(whole))
    bare = msgspec.structs.replace(whole.lenswatch, entity=None, endpoint=None, role=None, site=None, listings=None)
    check(sighting_objects(msgspec.structs.replace(whole, device=None, threat=None, lenswatch=bare)))


def test_ids_of_what_was_seen_are_those_of_the_specification(told: list[Alert], whole: Alert) -> None:
    for alert in (*told, whole):
        for each in sighting_objects(alert):
            if "modified" not in each:
                given_id = stix2.parse({key: value for key, value in each.items() if key != "id"}, version="2.1").id
                assert each["id"] == given_id


def test_each_revision_is_a_later_version_of_the_same_sighting(whole: Alert) -> None:
    """Even where nothing was seen in between."""
    versions = [whole]
    for state in ("step", "severity", "ended"):
        versions.append(revise(versions[-1], versions[-1].timestamp, state))
    found = [only(sighting_objects(each), "sighting") for each in versions]
    assert len({each["id"] for each in found}) == 1 and len({each["created"] for each in found}) == 1
    times = [each["modified"] for each in found]
    assert times == sorted(set(times)) and all(each["created"] <= each["modified"] for each in found)
    later = msgspec.structs.replace(
        whole.lenswatch, last_seen=whole.lenswatch.last_seen + datetime.timedelta(microseconds=900), revision=4
    )
    moved = only(sighting_objects(msgspec.structs.replace(whole, lenswatch=later)), "sighting")
    assert moved["modified"] > found[0]["modified"]


def test_the_indicator_is_the_one_that_the_export_writes(
    told: list[Alert], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran = run("rules", "export", "stix", state=tmp_path_factory.mktemp("export"))
    exported = {each["id"]: each for each in json.loads(ran.out)["objects"]}
    found = 0
    for alert in told:
        objects = sighting_objects(alert)
        indicator = only(objects, "indicator")
        if indicator["id"] in exported:
            found += 1
            same = exported[indicator["id"]]
            assert same["modified"] > indicator["modified"] and same["created"] == indicator["created"]
            assert same["confidence"] == indicator["confidence"]
            for each in objects:
                if each["type"] == "relationship" or each.get("identity_class") == "organization":
                    assert each["id"] in exported
    assert found >= 10


def test_what_no_fact_knows_is_an_indicator_of_its_own(rules: RuleSet, whole: Alert) -> None:
    detail = msgspec.structs.replace(whole.lenswatch, entity=None, endpoint=None, role=None)
    objects = sighting_objects(msgspec.structs.replace(whole, lenswatch=detail))
    assert only(objects, "indicator")["pattern"] == "[domain-name:value = 'called.example']"
    check(objects)
    assert whole.threat is not None
    bare = msgspec.structs.replace(whole.threat.indicator, url=None, ip="2001:db8::9")
    threat = msgspec.structs.replace(whole.threat, indicator=bare)
    objects = sighting_objects(msgspec.structs.replace(whole, lenswatch=detail, threat=threat))
    assert only(objects, "indicator")["pattern"] == "[ipv6-addr:value = '2001:db8::9']"
    check(objects)


@pytest.mark.parametrize("match", ["path", "suffix"])
def test_a_fact_that_is_not_exported_whole_has_an_indicator_of_what_was_called(whole: Alert, match: str) -> None:
    assert whole.lenswatch.endpoint is not None
    endpoint = msgspec.structs.replace(whole.lenswatch.endpoint, match=match)
    detail = msgspec.structs.replace(whole.lenswatch, endpoint=endpoint, role="ddns")
    objects = sighting_objects(msgspec.structs.replace(whole, lenswatch=detail))
    check(objects)
    assert only(objects, "indicator")["name"] == "called.example"
    assert only(objects, "relationship")["source_ref"] == only(objects, "indicator")["id"]


def test_a_wrong_object_is_refused(whole: Alert) -> None:
    """The check itself can fail."""
    sighting: dict[str, Any] = only(sighting_objects(whole), "sighting")
    for change in ({"count": -1}, {"sighting_of_ref": "x"}, {"last_seen": "2001-01-01T00:00:00.000Z"}):
        with pytest.raises((AssertionError, stix2.exceptions.STIXError)):
            check([sighting | change])


@settings(max_examples=40)
@given(ANY_TEXT)
def test_whatever_is_said_the_objects_are_valid(hostile: Callable[[str], Alert], text: str) -> None:
    alert = hostile(text)
    bare = msgspec.structs.replace(alert.lenswatch, entity=None, endpoint=None)
    for each in (alert, msgspec.structs.replace(alert, lenswatch=bare)):
        objects = sighting_objects(each)
        json.dumps(objects, ensure_ascii=False).encode()
        check(objects)


def test_fields_of_a_megabyte_are_cut(hostile: Callable[[str], Alert]) -> None:
    objects = sighting_objects(hostile("x" * 1_000_000))
    check(objects)
    assert len(json.dumps(objects)) < 100_000
