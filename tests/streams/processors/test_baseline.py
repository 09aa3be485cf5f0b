"""What is usual is learned, and what is new or ten times as much is told; whatever the order, within bounds."""

import datetime
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.observation import DEVICE_DATASET, Novelty, Observation
from rules.match import RuleSet
from streams.processors.baseline import (
    GROWTH,
    LEARNING_DAYS,
    MAX_MET,
    MAX_NEW_A_DAY,
    MIN_GROWN_BYTES,
    USUAL_DAYS,
    Baseline,
    Habits,
    concerns,
    count,
    meet,
)

Observe = Callable[..., Observation]
BEGIN = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)
USUAL = 5_000_000
AFTER = LEARNING_DAYS


def flow(observe: Observe, day: float, passed: int = 0, state: str = "closed", **change: Any) -> Observation:
    """A flow of the camera that ended on a day after the first."""
    base = {
        "@timestamp": (BEGIN + datetime.timedelta(days=day)).isoformat(), "event.dataset": "lenswatch.flow",
        "network.direction": "outbound", "source.bytes": passed, "destination": {"ip": "203.0.113.7", "bytes": 0},
        "lenswatch.flow": {"state": state, "duration_seconds": 1.0},
    }  # fmt: skip
    return observe(base | change)


def seen(baseline: Baseline, observation: Observation, company: str | None = None) -> Novelty | None:
    more = baseline.compare(observation, company).lenswatch
    return more.baseline if more is not None else None


@pytest.fixture
def habits() -> Habits:
    return Habits()


@pytest.fixture
def baseline(habits: Habits) -> Baseline:
    return Baseline(lambda _: habits)


def learn(observe: Observe, baseline: Baseline, company: str | None = "dahua", passed: int = USUAL) -> None:
    for day in range(LEARNING_DAYS):
        assert seen(baseline, flow(observe, day, passed), company) is None


def test_what_is_called_in_the_learning_time_is_no_news_and_what_is_called_first_after_it_is(
    observe: Observe, baseline: Baseline
) -> None:
    learn(observe, baseline)
    assert seen(baseline, flow(observe, AFTER), "dahua") is None
    abroad = {"destination.geo.country_iso_code": "CN", "destination.as.number": 64_500}
    first = seen(baseline, flow(observe, AFTER, **abroad), "hikvision")
    assert first is not None and first.new == ["AS 64500", "company hikvision", "country CN"]
    assert seen(baseline, flow(observe, AFTER + 0.1, **abroad), "hikvision") == first, "for the whole day"
    assert seen(baseline, flow(observe, AFTER + 1, **abroad), "hikvision") is None, "and then it is usual"


def test_the_days_are_counted_from_when_the_camera_was_first_there_not_from_its_first_call(
    observe: Observe, baseline: Baseline
) -> None:
    there = {"event.dataset": DEVICE_DATASET, "lenswatch.flow": None}
    assert seen(baseline, flow(observe, 0, **there)) is None
    novelty = seen(baseline, flow(observe, AFTER))
    assert novelty is not None and novelty.new == ["outside"]


def test_without_learning_nothing_is_kept_and_nothing_told(observe: Observe, habits: Habits) -> None:
    never = Baseline(lambda _: habits, 0)
    assert seen(never, flow(observe, 0)) is None and seen(never, flow(observe, 400)) is None
    assert habits == Habits()


def test_a_day_of_ten_times_the_usual_is_told_and_one_of_nine_is_not(observe: Observe, baseline: Baseline) -> None:
    learn(observe, baseline)
    assert seen(baseline, flow(observe, AFTER, 9 * USUAL), "dahua") is None
    novelty = seen(baseline, flow(observe, AFTER + 0.01, USUAL), "dahua")
    assert novelty is not None and (novelty.growth, novelty.usual_bytes) == (GROWTH, USUAL)
    again = seen(baseline, flow(observe, AFTER + 1, 8 * USUAL), "dahua")
    assert again is None, "what grew has become a part of the usual"


def test_little_is_no_growth_and_much_where_there_was_nothing_is(observe: Observe, baseline: Baseline) -> None:
    learn(observe, baseline, passed=10)
    assert seen(baseline, flow(observe, AFTER, MIN_GROWN_BYTES - 1), "dahua") is None
    assert seen(baseline, flow(observe, AFTER + 0.01, 1), "dahua") is not None


