"""Every detection's own cases, run through the whole of matching: facts, context and condition."""

import copy
import dataclasses
from collections import Counter
from typing import Any, Final

import msgspec

from collector.observation import Observation
from rules.alert import Alert
from rules.correlate import Windows
from rules.correlation import Correlation
from rules.detection import Case, Detection, SeriesCase
from rules.match import RuleSet
from rules.predicate import observation_fields

# What every observation has; an example says only what matters to it.
SKELETON: Final[dict[str, Any]] = {
    "@timestamp": "2026-11-02T08:00:00Z",
    "event": {"kind": "event", "dataset": "lenswatch.flow", "id": "example"},
    "observer": {"name": "example"},
    "source": {"ip": "10.0.0.10"},
    "destination": {"ip": "192.0.2.10"},
    "network": {"transport": "tcp", "type": "ipv4", "community_id": "1:example"},
}


class ExampleError(ValueError):
    """An example or a change that is no observation."""


@dataclasses.dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went. `reason` says what was wrong; None when the case passed."""

    detection: Detection
    case: str
    reason: str | None

    @property
    def passed(self) -> bool:
        """Whether the detection did what the case says."""
        return self.reason is None

    def __str__(self) -> str:
        return f"{self.detection.path}: case {self.case!r}: {self.reason or 'passed'}"


def run_cases(ruleset: RuleSet) -> list[CaseResult]:
    """Every case of every detection and of every correlation, in order."""
    return [
        CaseResult(detection, case.name, _fault(ruleset, detection, case))
        for detection in ruleset.detections
        for case in detection.cases
    ] + [
        CaseResult(correlation.head, case.name, _series_fault(ruleset, correlation, case))
        for correlation in ruleset.correlations
        for case in correlation.cases
    ]


def run_series(ruleset: RuleSet, correlation: Correlation, case: SeriesCase) -> list[Alert]:
    """What a correlation says of the series of a case, one alert for each finding. Raises ExampleError."""
    windows, counts = Windows(), Counter[str]()
    found: dict[str, Alert] = {}
    for number, change in enumerate(case.series * case.repeat):
        own = {"event.id": f"example {number}"} | change
        for occurrence in ruleset.judge(read_example(correlation.head.example, own)).occurrences:
            if occurrence.correlation.head.id == correlation.head.id:
                for hit in occurrence.count(windows, counts)[0]:
                    found.setdefault(hit.id, hit.alert())
    return list(found.values())


def _series_fault(ruleset: RuleSet, correlation: Correlation, case: SeriesCase) -> str | None:
    try:
        fired = run_series(ruleset, correlation, case)
    except ExampleError as error:
        return str(error)
    if bool(fired) == case.fires:
        return None
    if fired:
        return f"should be silent, and fires: {fired[0].event.reason}"
    return f"should fire, and is silent: fewer than {correlation.least} within {correlation.timespan_seconds} seconds"


def read_example(example: dict[str, Any], change: dict[str, Any]) -> Observation:
    """An example with a change laid over it, as an observation. Raises ExampleError."""
    document = copy.deepcopy(SKELETON)
    _lay_over(document, example)
    _lay_over(document, change)
    for name in _leaves(document, ""):
        if name not in observation_fields():
            raise ExampleError(f"{name}: no such field of an observation")
    try:
        return msgspec.convert(document, Observation)
    except msgspec.ValidationError as error:
        raise ExampleError(f"is no observation: {error}") from None


def _fault(ruleset: RuleSet, detection: Detection, case: Case) -> str | None:
    try:
        observation = read_example(detection.example, case.change)
    except ExampleError as error:
        return str(error)
    fired = [alert for alert in ruleset.match(observation) if alert.rule.id == detection.id]
    if bool(fired) == case.fires:
        return None
    if fired:
        return f"should be silent, and fires: {fired[0].event.reason}"
    contact = ruleset.contact(observation)
    if contact is None:
        return "should fire, and is silent: no endpoint fact matched"
    return f"should fire, and is silent: the contact is {contact.entity_id}, role {contact.role}, step {contact.step}"


def _lay_over(document: dict[str, Any], change: dict[str, Any]) -> None:
    """Lays nested or dotted keys over a document; None removes."""
    for key, value in change.items():
        *parents, last = key.split(".")
        inner = document
        for parent in parents:
            if not isinstance(inner.get(parent), dict):
                inner[parent] = {}
            inner = inner[parent]
        if value is None:
            inner.pop(last, None)
        elif isinstance(value, dict):
            if not isinstance(inner.get(last), dict):
                inner[last] = {}
            _lay_over(inner[last], value)
        else:
            inner[last] = copy.deepcopy(value)


def _leaves(node: Any, name: str) -> list[str]:
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in _leaves(value, f"{name}.{key}" if name else str(key))]
    if isinstance(node, list) and any(isinstance(item, dict) for item in node):
        return [leaf for item in node for leaf in _leaves(item, name)]
    return [name]
