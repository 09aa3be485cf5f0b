"""A table of the settings as the struct of its sink."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from collector.errors import SettingsError

MAX_TIMEOUT_SECONDS: Final = 60
Table = TypeVar("Table", bound=msgspec.Struct)


def read_table(kind: type[Table], table: Mapping[str, Any]) -> Table:
    """The struct of a table, without its key `kind`. Raises SettingsError, naming the key."""
    given = {key: value for key, value in table.items() if key != "kind"}
    try:
        return msgspec.convert(given, kind, dec_hook=read_path)
    except (msgspec.ValidationError, ValueError) as error:
        raise SettingsError(str(error)) from error


def check_timeout(seconds: float) -> None:
    """Raises ValueError for a `timeout_seconds` that would be none, or hold up what waits behind."""
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise ValueError(f"timeout_seconds is not above 0 and up to {MAX_TIMEOUT_SECONDS}")


def read_path(kind: type, value: object) -> Path:
    """A path from its text."""
    if kind is not Path or not isinstance(value, str) or not value:
        raise ValueError(f"Expected the path of a file, got {value!r}")
    return Path(value).expanduser()
