"""Opening what is kept in SQLite, the same for the alerts and for what waits for the sinks."""

import sqlite3
from pathlib import Path
from typing import Final

LOCK_SECONDS: Final = 10


def open_database(path: Path, schema: str, several_threads: bool = False) -> sqlite3.Connection:
    """A file of this schema, made with its folder where it is missing, for several processes. Raises OSError and
    sqlite3.Error.

    A power cut may cost the last changes, never the file: who needs the last as well says so to the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=not several_threads)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(schema)
    except sqlite3.Error:
        database.close()
        raise
    return database
