"""Correlations' windows, device by device, in a mapping that may outlive the process."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from collector.observation import Observation
from rules.correlate import CorrelationHit, Windows
from rules.match import RuleSet
from streams.processors.correlate import Correlate

Observe = Callable[..., Observation]
COMPANIES = (
    "pub-cfg.secu100.net", "litedev.hik-connect.com", "materialfile.dahuasecurity.com", "a1.tuyacn.com",
)  # fmt: skip


@pytest.fixture
def contacts(observe: Observe) -> list[Observation]:
    """A camera contacts four companies within a day."""
    return [
        observe(
            {"event.id": f"{number}", "destination.domain": name, "@timestamp": f"2026-11-02T{number + 8:02}:00:00Z"}
        )
        for number, name in enumerate(COMPANIES)
    ]


def feed(correlate: Correlate, rules: RuleSet, observations: Iterable[Observation]) -> list[CorrelationHit]:
    return [hit for each in observations for hit in correlate.add(rules.judge(each).occurrences)]


def test_four_companies_in_a_day_are_one_finding(rules: RuleSet, contacts: list[Observation]) -> None:
    hits = feed(Correlate(), rules, contacts)
    assert [hit.alert().rule.name for hit in hits] == ["Camera contacts many companies within a day"]


class Bytes(dict[str, Any]):
    """A mapping as a table of a stream has it: values are bytes, and only assigning keeps them."""

    def __setitem__(self, key: str, value: Windows) -> None:
        super().__setitem__(key, msgspec.json.encode(value))

    def __getitem__(self, key: str) -> Windows:
        return msgspec.json.decode(super().__getitem__(key), type=Windows)

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default


def test_a_restart_between_any_two_observations_changes_nothing(rules: RuleSet, contacts: list[Observation]) -> None:
    expected = [hit.id for hit in feed(Correlate(), rules, contacts)]
    table = Bytes()
    found = [hit.id for each in contacts for hit in feed(Correlate(table), rules, [each])]
    assert found == expected


def test_the_same_observations_again_change_no_state_and_find_nothing_new(
    rules: RuleSet, contacts: list[Observation]
) -> None:
    correlate = Correlate()
    assert feed(correlate, rules, contacts)
    before = msgspec.json.encode(correlate.devices)
    assert feed(correlate, rules, contacts) == []
    assert msgspec.json.encode(correlate.devices) == before


def test_devices_are_no_more_than_the_cap_and_the_stillest_goes(rules: RuleSet, observe: Observe) -> None:
    correlate = Correlate(max_devices=2)
    for number in range(4):
        change = {"device.id": f"site/{number}", "destination.domain": COMPANIES[0], "event.id": f"{number}"}
        feed(correlate, rules, [observe(change | {"@timestamp": f"2026-11-02T{number + 8:02}:00:00Z"})])
    assert list(correlate.devices) == ["site/2", "site/3"]
    assert correlate.counts == {"devices_evicted": 2}
