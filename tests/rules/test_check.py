"""Each detection's own cases are run, and what failed is named."""

import dataclasses
from typing import Any

import pytest

from rules.check import CaseResult, ExampleError, read_example, run_cases, run_series
from rules.correlation import link
from rules.detection import Case, SeriesCase
from rules.match import RuleSet
from tests.rules.conftest import CAMERA
from tests.rules.test_correlation import MANY, build


def with_cases(ruleset: RuleSet, *cases: Case, example: dict[str, Any] | None = None) -> list[CaseResult]:
    detection = dataclasses.replace(ruleset.detections[0], cases=cases)
    if example is not None:
        detection = dataclasses.replace(detection, example=example)
    return run_cases(RuleSet(ruleset.facts, ruleset.endpoints, [detection], "d"))


def test_cases_that_hold_pass(ruleset: RuleSet) -> None:
    results = run_cases(ruleset)
    assert [(result.case, result.passed) for result in results] == [("a camera", True), ("a laptop", True)]
    assert str(results[0]) == "rule.yml: case 'a camera': passed"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (
            Case("silent", False),
            "should be silent, and fires: cloud.acme.example matches acme.example (suffix, confidence high) of acme, "
            "role cloud, activity cloud_relay",
        ),
        (
            Case("fires", True, {"destination.domain": "log.acme.example"}),
            "should fire, and is silent: the contact is acme, role telemetry, step None",
        ),
        (Case("fires", True, {"destination.domain": "x.net"}), "should fire, and is silent: no endpoint fact matched"),
        (Case("typo", False, {"destination.domian": "x"}), "destination.domian: no such field of an observation"),
        (
            Case("context", False, {"lenswatch.entity.listed": False}),
            "lenswatch.entity.listed: no such field of an observation",
        ),
        (Case("kind", False, {"destination.port": "x"}), "is no observation: Expected `int | null`, got `str`"),
    ],
)
def test_a_case_that_fails_says_how(ruleset: RuleSet, case: Case, reason: str) -> None:
    (result,) = with_cases(ruleset, case)
    assert not result.passed
    assert result.reason is not None
    assert result.reason.startswith(reason)


def test_another_detections_alert_does_not_count(ruleset: RuleSet) -> None:
    other = dataclasses.replace(ruleset.detections[0], id="other", fires=lambda seen: False, cases=(Case("a", True),))
    results = run_cases(RuleSet(ruleset.facts, ruleset.endpoints, [*ruleset.detections, other], "d"))
    assert [result.passed for result in results] == [True, True, False]


def test_a_change_is_laid_over_by_dotted_or_nested_keys_and_null_removes() -> None:
    example = {"destination": {"ip": "192.0.2.1", "port": 80}, "dns": {"type": "query"}}
    seen = read_example(
        example, {"destination.port": 443, "destination": {"domain": "x"}, "dns": None, "lenswatch.site": "s"}
    )
    assert (seen.destination.ip, seen.destination.port, seen.destination.domain, seen.dns) == (
        "192.0.2.1",
        443,
        "x",
        None,
    )
    assert seen.lenswatch is not None
    assert seen.lenswatch.site == "s"
    assert example == {"destination": {"ip": "192.0.2.1", "port": 80}, "dns": {"type": "query"}}


def test_one_example_does_not_change_the_next() -> None:
    read_example({"source.ip": "10.9.9.9"}, {})
    assert read_example({}, {}).source.ip != "10.9.9.9"


def test_answers_in_a_list_are_checked_too() -> None:
    with pytest.raises(ExampleError, match=r"dns\.answers\.tll: no such field"):
        read_example({"dns": {"type": "answer", "answers": [{"name": "a", "type": "A", "data": "x", "tll": 1}]}}, {})


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (
            SeriesCase("fires", True, ({"destination.domain": "a.acme.example"},)),
            "should fire, and is silent: fewer than 3",
        ),
        (
            SeriesCase("silent", False, tuple({"destination.domain": f"{name}.acme.example"} for name in "abc")),
            "should be silent, and fires: 3 values within 1 hour",
        ),
        (SeriesCase("typo", False, ({"destination.domian": "x"},)), "destination.domian: no such field"),
    ],
)
def test_a_series_that_fails_says_how(ruleset: RuleSet, case: SeriesCase, reason: str) -> None:
    correlation = dataclasses.replace(link(build(MANY), ()), cases=(case,))
    head = dataclasses.replace(correlation.head, example=CAMERA)
    rules = RuleSet(
        ruleset.facts, ruleset.endpoints, (), "d", correlations=[dataclasses.replace(correlation, head=head)]
    )
    (result,) = run_cases(rules)
    assert result.reason is not None and result.reason.startswith(reason)


def test_a_series_is_repeated_with_new_ids_unless_it_says_one(ruleset: RuleSet) -> None:
    text = MANY.replace("value_count", "event_count").replace("field: destination.domain, ", "")
    correlation = link(build(text), ())
    correlation = dataclasses.replace(correlation, head=dataclasses.replace(correlation.head, example=CAMERA))
    rules = RuleSet(ruleset.facts, ruleset.endpoints, (), "d", correlations=[correlation])
    change = {"destination.domain": "a.acme.example"}
    assert len(run_series(rules, correlation, SeriesCase("", True, (change,), repeat=3))) == 1
    assert run_series(rules, correlation, SeriesCase("", True, ({**change, "event.id": "same"},), repeat=3)) == []
