"""The store keeps the last revision of each alert, within its bound, for several processes at once."""

import contextlib
import datetime
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError
from collector.observation import Device, Observation
from rules.alert import Alert
from rules.match import RuleSet
from streams.store import AlertStore
from tests.streams.command import ROOT

Make = Callable[..., Alert]


@pytest.fixture(scope="module")
def make(rules: RuleSet, observe: Callable[..., Observation]) -> Make:
    """An alert with this id, revision and second."""
    (alert,) = rules.match(observe({"destination.domain": "www.easy4ipcloud.com"}))

    def make(key: str, revision: int = 1, at: int = 0, count: int = 1) -> Alert:
        time = alert.timestamp + datetime.timedelta(seconds=at)
        detail = msgspec.structs.replace(alert.lenswatch, revision=revision, last_seen=time, count=count)
        event = msgspec.structs.replace(alert.event, id=key)
        return msgspec.structs.replace(alert, event=event, lenswatch=detail)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    with contextlib.closing(AlertStore(tmp_path / "state", 100)) as opened:
        yield opened


def test_an_alert_comes_back_as_it_was_put(store: AlertStore, make: Make) -> None:
    store.put([make("a")])
    assert store.all() == [make("a")] and store.get("a") == [make("a")] and len(store) == 1


def test_the_last_revision_wins(store: AlertStore, make: Make) -> None:
    store.put([make("a")])
    store.put([make("a", 2), make("a", 3)])
    assert store.all() == [make("a", 3)]


def test_an_older_revision_never_overwrites(store: AlertStore, make: Make) -> None:
    store.put([make("a", 3)])
    store.put([make("a", 2)])
    assert store.all() == [make("a", 3)]


def test_the_same_revision_again_is_taken(store: AlertStore, make: Make) -> None:
    store.put([make("a", 2)])
    store.put([make("a", 2, count=9)])
    assert store.all() == [make("a", 2, count=9)]


def test_alerts_are_told_the_newest_last(store: AlertStore, make: Make) -> None:
    store.put([make("c", at=3), make("a", at=5), make("b", at=4)])
    assert [alert.event.id for alert in store.all()] == ["c", "b", "a"]


def test_past_the_bound_the_oldest_go(tmp_path: Path, make: Make) -> None:
    with contextlib.closing(AlertStore(tmp_path, 3)) as store:
        store.put([make(key, at=at) for at, key in enumerate("abcde")])
        assert [alert.event.id for alert in store.all()] == ["c", "d", "e"]
        store.put([make("f", at=9)])
        assert [alert.event.id for alert in store.all()] == ["d", "e", "f"]


@pytest.mark.parametrize(
    ("prefix", "found"), [("a", ["a1", "a2"]), ("a1", ["a1"]), ("b", []), ("%", []), ("_1", []), ("a'; --", [])]
)
def test_alerts_are_found_by_what_their_id_begins_with(
    store: AlertStore, make: Make, prefix: str, found: list[str]
) -> None:
    store.put([make("a1"), make("a2")])
    assert [alert.event.id for alert in store.get(prefix)] == found


def test_what_was_kept_is_there_after_reopening(tmp_path: Path, make: Make) -> None:
    assert not AlertStore.is_in(tmp_path)
    for key in "ab":
        with contextlib.closing(AlertStore(tmp_path, 10)) as store:
            store.put([make(key)])
    assert AlertStore.is_in(tmp_path)
    with contextlib.closing(AlertStore(tmp_path, 10)) as store:
        assert [alert.event.id for alert in store.all()] == ["a", "b"]


