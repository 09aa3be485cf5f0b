"""Windows of packet time: what fulfils a correlation, whatever the order in which it comes in."""

import datetime
import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.observation import Observation
from rules.alert import Alert
from rules.check import read_example
from rules.correlate import GRAINS, MAX_VALUE_LENGTH, MAX_WINDOWS, CorrelationHit, Windows, max_entries, shorten
from rules.correlation import link
from rules.load import index_endpoints
from rules.match import RuleSet
from tests.rules.conftest import CAMERA, make_facts
from tests.rules.test_correlation import MANY, build

FACTS = make_facts()
INDEX = index_endpoints(FACTS)
BEGIN = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)


def rules(kind: str = "value_count", least: int = 3, timespan: str = "1h") -> RuleSet:
    text = MANY.replace("gte: 3", f"gte: {least}").replace("timespan: 1h", f"timespan: {timespan}")
    if kind == "event_count":
        text = text.replace("value_count", kind).replace("field: destination.domain, ", "")
    return RuleSet(FACTS, INDEX, (), "d", correlations=[link(build(text), ())])


def seen(after: float, name: str = "a", event: str | None = None, device: str = "site/1") -> Observation:
    at = BEGIN + datetime.timedelta(seconds=after)
    return read_example(
        CAMERA,
        {
            "@timestamp": at.isoformat(),
            "destination.domain": f"{name}.acme.example",
            "event.id": event or f"{after} {name}",
            "device.id": device,
        },
    )


def run(
    ruleset: RuleSet, observations: Iterable[Observation], windows: Windows | None = None, counts: Any = None
) -> list[CorrelationHit]:
    windows, counts = windows or Windows(), Counter() if counts is None else counts
    return [
        hit
        for observation in observations
        for occurrence in ruleset.judge(observation).occurrences
        for hit in occurrence.count(windows, counts)[0]
    ]


def ids(ruleset: RuleSet, observations: Iterable[Observation]) -> set[str]:
    return {hit.id for hit in run(ruleset, observations)}


def test_the_third_name_within_the_hour_fulfils_and_says_so() -> None:
    hits = run(rules(), [seen(0, "a"), seen(600, "b"), seen(700, "a"), seen(1200, "c")])
    (alert,) = [hit.alert() for hit in hits]
    basis = alert.lenswatch.correlation
    assert basis is not None
    assert (basis.type, basis.count, basis.least, basis.timespan_seconds) == ("value_count", 3, 3, 3600)
    assert basis.values == ["a.acme.example", "b.acme.example", "c.acme.example"]
    assert basis.since == BEGIN
    assert basis.group == {"device.id": "site/1", "lenswatch.entity.id": "acme"}
    assert alert.lenswatch.evidence == ["0 a", "600 b", "1200 c"]
    assert alert.timestamp == alert.lenswatch.first_seen == BEGIN + datetime.timedelta(seconds=1200)
    assert alert.message == (
        "Camera 10.0.0.11 called 3 names within 1 hour: a.acme.example, b.acme.example, c.acme.example."
    )
    assert alert.event.reason.startswith("3 values within 1 hour, at least 3 asked for (value_count over A camera")
    assert alert.rule.name == "Camera uses many names"


def test_two_names_and_three_in_more_than_an_hour_fulfil_nothing() -> None:
    assert run(rules(), [seen(0, "a"), seen(10, "b"), seen(20, "a")]) == []
    assert run(rules(), [seen(0, "a"), seen(1800, "b"), seen(3600, "c")]) == []


def test_what_lies_nearer_than_63_of_64_parts_of_the_timespan_counts_wherever_it_begins() -> None:
    near, grain = 3600 * 63 / GRAINS, 3600 / GRAINS
    for shift in range(8):
        begin = shift * grain / 8
        assert run(rules(), [seen(begin, "a"), seen(begin + 1, "b"), seen(begin + near - 0.01, "c")])
        assert not run(rules(), [seen(begin, "a"), seen(begin + 1, "b"), seen(begin + 3600, "c")])


