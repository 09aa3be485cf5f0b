"""The alerts that were told, in SQLite: the last revision of each, the oldest let go when there are too many."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from collector.errors import LenswatchError
from rules.alert import Alert
from streams.database import open_database

FILE_NAME = "alerts.sqlite"
MEND = "move the file away, or name another folder at [store] folder"
SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, last_seen TEXT NOT NULL, severity INTEGER NOT NULL,
    document BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (last_seen);
"""
UPSERT = """
INSERT INTO alerts VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,
    last_seen = excluded.last_seen, severity = excluded.severity, document = excluded.document
    WHERE excluded.revision >= alerts.revision
"""


class AlertStore:
    """One SQLite file, shared by several processes. Every method raises LenswatchError that names it, when it is none,
    is broken, or cannot be written."""

    def __init__(self, folder: Path, max_alerts: int) -> None:
        self.path = folder / FILE_NAME
        self.max_alerts = max_alerts
        with self._named():
            # What a power cut costs, reading the capture again tells again.
            self._database = open_database(self.path, SCHEMA)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a store was made in this folder."""
        return (folder / FILE_NAME).exists()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise LenswatchError(f"{self.path}: the alert store cannot be used: {reason}; {MEND}") from error
        except msgspec.DecodeError as error:
            raise LenswatchError(f"{self.path}: an alert in the store cannot be read: {error}; {MEND}") from error

    def put(self, alerts: Iterable[Alert]) -> None:
        """Keep alerts, a later revision in place of an earlier one; past `max_alerts` the oldest go."""
        rows = [
            (
                alert.event.id,
                alert.lenswatch.revision,
                alert.lenswatch.last_seen.isoformat(),
                alert.event.severity,
                msgspec.json.encode(alert),
            )
            for alert in alerts
        ]
        if not rows:
            return
        with self._named(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(UPSERT, rows)
            excess = len(self) - self.max_alerts
            if excess > 0:
                self._database.execute(
                    "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts ORDER BY last_seen, id LIMIT ?)", (excess,)
                )

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

    def close(self) -> None:
        """Close the file."""
        self._database.close()
