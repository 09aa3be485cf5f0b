"""A replay finds what a worker finds, writes beside, and leaves no trace where the live state is."""

import datetime
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka.admin import KafkaAdminClient

from collector.observation import Observation
from rules.alert import Alert
from streams.topics import DELIVERED_TABLE, DEVICES_TABLE, changelog
from tests.streams.command import Ran, last_revisions, spawn
from tests.system.centre import Centre
from tests.system.test_rules_travel import RULE

pytestmark = pytest.mark.system


def replay(centre: Centre, *arguments: object) -> Ran:
    return spawn("worker", "--config", centre.config, "--replay", *arguments, state=centre.folder)


def told(rows: list[Any]) -> dict[str, Alert]:
    return last_revisions(
        [msgspec.json.decode(row.value, type=Alert) for row in sorted(rows, key=lambda row: row.offset)]
    )


def groups(centre: Centre) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=centre.address)
    try:
        return {each["group_id"] if isinstance(each, dict) else each[0] for each in admin.list_groups()}
    finally:
        admin.close()


def test_a_replay_finds_what_the_embedded_shape_finds_and_touches_nothing_live(
    centre: Centre, embedded_office: tuple[list[Observation], dict[str, Alert]]
) -> None:
    observations, embedded = embedded_office
    centre.send(centre.records(observations, size=40))
    before = groups(centre)
    ran = replay(centre, "earliest", "--alerts", centre.folder / "replayed.jsonl")
    assert ran.code == 0, ran.err
    assert f"{len(observations):,} observations" in ran.err
    rows = centre.read(centre.replay)
    assert told(rows) == embedded and len(embedded) > 10
    run = next(line for line in ran.err.splitlines() if line.startswith("replay ")).split()[1].rstrip(":")
    assert {dict(row.headers)["replay"] for row in rows} == {run.encode()}
    lines = (centre.folder / "replayed.jsonl").read_bytes().splitlines()
    assert last_revisions([msgspec.json.decode(line, type=Alert) for line in lines]) == embedded
    assert groups(centre) == before
    tables = (changelog(centre.group, DEVICES_TABLE), changelog(centre.group, DELIVERED_TABLE))
    for topic in (centre.alerts_topic, centre.dead, *tables):
        assert centre.read(topic) == [], topic


def test_a_replay_beside_a_worker_uses_other_rules_and_the_worker_never_knows(
    centre: Centre, embedded_office: tuple[list[Observation], dict[str, Alert]], tmp_path: Path
) -> None:
    observations, embedded = embedded_office
    worker = centre.worker("live").wait_ready()
    centre.send(centre.records(observations))
    centre.wait_done()
    live = centre.told()
    assert live == embedded
    path = tmp_path / "own" / "detections" / "own.yml"
    path.parent.mkdir(parents=True)
    path.write_text(RULE.replace("destination.domain: name.example}", "event.dataset: lenswatch.dns}", 1), "utf-8")
    ran = replay(centre, "earliest", "--rules", tmp_path / "own")
    assert ran.code == 0, ran.err
    found = told(centre.read(centre.replay))
    more = {key for key, alert in found.items() if alert.rule.id == "5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10"}
    assert more and found.keys() - more == embedded.keys()
    assert centre.told() == live and centre.lag() == 0 and worker.end() == 0


def test_only_the_asked_for_time_is_replayed(
    centre: Centre, embedded_office: tuple[list[Observation], dict[str, Alert]]
) -> None:
    observations, _ = embedded_office
    half = len(observations) // 2
    centre.send(centre.records(observations[:half]))
    time.sleep(1.1)
    middle = datetime.datetime.now(datetime.UTC).isoformat()
    time.sleep(0.1)
    centre.send(centre.records(observations[half:], boot="0b"))
    early = replay(centre, "earliest", "--until", middle)
    late = replay(centre, middle)
    assert f" {half:,} observations" in early.err and f" {len(observations) - half:,} observations" in late.err
    assert " 0 observations" in replay(centre, "1s", "--until", "2020-01-01").err


def test_what_cannot_be_read_and_what_comes_twice_is_counted_and_the_rest_replayed(
    centre: Centre, embedded_office: tuple[list[Observation], dict[str, Alert]]
) -> None:
    observations, embedded = embedded_office
    records = centre.records(observations, size=100)
    centre.send([(0, [], b"junk"), *records, *records, (1, [("schema", b"9")], b"x")])
    ran = replay(centre, "earliest")
    assert ran.code == 0 and ", 2 unreadable, " in ran.err
    assert told(centre.read(centre.replay)) == embedded


def test_wrong_times_and_missing_topics_are_one_line(centre: Centre) -> None:
    for arguments in (("tomorrow",), ("earliest", "--until", "never")):
        ran = replay(centre, *arguments)
        assert ran.code == 2 and len(ran.complaints) == 1 and "is no time" in ran.err
    alone = spawn("worker", "--config", centre.config, "--until", "7d", state=centre.folder)
    assert alone.code == 2 and "goes with --replay only" in alone.err
    text = centre.config.read_text("utf-8").replace(centre.observations, "nothing.here")
    centre.config.write_text(text, "utf-8")
    ran = replay(centre, "earliest")
    assert ran.code == 1 and "nothing.here: there is no such topic" in ran.err
