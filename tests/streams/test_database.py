"""A database is made where it is missing, shared where it is there, and closed where it is none."""

import contextlib
import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError
from streams.database import LOOK_SECONDS, RECOUNT_ROWS, Retention, Room, naming, open_database

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY);"


def test_a_database_is_made_with_its_folder_and_shared_by_two(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.sqlite"
    with contextlib.closing(open_database(path, SCHEMA)) as one, contextlib.closing(open_database(path, SCHEMA)) as two:
        one.execute("INSERT INTO things VALUES ('x')")
        assert two.execute("SELECT name FROM things").fetchall() == [("x",)]
        assert one.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database, but some other file of somebody" * 40)
    with pytest.raises(sqlite3.DatabaseError):
        open_database(path, SCHEMA)
    assert path.read_bytes().startswith(b"no database")


@pytest.mark.parametrize("several", [False, True])
def test_another_thread_may_use_it_only_where_that_was_asked_for(tmp_path: Path, several: bool) -> None:
    told: list[str] = []
    with contextlib.closing(open_database(tmp_path / "a.sqlite", SCHEMA, several_threads=several)) as database:

        def use() -> None:
            try:
                told.append(str(database.execute("SELECT count(*) FROM things").fetchone()[0]))
            except sqlite3.ProgrammingError:
                told.append("refused")

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert told == ["0" if several else "refused"]


@pytest.mark.parametrize(
    ("error", "entry", "words"),
    [
        (sqlite3.OperationalError("database is locked"), None, "the box cannot be used: database is locked"),
        (PermissionError(13, "Permission denied"), "a thing", "the box cannot be used: Permission denied"),
        (msgspec.DecodeError("cut off"), "a thing", "a thing cannot be read: cut off"),
        (msgspec.DecodeError("cut off"), None, "the box cannot be used: cut off"),
    ],
)
def test_what_goes_wrong_is_one_line_with_file_reason_and_mend(error: Exception, entry: str | None, words: str) -> None:
    with pytest.raises(LenswatchError) as told, naming(Path("a.sqlite"), "the box", entry):
        raise error
    assert str(told.value) == f"a.sqlite: {words}; move the file away, or name another folder at [store] folder"


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    with contextlib.closing(open_database(tmp_path / "a.sqlite", SCHEMA)) as database:
        assert database.execute("PRAGMA secure_delete").fetchone() == (1,)


DAY = 86_400.0


def test_rows_go_that_were_not_written_for_so_many_days_and_others_stay(tmp_path: Path) -> None:
    schema = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY, kept REAL NOT NULL DEFAULT 0);"
    with contextlib.closing(open_database(tmp_path / "a.sqlite", schema)) as database:
        database.executemany("INSERT INTO things VALUES (?, ?)", [("old", 0.0), ("new", 5 * DAY)])
        never = Retention(database, "things", 0, 1e12)
        assert never.look(1e12) == 0
        some = Retention(database, "things", 5, 5 * DAY)
        assert some.look(5 * DAY + LOOK_SECONDS - 1) == 0, "it looks once an hour"
        assert some.look(5 * DAY + LOOK_SECONDS) == 1
        assert database.execute("SELECT name FROM things").fetchall() == [("new",)]
        Retention(database, "things", 5, 11 * DAY)
        assert database.execute("SELECT name FROM things").fetchall() == [], "and when the file is opened"


def test_rows_of_a_file_from_before_count_from_when_it_is_first_opened(tmp_path: Path) -> None:
    with contextlib.closing(open_database(tmp_path / "a.sqlite", SCHEMA)) as database:
        database.execute("INSERT INTO things VALUES ('x')")
        Retention(database, "things", 5, 100 * DAY)
        Retention(database, "things", 5, 104 * DAY)
        assert database.execute("SELECT name, kept FROM things").fetchall() == [("x", 100 * DAY)]
        Retention(database, "things", 5, 106 * DAY)
        assert database.execute("SELECT name FROM things").fetchall() == []


ROWS = "CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, seen INTEGER);"


def write(database: sqlite3.Connection, room: Room, numbers: range) -> None:
    database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", [(f"{each:05}", each) for each in numbers])
    room.make(len(numbers))


def test_a_full_table_lets_its_first_rows_go_and_makes_a_hundredth_of_room(tmp_path: Path) -> None:
    with contextlib.closing(open_database(tmp_path / "a.sqlite", ROWS)) as database:
        room = Room(database, "rows", "seen", 500)
        for first in range(0, 2_000, 20):
            write(database, room, range(first, first + 20))
            count, oldest = database.execute("SELECT count(*), min(seen) FROM rows").fetchone()
            assert count <= 500
            assert oldest == first + 20 - count
            assert first < 500 or count >= 495 - 20


def test_a_table_with_room_is_not_counted_again(tmp_path: Path) -> None:
    asked: list[str] = []
    with contextlib.closing(open_database(tmp_path / "a.sqlite", ROWS)) as database:
        room = Room(database, "rows", "seen", 100_000)
        database.set_trace_callback(asked.append)
        for first in range(2 * RECOUNT_ROWS):
            write(database, room, range(first % 7, first % 7 + 1))
    assert sum("count(*)" in each for each in asked) <= 3


def test_what_two_write_to_one_table_is_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with contextlib.closing(open_database(path, ROWS)) as one, contextlib.closing(open_database(path, ROWS)) as two:
        rooms = [(each, Room(each, "rows", "seen", 5_000)) for each in (one, two)]
        for first in range(0, 20_000, 50):
            database, room = rooms[first // 50 % 2]
            write(database, room, range(first, first + 50))
        assert one.execute("SELECT count(*) FROM rows").fetchone()[0] <= 5_000 + RECOUNT_ROWS
