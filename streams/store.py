"""The alerts that were told, in SQLite: the last revision of each, the oldest let go when there are too many."""

import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from rules.alert import Alert
from streams.database import Retention, Room, naming, open_database
from streams.settings import StoreSettings, state_folder

FILE_NAME = "alerts.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, last_seen TEXT NOT NULL, severity INTEGER NOT NULL,
    document BLOB NOT NULL, kept REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (last_seen);
"""
UPSERT = """
INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,
    last_seen = excluded.last_seen, severity = excluded.severity, document = excluded.document, kept = excluded.kept
    WHERE excluded.revision >= alerts.revision
"""


class AlertStore:
    """One SQLite file, shared by several processes. Every method raises LenswatchError that names it, when it is none,
    is broken, or cannot be written. An alert of which nothing was written for `days` is let go; 0: never."""

    def __init__(self, folder: Path, max_alerts: int, days: int = 0, now: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE_NAME
        self._now = now
        self._named = functools.partial(naming, self.path, "the alert store", "an alert in the store")
        with self._named():
            # What a power cut costs, reading the capture again tells again.
            self._database = open_database(self.path, SCHEMA)
            self._retention = Retention(self._database, "alerts", days, now())
            self._room = Room(self._database, "alerts", "last_seen", max_alerts)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a store was made in this folder."""
        return (folder / FILE_NAME).exists()

    def put(self, alerts: Iterable[Alert]) -> None:
        """Keep alerts, a later revision in place of an earlier one; past `max_alerts` the oldest go."""
        at = self._now()
        rows = [
            (
                alert.event.id,
                alert.lenswatch.revision,
                alert.lenswatch.last_seen.isoformat(),
                alert.event.severity,
                msgspec.json.encode(alert),
                at,
            )
            for alert in alerts
        ]
        if not rows:
            return
        with self._named(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(UPSERT, rows)
            self._retention.look(at)
            self._room.make(len(rows))

    def __len__(self) -> int:
        with self._named():
            return int(self._database.execute("SELECT count(*) FROM alerts").fetchone()[0])

    def all(self) -> list[Alert]:
        """Every alert, the newest last."""
        with self._named():
            rows = self._database.execute("SELECT document FROM alerts ORDER BY last_seen, id").fetchall()
            return [msgspec.json.decode(row[0], type=Alert) for row in rows]

    def get(self, prefix: str) -> list[Alert]:
        """The alerts whose id begins with `prefix`."""
        with self._named():
            rows = self._database.execute(
                "SELECT document FROM alerts WHERE substr(id, 1, ?) = ? ORDER BY id", (len(prefix), prefix)
            ).fetchall()
            return [msgspec.json.decode(row[0], type=Alert) for row in rows]

    def forget(self, device: str) -> int:
        """Remove the alerts of a device; how many there were."""
        with self._named():
            asked = "DELETE FROM alerts WHERE json_extract(CAST(document AS TEXT), '$.device.id') = ?"
            gone = self._database.execute(asked, (device,)).rowcount
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def open_alerts(settings: StoreSettings) -> AlertStore:
    """The alerts in the state folder, as the settings bound them. Raises LenswatchError."""
    return AlertStore(state_folder(settings), settings.max_alerts, settings.alerts_days)
