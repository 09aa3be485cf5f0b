"""What is known of updates outlives a restart, writes only what changed, and is forgotten with its device."""

import contextlib
import datetime
import sqlite3
from pathlib import Path

import msgspec

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


def test_who_is_forgotten_while_it_is_watched_has_no_clock_any_more_either(tmp_path: Path) -> None:
    book = Storybook(DeviceStore(tmp_path, 10))
    book.updates["site/a"], book.updates["site/b"] = state(), state()
    book.keep()
    with contextlib.closing(DeviceStore(tmp_path, 10)) as other:
        other.forget("site/a")
        book.updates["site/b"] = state("2")
        book.keep()
        assert other.updates() == {"site/b": state("2")} == dict(book.updates)
    book.close()


def test_a_clock_that_was_not_written_for_so_many_days_is_let_go(tmp_path: Path) -> None:
    at = 0.0
    with contextlib.closing(DeviceStore(tmp_path, 10, 30, lambda: at)) as store:
        store.put_updates({"site/a": state(), "site/b": state()})
        at = 20 * 86_400.0
        store.put_updates({"site/b": state("2")})
        at = 31 * 86_400.0
        store.put_updates({"site/c": state()})
        assert list(store.updates()) == ["site/b", "site/c"]


def test_a_file_from_before_there_were_times_of_writing_is_taken_over(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "devices.sqlite")) as old:
        old.execute("CREATE TABLE updates (id TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID")
        old.execute("INSERT INTO updates VALUES (?, ?)", ("site/a", msgspec.json.encode(state())))
        old.commit()
    at = 1e9
    with contextlib.closing(DeviceStore(tmp_path, 10, 30, lambda: at)) as store:
        store.put_updates({"site/b": state()})
        assert store.updates() == {"site/a": state(), "site/b": state()}
