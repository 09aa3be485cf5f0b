"""An alert is one JSON document in ECS names."""

import datetime
from collections.abc import Callable

import msgspec

from collector.observation import Observation
from rules.alert import LEVELS, RISK_SCORES, Alert, ListingBasis
from rules.match import RuleSet


def test_every_level_has_a_risk_score_and_they_rise() -> None:
    assert tuple(RISK_SCORES) == LEVELS
    assert list(RISK_SCORES.values()) == sorted(RISK_SCORES.values())


def test_an_alert_survives_json(ruleset: RuleSet, observe: Callable[..., Observation]) -> None:
    (alert,) = ruleset.match(observe({"destination.domain": "x.acme.example"}))
    document = msgspec.json.encode(alert)
    assert msgspec.json.decode(document, type=Alert) == alert
    assert b'"@timestamp":"2026-11-02T08:00:00Z"' in document


def test_what_is_absent_is_left_out() -> None:
    basis = ListingBasis(
        programme="p", programme_name="P", status="listed", citation="c", confidence="high", sources=["s"],
        since=datetime.date(2021, 6, 3),
    )  # fmt: skip
    assert b"note" not in msgspec.json.encode(basis)
    assert b'"since":"2021-06-03"' in msgspec.json.encode(basis)
