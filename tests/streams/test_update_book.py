"""What is known of updates outlives a restart, writes only what changed, and is forgotten with its device."""

import contextlib
import datetime
from pathlib import Path

from streams.device_store import DeviceStore
from streams.processors.firmware import Clock, UpdateState
from streams.storybook import Storybook
from streams.update_book import UpdateBook

AT = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)


def state(version: str = "1") -> UpdateState:
    return UpdateState(clock=Clock(checked_at=AT, checked_with="a.example"), version=version)


def test_states_are_kept_and_come_back(tmp_path: Path) -> None:
    book = Storybook(DeviceStore(tmp_path, 10))
    book.updates["site/a"] = state()
    book.close()
    with contextlib.closing(DeviceStore(tmp_path, 10)) as store:
        assert UpdateBook(store) == {"site/a": state()}


def test_only_what_changed_is_written_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    with contextlib.closing(DeviceStore(tmp_path, 10)) as store:
        book = UpdateBook(store)
        book["site/a"], book["site/b"] = state(), state()
        assert book.has_changed
        book.keep()
        assert not book.has_changed
        store.put_updates({"site/b": state("2")})
        del book["site/a"]
        book.keep()
        assert store.updates() == {"site/b": state("2")}


def test_who_is_forgotten_has_no_clock_any_more(tmp_path: Path) -> None:
    with contextlib.closing(DeviceStore(tmp_path, 10)) as store:
        store.put_updates({"site/a": state()})
        store.forget("site/a")
        assert store.updates() == {}


def test_a_storybook_writes_states_when_no_story_has_changed(tmp_path: Path) -> None:
    now = [0.0]
    store = DeviceStore(tmp_path, 10)
    book = Storybook(store, lambda: now[0])
    book.updates["site/a"] = state()
    now[0] = 10.0
    book.write([])
    assert list(store.updates()) == ["site/a"]
    book.close()
