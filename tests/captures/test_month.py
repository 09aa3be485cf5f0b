"""Sixty devices over thirty days: the stories that are told are exactly the committed ones, and the plot is in them.

`python -m tests.captures.test_month` writes `month.expected.json` anew; read what has changed before you commit it.
"""

import contextlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from collector.observation import Declared, Observation
from collector.settings import CollectorSettings
from rules.alert import Alert
from rules.load import load_rules
from streams.device_store import DeviceStore
from streams.local import LocalWatch, Run
from streams.processors.declared import Register
from streams.processors.partition import Batch, Partition
from streams.settings import Settings
from streams.storybook import Storybook
from tests.captures.month import Month, cameras, dumped

EXPECTED = Path(__file__).with_name("month.expected.json")
UNDECLARED = 39


class Kept:
    """An output that keeps the observations."""

    def __init__(self) -> None:
        self.documents: list[Any] = []

    def write(self, documents: Sequence[Observation | Alert]) -> None:
        self.documents += documents


def watched(folder: Path, seen: Kept | None = None) -> tuple[Run, dict[str, Any]]:
    """The month through the embedded shape: the run, and what is told of its devices and updates."""
    rows = [
        Declared(mac=each.mac, name=f"camera {each.number}", site="office")
        for each in cameras()
        if each.number != UNDECLARED
    ]
    settings = Settings(collector=CollectorSettings(site="office", canary_seconds=0))
    outputs = [] if seen is None else [seen]
    with contextlib.closing(Storybook(DeviceStore(folder, 1_000))) as book:
        local = LocalWatch(settings, load_rules(), None, outputs, None, book, Register(rows), book.updates)
        run = local.watch([Month()])
    with contextlib.closing(DeviceStore(folder, 1_000)) as store:
        stories, updates = store.all(), store.updates()
    told = {}
    for story in sorted(stories, key=lambda each: each.id):
        clock = updates[story.id].clock
        told[story.id] = {
            "kind": story.identity.type, "maker": story.maker, "brand": story.identity.brand,
            "oem": story.identity.oem, "model": story.device.model.name if story.device.model else None,
            "addresses": story.addresses,
            "firmware": [f"{each.firmware} since {each.since}" for each in story.firmware],
            "calls": sorted(story.called), "checked": f"{clock.checked_at} {clock.checked_with}",
            "updated": f"{clock.updated_at} {clock.updated_by} {clock.origin}",
        }  # fmt: skip
    return run, {"devices": told, "updates": updates_of(list(run.alerts.values()))}


def updates_of(alerts: list[Alert]) -> list[dict[str, Any]]:
    """What the alerts tell of updates, in order."""
    found = [each for each in alerts if each.lenswatch.update is not None and each.device is not None]
    return [
        {
            "device": alert.device.id if alert.device else None, "rule": alert.rule.name,
            "steps": [f"{step.step} {step.at}: {step.detail}" for step in alert.lenswatch.steps or ()],
            "says": alert.lenswatch.update.says if alert.lenswatch.update else None,
            "revision": alert.lenswatch.revision,
        }
        for alert in sorted(found, key=lambda each: (each.lenswatch.first_seen, each.event.id))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def seen() -> Kept:
    return Kept()


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory, seen: Kept) -> tuple[Run, dict[str, Any]]:
    return watched(tmp_path_factory.mktemp("month"), seen)


def of(told: dict[str, Any], number: int) -> dict[str, Any]:
    mac = cameras()[number].mac
    return dict(told["devices"][f"office/{mac}"])


def updates(told: dict[str, Any], number: int) -> list[dict[str, Any]]:
    mac = cameras()[number].mac
    return [each for each in told["updates"] if each["device"] == f"office/{mac}"]


def words(update: dict[str, Any]) -> list[str]:
    return [step.partition(" ")[0] for step in update["steps"]]


def test_the_stories_are_exactly_the_committed_ones(month: tuple[Run, dict[str, Any]]) -> None:
    assert dumped(month[1]) == EXPECTED.read_text("utf-8")
    assert month[0].open_sums() == []


