"""Alerts as JSON lines, one revision a line, added to a file or to standard output ("-")."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from collector.errors import LenswatchError
from rules.alert import Alert


class AlertLines:
    """Adds a line a revision. Raises LenswatchError when the file cannot be written."""

    name = "jsonl"

    def __init__(self, path: str) -> None:
        self.path = path
        self._encoder = msgspec.json.Encoder()
        try:
            self._stream: BinaryIO = sys.stdout.buffer if path == "-" else Path(path).open("ab")  # noqa: SIM115
            if path != "-" and Path(path).is_file():
                self._end_a_torn_line()
        except OSError as error:
            raise LenswatchError(f"{path}: cannot be written: {error.strerror}") from error

    def _end_a_torn_line(self) -> None:
        """A process that was killed may have left half a line, which must not swallow the next."""
        if self._stream.tell():
            with Path(self.path).open("rb") as written:
                written.seek(-1, os.SEEK_END)
                if written.read(1) != b"\n":
                    self._stream.write(b"\n")

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """See `Sink.deliver`."""
        try:
            self._stream.write(self._encoder.encode_lines(alerts))
            self._stream.flush()
        except OSError as error:
            raise LenswatchError(f"{self.path}: cannot be written: {error.strerror}") from error

    async def close(self) -> None:
        """Close the file; standard output stays open."""
        if self.path != "-":
            self._stream.close()
