"""Stories are told while watching, kept every few seconds and at the end, and outlive a restart."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.identify.inventory import Inventory
from collector.observation import DEVICE_DATASET, Observation
from streams import storybook
from streams.device_store import DeviceStore
from streams.storybook import KEEP_SECONDS, Storybook, restore

Observe = Callable[..., Observation]
IDENTITY = {"type": "camera", "confidence": 0.9, "addresses": ["10.0.0.11"], "hardware": ["3c:ef:8c:00:53:11"]}
DEVICE = {"event.dataset": DEVICE_DATASET, "lenswatch.device": IDENTITY}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_changed_is_kept_after_a_while_and_at_the_end(tmp_path: Path, observe: Observe) -> None:
    clock, store = Clock(), DeviceStore(tmp_path, 10)
    book = Storybook(store, clock)
    book.write([observe(DEVICE), "an alert"])
    assert len(store) == 0
    clock.now = KEEP_SECONDS
    book.write([observe(DEVICE | {"device.id": "site/b"})])
    assert len(store) == 2
    book.write([observe(DEVICE | {"device.id": "site/c"})])
    book.close()
    with contextlib.closing(DeviceStore(tmp_path, 10)) as again:
        assert [each.id for each in again.all()] == ["site/3c:ef:8c:00:53:11", "site/b", "site/c"]


def test_a_later_run_goes_on_with_the_story(tmp_path: Path, observe: Observe) -> None:
    for firmware, day in (("1.0", 2), ("1.1", 3)):
        book = Storybook(DeviceStore(tmp_path, 10))
        said = {"lenswatch.device": IDENTITY | {"firmware": firmware}, "@timestamp": f"2026-11-0{day}T08:00:00Z"}
        book.write([observe(DEVICE | said)])
        book.close()
    with contextlib.closing(DeviceStore(tmp_path, 10)) as store:
        (story,) = store.all()
    assert [each.firmware for each in story.firmware] == ["1.0", "1.1"] and story.first_seen.day == 2


def test_more_stories_than_are_held_open_are_all_kept(
    tmp_path: Path, observe: Observe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storybook, "MAX_OPEN", 3)
    store = DeviceStore(tmp_path, 100)
    book = Storybook(store, Clock())
    for number in (*range(10), 0):
        book.write([observe(DEVICE | {"device.id": f"site/{number}"})])
        assert len(book._open) <= 3
    book.keep()
    assert len(store) == 10
    book.close()


def test_a_device_keeps_its_id_over_a_restart(tmp_path: Path, observe: Observe) -> None:
    book = Storybook(DeviceStore(tmp_path, 10))
    book.write([observe(DEVICE | {"device.id": "site/10.0.0.11"})])
    book.close()
    inventory = Inventory("site", ())
    with contextlib.closing(DeviceStore(tmp_path, 10)) as store:
        restore(inventory, store)
    assert not inventory.news, "nobody was seen yet"
    assert inventory.device_at(bytes.fromhex("3cef8c005311"), "10.0.0.99").device.id == "site/10.0.0.11"
    assert inventory.device_at(b"", "10.0.0.11").device.id == "site/10.0.0.11"


def test_the_devices_of_another_site_are_others(tmp_path: Path, observe: Observe) -> None:
    book = Storybook(DeviceStore(tmp_path, 10))
    book.write([observe(DEVICE)])
    book.close()
    inventory = Inventory("elsewhere", ())
    with contextlib.closing(DeviceStore(tmp_path, 10)) as store:
        restore(inventory, store)
    assert not inventory.devices


def test_what_is_usual_for_a_device_is_kept_with_its_story_and_only_where_one_is_told(
    tmp_path: Path, observe: Observe
) -> None:
    book = Storybook(DeviceStore(tmp_path, 10))
    assert book.habits_of("site/3c:ef:8c:00:53:11") is None
    book.write([observe(DEVICE)])
    habits = book.habits_of("site/3c:ef:8c:00:53:11")
    assert habits is not None and book.habits_of("site/3c:ef:8c:00:53:11") is habits
    habits.began = 7
    book.close()
    again = Storybook(DeviceStore(tmp_path, 10))
    back = again.habits_of("site/3c:ef:8c:00:53:11")
    assert back is not None and back.began == 7
    back.newest = 8.0
    again.close()
    with contextlib.closing(DeviceStore(tmp_path, 10)) as store:
        (story,) = store.all()
    assert story.habits is not None and (story.habits.began, story.habits.newest) == (7, 8.0)


def test_a_device_that_is_forgotten_while_it_is_watched_begins_anew(tmp_path: Path, observe: Observe) -> None:
    clock = Clock()
    book = Storybook(DeviceStore(tmp_path, 10), clock)
    book.write([observe(DEVICE | {"@timestamp": "2026-11-02T08:00:00Z"})])
    book.keep()
    with contextlib.closing(DeviceStore(tmp_path, 10)) as other:
        other.forget("site/3c:ef:8c:00:53:11")
        book.keep()
        assert other.all() == []
        book.write([observe(DEVICE | {"@timestamp": "2026-11-03T08:00:00Z"})])
        book.keep()
        (story,) = other.all()
    assert story.first_seen.day == 3
    book.close()