WRITER = """
import sys
from pathlib import Path
import msgspec
from rules.alert import Alert
from streams.store import AlertStore
alert = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=Alert)
store = AlertStore(Path(sys.argv[1]), 1000)
for number in range(50):
    event = msgspec.structs.replace(alert.event, id=f"{sys.argv[3]}-{number}")
    store.put([msgspec.structs.replace(alert, event=event)])
    shared = msgspec.structs.replace(alert.event, id="shared")
    detail = msgspec.structs.replace(alert.lenswatch, revision=number + 1)
    store.put([msgspec.structs.replace(alert, event=shared, lenswatch=detail)])
"""


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path, make: Make) -> None:
    document = tmp_path / "alert.json"
    document.write_bytes(msgspec.json.encode(make("x")))
    command = [sys.executable, "-c", WRITER, str(tmp_path / "state"), str(document)]
    both = [subprocess.Popen([*command, name], cwd=ROOT, stderr=subprocess.PIPE) for name in ("left", "right")]
    assert [process.communicate(timeout=60)[1] for process in both] == [b"", b""]
    with contextlib.closing(AlertStore(tmp_path / "state", 1000)) as store:
        assert len(store) == 101
        assert store.get("shared")[0].lenswatch.revision == 50


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + bytes(4000)])
def test_a_file_that_is_no_store_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alerts.sqlite"
    path.write_bytes(content)
    with pytest.raises(LenswatchError) as caught:
        AlertStore(tmp_path, 10)
    assert str(caught.value).startswith(f"{path}: the alert store cannot be used: ") and "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_an_alert_that_cannot_be_read_is_told_in_one_line(store: AlertStore, make: Make) -> None:
    store.put([make("a")])
    with contextlib.closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE alerts SET document = x'7b7d'")
    with pytest.raises(LenswatchError, match=r"an alert in the store cannot be read: .*missing required field"):
        store.all()


def test_a_folder_that_cannot_be_made_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(LenswatchError, match=r"file/state/alerts\.sqlite: the alert store cannot be used: Not a dir"):
        AlertStore(tmp_path / "file" / "state", 10)


def test_a_store_that_another_holds_too_long_is_told_in_one_line(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.database.LOCK_SECONDS", 0.05)
    with contextlib.closing(AlertStore(tmp_path, 10)) as store:
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LenswatchError, match="database is locked"):
                store.put([make("a")])
        store.put([make("b")])
        assert [alert.event.id for alert in store.all()] == ["b"]


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_an_alert_of_which_nothing_was_written_for_the_days_set_is_let_go(tmp_path: Path, make: Make) -> None:
    clock = Clock()
    with contextlib.closing(AlertStore(tmp_path, 100, 2, clock)) as store:
        store.put([make("a"), make("b")])
        clock.now += 1.5 * 86_400
        store.put([make("b", 2)])
        clock.now += 86_400
        store.put([make("c")])
        assert {alert.event.id for alert in store.all()} == {"b", "c"}
    clock.now += 1e9
    with contextlib.closing(AlertStore(tmp_path, 100, 0, clock)) as store:
        assert len(store) == 2


def test_a_store_from_before_retention_is_read_and_added_to(tmp_path: Path, make: Make) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "alerts.sqlite")) as old, old:
        old.execute(
            "CREATE TABLE alerts (id TEXT PRIMARY KEY, revision INTEGER NOT NULL, last_seen TEXT NOT NULL, severity "
            "INTEGER NOT NULL, document BLOB NOT NULL) WITHOUT ROWID"
        )
        row = ("a", 1, make("a").lenswatch.last_seen.isoformat(), 3, msgspec.json.encode(make("a")))
        old.execute("INSERT INTO alerts VALUES (?, ?, ?, ?, ?)", row)
    with contextlib.closing(AlertStore(tmp_path, 100, 2)) as store:
        store.put([make("b", at=5)])
        assert store.all() == [make("a"), make("b", at=5)]


def test_the_alerts_of_a_device_are_forgotten_and_no_others(store: AlertStore, make: Make) -> None:
    other = msgspec.structs.replace(make("b"), device=Device(id="hq/other-device"))
    store.put([make("a"), other])
    device = make("a").device
    assert device is not None and store.forget(device.id) == 1 and store.forget(device.id) == 0
    assert store.all() == [other]
    written = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert device.id.encode() not in written and b"hq/other-device" in written
