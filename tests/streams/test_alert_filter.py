"""What a person asks for is what is shown."""

import datetime
from pathlib import Path

import pytest

from collector.canary import make_canary
from collector.errors import SettingsError
from rules.alert import Alert
from rules.match import RuleSet
from streams.alert_filter import AlertFilter, read_level, read_since
from tests.streams.command import OFFICE, run

NOW = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)


def test_nothing_asked_takes_all_but_canaries(rules: RuleSet, alert: Alert) -> None:
    canaries = rules.match(make_canary("gate", "hq", NOW))
    assert AlertFilter().of([alert, *canaries]) == [alert] and len(canaries) == 1


@pytest.mark.parametrize(
    ("asked", "takes"),
    [
        ({"since": NOW}, True),
        ({"since": NOW + datetime.timedelta(seconds=1)}, False),
        ({"severity": "high"}, True),
        ({"severity": "low"}, True),
        ({"severity": "critical"}, False),
        ({"device": "3C:EF"}, True),
        ({"device": "10.0.0.11"}, True),
        ({"device": "10.0.0.12"}, False),
        ({"company": "dahua"}, True),
        ({"company": "Dahua Tech"}, True),
        ({"company": "hikvision"}, False),
        ({"company": "dahua", "severity": "critical"}, False),
    ],
)
def test_each_question_is_answered(alert: Alert, asked: dict[str, object], takes: bool) -> None:
    assert AlertFilter(**asked).takes(alert) is takes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), ("2026-11-01", 115_200),
        ("2026-11-02T07:00:00Z", 3_600), ("2026-11-02T08:00:00+01:00", 3_600),
    ],
)  # fmt: skip
def test_since_is_a_day_a_time_or_a_span(text: str, seconds: int) -> None:
    assert NOW - read_since(text, NOW) == datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "yesterday", "7", "-1h", "999999w", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--since"):
        read_since(text, NOW)


def test_what_is_no_level_is_refused() -> None:
    with pytest.raises(SettingsError, match="--severity: 'loud' is no level; one of informational, low"):
        read_level("loud")


def test_the_command_asks_the_same(tmp_path: Path) -> None:
    assert run("watch", OFFICE, state=tmp_path).code == 0
    every = run("alerts", "--json", state=tmp_path).alerts
    high = run("alerts", "--json", "--severity", "high", state=tmp_path).alerts
    assert 0 < len(high) < len(every)
    assert {alert.event.id for alert in high} == {
        alert.event.id for alert in every if alert.lenswatch.level in ("high", "critical")
    }
    hikvision = run("alerts", "--json", "--company", "hikvision", state=tmp_path).alerts
    assert hikvision and all(alert.lenswatch.entity.id == "hikvision" for alert in hikvision if alert.lenswatch.entity)
    assert run("alerts", "--device", "no-such-device", state=tmp_path).out == "no such alerts\n"
    assert run("alerts", "--severity", "loud", state=tmp_path).code == 2
