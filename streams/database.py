"""What is kept in SQLite: opened, bounded by age and complained of in the same way, be it alerts, devices or what waits
for the sinks."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from collector.errors import LenswatchError

LOCK_SECONDS: Final = 10
MEND: Final = "move the file away, or name another folder at [store] folder"
DAY_SECONDS: Final = 86_400.0
LOOK_SECONDS: Final = 3_600.0
"""How often is looked for what has been kept for long enough."""
RECOUNT_ROWS: Final = 1_000


class Retention:
    """Lets the rows of a table go that were last written longer ago than so many days (0: never), by its column `kept`
    (seconds since 1970): the time of writing and not of the packets, so that an old capture is kept as long as any."""

    def __init__(self, database: sqlite3.Connection, table: str, days: int, at: float) -> None:
        self._database, self._table, self._seconds = database, table, days * DAY_SECONDS
        self._look_at = float("-inf")
        self._add_column(at)
        self.look(at)

    def _add_column(self, at: float) -> None:
        """A file from before there were times of writing: its rows were written now."""
        columns = [row[1] for row in self._database.execute(f"PRAGMA table_info({self._table})")]
        if "kept" not in columns:
            self._database.execute(f"ALTER TABLE {self._table} ADD COLUMN kept REAL NOT NULL DEFAULT 0")
            self._database.execute(f"UPDATE {self._table} SET kept = ?", (at,))  # noqa: S608

    def look(self, at: float) -> int:
        """How many were let go."""
        if not self._seconds or at < self._look_at:
            return 0
        self._look_at = at + LOOK_SECONDS
        over = at - self._seconds
        return self._database.execute(f"DELETE FROM {self._table} WHERE kept < ?", (over,)).rowcount  # noqa: S608


class Room:
    """Bounds a table to `most` rows: those that come first by the column `order` go.

    To count reads the table, so it is done when it may be full, and a hundredth of it goes then. What other processes
    write is seen after RECOUNT_ROWS of one's own.
    """

    def __init__(self, database: sqlite3.Connection, table: str, order: str, most: int) -> None:
        self._database, self._table, self._order, self._most = database, table, order, most
        self._left = 0

    def make(self, written: int) -> None:
        """Called with how many rows have just been written, new or in place of others."""
        self._left -= written
        if self._left >= 0:
            return
        count = int(self._database.execute(f"SELECT count(*) FROM {self._table}").fetchone()[0])  # noqa: S608
        if count > self._most:
            kept = self._most - self._most // 100
            self._database.execute(
                f"DELETE FROM {self._table} WHERE id IN "  # noqa: S608
                f"(SELECT id FROM {self._table} ORDER BY {self._order}, id LIMIT ?)",
                (count - kept,),
            )
            count = kept
        self._left = min(self._most - count, RECOUNT_ROWS)


def open_database(path: Path, schema: str, several_threads: bool = False) -> sqlite3.Connection:
    """A file of this schema, made with its folder where it is missing, for several processes. Raises OSError and
    sqlite3.Error.

    A power cut may cost the last changes, never the file: who needs the last as well says so to the disk. What is
    deleted is overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=not several_threads)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA secure_delete = ON")
        database.executescript(schema)
    except sqlite3.Error:
        database.close()
        raise
    return database


@contextlib.contextmanager
def naming(path: Path, store: str, entry: str | None = None) -> Iterator[None]:
    """What goes wrong with a file as one line that names it and says how to mend it. `entry` is what cannot be read
    where the file can; None: then neither can. Raises LenswatchError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LenswatchError(f"{path}: {store} cannot be used: {reason}; {MEND}") from error
    except msgspec.DecodeError as error:
        words = f"{store} cannot be used" if entry is None else f"{entry} cannot be read"
        raise LenswatchError(f"{path}: {words}: {error}; {MEND}") from error
