"""One finding has one id, and its alert carries the whole chain."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.observation import Observation
from rules.alert import MAX_RELATED, WINDOW_SECONDS, Alert, Lookalike
from rules.detection import read_detection
from rules.endpoints import EndpointMatch
from rules.finding import Finding, fold_key
from rules.sighting import Contact, Sighting

MATCH = EndpointMatch("acme", "cloud", "medium", "acme.example", "suffix", ("s",), "n")
CONTACT = Contact(MATCH, None, "cloud", "cloud_relay", "x.acme.example", "192.0.2.80")
LIKE = Lookalike(name="acmee.top", resembles="acme.example", method="edit_distance")
Observe = Callable[..., Observation]


def finding(rule: str) -> Finding:
    return Finding(read_detection(Path("rule.yml"), rule.encode()), "digest")


def alert_of(rule: str, seen: Sighting) -> Alert:
    found = finding(rule)
    return found.alert(seen, found.id_of(seen))


@pytest.mark.parametrize(
    ("fold", "key"),
    [("company", "acme"), ("endpoint", "acme acme.example"), ("device", ""), ("name", "x.acme.example")],
)
def test_what_a_finding_is_depends_on_its_fold(observe: Observe, fold: str, key: str) -> None:
    assert fold_key(Sighting(observe(), "x.acme.example", CONTACT), fold) == key


def test_without_a_contact_a_finding_is_its_lookalike_its_name_or_its_address(observe: Observe) -> None:
    for fold in ("company", "endpoint", "name"):
        assert fold_key(Sighting(observe(), "a.acmee.top", lookalike=LIKE), fold) == "acmee.top"
        assert fold_key(Sighting(observe(), "x.example"), fold) == "x.example"
        assert fold_key(Sighting(observe()), fold) == "192.0.2.80"
        assert fold_key(Sighting(observe({"network.direction": "inbound"})), fold) == "10.0.0.11"


def ids(rule: str, observe: Observe, *changes: dict[str, Any]) -> list[str]:
    found = finding(rule)
    return [found.id_of(Sighting(observe(change), "x.acme.example", CONTACT)) for change in changes]


def test_the_same_finding_has_the_same_id_whatever_its_packets(rule: str, observe: Observe) -> None:
    first, later, other_packet = ids(
        rule,
        observe,
        {},
        {"@timestamp": "2026-11-02T23:59:59Z"},
        {"event.id": "another", "source.port": 41000, "event.dataset": "lenswatch.dns", "destination.ip": "192.0.2.99"},
    )
    assert first == later == other_packet
    assert len(first) == 32
    assert int(first, 16) >= 0


def test_another_device_window_or_rule_is_another_finding(rule: str, observe: Observe) -> None:
    changes = ({}, {"device.id": "site/other"}, {"@timestamp": "2026-11-03T00:00:00Z"}, {"device": None})
    other = rule.replace("5f0a7a57", "6f0a7a57")
    assert len({*ids(rule, observe, *changes), *ids(other, observe, {})}) == 5


def test_an_unnamed_device_is_told_apart_by_its_address_and_site(rule: str, observe: Observe) -> None:
    changes = (
        {"device": None},
        {"device": None, "source.ip": "10.0.0.12"},
        {"device": None, "lenswatch.site": "plant"},
    )
    assert len(set(ids(rule, observe, *changes))) == 3


def test_windows_are_a_day_of_packet_time(observe: Observe) -> None:
    assert datetime.timedelta(days=1).total_seconds() == WINDOW_SECONDS


def test_an_alert_carries_the_whole_chain(rule: str, observe: Observe) -> None:
    change = {"lenswatch.device.evidence": ["mac prefix"], "lenswatch.domain_source": "tls_sni", "lenswatch.site": "hq"}
    observation = observe(change)
    alert = alert_of(rule, Sighting(observation, "x.acme.example", CONTACT))
    detail = alert.lenswatch
    assert alert.event.id == finding(rule).id_of(Sighting(observation, "x.acme.example", CONTACT))
    assert (alert.event.kind, alert.event.severity, alert.event.risk_score) == ("alert", 4, 73)
    assert (alert.rule.name, alert.rule.ruleset) == ("Camera uses a cloud", "digest")
    assert (detail.revision, detail.count, detail.state, detail.level) == (1, 1, "new", "high")
    assert detail.first_seen == detail.last_seen == alert.timestamp == observation.timestamp
    assert detail.evidence == [observation.event.id]
    assert detail.endpoint is not None
    assert (detail.endpoint.pattern, detail.endpoint.sources, detail.endpoint.note) == ("acme.example", ["s"], "n")
    assert detail.entity is not None
    assert (detail.entity.id, detail.entity.listed) == ("acme", False)
    assert (detail.device_type, detail.device_evidence) == ("camera", ["mac prefix"])
    assert (detail.domain_source, detail.site, detail.steps) == ("tls_sni", "hq", None)
    assert alert.threat is not None
    indicator = alert.threat.indicator
    assert indicator.url is not None
    assert (indicator.type, indicator.url.domain, indicator.confidence) == ("domain-name", "x.acme.example", "Medium")
    assert alert.related.hosts == ["x.acme.example"]
    assert alert.related.ip == ["10.0.0.11", "192.0.2.80"]
    assert (alert.source, alert.destination, alert.device) == (
        observation.source, observation.destination, observation.device,
    )  # fmt: skip


@pytest.mark.parametrize(("ip", "kind"), [("192.0.2.80", "ipv4-addr"), ("2001:db8::1", "ipv6-addr")])
def test_an_address_is_an_indicator_where_there_is_no_name(rule: str, observe: Observe, ip: str, kind: str) -> None:
    alert = alert_of(rule, Sighting(observe({"destination.ip": ip})))
    assert alert.threat is not None
    assert (alert.threat.indicator.type, alert.threat.indicator.ip) == (kind, ip)


def test_related_addresses_are_each_there_once_and_bounded(rule: str, observe: Observe) -> None:
    answers = [f"192.0.2.{number}" for number in range(200)]
    alert = alert_of(rule, Sighting(observe({"dns": {"type": "answer", "resolved_ip": answers}})))
    assert len(alert.related.ip) == MAX_RELATED == len(set(alert.related.ip))


def test_a_rule_that_tells_steps_says_when_and_what_was_asked_for(rule: str, observe: Observe) -> None:
    contact = Contact(MATCH, None, "firmware", "update_received", "x.acme.example", None, "download")
    observation = observe({"url": {"original": "/fw/1.bin", "path": "/fw/1.bin"}})
    seen = Sighting(observation, "x.acme.example", contact)
    steps = alert_of(rule.replace("fold: company", "fold: company\n  steps: true"), seen).lenswatch.steps
    assert steps is not None
    assert [(step.step, step.at, step.detail, step.observation) for step in steps] == [
        ("download", observation.timestamp, "/fw/1.bin", observation.event.id)
    ]
    assert alert_of(rule, seen).lenswatch.steps is None