def test_every_camera_has_a_story_and_nobody_else(month: tuple[Run, dict[str, Any]]) -> None:
    assert set(month[1]["devices"]) == {f"office/{each.mac}" for each in cameras()}
    assert {each["kind"] for each in month[1]["devices"].values()} == {"camera"}


def test_all_four_steps_are_one_update(month: tuple[Run, dict[str, Any]]) -> None:
    (update,) = updates(month[1], 40)
    assert words(update) == ["check", "download", "install", "new_version"]
    assert update["says"].endswith("says 2.840.0.7 now, 2.800.0.1 before. All of it was seen.")
    assert [each.partition(" ")[0] for each in of(month[1], 40)["firmware"]] == ["2.800.0.1", "2.840.0.7"]


def test_firmware_that_is_given_is_told_apart(month: tuple[Run, dict[str, Any]]) -> None:
    (update,) = updates(month[1], 5)
    assert words(update) == ["download", "install", "new_version"]
    assert update["rule"] == "Camera is given firmware from inside"
    assert "from inside, by 10.30.9.5" in update["says"]
    assert "Hikvision digicap" in update["says"]
    assert of(month[1], 5)["updated"].endswith("10.30.9.5 inside")


def test_what_is_encrypted_is_probable(month: tuple[Run, dict[str, Any]]) -> None:
    (update,) = updates(month[1], 6)
    assert words(update) == ["check", "download", "install", "new_version"]
    assert "it probably fetched" in update["says"]
    assert update["says"].endswith("Not seen: the file itself.")


def test_a_camera_that_was_gone_for_hours_was_installing_and_says_no_other_version(
    month: tuple[Run, dict[str, Any]],
) -> None:
    (update,) = updates(month[1], 42)
    assert words(update)[-2:] == ["download", "install"]
    assert "the new version" in update["says"].partition("Not seen: ")[2]


def test_a_check_alone_and_a_version_of_unknown_origin(month: tuple[Run, dict[str, Any]]) -> None:
    (asked,) = updates(month[1], 41)
    assert words(asked) == ["check"]
    assert updates(month[1], 8) == []
    assert of(month[1], 8)["updated"].endswith("None None")
    assert len(of(month[1], 8)["firmware"]) == 2
    assert all(of(month[1], number)["updated"].startswith("None") for number in (0, 1, 2, 3, 41, 43))


def test_an_address_changes_and_the_device_stays(month: tuple[Run, dict[str, Any]]) -> None:
    assert of(month[1], 7)["addresses"] == ["10.30.1.17", "10.30.1.207"]


def test_brands_have_their_makers_behind_them(month: tuple[Run, dict[str, Any]]) -> None:
    assert (of(month[1], 52)["maker"], of(month[1], 52)["oem"]) == ("amcrest", "dahua")
    assert of(month[1], 54)["brand"] == "Intelbras"


def test_only_the_camera_that_nobody_declared_is_told_as_such(month: tuple[Run, dict[str, Any]]) -> None:
    rule = "Camera that nobody declared"
    found = [each for each in month[0].alerts.values() if each.rule.name == rule]
    assert {each.device.id for each in found if each.device} == {f"office/{cameras()[UNDECLARED].mac}"}


def test_a_worker_tells_the_same_of_the_same_observations(month: tuple[Run, dict[str, Any]], seen: Kept) -> None:
    table: dict[str, bytes] = {}
    partition, rules = Partition(0, table), load_rules()
    last: dict[str, Alert] = {}
    found = [each for each in seen.documents if isinstance(each, Observation)]
    for seq, first in enumerate(range(0, len(found), 500), 1):
        some = found[first : first + 500]
        outcome = partition.take(Batch("s", "01", seq, some[-1].timestamp.timestamp(), some), rules)
        table.update({key: data for key, data in partition.changes().items() if data is not None})
        last |= {each.event.id: each for each in outcome.news}
    told = updates_of(list(last.values()))
    assert [(each["device"], each["steps"]) for each in told] == [
        (each["device"], each["steps"]) for each in month[1]["updates"]
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        EXPECTED.write_text(dumped(json.loads(json.dumps(watched(Path(folder), Kept())[1]))), "utf-8")
