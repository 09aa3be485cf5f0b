"""The device store keeps one story a device, within its bound, and forgets for good."""

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.errors import LenswatchError
from collector.observation import Device, DeviceIdentity
from streams.device_store import DeviceStore
from streams.processors.stories import Called, Story


def make(key: str, second: int = 0) -> Story:
    seen = datetime.datetime(2026, 11, 2, 8, 0, second, tzinfo=datetime.UTC)
    return Story(
        key, seen, seen, Device(id=key, serial_number=f"secret-{key}"), DeviceIdentity(type="camera", confidence=0.9),
        called={"a.example": Called("192.0.2.1", seen, seen, 1, 0, 100, 200, "DE")},
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with contextlib.closing(DeviceStore(tmp_path / "state", 3)) as opened:
        yield opened


def test_a_story_comes_back_as_it_was_put_after_reopening(tmp_path: Path) -> None:
    assert not DeviceStore.is_in(tmp_path)
    with contextlib.closing(DeviceStore(tmp_path, 3)) as store:
        store.put([make("a")])
    assert DeviceStore.is_in(tmp_path)
    with contextlib.closing(DeviceStore(tmp_path, 3)) as store:
        assert store.all() == [make("a")] and store.get("a") == make("a") and store.get("b") is None


def test_the_later_story_of_a_device_replaces_the_earlier(store: DeviceStore) -> None:
    store.put([make("a")])
    store.put([make("a", 5), make("b", 2)])
    assert store.all() == [make("b", 2), make("a", 5)]


def test_past_the_bound_those_go_that_were_seen_longest_ago(store: DeviceStore) -> None:
    store.put([make(key, second) for second, key in enumerate("abcde")])
    assert [each.id for each in store.all()] == ["c", "d", "e"] and len(store) == 3


def test_what_is_forgotten_is_not_in_the_files_any_more(store: DeviceStore) -> None:
    store.put([make("a"), make("b")])
    assert store.forget("a") and not store.forget("a")
    assert [each.id for each in store.all()] == ["b"]
    written = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert b"secret-a" not in written and b"secret-b" in written


def test_a_file_that_is_no_store_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "devices.sqlite"
    path.write_bytes(b"no database at all")
    with pytest.raises(LenswatchError) as caught:
        DeviceStore(tmp_path, 3)
    assert str(caught.value).startswith(f"{path}: the device store cannot be used: ") and "\n" not in str(caught.value)


def test_a_story_that_cannot_be_read_is_told_in_one_line(store: DeviceStore) -> None:
    store.put([make("a")])
    store._database.execute("UPDATE devices SET document = x'7b7d'")
    with pytest.raises(LenswatchError, match=r"a device in the store cannot be read: .*missing required field"):
        store.all()
