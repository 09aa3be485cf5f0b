"""What holds for every shipped detection."""

import re
from pathlib import Path

import pytest

from rules.check import read_example, run_cases, run_series
from rules.detection import Detection
from rules.load import SHIPPED_DETECTIONS
from rules.match import RuleSet

FILES = sorted(SHIPPED_DETECTIONS.rglob("*"))


def test_every_case_of_every_detection_holds(shipped: RuleSet) -> None:
    failed = [str(result) for result in run_cases(shipped) if not result.passed]
    assert failed == []


def test_every_file_of_the_folder_is_a_detection_in_a_family_with_a_kebab_case_name() -> None:
    for path in FILES:
        if path.is_file():
            inner = path.relative_to(SHIPPED_DETECTIONS).as_posix()
            assert re.fullmatch(r"[a-z]+/[a-z]+(-[a-z]+)*\.yml", inner), inner


def test_the_shipped_detections_are_these(shipped: RuleSet) -> None:
    levels = {detection.path.stem: detection.level for detection in shipped.detections}
    assert levels == {
        "listed-company-cloud-call": "high",
        "maker-cloud-call": "low",
        "listed-company-firmware-call": "high",
        "maker-firmware-call": "low",
        "telemetry-upload": "medium",
        "maker-time-sync": "low",
        "maker-ddns": "low",
        "maker-website-call": "low",
        "other-device-contact": "informational",
        "lookalike-name": "medium",
        "undeclared-camera": "medium",
        "declared-but-silent": "low",
        "declared-maker-differs": "medium",
        "policy-broken": "high",
        "first-contact": "low",
        "traffic-grown": "low",
        "direct-to-address": "low",
        "broken-protocol": "low",
        "encrypted-dns": "medium",
        "pushed-from-inside": "low",
        "canary": "informational",
    }


def test_the_shipped_correlations_are_these(shipped: RuleSet) -> None:
    levels = {each.head.path.stem: (each.head.level, each.kind) for each in shipped.correlations}
    assert levels == {
        "many-companies": ("medium", "value_count"),
        "refused-update-checks": ("low", "event_count"),
        "many-lookalike-names": ("high", "value_count"),
        "update-beside-lookalike": ("high", "temporal"),
    }


def test_every_correlations_message_is_one_sentence_without_gaps(shipped: RuleSet) -> None:
    for each in shipped.correlations:
        fired = [alert for case in each.cases for alert in run_series(shipped, each, case)]
        assert fired, each.head.path
        for alert in fired:
            assert re.match(r"(Camera|Recorder|Device) [0-9a-f.:]+", alert.message), alert.message
            assert not re.search(r"unknown|None|  |[{}]| [,.;:]|: *[;.]", alert.message), alert.message


def test_every_detection_says_what_else_it_may_be_and_ends_its_sentences(shipped: RuleSet) -> None:
    for detection in (*shipped.detections, *(each.head for each in shipped.correlations)):
        text = detection.path.read_text("utf-8")
        assert "falsepositives:" in text, detection.path
        assert detection.description.endswith("."), detection.path
        assert detection.message.endswith("."), detection.path


def firing(detection: Detection, shipped: RuleSet) -> list[tuple[str, str]]:
    found = []
    for case in detection.cases:
        for alert in shipped.match(read_example(detection.example, case.change)):
            if alert.rule.id == detection.id:
                found.append((case.name, alert.message))
    return found


def test_every_message_is_one_sentence_without_gaps(shipped: RuleSet) -> None:
    for detection in shipped.detections:
        for case, message in firing(detection, shipped):
            where = f"{detection.path.stem}: {case}: {message}"
            assert re.match(r"(Camera|Recorder|Device) [0-9a-f.:]+", message), where
            assert not re.search(r"unknown|None|  |[{}]| [,.;:]|: *[;.]", message), where


@pytest.mark.parametrize("confidence", ["low", "background"])
def test_a_weak_fact_makes_no_alert_above_low(shipped: RuleSet, confidence: str) -> None:
    weak = [
        (file.entity, fact.name)
        for file in shipped.facts.endpoints.values()
        for fact in file.endpoint
        if fact.confidence == confidence and fact.match != "regex"
    ]
    for _, name in weak:
        change = {"destination.domain": name, "lenswatch.device": {"type": "camera", "confidence": 1.0}}
        for dataset in ("lenswatch.tls", "lenswatch.dns"):
            for alert in shipped.match(read_example({"event.dataset": dataset}, change)):
                assert alert.lenswatch.level in ("informational", "low"), f"{name}: {alert.message}"


def test_a_customers_host_below_any_makers_dynamic_dns_raises_nothing(shipped: RuleSet) -> None:
    zones = [
        fact.name
        for file in shipped.facts.endpoints.values()
        for fact in file.endpoint
        if fact.role == "ddns" and fact.match == "suffix"
    ]
    assert zones
    for zone in zones:
        for kind in ("camera", "other"):
            change = {
                "destination.domain": f"frontdesk-17.{zone}",
                "lenswatch.device": {"type": kind, "confidence": 1.0},
            }
            assert shipped.match(read_example({"event.dataset": "lenswatch.tls"}, change)) == []


def test_every_camera_contact_of_a_sure_fact_is_some_alert(shipped: RuleSet) -> None:
    for file in shipped.facts.endpoints.values():
        for fact in file.endpoint:
            if fact.match == "regex" or shipped.endpoints.rejection(fact.name):
                continue
            change = {"destination.domain": fact.name, "lenswatch.device": {"type": "camera", "confidence": 1.0}}
            alerts = shipped.match(read_example({"event.dataset": "lenswatch.tls"}, change))
            assert len(alerts) == 1 or fact.confidence in ("low", "background"), f"{fact.name}: {alerts}"


def test_every_firmware_fact_that_is_matched_is_found_on_the_wire(shipped: RuleSet) -> None:
    for entity, file in shipped.facts.endpoints.items():
        for fact in file.firmware:
            if fact.kind == "host" and fact.on_wire:
                found = shipped.endpoints.match_name(fact.pattern)
                assert found is not None, f"{entity}: {fact.pattern}"
                assert found.role == "firmware", f"{entity}: {fact.pattern} is {found.role}"


def test_names_that_the_facts_reject_raise_nothing(shipped: RuleSet) -> None:
    names = [name for fact in shipped.facts.not_endpoints for name in fact.names]
    assert names
    for name in names:
        change = {"destination.domain": name, "lenswatch.device": {"type": "camera", "confidence": 1.0}}
        assert shipped.match(read_example({"event.dataset": "lenswatch.tls"}, change)) == []


def test_ordinary_names_raise_nothing(shipped: RuleSet) -> None:
    names = Path(__file__).with_name("ordinary_names.txt").read_text("utf-8").split()
    assert len(names) > 100
    for name in names:
        change = {"destination.domain": name, "lenswatch.device": {"type": "camera", "confidence": 1.0}}
        alerts = shipped.match(read_example({"event.dataset": "lenswatch.tls"}, change))
        assert alerts == [], f"{name}: {alerts[0].message}"
