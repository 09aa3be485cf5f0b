"""Files that hold a secret: used only where not every user of the machine may read them."""

import os
import stat
from pathlib import Path

from collector.errors import SettingsError


def refuse_readable(path: Path, mode: int, key: str) -> None:
    """Raises SettingsError where a file of this mode (`st_mode`) may be read by every user; `key` is what names it."""
    if mode & stat.S_IROTH:
        raise SettingsError(f"{key} {path} can be read by every user of this machine: chmod 600 {path}")


def read_private(path: Path, most_bytes: int, key: str) -> bytes:
    """The first bytes of a file that not everybody may read. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            # The very file that is read, whatever takes its place meanwhile.
            refuse_readable(path, os.fstat(file.fileno()).st_mode, key)
            return file.read(most_bytes)
    except OSError as error:
        raise SettingsError(f"{key} {path} cannot be read: {error.strerror}") from error
