"""The devices' stories and updates, in SQLite beside the alerts: those that were seen longest ago are let go when there
are too many. A story that is forgotten is gone from the file, and from what SQLite keeps of deleted rows."""

import functools
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from streams.database import Retention, Room, naming, open_database
from streams.processors.firmware import UpdateState
from streams.processors.stories import Story
from streams.settings import StoreSettings, state_folder

FILE_NAME = "devices.sqlite"
MAX_FORGOTTEN = 1_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS devices (id TEXT PRIMARY KEY, last_seen TEXT NOT NULL, document BLOB NOT NULL,
    kept REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS devices_by_time ON devices (last_seen);
CREATE TABLE IF NOT EXISTS forgotten (number INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS updates (id TEXT PRIMARY KEY, document BLOB NOT NULL, kept REAL NOT NULL DEFAULT 0)
    WITHOUT ROWID;
"""
UPSERT = """
INSERT INTO devices VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen,
    document = excluded.document, kept = excluded.kept
"""
UPSERT_UPDATE = """
INSERT INTO updates VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document, kept = excluded.kept
"""


class DeviceStore:
    """One SQLite file, shared by several processes. Every method raises LenswatchError that names it, when it is none,
    is broken, or cannot be written. What was not written for `days`, a story or what is known of updates, is let go; 0:
    never."""

    def __init__(self, folder: Path, max_devices: int, days: int = 0, now: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE_NAME
        self._now = now
        self._named = functools.partial(naming, self.path, "the device store", "a device in the store")
        with self._named():
            self._database = open_database(self.path, SCHEMA)
            self._retention = Retention(self._database, "devices", days, now())
            self._room = Room(self._database, "devices", "last_seen", max_devices)
            self._updates_retention = Retention(self._database, "updates", days, now())
            self._heard = self._last_forgotten()

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a store was made in this folder."""
        return (folder / FILE_NAME).exists()

    def put(self, stories: Iterable[Story]) -> None:
        """Keep stories, each in place of the one of the same device; past `max_devices` the longest unseen go."""
        at = self._now()
        rows = [(story.id, story.last_seen.isoformat(), msgspec.json.encode(story), at) for story in stories]
        if not rows:
            return
        with self._named(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(UPSERT, rows)
            self._retention.look(at)
            self._room.make(len(rows))

    def __len__(self) -> int:
        with self._named():
            return int(self._database.execute("SELECT count(*) FROM devices").fetchone()[0])

    def get(self, identifier: str) -> Story | None:
        """The story of one device."""
        with self._named():
            row = self._database.execute("SELECT document FROM devices WHERE id = ?", (identifier,)).fetchone()
            return None if row is None else msgspec.json.decode(row[0], type=Story)

    def all(self) -> list[Story]:
        """Every story, the one seen last at the end."""
        with self._named():
            rows = self._database.execute("SELECT document FROM devices ORDER BY last_seen, id").fetchall()
            return [msgspec.json.decode(row[0], type=Story) for row in rows]

    def put_updates(self, states: Mapping[str, UpdateState | None]) -> None:
        """Keep what is known of devices' updates; None removes. Whoever hands them over bounds them."""
        at = self._now()
        rows = [(device, msgspec.json.encode(state), at) for device, state in states.items() if state is not None]
        gone = [(device,) for device, state in states.items() if state is None]
        if rows or gone:
            with self._named(), self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(UPSERT_UPDATE, rows)
                self._database.executemany("DELETE FROM updates WHERE id = ?", gone)
                self._updates_retention.look(at)

    def updates(self) -> dict[str, UpdateState]:
        """What is known of devices' updates, by their ids."""
        with self._named():
            rows = self._database.execute("SELECT id, document FROM updates ORDER BY id").fetchall()
            return {row[0]: msgspec.json.decode(row[1], type=UpdateState) for row in rows}

    def forget(self, identifier: str) -> bool:
        """Remove a device's story, and what is known of its updates, for every process that has them open too; False
        when there is no story."""
        with self._named():
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("DELETE FROM updates WHERE id = ?", (identifier,))
                gone = self._database.execute("DELETE FROM devices WHERE id = ?", (identifier,)).rowcount > 0
                self._database.execute("INSERT INTO forgotten (digest) VALUES (?)", (digest_of(identifier),))
                number = self._last_forgotten() - MAX_FORGOTTEN
                self._database.execute("DELETE FROM forgotten WHERE number <= ?", (number,))
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

    def _last_forgotten(self) -> int:
        row = self._database.execute("SELECT max(number) FROM forgotten").fetchone()
        return int(row[0] or 0)

    def forgotten(self, identifiers: Iterable[str]) -> list[str]:
        """Which of these devices somebody forgot, here or in another process, since this was last asked."""
        with self._named():
            rows = self._database.execute("SELECT number, digest FROM forgotten WHERE number > ?", (self._heard,))
            news = rows.fetchall()
        if not news:
            return []
        self._heard = max(number for number, _ in news)
        digests = {digest for _, digest in news}
        return [each for each in identifiers if digest_of(each) in digests]

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def open_devices(settings: StoreSettings) -> DeviceStore:
    """The devices in the state folder, as the settings bound them. Raises LenswatchError."""
    return DeviceStore(state_folder(settings), settings.max_devices, settings.devices_days)


def digest_of(identifier: str) -> bytes:
    """What is remembered of a device that was forgotten: nothing that names it."""
    return hashlib.blake2b(identifier.encode("utf-8", "surrogatepass"), digest_size=16).digest()