def test_one_observation_twice_counts_once() -> None:
    counted = rules("event_count")
    assert run(counted, [seen(0, event="one"), seen(0, event="one"), seen(5, event="two")]) == []
    assert len(run(counted, [seen(0, event="one"), seen(5, event="two"), seen(9, event="three")])) == 1


def test_one_more_of_a_fulfilled_window_and_a_repeat_of_it_are_the_same_finding() -> None:
    window = [seen(0, "a"), seen(1, "b"), seen(2, "c")]
    hits = run(rules(), [*window, seen(3, "d"), window[2], seen(4, "d")])
    assert len(hits) == 2 and len({hit.id for hit in hits}) == 1


def test_another_device_and_another_day_are_other_findings() -> None:
    first = [seen(0, "a"), seen(1, "b"), seen(2, "c")]
    other = [seen(0, "a", device="site/2"), seen(1, "b", device="site/2"), seen(2, "c", device="site/2")]
    later = [seen(86_400, "a"), seen(86_401, "b"), seen(86_402, "c")]
    assert len(ids(rules(), [*first, *other, *later])) == 3


def test_a_group_without_one_of_its_fields_counts_nothing() -> None:
    observations = [
        read_example(CAMERA, {"destination.domain": f"{name}.acme.example", "device": None, "event.id": name})
        for name in "abc"
    ]
    assert run(rules(), observations) == []


def test_every_order_of_a_window_gives_the_same_findings() -> None:
    observations = [seen(0, "a"), seen(3000, "b"), seen(3500, "c"), seen(5000, "b"), seen(6500, "a")]
    expected = ids(rules(), observations)
    assert expected
    for order in itertools.permutations(observations):
        assert ids(rules(), order) == expected


def brute(observations: list[Observation], timespan: int, least: int) -> set[str]:
    """The id of every finding, by its definition: windows that end with an observation and hold enough names."""
    found = set()
    for last in observations:
        end = int(last.timestamp.timestamp() * GRAINS // timespan)
        names = {
            other.destination.domain
            for other in observations
            if other.device == last.device
            and end - GRAINS < int(other.timestamp.timestamp() * GRAINS // timespan) <= end
        }
        if len(names) >= least and last.device is not None:
            day = end * timespan // (GRAINS * 86_400)
            text = "\0".join(("8e0d9f51-2d7b-4d0b-8a32-6a2f3c0f7d10", last.device.id, "acme", str(day)))
            found.add(hashlib.sha256(text.encode()).hexdigest()[:32])
    return found


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * 3600), st.sampled_from("abcde"), st.integers(1, 2)), max_size=24),
    st.integers(1, 4),
    # A grain of 7 hours begins on one day and ends on the next.
    st.sampled_from((3, 7)),
    st.randoms(use_true_random=False),
)
def test_the_findings_are_those_of_the_definition_in_any_order_and_with_repeats(
    events: list[tuple[int, str, int]], least: int, hours: int, shuffled: random.Random
) -> None:
    # The day changes in the middle.
    observations = [seen(after + 14.5 * 3600, name, device=f"site/{device}") for after, name, device in events]
    fed = observations * 2
    shuffled.shuffle(fed)
    ruleset, windows, counts = rules(least=least, timespan=f"{hours}h"), {}, Counter[str]()
    found = set()
    for observation in fed:
        for occurrence in ruleset.judge(observation).occurrences:
            state = windows.setdefault(occurrence.device, Windows())
            found |= {hit.id for hit in occurrence.count(state, counts)[0]}
    assert found == brute(observations, hours * 3600, least)
    assert not counts


def test_the_state_goes_through_json_and_counts_on() -> None:
    windows, ruleset = Windows(), rules()
    assert run(ruleset, [seen(0, "a"), seen(5, "b")], windows) == []
    again = msgspec.json.decode(msgspec.json.encode(windows), type=Windows)
    assert again == windows
    assert len(run(ruleset, [seen(9, "c")], again)) == 1


