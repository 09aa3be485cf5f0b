"""Bundles in a folder: whole, each alert in one, the same again the same, and no more than there is room for."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.canary import make_canary
from collector.errors import SettingsError
from rules.alert import Alert
from rules.match import RuleSet
from streams.processors.canary import TEST_SENSOR
from streams.sinks.sink import Undelivered
from streams.sinks.stix import StixBundles, write_whole
from tests.streams.command import OFFICE, last_revisions, read_alerts, run
from tests.streams.dispatch.carrying import carrying, until
from tests.streams.formats.test_stix import check
from tests.streams.told import write_sightings

Make = Callable[..., list[Alert]]


def sink(folder: Path, **more: object) -> StixBundles:
    folder.mkdir(exist_ok=True)
    return StixBundles.build("files", {"folder": str(folder), **more})


def deliver(made: StixBundles, *alerts: Alert) -> str:
    return asyncio.run(made.deliver(alerts))


def test_every_finding_of_a_watch_is_in_a_bundle_and_no_id_twice_in_one(tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    config = tmp_path / "lenswatch.toml"
    config.write_text(f'[sinks.cti]\nkind = "stix"\nfolder = "{tmp_path / "bundles"}"\n', "utf-8")
    ran = run("watch", OFFICE, "--config", config, "--alerts", tmp_path / "told.jsonl", state=tmp_path)
    assert ran.code == 0 and ran.complaints == []
    told = read_alerts((tmp_path / "told.jsonl").read_text("utf-8"))
    found = set()
    for path in (tmp_path / "bundles").iterdir():
        bundle = json.loads(path.read_bytes())
        assert path.name == f"{bundle['id']}.json"
        check(bundle["objects"])
        assert len({each["id"] for each in bundle["objects"]}) == len(bundle["objects"])
        found |= {(each["id"], each.get("modified")) for each in bundle["objects"]}
    every = {(each["id"], each.get("modified")) for each in write_sightings(told)}
    last = {(each["id"], each.get("modified")) for each in write_sightings(last_revisions(told).values())}
    assert last <= found <= every


def test_the_same_again_is_the_same_file(tmp_path: Path, alerts_of: Make) -> None:
    made = sink(tmp_path / "bundles")
    words = {deliver(made, *alerts_of(3)) for _ in range(2)}
    (path,) = (tmp_path / "bundles").iterdir()
    assert words == {f"{path.name} written"}


def test_a_folder_that_nobody_empties_takes_no_more_until_somebody_does(tmp_path: Path, alerts_of: Make) -> None:
    folder = tmp_path / "bundles"
    made = sink(folder, max_files=1)
    deliver(made, *alerts_of(1))
    with pytest.raises(Undelivered, match="1 bundles wait there, and nobody takes them"):
        deliver(made, *alerts_of(1, first=1))
    assert deliver(made, *alerts_of(1)).endswith("written"), "what is there already is no more"
    with carrying([made], tmp_path) as dispatch:
        dispatch.put(alerts_of(2))
        until(lambda: dispatch.words())
        assert dispatch.left() == {"files": 2}
        next(folder.iterdir()).unlink()
        dispatch.outbox.hasten("files", 0.0)
        until(lambda: dispatch.left() == {"files": 0})


@pytest.mark.parametrize(("sensor", "files"), [("gate", 0), (TEST_SENSOR, 1)])
def test_a_canary_is_no_sighting_but_for_one_that_a_person_asked_for(
    tmp_path: Path, rules: RuleSet, alert: Alert, sensor: str, files: int
) -> None:
    (canary,) = rules.match(make_canary(sensor, "hq", alert.timestamp))
    deliver(sink(tmp_path / "bundles"), canary)
    assert len(list((tmp_path / "bundles").iterdir())) == files


def test_half_a_file_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        assert [path.name for path in tmp_path.iterdir()] == ["a.part"]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a.json", b"{}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_said(tmp_path: Path, alert: Alert) -> None:
    made = sink(tmp_path / "bundles")
    (tmp_path / "bundles").rmdir()
    with pytest.raises(Undelivered, match="bundles: cannot be read: No such file"):
        deliver(made, alert)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({}, "folder"),
        ({"folder": "/nowhere/at/all"}, "folder /nowhere/at/all is no folder that can be written"),
        ({"folder": "/tmp", "max_files": 0}, "max_files is less than 1"),
    ],
)
def test_a_wrong_table_is_refused(table: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        StixBundles.build("files", table)
