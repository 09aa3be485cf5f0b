"""Batches on disk until Kafka has them: one SQLite file that outlives a dead broker, a kill and a power cut.

A batch is a row, compressed; what `put` returned from is on the disk (WAL, synchronous=FULL). The spool is bounded by
bytes and age, and the oldest go first. What a disk cannot take is counted and the capture goes on. A broken file is
read up to its last good row, put aside, and begun anew.
"""

import contextlib
import fcntl
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, NamedTuple

import msgspec
import zstandard

from collector.batches import Batch
from collector.errors import LenswatchError
from collector.record import MAX_VALUE_BYTES, ZSTD_LEVEL, RecordHead

FILE_NAME, LOCK_NAME = "spool.sqlite", "spool.lock"
BROKEN_SUFFIX, NEW_SUFFIX = ".broken", ".new"
MIN_BYTES = 1 << 20
WAL_BYTES = 16 << 20
EVICTED_ROWS = 64
# On a disk that is nearly full, small batches still fit now and then.
CALM_SECONDS = 3.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, created REAL NOT NULL, sensor TEXT NOT NULL,
    boot_id TEXT NOT NULL, seq INTEGER NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_by_partition ON batches (partition, id);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
INSERT = "INSERT INTO batches (partition, created, sensor, boot_id, seq, count, bytes, value) VALUES (?,?,?,?,?,?,?,?)"
COLUMNS = "id, partition, created, sensor, boot_id, seq, count, bytes, value"
NEXT = f"SELECT {COLUMNS} FROM batches WHERE partition = ? AND id > ? ORDER BY id LIMIT 1"
LAST_ID = "SELECT seq FROM sqlite_sequence WHERE name = 'batches'"
KEEP = "INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
COUNTS = "SELECT coalesce(sum(bytes), 0), count(*), coalesce(sum(count), 0), coalesce(min(created), 0) FROM batches"