def test_a_flow_of_days_is_the_traffic_of_each_of_them(observe: Observe, baseline: Baseline, habits: Habits) -> None:
    learn(observe, baseline, passed=0)
    long = flow(observe, AFTER, 14 * USUAL)
    assert long.lenswatch is not None and long.lenswatch.flow is not None
    long.lenswatch.flow.duration_seconds = 14 * 86_400.0
    assert seen(baseline, long, "dahua") is None
    assert sum(habits.days.values()) == pytest.approx(14 * USUAL, abs=20) and max(habits.days.values()) == USUAL


def test_a_capture_that_is_read_again_is_not_counted_again(
    observe: Observe, baseline: Baseline, habits: Habits
) -> None:
    learn(observe, baseline)
    before = dict(habits.days)
    for _ in range(20):
        for day in range(LEARNING_DAYS - 1):
            assert seen(baseline, flow(observe, day, USUAL), "dahua") is None
    assert habits.days == before


@given(st.integers(0, 2**32))
def test_the_order_of_a_days_flows_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    flows = [(chance.choice("abcd"), chance.randrange(10**7), 86_400 * 20 + chance.randrange(3_600)) for _ in range(12)]
    told = []
    for _ in range(2):
        habits, new = Habits(began=0), set()
        for company, passed, at in flows:
            new.update((company, key) for key in meet(habits, iter((f"company {company}",)), at // 86_400))
            count(habits, passed, at, 0.0)
        told.append((new, habits.days, habits.newest, {key: (met.first, met.last) for key, met in habits.met.items()}))
        chance.shuffle(flows)
    assert told[0] == told[1]


def test_what_is_kept_of_a_device_is_bounded_and_what_is_let_go_counted() -> None:
    habits = Habits(began=0)
    new = [key for day in range(30) for each in range(50) for key in meet(habits, iter((f"AS {day}.{each}",)), day)]
    assert len(habits.met) == MAX_MET and len(new) == 30 * MAX_NEW_A_DAY
    assert habits.let_go == 30 * (50 - MAX_NEW_A_DAY) + 30 * 50 - MAX_MET
    for day in range(100):
        count(habits, 1, day * 86_400.0 + 40_000, 1e9)
    assert len(habits.days) <= USUAL_DAYS + 1 and max(habits.days) == 99
    assert len(msgspec.json.encode(habits)) < 8_000


def test_habits_come_back_as_they_were_kept(observe: Observe, baseline: Baseline, habits: Habits) -> None:
    learn(observe, baseline)
    for codec in (msgspec.json, msgspec.msgpack):
        back: Habits = codec.decode(codec.encode(habits), type=Habits)  # type: ignore[attr-defined]
        assert back == habits and seen(Baseline(lambda _, back=back: back), flow(observe, AFTER), "x") is not None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "asks"),
    [
        ({}, True), ({"lenswatch.flow.state": "opened"}, True), ({"lenswatch.flow.state": "attempt"}, False),
        ({"network.direction": "internal"}, False), ({"lenswatch.device.type": "other"}, False),
        ({"event.dataset": "lenswatch.tls"}, False), ({"event.dataset": DEVICE_DATASET}, True),
        ({"device": None}, False),
    ],
)  # fmt: skip
def test_it_is_learned_from_cameras_and_whom_they_reached_outside(
    observe: Observe, change: dict[str, Any], asks: bool
) -> None:
    assert concerns(flow(observe, 0, **change)) == asks


def test_what_is_not_usual_is_an_alert_of_low_severity(observe: Observe, baseline: Baseline, rules: RuleSet) -> None:
    learn(observe, baseline)
    tls = {"destination.domain": "www.easy4ipcloud.com", "destination.geo.country_iso_code": "CN"}
    unusual = baseline.compare(flow(observe, AFTER, 20 * USUAL, **tls), "dahua")
    told = {alert.rule.name: alert for alert in rules.match(unusual)}
    first, grown = told["First call to a new company, country or network"], told["Ten times the usual traffic"]
    assert first.lenswatch.level == grown.lenswatch.level == "low"
    assert "before this day it has not called country CN." in first.message
    assert "exchanged 20 times the usual 5.0 MB of a day with the outside" in grown.message
    assert first.lenswatch.baseline is not None and first.lenswatch.baseline.new == ["country CN"]


def test_a_day_of_new_companies_is_a_finding_each_and_repeats_are_one(
    observe: Observe, baseline: Baseline, rules: RuleSet
) -> None:
    learn(observe, baseline)
    ids = set()
    for number in (64_500, 64_501, 64_500):
        judged = baseline.compare(flow(observe, AFTER, **{"destination.as.number": number}), None)
        ids |= {alert.event.id for alert in rules.match(judged) if alert.rule.name.startswith("First call")}
    assert len(ids) == 2