def test_what_comes_in_late_is_let_go_and_counted() -> None:
    counts, windows = Counter[str](), Windows()
    run(rules(), [seen(10 * 3600), seen(9 * 3600 + 1), seen(8 * 3600)], windows, counts)
    assert counts == {"late": 1}


def test_a_group_remembers_no_more_than_its_cap_and_counts_what_it_forgets() -> None:
    counts, windows, ruleset = Counter[str](), Windows(), rules("event_count", least=40)
    cap = max_entries(ruleset.correlations[0])
    hits = run(ruleset, [seen(number / 1000) for number in range(cap + 10)], windows, counts)
    (window,) = windows.groups.values()
    assert sum(map(len, window.grains.values())) == cap and counts["evicted"] == 10
    assert len({hit.id for hit in hits}) == 1


def test_a_device_has_no_more_than_so_many_groups_and_the_stillest_goes() -> None:
    text = MANY.replace("lenswatch.entity.id]", "destination.ip]")
    ruleset = RuleSet(FACTS, INDEX, (), "d", correlations=[link(build(text), ())])
    counts, windows = Counter[str](), Windows()
    for number in range(MAX_WINDOWS + 3):
        observation = seen(number)
        observation.destination.ip = f"192.0.2.{number}"
        run(ruleset, [observation], windows, counts)
    assert len(windows.groups) == MAX_WINDOWS and counts["windows_evicted"] == 3
    assert not any("192.0.2.0" in key.split("\0") for key in windows.groups)


def test_old_grains_are_forgotten_without_a_count() -> None:
    counts, windows = Counter[str](), Windows()
    run(rules(), [seen(0), seen(20 * 3600)], windows, counts)
    (window,) = windows.groups.values()
    firsts = [first.observation for values in window.grains.values() for first in values.values()]
    assert firsts == ["72000 a"] and not counts


def test_a_long_value_is_kept_short_and_still_differs() -> None:
    one, two = shorten("a" * 1000), shorten("a" * 1001)
    assert len(one) == MAX_VALUE_LENGTH and one != two and shorten("short") == "short"


def test_a_changed_rule_counts_from_the_beginning() -> None:
    windows = Windows()
    run(rules(), [seen(0, "a"), seen(1, "b")], windows)
    assert run(rules(timespan="2h"), [seen(2, "c")], windows) == []


def test_a_rule_in_a_file_of_its_own_alerts_and_feeds(ruleset: RuleSet, observe: Callable[..., Observation]) -> None:
    alone = build(MANY.partition("---")[0].replace("[called]", f"[{ruleset.detections[0].id}]"))
    both = RuleSet(FACTS, INDEX, ruleset.detections, "d", correlations=[link(alone, ruleset.detections)])
    found = both.judge(observe({"destination.domain": "cloud.acme.example"}))
    assert len(found.hits) == len(found.occurrences) == 1
    only = rules().judge(observe({"destination.domain": "cloud.acme.example"}))
    assert (len(only.hits), len(only.occurrences)) == (0, 1)


def test_an_alert_of_a_correlation_is_a_document_like_any_other() -> None:
    (hit,) = run(rules(), [seen(0, "a"), seen(600, "b"), seen(1200, "c")])
    alert = hit.alert()
    assert msgspec.json.decode(msgspec.json.encode(alert), type=Alert) == alert
    assert (hit.level, hit.step, hit.observation.event.id) == ("medium", None, "1200 c")


@pytest.mark.parametrize(("timespan", "words"), [("90m", "90 minutes"), ("1d", "24 hours"), ("45s", "45 seconds")])
def test_a_timespan_reads_as_people_say_it(timespan: str, words: str) -> None:
    (hit,) = run(rules(least=1, timespan=timespan), [seen(0)])
    assert f"within {words}:" in hit.alert().message
