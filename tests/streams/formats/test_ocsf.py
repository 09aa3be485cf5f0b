"""Detection Findings as the published schema of OCSF has them: JSON Schema made from its own export, every attribute
known, every required one there."""

import functools
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from rules.alert import LEVELS, Alert
from streams.formats.ocsf import CLASS, SCHEMA, versions, write_ocsf
from tests.streams.formats.whole import ANY_TEXT


@functools.cache
def export() -> dict[str, Any]:
    """The schema as its server exports it."""
    exported: dict[str, Any] = get_ocsf_schema(version=SCHEMA)
    return exported


@functools.cache
def validator(profiles: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    """A validator of the class with these profiles."""
    made = OcsfJsonSchemaEmbedded(export())
    name = made.lookup_class_name_from_uid(class_uid=CLASS)
    schema = made.get_class_schema(name, list(profiles))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check(document: dict[str, Any]) -> None:
    """Refuse what the schema refuses, and a number whose words are another's."""
    document = json.loads(json.dumps(document))
    errors = list(validator(tuple(document["metadata"]["profiles"])).iter_errors(document))
    assert not errors, "\n".join(f"{error.json_path}: {error.message[:200]}" for error in errors)
    check_words(document, export()["classes"]["detection_finding"]["attributes"])


def check_words(document: dict[str, Any], attributes: dict[str, Any]) -> None:
    """`x_id` and `x` say the same: the caption of the number is the word."""
    for key, value in document.items():
        attribute = attributes[key]
        word = attribute.get("sibling")
        if word in document and value not in (0, 99):
            assert document[word] == attribute["enum"][str(value)]["caption"], key
        inner = attribute.get("object_type")
        if inner is not None and inner != "object":
            for each in value if isinstance(value, list) else [value]:
                check_words(each, export()["objects"][inner]["attributes"])


def test_every_alert_of_the_demo_is_a_valid_finding(told: list[Alert]) -> None:
    for alert in told:
        document = write_ocsf(alert, "1.2.3")
        check(document)
        assert document["type_uid"] == 200_400 + document["activity_id"]
        assert document["severity_id"] == LEVELS.index(alert.lenswatch.level) + 1
        assert document["metadata"]["uid"] == f"{alert.event.id}-{alert.lenswatch.revision}"


def test_an_alert_with_every_field_and_one_with_the_fewest_are_valid(whole: Alert) -> None:
    check(write_ocsf(whole, "1"))
    bare = msgspec.structs.replace(whole, device=None, threat=None)
    document = write_ocsf(bare, "1")
    check(document)
    assert document["metadata"]["profiles"] == [] and "osint" not in document


@pytest.mark.parametrize(("state", "activity"), [("new", 1), ("step", 2), ("severity", 2), ("ended", 3)])
def test_a_finding_is_created_updated_and_closed(whole: Alert, state: str, activity: int) -> None:
    alert = msgspec.structs.replace(whole, lenswatch=msgspec.structs.replace(whole.lenswatch, state=state))
    document = write_ocsf(alert, "1")
    check(document)
    assert document["activity_id"] == activity


def test_a_wrong_document_is_refused(whole: Alert) -> None:
    """The check itself can fail: an attribute that is not known, one that is missing, a word that is another's."""
    for change in ({"company": "x"}, {"severity_id": 7}, {"severity": "Low"}):
        with pytest.raises(AssertionError):
            check(write_ocsf(whole, "1") | change)
    with pytest.raises(AssertionError):
        check({key: value for key, value in write_ocsf(whole, "1").items() if key != "finding_info"})


def test_every_listing_and_verdict_is_an_enrichment_of_what_was_called(whole: Alert, told: list[Alert]) -> None:
    for alert in (whole, *told):
        detail, found = alert.lenswatch, write_ocsf(alert, "1")["enrichments"]
        kinds = [each["type"] for each in found]
        assert kinds.count("listing") == len(detail.listings or ()) and kinds.count("verdict") == len(
            detail.verdicts or ()
        )
        assert alert.threat is not None
        indicator = alert.threat.indicator
        called = indicator.url.domain if indicator.url is not None else indicator.ip
        assert {each["value"] for each in found} <= {called}


def test_shorter_versions_are_valid_and_say_so(told: list[Alert], whole: Alert) -> None:
    for alert in (*told[:5], whole):
        first, *short = versions(alert, "1")
        assert "is_truncated" not in first["metadata"] and first == write_ocsf(alert, "1")
        for document in short:
            check(document)
            assert document["metadata"]["is_truncated"] and document["finding_info"]["uid"] == alert.event.id
        assert len(json.dumps(short[-1])) < 1_200


@settings(max_examples=50)
@given(ANY_TEXT)
def test_whatever_is_said_the_document_is_valid(hostile: Callable[[str], Alert], text: str) -> None:
    for document in versions(hostile(text), "1"):
        check(document)
        json.dumps(document, ensure_ascii=False).encode()


def test_fields_of_a_megabyte_are_cut(hostile: Callable[[str], Alert]) -> None:
    document = write_ocsf(hostile("x" * 1_000_000), "1")
    check(document)
    assert len(json.dumps(document)) < 500_000
