"""What a worker says of itself: over HTTP, with few series, and by names that Prometheus takes."""

import contextlib
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from collector.canary import make_canary
from collector.errors import LenswatchError
from collector.observation import Observation
from collector.page import Page
from rules.alert import Alert, Step, Verdict
from rules.match import RuleSet
from streams.metrics import COMPANY_LABELS, MAX_SENSORS, VERDICT_LABELS, FindingMeters, Meters, ages_of, serve
from streams.processors.firmware import update_of
from streams.processors.fold import revise
from tests.streams.told import many_alerts


@pytest.fixture
def ready() -> list[bool]:
    return [True]


@pytest.fixture
def server(ready: list[bool]) -> Iterator[Page]:
    meters = Meters()
    meters.records.labels("read").inc(3)
    server = serve("127.0.0.1", 0, meters.registry, lambda: ready[0])
    yield server
    server.close()


def get(server: Page, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_health_and_readiness_are_answered(server: Page, ready: list[bool]) -> None:
    status, text = get(server, "/metrics")
    assert status == 200 and 'lenswatch_matcher_records_total{result="read"} 3.0' in text
    assert get(server, "/healthz")[0] == get(server, "/readyz")[0] == 200
    ready[0] = False
    assert get(server, "/healthz")[0] == 200 and get(server, "/readyz")[0] == 503
    assert get(server, "/")[0] == 404


def test_a_worker_that_must_end_is_not_healthy() -> None:
    server = serve("127.0.0.1", 0, Meters().registry, lambda: True, problem=lambda: "the event loop has stood still")
    with contextlib.closing(server):
        assert get(server, "/healthz") == (503, "the event loop has stood still\n")
        assert get(server, "/readyz")[0] == 200


def test_a_port_that_is_taken_is_said_in_one_line(server: Page) -> None:
    with pytest.raises(LenswatchError, match=r"127.0.0.1:\d+: metrics cannot be served there: .*metrics_port"):
        serve("127.0.0.1", server.port, Meters().registry, lambda: True)


def test_sensors_past_the_bound_are_one_series() -> None:
    meters = Meters()
    meters.set_sensors((f"sensor-{number:04}", 1000.0 - number) for number in range(MAX_SENSORS + 50))
    lines = [
        line for line in generate_latest(meters.registry).decode().splitlines() if line.startswith("lenswatch_sen")
    ]
    assert len(lines) == MAX_SENSORS + 1 and 'sensor="other"} 851.0' in "\n".join(lines)


def finding(alert: Alert, number: int) -> Alert:
    """A new finding of a company of its own."""
    assert alert.lenswatch.entity is not None
    company = msgspec.structs.replace(alert.lenswatch.entity, id=f"company-{number}")
    return msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, entity=company))


def test_past_the_cap_what_is_more_counts_as_other_and_says_so(alert: Alert) -> None:
    meters = FindingMeters(CollectorRegistry(), max_series=10)
    for number in range(100):
        meters.tell([finding(alert, number)])
        meters.tell([finding(alert, 0)])
    samples = [each for each in meters.findings.collect()[0].samples if each.name.endswith("_total")]
    assert len(samples) == 11 and sum(each.value for each in samples) == 200
    (other,) = [each.value for each in samples if each.labels["company"] == "other"]
    (folded,) = [each.value for each in meters.overflow.collect()[0].samples if each.name.endswith("_total")]
    assert other == folded == 90


def test_a_finding_counts_once_and_under_each_programme(alert: Alert) -> None:
    meters = FindingMeters(CollectorRegistry())
    meters.tell([alert, revise(alert, alert.timestamp, "step")])
    assert sum(each.value for each in meters.findings.collect()[0].samples) == 1
    programmes = {each.labels["programme"] for each in meters.programmes.collect()[0].samples}
    assert programmes == {each.programme for each in alert.lenswatch.listings or ()} and programmes


def test_findings_that_are_told_together_count_as_those_told_one_by_one(alert: Alert) -> None:
    verdicts = [verdict("A", "review"), verdict("B", "prohibited", entity="maker")]
    detail = msgspec.structs.replace(alert.lenswatch, verdicts=verdicts, listings=None)
    other = msgspec.structs.replace(alert, lenswatch=detail)
    alerts = [*many_alerts(alert, 3), *many_alerts(other, 4), finding(alert, 7), revise(alert, alert.timestamp, "step")]
    together, alone = CollectorRegistry(), CollectorRegistry()
    FindingMeters(together).tell(alerts)
    meters = FindingMeters(alone)
    for each in alerts:
        meters.tell([each])
    assert sorted(generate_latest(together).splitlines()) == sorted(generate_latest(alone).splitlines())
    assert sum(each.value for each in meters.countries.collect()[0].samples) == 8


