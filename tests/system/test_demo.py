"""The office, through the whole command: what its generator put in is what lenswatch says, no more and no less."""

import base64
import collections
import datetime
import hashlib
import ipaddress
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.capture.source import open_source
from collector.observation import DEVICE_DATASET, Observation
from rules.alert import LEVELS, RISK_SCORES, Alert
from rules.court import Organisation, Site
from rules.fact import Listing
from rules.load import load_rules
from rules.match import RuleSet
from streams.local import LocalWatch
from streams.settings import Settings
from tests.streams.command import OFFICE, Ran, last_revisions, read_alerts, run

EXPECTED: dict[str, list[dict[str, Any]]] = json.loads(OFFICE.with_suffix(".expected.json").read_text("utf-8"))
DEVICES = {f"demo/{device['mac']}": device for device in EXPECTED["devices"]}
PROTOCOLS = {"tcp": 6, "udp": 17}
Office = tuple[Ran, Path]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """`lenswatch demo`, and where its JSON is."""
    folder = tmp_path_factory.mktemp("demo")
    return run("demo", "--folder", folder, state=folder / "state"), folder


@pytest.fixture(scope="module")
def told(office: Office) -> list[Alert]:
    return read_alerts((office[1] / "alerts.jsonl").read_text("utf-8"))


@pytest.fixture(scope="module")
def findings(told: list[Alert]) -> list[Alert]:
    return list(last_revisions(told).values())


