"""What is still to be delivered, in SQLite: for each sink its own queue, in order; what a receiver's long absence, or a
kill of this process, must not lose.

A kill at any moment loses nothing. After a power cut the last moments may be missing (`sync` is called every second).
"""

import contextlib
import functools
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from collector.errors import LenswatchError
from rules.alert import Alert
from streams.database import naming, open_database

FILE_NAME: Final = "outbox.sqlite"
MAX_LASTING: Final = 10_000
MAX_AT_HAND: Final = 1_000
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, revision INTEGER NOT NULL, document BLOB NOT NULL,
    UNIQUE (id, revision)
);
CREATE TABLE IF NOT EXISTS queue (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, number INTEGER NOT NULL, device TEXT NOT NULL,
    due REAL NOT NULL, attempts INTEGER NOT NULL, put_at REAL NOT NULL, UNIQUE (number, sink)
);
CREATE INDEX IF NOT EXISTS queue_by_sink ON queue (sink, seq);
CREATE TABLE IF NOT EXISTS sizes (sink TEXT PRIMARY KEY, parcels INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS queue_in AFTER INSERT ON queue BEGIN
    INSERT INTO sizes VALUES (NEW.sink, 1) ON CONFLICT (sink) DO UPDATE SET parcels = parcels + 1;
END;
CREATE TRIGGER IF NOT EXISTS queue_out AFTER DELETE ON queue BEGIN
    UPDATE sizes SET parcels = parcels - 1 WHERE sink = OLD.sink;
    DELETE FROM documents WHERE number = OLD.number
        AND NOT EXISTS (SELECT 1 FROM queue WHERE number = OLD.number);
END;
CREATE TABLE IF NOT EXISTS lasting (
    sink TEXT NOT NULL, id TEXT NOT NULL, until REAL NOT NULL, document BLOB NOT NULL, PRIMARY KEY (sink, id)
);
CREATE TABLE IF NOT EXISTS closed (sink TEXT PRIMARY KEY, address TEXT NOT NULL, words TEXT NOT NULL) WITHOUT ROWID;
"""
# A file from before a document was kept once for all sinks.
TAKE_OVER: Final = """
BEGIN IMMEDIATE;
DELETE FROM sizes;
INSERT OR IGNORE INTO documents (id, revision, document) SELECT id, revision, document FROM parcels ORDER BY seq;
INSERT INTO queue (sink, number, device, due, attempts, put_at)
    SELECT sink, number, device, due, attempts, put_at FROM parcels JOIN documents USING (id, revision) ORDER BY seq;
DROP TABLE parcels;
COMMIT;
"""
DOCUMENT: Final = "INSERT INTO documents (id, revision, document) VALUES (?, ?, ?) RETURNING number"
NUMBER: Final = "SELECT number FROM documents WHERE id = ? AND revision = ?"
PUT: Final = "INSERT OR IGNORE INTO queue (sink, number, device, due, attempts, put_at) VALUES (?, ?, ?, ?, 0, ?)"
OLDEST: Final = "SELECT seq FROM queue WHERE sink = ? ORDER BY seq LIMIT ?"
AGED: Final = (
    "SELECT sink FROM sizes WHERE (SELECT put_at FROM queue WHERE queue.sink = sizes.sink ORDER BY seq LIMIT 1) < ?"
)
LET_GO: Final = "DELETE FROM queue WHERE sink = ? AND put_at < ?"
NEXT: Final = (
    "SELECT seq, device, attempts, put_at, number FROM queue WHERE sink = ? AND due <= ? "
    "AND device NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?"
)


class Parcel(NamedTuple):
    """An alert on its way to one sink: tried `attempts` times in vain, and kept since `put_at`. `number` is that of its
    document, which is kept once for all sinks."""

    seq: int
    device: str
    attempts: int
    put_at: float
    number: int


class Outbox:
    """One SQLite file, used by several threads and processes; at most `max_parcels` wait for each sink, and none longer
    than `max_age_seconds` (0: whatever it is). Every method raises LenswatchError that names the file when it cannot be
    used."""

    def __init__(self, folder: Path, max_parcels: int, max_age_seconds: float = 0) -> None:
        self.path, self.max_parcels, self.max_age_seconds = folder / FILE_NAME, max_parcels, max_age_seconds
        self._turn = threading.RLock()
        self._encode, self._decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Alert).decode
        self._named = functools.partial(naming, self.path, "the outbox")
        # For the sinks that are not behind; for the others a document is read again.
        self._at_hand: dict[int, Alert] = {}
        with self._named():
            self._database = open_database(self.path, SCHEMA, several_threads=True)
            if self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'parcels'").fetchone():
                self._database.executescript(TAKE_OVER)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether an outbox was made in this folder."""
        return (folder / FILE_NAME).exists()

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """The database for a change that is made whole or not at all."""
        with self._named(), self._turn, self._database as database:
            database.execute("BEGIN IMMEDIATE")
            yield database

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._named(), self._turn:
            return self._database.execute(sql, values).fetchall()

    def put(self, sinks: Iterable[str], alerts: Sequence[Alert], at: float) -> dict[str, int]:
        """Keep alerts for each of these sinks; one that waits already is kept once. How many of each sink's oldest were
        let go for want of room, or for age."""
        dropped: Counter[str] = Counter()
        with self._turn:
            with self._change() as database:
                numbers = [self._keep(database, alert) for alert in alerts]
                rows = [(number, device_of(alert), at, at) for number, alert in zip(numbers, alerts, strict=True)]
                for sink in sinks:
                    database.executemany(PUT, [(sink, *row) for row in rows])
                    excess = self._count(database, sink) - self.max_parcels
                    if excess > 0:
                        database.execute(f"DELETE FROM queue WHERE seq IN ({OLDEST})", (sink, excess))
                        dropped[sink] = excess
                if self.max_age_seconds:
                    over = at - self.max_age_seconds
                    for (sink,) in database.execute(AGED, (over,)).fetchall():
                        dropped[sink] += database.execute(LET_GO, (sink, over)).rowcount
            # Not before: a change that is not made gives its numbers back.
            self._at_hand.update(zip(numbers, alerts, strict=True))
            while len(self._at_hand) > MAX_AT_HAND:
                del self._at_hand[next(iter(self._at_hand))]
        return dropped

    def _keep(self, database: sqlite3.Connection, alert: Alert) -> int:
        """The number of an alert's document, which is kept once, whoever waits for it."""
        identity = (alert.event.id, alert.lenswatch.revision)
        row = database.execute(NUMBER, identity).fetchone()
        if row is None:
            row = database.execute(DOCUMENT, (*identity, self._encode(alert))).fetchone()
        return int(row[0])

    def forget(self, device: str) -> int:
        """Remove what waits of a device's alerts, and what a sink is to be told again of them; how many waited."""
        lasting = "DELETE FROM lasting WHERE json_extract(CAST(document AS TEXT), '$.device.id') = ?"
        with self._turn:
            with self._change() as database:
                database.execute(lasting, (device,))
                gone = database.execute("DELETE FROM queue WHERE device = ?", (device,)).rowcount
            self._at_hand.clear()
            with self._named():
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

    @staticmethod
    def _count(database: sqlite3.Connection, sink: str) -> int:
        row = database.execute("SELECT parcels FROM sizes WHERE sink = ?", (sink,)).fetchone()
        return int(row[0]) if row else 0

    def count(self, sink: str) -> int:
        """How many alerts wait for a sink."""
        with self._named(), self._turn:
            return self._count(self._database, sink)

    def oldest(self, sink: str) -> float | None:
        """Since when the first of them waits."""
        rows = self._read("SELECT put_at FROM queue WHERE sink = ? ORDER BY seq LIMIT 1", (sink,))
        return float(rows[0][0]) if rows else None

    def take(self, sink: str, at: float, without: Iterable[str], limit: int) -> list[Parcel]:
        """The first that are due, in order, without those of some devices."""
        held = msgspec.json.encode(list(without)).decode()
        return list(map(Parcel._make, self._read(NEXT, (sink, at, held, limit))))

    def alerts(self, parcels: Sequence[Parcel]) -> list[Alert]:
        """What is in the parcels; the sinks share it, and none may change it."""
        with self._named(), self._turn:
            return [self._find(parcel.number) for parcel in parcels]

    def _find(self, number: int) -> Alert:
        found = self._at_hand.get(number)
        if found is None:
            row = self._database.execute("SELECT document FROM documents WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise LenswatchError("the alert was forgotten meanwhile")
            found = self._decode(row[0])
        return found

    def waiting(self, sink: str, at: float) -> dict[str, float]:
        """The devices whose first alert is not due yet, and when it will be."""
        rows = self._read("SELECT device, max(due) FROM queue WHERE sink = ? AND due > ? GROUP BY device", (sink, at))
        return dict(rows)

    def done(self, parcels: Sequence[Parcel]) -> None:
        """These need not be delivered any more."""
        with self._change() as database:
            database.executemany("DELETE FROM queue WHERE seq = ?", [(parcel.seq,) for parcel in parcels])

    def later(self, parcels: Sequence[Parcel], due: float) -> None:
        """These were tried in vain; to be tried again when it is time."""
        rows = [(due, parcel.seq) for parcel in parcels]
        with self._change() as database:
            database.executemany("UPDATE queue SET due = ?, attempts = attempts + 1 WHERE seq = ?", rows)

    def hasten(self, sink: str, at: float) -> None:
        """Everything of a sink is due now."""
        with self._change() as database:
            database.execute("UPDATE queue SET due = ? WHERE sink = ? AND due > ?", (at, sink, at))

    def last(self, sink: str, lasting: Iterable[tuple[Alert, float]]) -> int:
        """Remember what a sink is to be told again, and until when. How many were let go for want of room."""
        rows = [(sink, alert.event.id, until, self._encode(alert)) for alert, until in lasting]
        with self._change() as database:
            database.executemany("INSERT OR REPLACE INTO lasting VALUES (?, ?, ?, ?)", rows)
            count = database.execute("SELECT count(*) FROM lasting WHERE sink = ?", (sink,)).fetchone()[0]
            excess = int(count) - MAX_LASTING
            if excess > 0:
                first = "SELECT id FROM lasting WHERE sink = ? ORDER BY until LIMIT ?"
                database.execute(f"DELETE FROM lasting WHERE sink = ? AND id IN ({first})", (sink, sink, excess))
        return max(0, excess)

    def lasting(self, sink: str, after: str, limit: int) -> list[tuple[Alert, float]]:
        """What a sink is to be told again, by id, from past `after`."""
        rows = self._read(
            "SELECT document, until FROM lasting WHERE sink = ? AND id > ? ORDER BY id LIMIT ?", (sink, after, limit)
        )
        return [(self._decode(data), until) for data, until in rows]

    def over(self, sink: str, at: float) -> None:
        """Forget what lasted until now."""
        with self._change() as database:
            database.execute("DELETE FROM lasting WHERE sink = ? AND until <= ?", (sink, at))

    def close_sink(self, sink: str, address: str, words: str) -> None:
        """Remember that an address wants no more."""
        with self._change() as database:
            database.execute("INSERT OR REPLACE INTO closed VALUES (?, ?, ?)", (sink, address, words))

    def open_sink(self, sink: str) -> None:
        """Forget it."""
        with self._change() as database:
            database.execute("DELETE FROM closed WHERE sink = ?", (sink,))

    def closed(self, sink: str, address: str) -> str | None:
        """What was said when this address wanted no more; None when it takes alerts."""
        rows = self._read("SELECT words FROM closed WHERE sink = ? AND address = ?", (sink, address))
        return str(rows[0][0]) if rows else None

    def sync(self) -> None:
        """Have what was written reach the disk."""
        log = self.path.with_name(f"{FILE_NAME}-wal")
        with self._named(), contextlib.suppress(FileNotFoundError):
            handle = os.open(log, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._database.close()


def device_of(alert: Alert) -> str:
    """Whose alerts stay in order: the device's, else the address's at its sensor."""
    return alert.device.id if alert.device is not None else f"{alert.observer.name}/{alert.source.ip}"