def test_each_step_of_an_update_counts_once_however_often_it_is_told(alert: Alert) -> None:
    registry = CollectorRegistry()
    meters = FindingMeters(registry)
    at = alert.timestamp
    check = Step(step="check", at=at, detail="", observation="a", host="h")
    download = Step(step="download", at=at, detail="", observation="b", host="h")

    def telling(*steps: Step) -> Alert:
        detail = msgspec.structs.replace(alert.lenswatch, steps=list(steps), update=update_of(steps))
        return msgspec.structs.replace(alert, lenswatch=detail)

    for revision in (telling(check), telling(check, download), telling(check, download)):
        meters.tell([revision])
    counted = {
        step: registry.get_sample_value(
            "lenswatch_firmware_steps_total", {"step": step, "origin": "maker", "company": "dahua"}
        )
        for step in ("check", "download", "install")
    }
    assert counted == {"check": 1, "download": 1, "install": None}


def test_a_canary_is_no_finding(rules: RuleSet, alert: Alert) -> None:
    meters = FindingMeters(CollectorRegistry())
    (canary,) = rules.match(make_canary("sensor", "site", alert.timestamp))
    meters.tell([canary])
    assert meters.findings.collect()[0].samples == []


def test_what_cameras_send_out_is_counted_by_whom_it_goes_to(
    rules: RuleSet, observe: Callable[..., Observation]
) -> None:
    meters = FindingMeters(CollectorRegistry())
    flow = {"event.dataset": "lenswatch.flow", "destination.domain": "www.easy4ipcloud.com"}
    sent = {"source": {"ip": "10.0.0.11", "port": 40000, "bytes": 700}}
    other = {"lenswatch.device": {"type": "other", "confidence": 0.1}}
    changes = ({}, {"destination.domain": "www.example.com"}, other, {"network.direction": "inbound"})
    added: Counter[tuple[str, str, str]] = Counter()
    meters.add_sent([observe(flow | sent | change) for change in changes], rules, added)
    assert meters.egress.collect()[0].samples == []
    meters.see(added)
    found = {each.labels["company"]: each.value for each in meters.egress.collect()[0].samples}
    assert found == {"dahua": 700, "none": 700}


def verdict(programme: str, outcome: str, **more: object) -> Verdict:
    known: dict[str, object] = {
        "programme": programme, "programme_name": programme, "outcome": outcome, "says": "", "citation": "",
        "sources": [], "entity": "e", "activity": "device_present", "relation": "operates", "basis": "named",
    }  # fmt: skip
    return msgspec.convert(known | more, Verdict)


def test_a_finding_counts_once_for_each_programme_and_profile_by_its_strongest_outcome(alert: Alert) -> None:
    said = [
        verdict("A", "review", profile="p"), verdict("A", "prohibited", profile="p", entity="maker"),
        verdict("A", "context_only", profile="q"), verdict("B", "licence_required"),
        verdict("C", "prohibited", profile="p", waiver="w"), verdict("D", "prohibited", profile="p", concerns=False),
    ]  # fmt: skip
    meters = FindingMeters(CollectorRegistry())
    alert = msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, verdicts=said))
    meters.tell([alert])
    meters.tell([revise(alert, alert.timestamp, "step")])
    samples = [each for each in meters.verdicts.collect()[0].samples if each.name.endswith("_total")]
    found = {tuple(each.labels[label] for label in VERDICT_LABELS): each.value for each in samples}
    assert found == {
        ("A", "p", "prohibited"): 1, ("A", "q", "context_only"): 1, ("B", "none", "licence_required"): 1,
    }  # fmt: skip


def test_a_finding_counts_once_for_each_company_and_programme_at_its_site(alert: Alert) -> None:
    said = [
        verdict("A", "review", profile="p"), verdict("A", "prohibited", profile="q"),
        verdict("A", "context_only", profile="p", entity="maker"), verdict("B", "review", waiver="w"),
        verdict("C", "prohibited", concerns=False),
    ]  # fmt: skip
    meters = FindingMeters(CollectorRegistry())
    detail = msgspec.structs.replace(alert.lenswatch, verdicts=said, site="quay")
    alert = msgspec.structs.replace(alert, lenswatch=detail)
    meters.tell([alert])
    meters.tell([revise(alert, alert.timestamp, "step")])
    samples = [each for each in meters.companies.collect()[0].samples if each.name.endswith("_total")]
    found = {tuple(each.labels[label] for label in COMPANY_LABELS): each.value for each in samples}
    assert found == {("e", "A", "prohibited", "quay"): 1, ("maker", "A", "context_only", "quay"): 1}


def test_devices_are_counted_by_the_age_of_their_last_update() -> None:
    at, day = 1_793_606_400.0, 86_400.0
    updated = [at, at - 30 * day, at - 31 * day, at - 400 * day, at + day, None]
    assert ages_of(updated, at) == {"30d": 3, "90d": 1, "180d": 0, "365d": 0, "older": 1, "never": 1}