Reason = Literal["full", "age", "disk", "corrupt", "refused", "too_large"]


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[spool]`: where a collector's batches wait for Kafka, and how much and how long at most."""

    folder: Path | None = None
    """Where the spool lies; default: `spool` in the user's state folder."""
    max_bytes: int = 1 << 30
    """How much may wait, compressed; then the oldest go. The file may be a little larger."""
    max_age_seconds: float = 7 * 86_400
    """How long a batch may wait."""
    drain_seconds: float = 10
    """How long is sent on at the end; what is left waits for the next start."""

    def __post_init__(self) -> None:
        if self.max_bytes < MIN_BYTES:
            raise ValueError(f"spool.max_bytes is less than {MIN_BYTES}")
        if self.max_age_seconds <= 0 or self.drain_seconds < 0:
            raise ValueError("spool.max_age_seconds and spool.drain_seconds are not above 0")


class Row(NamedTuple):
    """A batch as it lies in the spool; `created` in seconds since 1970, `value` compressed."""

    id: int
    partition: int
    created: float
    sensor: str
    boot_id: str
    seq: int
    observations: int
    size_bytes: int
    value: bytes

    @property
    def head(self) -> RecordHead:
        """The record's headers."""
        return RecordHead(sensor=self.sensor, boot_id=self.boot_id, seq=self.seq, count=self.observations)

    def open(self) -> bytes:
        """The record's value. Raises zstandard.ZstdError when the bytes are not what was written."""
        if zstandard.frame_content_size(self.value) > MAX_VALUE_BYTES:
            raise zstandard.ZstdError("the frame claims more than a record can hold")
        return zstandard.ZstdDecompressor().decompress(self.value)

    @property
    def is_whole(self) -> bool:
        """Whether the bytes are what was written."""
        try:
            self.open()
        except (zstandard.ZstdError, TypeError):
            return False
        return True


class Spool:
    """The spool in `folder`, for one collector and its threads. `tell` takes words for a person.

    `batches`, `observations` and `bytes` are what it holds; `dropped` counts observations by reason, and
    `dropped_batches` batches. `last_packet_ns` is the packet time up to which the last run had handed over, None when
    there was none; `ended_cleanly` says whether that run had closed the spool.
    """

    def __init__(
        self, folder: Path, settings: SpoolSettings, partitions: int, tell: Callable[[str], None] = lambda words: None
    ) -> None:
        self.path, self.settings, self._partitions, self._tell = folder / FILE_NAME, settings, partitions, tell
        self.dropped: Counter[str] = Counter()
        self.dropped_batches: Counter[str] = Counter()
        self.recovered = False
        self._lock = threading.RLock()
        self._taken: set[int] = set()
        self._finished: list[int] = []
        self._compress = zstandard.ZstdCompressor(ZSTD_LEVEL, write_checksum=True).compress
        self._failed_at: float | None = None
        self._last_id = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._claim: IO[bytes] = (folder / LOCK_NAME).open("wb")
        except OSError as error:
            raise LenswatchError(
                f"{folder}: the spool cannot be written: {error.strerror}; name another folder at [spool] folder"
            ) from error
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._open()
        except BlockingIOError as error:
            self._claim.close()
            raise LenswatchError(
                f"{folder}: another collector uses this spool; name another folder at [spool] folder"
            ) from error
        except BaseException:
            self._claim.close()
            raise

    def _open(self) -> None:
        try:
            try:
                self._database = connect(self.path, checked=True)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._recover(error)
            self._begin()
        except sqlite3.DatabaseError as error:
            raise LenswatchError(f"{self.path}: the spool cannot be opened: {error}") from error

    def _begin(self) -> None:
        state = dict(self._database.execute("SELECT name, value FROM state"))
        last = self._database.execute(LAST_ID).fetchone()
        self._last_id = last[0] if last is not None else 0
        self.last_packet_ns = state.get("last_packet_ns")
        self.ended_cleanly = bool(state.get("clean", 1))
        self._count()
        before = state.get("partitions", self._partitions)
        if before != self._partitions and self.batches:
            self._database.close()
            raise LenswatchError(
                f"{self.path}: holds {self.batches} batches for {before} partitions, and kafka.partitions is "
                f"{self._partitions}: set it to {before} until they are sent, or move the file away"
            )
        with self._commit():
            self._database.execute(KEEP, ("partitions", self._partitions))
            self._database.execute(KEEP, ("clean", 0))

    def _count(self) -> None:
        self.bytes: int
        self.batches: int
        self.observations: int
        self.oldest: float
        self.bytes, self.batches, self.observations, self.oldest = self._database.execute(COUNTS).fetchone()

    @contextlib.contextmanager
    def _commit(self) -> Iterator[None]:
        """A transaction; rolled back at an error."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def put(self, sensor: str, boot_id: str, seq: int, batches: Sequence[Batch], packet_ns: int, at: float) -> int:
        """Keep batches, the first numbered `seq`; they are on disk when this returns. Answers how many were kept: all,
        or none when the disk takes no more, which is counted and told. `packet_ns` is the packet time up to which
        everything is handed over with them, `at` the time in seconds since 1970."""
        rows = []
        for number, batch in enumerate(batches, seq):
            packed = self._compress(batch.value)
            rows.append((batch.partition, at, sensor, boot_id, number, batch.count, len(packed), packed))
        observations = sum(batch.count for batch in batches)
        with self._lock:
            if not self._write(lambda: self._insert(rows, packet_ns), f"{observations} observations are lost"):
                self._drop("disk", len(rows), observations)
                return 0
            if not self.batches:
                self.oldest = at
            self.bytes += sum(row[6] for row in rows)
            self.batches += len(rows)
            self.observations += observations
            if self.bytes > self.settings.max_bytes:
                self._write(self._evict, "the spool stays over its bound for now")
            return len(rows)

    def _insert(self, rows: Sequence[tuple[object, ...]], packet_ns: int) -> None:
        with self._commit():
            self._delete(self._finished)
            self._database.executemany(INSERT, rows)
            self._database.execute(KEEP, ("last_packet_ns", packet_ns))
        self._finished.clear()
        self._last_id += len(rows)

    def _write(self, write: Callable[[], None], loss: str) -> bool:
        """Whether a write went well. A full disk may take it once the log is folded into the file: then it is tried
        again."""
        for again in (True, False):
            try:
                write()
            except sqlite3.DatabaseError as error:
                if again:
                    self._mend(error)
                    continue
                if self._failed_at is None:
                    self._tell(f"{self.path}: the spool cannot be written: {error}; {loss}; the capture goes on")
                self._failed_at = time.monotonic()
            else:
                if self._failed_at is not None and time.monotonic() - self._failed_at > CALM_SECONDS:
                    self._tell(f"{self.path}: the spool can be written again")
                    self._failed_at = None
                return True
        return False

    def _mend(self, error: sqlite3.DatabaseError) -> None:
        """After a failure: make room, by folding the log into the file or, when all was sent, by a new file (a full
        disk takes not even a deletion); or read a broken file into a new one."""
        with contextlib.suppress(sqlite3.Error, OSError):
            if not isinstance(error, sqlite3.OperationalError):
                self._database.close()
                self._recover(error)
                self._count()
            elif self.batches or not self._finished:
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            else:
                self._database.close()
                remove(self.path)
                self._database = connect(self.path, checked=False)
                self._start_file({"partitions": self._partitions, "clean": 0})
                self._finished.clear()

    def _start_file(self, state: dict[str, int]) -> None:
        """What a new file begins with. Ids go on where they were, so that whoever takes in order misses none."""
        with self._commit():
            self._database.execute("DELETE FROM sqlite_sequence")
            self._database.execute("INSERT INTO sqlite_sequence VALUES ('batches', ?)", (self._last_id,))
            self._database.executemany(KEEP, [*state.items(), ("clean", 0)])

    @property
    def is_writable(self) -> bool:
        """Whether every write of late went well."""
        return self._failed_at is None

    def _delete(self, ids: Iterable[int]) -> None:
        self._database.executemany("DELETE FROM batches WHERE id = ?", ((each,) for each in ids))

    def _evict(self) -> None:
        """The oldest go until the bound is kept, but for those that are on their way."""
        while self.bytes > self.settings.max_bytes:
            rows = self._database.execute(
                "SELECT id, bytes, count FROM batches ORDER BY id LIMIT ?", (EVICTED_ROWS + len(self._taken),)
            )
            if not self._let_go([row for row in rows if row[0] not in self._taken], "full", self.settings.max_bytes):
                return
        self._find_oldest()

    def _let_go(self, rows: Sequence[tuple[int, int, int]], reason: Reason, down_to_bytes: int) -> int:
        """Drop rows (id, bytes, count), the first first, while more than `down_to_bytes` are held; how many went."""
        gone, held = [], self.bytes
        for row in rows:
            if held <= down_to_bytes:
                break
            gone.append(row)
            held -= row[1]
        with self._commit():
            self._delete(row[0] for row in gone)
        self._forget(gone)
        self._drop(reason, len(gone), sum(row[2] for row in gone))
        return len(gone)

    def _forget(self, rows: Sequence[tuple[int, int, int]]) -> None:
        self.bytes -= sum(row[1] for row in rows)
        self.batches -= len(rows)
        self.observations -= sum(row[2] for row in rows)

    def _drop(self, reason: Reason, batches: int, observations: int) -> None:
        self.dropped_batches[reason] += batches
        self.dropped[reason] += observations

    def tend(self, packet_ns: int, at: float) -> None:
        """What is to be done now and then: forget what was sent, let go what is too old, note the packet time."""

        def write() -> None:
            self._insert((), packet_ns)
            oldest = at - self.settings.max_age_seconds
            if self.batches and self.oldest < oldest:
                rows = self._database.execute("SELECT id, bytes, count FROM batches WHERE created < ?", (oldest,))
                self._let_go([row for row in rows if row[0] not in self._taken], "age", -1)
            self._find_oldest()

        with self._lock:
            self._write(write, "nothing is lost by it")

    def _find_oldest(self) -> None:
        row = self._database.execute("SELECT created FROM batches ORDER BY id LIMIT 1").fetchone()
        self.oldest = row[0] if row is not None else 0.0

    def take(self, partition: int, after: int) -> Row | None:
        """The partition's next batch with an id above `after`; it is not let go until `finish` or `release`."""
        with self._lock:
            try:
                found = self._database.execute(NEXT, (partition, after)).fetchone()
            except sqlite3.DatabaseError as error:
                self._mend(error)
                return None
            if found is None:
                return None
            row = Row._make(found)
            self._taken.add(row.id)
            return row

    def finish(self, row: Row, reason: Reason | None = None) -> None:
        """The batch is done with: sent, or dropped for a reason. It leaves the disk with the next write."""
        with self._lock:
            self._taken.discard(row.id)
            self._finished.append(row.id)
            self._forget([(row.id, row.size_bytes, row.observations)])
            if reason is not None:
                self._drop(reason, 1, row.observations)

    def release(self, rows: Iterable[Row]) -> None:
        """These were not sent after all."""
        with self._lock:
            self._taken.difference_update(row.id for row in rows)

    def close(self) -> None:
        """Close the file; what it holds is there for the next start."""
        with self._lock:
            with contextlib.suppress(sqlite3.Error), self._commit():
                self._delete(self._finished)
                self._database.execute(KEEP, ("clean", 1))
            self._database.close()
            self._claim.close()

    def _recover(self, error: sqlite3.DatabaseError) -> None:
        """Read a broken file up to its last good row into a new one, and put it aside."""
        new, broken = self.path.with_suffix(NEW_SUFFIX), self.path.with_suffix(BROKEN_SUFFIX)
        remove(new)
        self._database = connect(new, checked=False)
        kept, spoilt, reached, state = 0, 0, 0, {"partitions": self._partitions}
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(self.path)) as old:
            with contextlib.suppress(sqlite3.DatabaseError):
                state |= dict(old.execute("SELECT name, value FROM state"))
            with contextlib.suppress(sqlite3.DatabaseError):
                self._last_id = max(self._last_id, old.execute(LAST_ID).fetchone()[0])
            with self._commit():
                for row in readable_rows(old, set(self._finished)):
                    reached = row.id
                    if row.is_whole:
                        self._database.execute(f"INSERT INTO batches ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", row)
                        kept += 1
                    else:
                        spoilt += 1
        self._last_id = max(self._last_id, reached)
        self._start_file(state)
        self._database.close()
        remove(broken)
        self.path.replace(broken)
        remove(self.path)
        new.replace(self.path)
        self._database = connect(self.path, checked=False)
        self._finished.clear()
        self.recovered, lost = True, self._last_id - reached + spoilt
        self._drop("corrupt", lost, 0)
        self._tell(
            f"{self.path}: the spool is broken ({error}): {kept} batches were read up to the last good row, "
            f"{f'at most {lost}' if self._last_id else 'an unknown number'} are lost; the broken file is {broken.name}"
        )


def count_waiting(folder: Path) -> int:
    """How many observations wait in the spool of a folder, which may be in use. Raises LenswatchError."""
    path = folder / FILE_NAME
    if not path.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return int(database.execute(COUNTS).fetchone()[2])
    except sqlite3.Error as error:
        raise LenswatchError(f"{path}: the spool cannot be read: {error}; collecting will mend it") from error


def connect(path: Path, checked: bool) -> sqlite3.Connection:
    """The file as a spool. Raises sqlite3.DatabaseError when it is broken, OperationalError when it cannot be used."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if checked:
            answer = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if answer != "ok":
                raise sqlite3.DatabaseError(str(answer).splitlines()[-1])
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        database.executescript(SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def readable_rows(database: sqlite3.Connection, finished: set[int]) -> Iterator[Row]:
    """The rows in order, up to the first that cannot be read, without those that are done with."""
    with contextlib.suppress(sqlite3.DatabaseError):
        for row in map(Row._make, database.execute(f"SELECT {COLUMNS} FROM batches ORDER BY id")):
            if row.id not in finished:
                yield row


def remove(path: Path) -> None:
    """Remove a SQLite file and what belongs to it, as far as it is there."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
