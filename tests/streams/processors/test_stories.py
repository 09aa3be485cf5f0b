"""A device's story is told from observations: identity, firmware and calls, within bounds, and not unlearned."""

import datetime
from collections.abc import Callable

import pytest

from collector.observation import DEVICE_DATASET, Observation
from streams.processors.stories import MAX_CALLED, MAX_VERSIONS, Story, add, concerns_story

Observe = Callable[..., Observation]
IDENTITY = {"type": "camera", "confidence": 0.9, "evidence": ["a", "b"], "addresses": ["10.0.0.11"], "hardware": ["m"]}
FLOW = {
    "event.dataset": "lenswatch.flow",
    "lenswatch.flow": {"state": "closed", "duration_seconds": 1.0},
    "source": {"ip": "10.0.0.11", "bytes": 100},
    "destination": {"ip": "192.0.2.1", "bytes": 2_000, "domain": "cloud.example"},
}


def at(second: int) -> str:
    return f"2026-11-02T08:{second // 60:02}:{second % 60:02}Z"


def told(observe: Observe, *changes: dict[str, object]) -> Story:
    story = None
    for second, change in enumerate(changes):
        seen = observe({"@timestamp": at(second)} | change)
        assert concerns_story(seen)
        story = add(story, seen)
    assert story is not None
    return story


def device(**more: object) -> dict[str, object]:
    return {"event.dataset": DEVICE_DATASET, "lenswatch.device": IDENTITY | more}


def test_what_is_known_and_where_it_was_met_is_kept(observe: Observe) -> None:
    story = told(
        observe, device(firmware="1.0"), device(firmware="1.1", addresses=["10.0.0.12"]), device(firmware="1.1")
    )
    assert (story.id, story.identity.type, story.addresses) == (
        "site/3c:ef:8c:00:53:11",
        "camera",
        ["10.0.0.12", "10.0.0.11"],
    )
    assert [(each.firmware, each.since.second) for each in story.firmware] == [("1.0", 0), ("1.1", 1)]
    assert (story.first_seen.second, story.last_seen.second, story.hardware) == (0, 2, ["m"])


def test_whom_it_called_is_counted_by_name_else_by_address(observe: Observe) -> None:
    attempt = FLOW | {
        "lenswatch.flow": {"state": "attempt", "duration_seconds": 0.0},
        "destination": {
            "ip": "192.0.2.9",
            "geo": {"country_iso_code": "CN"},
            "as": {"number": 64500, "organization": {"name": "N"}},
        },
    }
    story = told(observe, FLOW, FLOW | {"destination.ip": "192.0.2.2"}, attempt)
    cloud, bare = story.called["cloud.example"], story.called["192.0.2.9"]
    assert (cloud.flows, cloud.attempts, cloud.bytes_out, cloud.bytes_in, cloud.ip) == (2, 0, 200, 4_000, "192.0.2.2")
    assert (bare.flows, bare.attempts, bare.country, bare.as_number, bare.as_name) == (1, 1, "CN", 64500, "N")


@pytest.mark.parametrize(
    "change",
    [
        {"event.dataset": "lenswatch.dns"},
        FLOW | {"network.direction": "internal"},
        FLOW | {"lenswatch.flow": {"state": "opened", "duration_seconds": 0.0}},
        FLOW | {"lenswatch.device": {"type": "other", "confidence": 0.9}},
    ],
    ids=["another dataset", "inside", "not over yet", "of no camera"],
)
def test_what_tells_nothing_of_a_story_is_let_pass(observe: Observe, change: dict[str, object]) -> None:
    assert not concerns_story(observe(change))


def test_a_collector_that_began_anew_unlearns_nothing(observe: Observe) -> None:
    whole = device(firmware="1.0", maker="dahua")
    story = told(observe, whole | {"device.serial_number": "7"}, device(evidence=["a"], confidence=0.5, firmware="2.0"))
    assert (story.identity.confidence, story.identity.evidence, story.identity.maker) == (0.9, ["a", "b"], "dahua")
    assert story.identity.firmware == "2.0" and story.device.serial_number == "7"
    corrected = told(observe, whole, device(evidence=["a"], against=["browses"], type="other", confidence=0.8))
    assert corrected.identity.type == "other", "a new sign is no forgetting"


def test_calls_and_versions_are_bounded_and_what_was_let_go_is_counted(observe: Observe) -> None:
    calls = [FLOW | {"destination": {"ip": f"192.0.2.{number}"}} for number in range(MAX_CALLED + 5)]
    story = told(observe, *calls, *(device(firmware=str(number)) for number in range(MAX_VERSIONS + 5)))
    assert len(story.called) == MAX_CALLED and story.let_go == 5 and "192.0.2.0" not in story.called
    assert [each.firmware for each in story.firmware] == [str(number) for number in range(5, MAX_VERSIONS + 5)]


def test_what_comes_late_sets_no_clock_back(observe: Observe) -> None:
    story = told(observe, device(firmware="1.0"), device(firmware="1.1"))
    story = add(story, observe({"@timestamp": "2026-11-01T00:00:00Z"} | device(firmware="0.9")))
    assert story.first_seen == datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC) and story.last_seen.second == 1
    assert [each.firmware for each in story.firmware] == ["1.0", "1.1"]


def test_an_observation_of_no_device_tells_no_story(observe: Observe) -> None:
    with pytest.raises(ValueError, match="no device"):
        add(None, observe(device() | {"device": None}))
