"""Observations as JSON lines: one ECS document a line, to a file or to standard output ("-")."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from collector.errors import LenswatchError
from collector.observation import Observation


class JsonLines:
    """Writes a line a document. Raises LenswatchError when the file cannot be written, BrokenPipeError when the reader
    of a pipe has left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._encoder = msgspec.json.Encoder()
        try:
            self._stream: BinaryIO = sys.stdout.buffer if name == "-" else Path(name).open("wb")  # noqa: SIM115
        except OSError as error:
            raise LenswatchError(f"{name}: cannot be written: {error.strerror}") from error

    def publish(self, observations: Sequence[Observation]) -> None:
        """Write the observations and flush them."""
        self.write(observations)

    def write(self, documents: Sequence[msgspec.Struct]) -> None:
        """Write documents of any kind and flush them."""
        if not documents:
            return
        try:
            self._stream.write(self._encoder.encode_lines(documents))
            self._stream.flush()
        except BrokenPipeError:
            # Whoever read the lines has enough of them; that is no failure to tell of.
            raise
        except OSError as error:
            raise LenswatchError(f"{self.name}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self.name != "-":
            try:
                self._stream.close()
            except OSError as error:
                raise LenswatchError(f"{self.name}: cannot be written: {error.strerror}") from error
