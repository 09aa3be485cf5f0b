"""Who has looked at which alert, and what they said: a line of JSON each, added and never changed, so that it can be
read years later. The last line on an alert counts."""

import datetime
from pathlib import Path
from typing import Final

import msgspec

from collector.errors import LenswatchError

FILE_NAME: Final = "acks.jsonl"
MAX_TEXT: Final = 2_000


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"timestamp": "@timestamp"}):
    """`by` has seen the alert `id` at its `revision`."""

    timestamp: datetime.datetime
    id: str
    revision: int
    by: str
    note: str = ""


def add_ack(folder: Path, ack: Ack) -> None:
    """Keep one. Raises LenswatchError."""
    if not ack.by.strip() or len(ack.by) > MAX_TEXT or len(ack.note) > MAX_TEXT:
        raise LenswatchError(f"--by and --note: say who, in up to {MAX_TEXT} characters each")
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(msgspec.json.encode(ack) + b"\n")
    except OSError as error:
        raise LenswatchError(f"{path}: cannot be written: {error.strerror}") from error


def read_acks(folder: Path) -> dict[str, Ack]:
    """The last of each alert, by its id. Raises LenswatchError that names file and line."""
    path, found = folder / FILE_NAME, {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        ack = msgspec.json.decode(line, type=Ack)
                    except msgspec.DecodeError as error:
                        raise LenswatchError(f"{path}:{number}: {error}; mend or remove the line") from error
                    found[ack.id] = ack
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LenswatchError(f"{path}: cannot be read: {error.strerror}") from error
    return found
