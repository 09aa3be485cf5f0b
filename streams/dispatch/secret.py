"""What the settings must not say themselves: secrets, from a file that not everybody can read or the environment."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from collector.errors import SettingsError
from collector.secret import read_private

MAX_FILE_BYTES: Final = 4096

Value = TypeVar("Value")


class Secret(Generic[Value]):
    """A secret, as `read` understands its text; `read` is told the place for its SettingsError, and shows no secret.

    `name` is that of the settings' keys: `NAME_file` and `NAME_env`, one of which is given. A changed file counts at
    once, and one that has become wrong does not count.
    """

    def __init__(self, name: str, file: Path | None, variable: str | None, read: Callable[[str, str], Value]) -> None:
        if (file is None) == (variable is None):
            raise SettingsError(f"{name}_file and {name}_env: name one of them")
        self._name, self._file, self._read = name, file, read
        self._value, self._read_at = self._load(variable), self._changed_at()

    def _load(self, variable: str | None = None) -> Value:
        """Raises SettingsError."""
        if self._file is not None:
            place = f"{self._name}_file {self._file}"
            return self._read(read_file(self._file, f"{self._name}_file"), place)
        place, text = f"{self._name}_env {variable}", os.environ.get(variable or "")
        if text is None:
            raise SettingsError(f"{place}: there is no such environment variable")
        return self._read(text, place)

    def _changed_at(self) -> int | None:
        try:
            return None if self._file is None else self._file.stat().st_mtime_ns
        except OSError:
            return None

    def current(self) -> Value:
        """The secret in force."""
        changed = self._changed_at()
        if changed != self._read_at:
            try:
                self._value, self._read_at = self._load(), changed
            except SettingsError:
                return self._value
        return self._value


def read_file(path: Path, key: str) -> str:
    """The text of a file of secrets, which `key` names. Raises SettingsError, also where everybody may read it."""
    try:
        return read_private(path, MAX_FILE_BYTES, key).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{key} {path} cannot be read: it holds what is no secret") from error


def read_word(text: str, place: str) -> str:
    """A secret that is one word of printable ASCII, fit for a header. Raises SettingsError."""
    words = text.split()
    if len(words) != 1 or not (words[0].isascii() and words[0].isprintable()):
        raise SettingsError(f"{place}: holds {len(words)} words, or other than ASCII; it is to hold the secret alone")
    return words[0]


def read_line(text: str, place: str) -> str:
    """A secret that is one line, with blanks in it as may be. Raises SettingsError."""
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0] or not lines[0].isprintable():
        raise SettingsError(f"{place}: holds {len(lines)} lines, or what cannot be printed; one line is the secret")
    return lines[0]


def basic_password(username: str, file: Path | None, variable: str | None) -> Secret[str]:
    """The password of a user, as the header of HTTP's Basic authentication (RFC 7617). Raises SettingsError."""
    if ":" in username:
        raise SettingsError("username holds a colon, which HTTP cannot tell from the password's")

    def read(text: str, place: str) -> str:
        return "Basic " + base64.b64encode(f"{username}:{read_line(text, place)}".encode()).decode()

    return Secret("password", file, variable, read)
