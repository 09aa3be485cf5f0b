"""An alert and its packets as files, with a manifest of their SHA-256 that `sha256sum -c` checks (sha256sum(1))."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from collector.errors import LenswatchError
from rules.alert import Alert

ALERT_NAME, PACKETS_NAME, MANIFEST_NAME = "alert.json", "packets.pcapng", "manifest.sha256"
NAMES: Final = (ALERT_NAME, PACKETS_NAME, MANIFEST_NAME)


def write_folder(folder: Path, alert: Alert, exhibit: bytes) -> list[Path]:
    """Write the three files; none that is there is overwritten. Raises LenswatchError."""
    contents = {ALERT_NAME: msgspec.json.format(msgspec.json.encode(alert), indent=2) + b"\n", PACKETS_NAME: exhibit}
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items()]
    contents[MANIFEST_NAME] = "".join(lines).encode("ascii")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [name for name in NAMES if (folder / name).exists()]
        if there:
            raise LenswatchError(f"{folder / there[0]}: is there already and is not overwritten; name another folder")
        for name, data in contents.items():
            with (folder / name).open("xb") as file:
                file.write(data)
    except OSError as error:
        raise LenswatchError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return [folder / name for name in NAMES]
