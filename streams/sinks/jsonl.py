"""Alerts as JSON lines, one revision a line, added to a file or to standard output ("-"). A file that would grow past a
bound is put aside as FILE.1, that one as FILE.2, and so on; log shippers know this from logrotate."""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from collector.errors import LenswatchError, SettingsError
from rules.alert import Alert
from streams.dispatch.tables import read_table
from streams.sinks.sink import Sink, Undelivered


class AlertLinesTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind jsonl: a line a revision."""

    path: Path
    """The file."""
    max_bytes: int = 100_000_000
    """A file that would be longer is put aside; 0: never."""
    keep: int = 5
    """How many of those that were put aside stay."""

    def __post_init__(self) -> None:
        if self.max_bytes < 0 or self.keep < 1:
            raise ValueError("max_bytes is less than 0, or keep less than 1")


class AlertLines(Sink):
    """Adds a line a revision. Raises LenswatchError when the file cannot be opened."""

    kind, table = "jsonl", AlertLinesTable
    max_batch, lanes = 500, 1

    def __init__(self, path: str, name: str = "jsonl", max_bytes: int = 0, keep: int = 1) -> None:
        self.path, self.name, self.address = path, name, path
        self._max_bytes, self._keep = max_bytes, keep
        self._encoder, self._is_torn = msgspec.json.Encoder(), False
        self._open()

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        read = read_table(AlertLinesTable, table)
        try:
            return cls(str(read.path), name, read.max_bytes, read.keep)
        except LenswatchError as error:
            raise SettingsError(f"path {error}") from error

    def _open(self) -> None:
        """Raises LenswatchError."""
        try:
            # Without a buffer, so that a write which failed leaves nothing behind that comes out later.
            self._stream: BinaryIO | FileIO = (
                sys.stdout.buffer if self.path == "-" else Path(self.path).open("ab", buffering=0)  # noqa: SIM115
            )
            if self._is_file and self._stream.tell():
                with Path(self.path).open("rb") as written:
                    written.seek(-1, os.SEEK_END)
                    # A process that was killed may have left half a line, which must not swallow the next.
                    self._is_torn = written.read(1) != b"\n"
        except OSError as error:
            raise LenswatchError(f"{self.path}: cannot be written: {error.strerror}") from error

    @property
    def _is_file(self) -> bool:
        return self.path != "-" and Path(self.path).is_file()

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`."""
        lines = self._encoder.encode_lines(alerts)
        try:
            if self.path != "-":
                self._follow(len(lines))
            self._write(b"\n" + lines if self._is_torn and lines else lines)
        except (OSError, ValueError, LenswatchError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Undelivered(f"{self.path}: cannot be written: {reason}") from error
        return f"{len(alerts)} written"

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            count = self._stream.write(left) or 0
            self._is_torn = bytes(left[:count]).endswith(b"\n") is False
            left = left[count:]
        self._stream.flush()

    def _follow(self, size: int) -> None:
        """Put the file aside when it is full, and go on in the file of this name when others have moved it."""
        stream = self._stream
        try:
            there = os.stat(self.path)  # noqa: PTH116 (for every few alerts: a Path takes as long as the question)
        except FileNotFoundError:
            there = None
        if stream.closed or there is None or not os.path.samestat(there, os.fstat(stream.fileno())):
            stream.close()
            self._open()
        elif self._max_bytes and stat.S_ISREG(there.st_mode) and 0 < there.st_size > self._max_bytes - size:
            stream.close()
            for number in range(self._keep - 1, 0, -1):
                older = Path(f"{self.path}.{number}")
                if older.exists():
                    older.replace(f"{self.path}.{number + 1}")
            Path(self.path).replace(f"{self.path}.1")
            self._open()

    async def probe(self) -> None:
        """See `Sink.probe`: a file is there, or the next write says why not."""

    async def close(self) -> None:
        """Close the file; standard output stays open."""
        if self.path != "-":
            self._stream.close()