@pytest.fixture(scope="module")
def observations(office: Office) -> list[Observation]:
    lines = (office[1] / "observations.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Observation) for line in lines]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rules()


def of(findings: list[Alert], name: str) -> list[Alert]:
    """The findings about the device with this name in the story."""
    return [alert for alert in findings if alert.device and DEVICES[alert.device.id]["name"] == name]


def called(alert: Alert) -> str | None:
    """The name or address that the alert points at."""
    assert alert.threat is not None
    indicator = alert.threat.indicator
    return indicator.url.domain if indicator.url else indicator.ip


def community_id(observation: Alert | Observation) -> str:
    """Version 1 with seed 0, by its specification: SHA-1 over seed, the ends in order, protocol, padding and ports."""
    ends = [
        (ipaddress.ip_address(end.ip).packed, struct.pack("!H", end.port or 0))
        for end in (observation.source, observation.destination)
    ]
    (first, first_port), (second, second_port) = sorted(ends)
    middle = struct.pack("!BB", PROTOCOLS[observation.network.transport], 0)
    digest = hashlib.sha1(struct.pack("!H", 0) + first + second + middle + first_port + second_port).digest()
    return "1:" + base64.b64encode(digest).decode()


def test_the_demo_is_done_without_a_complaint(office: Office) -> None:
    ran, _ = office
    assert ran.code == 0 and ran.complaints == []
    assert "12 (3 high, 2 medium, 6 low, 1 informational)" in ran.err
    assert "the ledger is open" not in ran.err


def test_every_finding_of_the_story_is_found_and_no_other(findings: list[Alert], rules: RuleSet) -> None:
    stems = {detection.id: detection.path.stem for detection in rules.detections}
    found = []
    for alert in findings:
        assert alert.device is not None
        entity, steps = alert.lenswatch.entity, alert.lenswatch.steps
        row: dict[str, Any] = {"device": DEVICES[alert.device.id]["ip"], "rule": stems[alert.rule.id]}
        row |= {"company": entity.id} if entity else {"name": called(alert)}
        row |= {"steps": [step.step for step in steps]} if steps else {}
        found.append(row)
    assert sorted(found, key=str) == sorted(EXPECTED["alerts"], key=str)


def test_every_level_is_the_one_of_its_detections_file(findings: list[Alert], rules: RuleSet) -> None:
    levels = {detection.id: detection.level for detection in rules.detections}
    for alert in findings:
        assert alert.lenswatch.level == levels[alert.rule.id]
        assert alert.event.severity == LEVELS.index(alert.lenswatch.level) + 1
        assert alert.event.risk_score == RISK_SCORES[alert.lenswatch.level]


def test_every_device_is_what_the_story_says_it_is(observations: list[Observation]) -> None:
    types: dict[str, set[str]] = {}
    for observation in observations:
        identity = observation.lenswatch.device if observation.lenswatch else None
        if observation.device and identity:
            types.setdefault(observation.device.id, set()).add(identity.type)
    for key, device in DEVICES.items():
        cameras = types[key] & {"camera", "recorder"}
        assert bool(cameras) == (device["kind"] == "camera"), device["name"]


def test_the_printer_raises_nothing(findings: list[Alert], observations: list[Observation]) -> None:
    assert of(findings, "printer") == []
    assert any(each.device and DEVICES.get(each.device.id, {}).get("name") == "printer" for each in observations)


def test_the_laptop_raises_nothing_above_informational_and_no_step(findings: list[Alert]) -> None:
    alerts = of(findings, "laptop")
    assert [alert.lenswatch.level for alert in alerts] == ["informational"]
    assert [alert.lenswatch.steps for alert in alerts] == [None]


def test_the_lookalike_raises_the_lookalike_detection_alone(findings: list[Alert]) -> None:
    alerts = of(findings, "reception computer")
    assert [alert.lenswatch.lookalike is not None for alert in alerts] == [True]
    assert alerts[0].lenswatch.entity is None and alerts[0].lenswatch.listings is None


def test_the_customers_own_name_is_seen_and_raises_nothing(told: list[Alert], observations: list[Observation]) -> None:
    name = next(contact["name"] for contact in EXPECTED["contacts"] if contact["role"] == "ddns_customer")
    assert any(observation.destination.domain == name for observation in observations)
    assert not [alert for alert in told if called(alert) == name or name in (alert.related.hosts or [])]


def test_every_name_of_the_story_was_seen_from_its_device(observations: list[Observation]) -> None:
    seen = {
        (DEVICES[each.device.id]["ip"], name)
        for each in observations
        if each.device and each.device.id in DEVICES
        for name in (each.destination.domain, each.dns.question.name if each.dns and each.dns.question else None)
    }
    assert {(contact["device"], contact["name"]) for contact in EXPECTED["contacts"] if contact["name"]} <= seen


def in_force(listing: Listing, day: datetime.date) -> bool:
    ended = listing.status == "removed" and (listing.since is None or listing.until is None)
    began = listing.since is None or listing.since <= day
    return listing.status != "not_listed" and not ended and began and (listing.until is None or day <= listing.until)


def test_every_alert_carries_the_listings_that_the_facts_have_for_its_day(
    findings: list[Alert], rules: RuleSet
) -> None:
    with_listings = 0
    for alert in findings:
        company, told = alert.lenswatch.entity, alert.lenswatch.listings or []
        if company is None:
            assert told == []
            continue
        facts = [each for each in rules.facts.entities[company.id].listings if in_force(each, alert.timestamp.date())]
        assert sorted((each.programme, each.status, each.citation, str(each.since), each.sources) for each in told) == (
            sorted((each.programme, each.status, each.citation, str(each.since), list(each.sources)) for each in facts)
        )
        assert company.listed == any(each.status in ("listed", "derived", "removed") for each in facts)
        assert all(each.programme_name == rules.facts.programmes[each.programme].name for each in told)
        assert {source for each in told for source in each.sources} <= set(rules.facts.sources)
        with_listings += bool(told)
    assert with_listings >= 6


def facts_of(rules: RuleSet) -> dict[tuple[str, str], set[str]]:
    """Programme and citation → the sources of all that is cited so: rows, reach, editions and listings."""
    found: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for id, programme in rules.facts.programmes.items():
        found[id, programme.authority] |= {*programme.sources}
        for part in (*programme.acts, *programme.reach, *programme.editions):
            found[id, part.citation or ""] |= {*part.sources}
    for company in rules.facts.entities.values():
        for listing in company.listings:
            found[listing.programme, listing.citation] |= {*listing.sources}
    return found


@pytest.mark.parametrize("profiles", [(), ("us-federal-contractor", "us-private", "us-texas-agency", "eu-entity")])
def test_every_citation_of_every_alert_is_that_of_a_fact_with_a_source(profiles: tuple[str, ...]) -> None:
    rules = load_rules(organisation=Organisation(everywhere=Site(profiles=profiles)))
    run, cited = LocalWatch(Settings(), rules).watch([open_source(str(OFFICE))]), facts_of(rules)
    seen = 0
    for alert in run.alerts.values():
        for listing in alert.lenswatch.listings or ():
            assert cited[listing.programme, listing.citation] >= {*listing.sources} > set()
        for verdict in alert.lenswatch.verdicts or ():
            assert verdict.sources and {*verdict.sources} <= rules.facts.sources.keys()
            assert cited.get((verdict.programme, verdict.citation)), verdict
            if verdict.listing is not None:
                assert cited.get((verdict.programme, verdict.listing)), verdict
            seen += 1
    assert seen > 50


def test_every_alert_names_the_ruleset_that_made_it(findings: list[Alert], rules: RuleSet) -> None:
    versions = {detection.id: detection.version for detection in rules.detections}
    for alert in findings:
        assert (alert.rule.ruleset, alert.rule.version) == (rules.digest, versions[alert.rule.id])


def test_every_community_id_is_that_of_its_flow(told: list[Alert], observations: list[Observation]) -> None:
    # What is told of a device itself is of no flow.
    of_flows = [each for each in observations if each.event.dataset != DEVICE_DATASET]
    assert len(of_flows) > 100
    for document in (*told, *of_flows):
        assert document.network.community_id == community_id(document)


def test_evidence_and_steps_are_observations_that_were_written(
    told: list[Alert], observations: list[Observation]
) -> None:
    ids = {observation.event.id for observation in observations}
    assert len(ids) == len(observations)
    for alert in told:
        assert alert.lenswatch.evidence and set(alert.lenswatch.evidence) <= ids
        assert {step.observation for step in alert.lenswatch.steps or []} <= ids


@pytest.mark.parametrize(("name", "kind"), [("alerts.jsonl", Alert), ("observations.jsonl", Observation)])
def test_every_line_uses_the_vocabulary_and_nothing_else(office: Office, name: str, kind: type) -> None:
    lines = (office[1] / name).read_bytes().splitlines()
    assert len(lines) > 12
    for line in lines:
        assert msgspec.json.encode(msgspec.json.decode(line, type=kind)) == line


def test_revisions_rise_by_one_from_a_new_finding_and_counts_never_fall(told: list[Alert]) -> None:
    by_id = sorted(told, key=lambda alert: alert.event.id)
    for _, group in itertools.groupby(by_id, key=lambda alert: alert.event.id):
        revisions = list(group)
        assert [each.lenswatch.revision for each in revisions] == list(range(1, len(revisions) + 1))
        assert revisions[0].lenswatch.state == "new"
        counts = [each.lenswatch.count for each in revisions]
        assert counts[0] == 1 and counts == sorted(counts)
        assert all(each.lenswatch.first_seen <= each.timestamp <= each.lenswatch.last_seen for each in revisions)


def test_the_firmware_download_is_told_step_by_step(told: list[Alert]) -> None:
    steps = [
        [step.step for step in alert.lenswatch.steps or []]
        for alert in of(told, "gate camera")
        if alert.lenswatch.activity in ("update_check", "update_received") and alert.lenswatch.state == "step"
    ]
    # Once more when the file has passed whole: its size and digest are news.
    assert steps == [["check"], ["check", "download"], ["check", "download"]]


def test_a_replay_writes_the_same_bytes(office: Office, tmp_path: Path) -> None:
    run("demo", "--folder", tmp_path, state=tmp_path)
    for name in ("alerts.jsonl", "observations.jsonl"):
        assert (tmp_path / name).read_bytes() == (office[1] / name).read_bytes()


def test_watch_says_of_the_capture_what_the_demo_says(told: list[Alert], tmp_path: Path) -> None:
    names = {"LENSWATCH_COLLECTOR_SENSOR": "demo", "LENSWATCH_COLLECTOR_SITE": "demo"}
    alerts, seen = tmp_path / "alerts.jsonl", tmp_path / "seen.jsonl"
    ran = run("watch", OFFICE, "--alerts", alerts, "--observations", seen, state=tmp_path, **names)
    assert ran.code == 0
    assert read_alerts(alerts.read_text("utf-8")) == told


def test_the_findings_do_not_depend_on_whether_observations_are_written(findings: list[Alert], tmp_path: Path) -> None:
    names = {"LENSWATCH_COLLECTOR_SENSOR": "demo", "LENSWATCH_COLLECTOR_SITE": "demo"}
    ran = run("watch", OFFICE, "--alerts", "-", state=tmp_path, **names)
    assert list(last_revisions(ran.alerts).values()) == findings


def test_the_demos_alerts_are_kept_with_its_name(office: Office, findings: list[Alert]) -> None:
    ran = run("alerts", "--json", state=office[1] / "state")
    kept = ran.alerts
    assert {alert.observer.name for alert in kept} == {"demo"}
    assert {alert.event.id: alert for alert in kept} == {alert.event.id: alert for alert in findings}


def test_what_the_readme_shows_is_what_the_demo_shows(tmp_path: Path) -> None:
    """At 80 columns, below the sentence that announces it."""
    readme = (OFFICE.parents[2] / "README.md").read_text("utf-8")
    sample = readme.partition("You see twelve findings")[2].partition("\n\n")[2].partition("\nand none for")[0]
    blocks = ["\n".join(line[4:] for line in block.splitlines()) for block in sample.strip("\n").split("\n\n")]
    shown = run("demo", "--folder", tmp_path, state=tmp_path, COLUMNS="80").out
    assert len(blocks) == 2 and [block for block in blocks if block not in shown] == []
