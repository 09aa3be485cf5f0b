"""Files that hold a secret: used only where not every user of the machine may read them."""

import os
import stat
from pathlib import Path

from collector.errors import SettingsError


def read_private(path: Path, most_bytes: int, place: str) -> bytes:
    """The first bytes of a file that not everybody may read; `place` names key and file. Raises SettingsError, which
    never shows what is in it."""
    try:
        with path.open("rb") as file:
            # The very file that is read, whatever takes its place meanwhile.
            mode, content = os.fstat(file.fileno()).st_mode, file.read(most_bytes)
    except OSError as error:
        raise SettingsError(f"{place} cannot be read: {error.strerror}") from error
    if mode & stat.S_IROTH:
        raise SettingsError(f"{place} can be read by every user of this machine: chmod 600 {path}")
    return content
