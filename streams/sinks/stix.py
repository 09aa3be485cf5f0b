"""Alerts as STIX 2.1 bundles in a folder, for a platform that imports files: a file a delivery, named by its bundle.

A file is there whole or not at all. The same alerts again are the same file again.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from collector.errors import SettingsError
from rules.alert import Alert
from streams.dispatch.tables import read_table
from streams.dispatch.turns import in_turns
from streams.formats.stix import each_once, sighting_objects, write_bundle
from streams.processors.canary import is_canary, is_test
from streams.sinks.sink import Sink, Undelivered

MAX_BATCH: Final = 100
ENDING: Final = ".json"


class StixTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind stix: STIX 2.1 bundles in a folder."""

    folder: Path
    """Where the files are written; whoever reads them takes them away."""
    max_files: int = 10_000
    """While so many lie there, nothing is added, and the alerts wait."""

    def __post_init__(self) -> None:
        if self.max_files < 1:
            raise ValueError("max_files is less than 1")


class StixBundles(Sink):
    """Writes a bundle of some alerts at a time."""

    kind, table = "stix", StixTable
    max_batch, lanes = MAX_BATCH, 1

    def __init__(self, name: str, table: StixTable) -> None:
        self.name, self._table = name, table
        self.address = str(table.folder)
        if not table.folder.is_dir() or not os.access(table.folder, os.W_OK):
            raise SettingsError(f"folder {table.folder} is no folder that can be written")

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(StixTable, table))

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`. Of several revisions of a finding the last says all, and importers want an id once. A
        canary is no sighting; one that a person asked for is written."""
        last = {alert.event.id: alert for alert in alerts if is_test(alert) or not is_canary(alert)}
        if not last:
            await self.probe()
            return "there is room, and a canary is no sighting"
        bundle = write_bundle(each_once(await in_turns(sighting_objects, last.values())))
        path = self._table.folder / f"{bundle['id']}{ENDING}"
        try:
            if not path.exists():
                await self.probe()
            write_whole(path, msgspec.json.encode(bundle))
        except OSError as error:
            raise Undelivered(f"{path}: cannot be written: {error.strerror or error}") from error
        return f"{path.name} written"

    async def probe(self) -> None:
        """See `Sink.probe`: whether there is room for a file."""
        folder, most = self._table.folder, self._table.max_files
        try:
            with os.scandir(folder) as entries:
                count = sum(entry.name.endswith(ENDING) for entry in entries)
        except OSError as error:
            raise Undelivered(f"{folder}: cannot be read: {error.strerror or error}") from error
        if count >= most:
            raise Undelivered(f"{folder}: {count} bundles wait there, and nobody takes them")

    async def close(self) -> None:
        """See `Taker.close`."""


def write_whole(path: Path, data: bytes) -> None:
    """A file that nobody sees before it is whole and on the disk. Raises OSError."""
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
