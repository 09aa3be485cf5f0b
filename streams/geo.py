"""ASN and country of an address, from MaxMind DB files (maxminddb.org, MaxMind-DB-spec 2.0) that the operator names."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.errors import LenswatchError, SettingsError
from collector.observation import AutonomousSystem, AutonomousSystemOrganization, Geo
from streams.processors.enrich import AddressFacts

if TYPE_CHECKING:
    import maxminddb

MAX_CACHED_ADDRESSES = 65_536


class GeoFiles:
    """Looks addresses up in an ASN and a country database, either of which may be absent. Raises SettingsError."""

    def __init__(self, asn: Path | None, country: Path | None) -> None:
        self._asn, self._country = open_database(asn), open_database(country)
        self.look_up = functools.lru_cache(MAX_CACHED_ADDRESSES)(self._look_up)

    @property
    def present(self) -> bool:
        """Whether there is any database to ask."""
        return self._asn is not None or self._country is not None

    def _look_up(self, address: str) -> AddressFacts:
        system = geo = None
        found = ask(self._asn, address)
        if isinstance(found, dict) and isinstance(found.get("autonomous_system_number"), int):
            name = found.get("autonomous_system_organization")
            organization = AutonomousSystemOrganization(name=name) if isinstance(name, str) else None
            system = AutonomousSystem(number=found["autonomous_system_number"], organization=organization)
        found = ask(self._country, address)
        if isinstance(found, dict):
            inner = found.get("country")
            code = inner.get("iso_code") if isinstance(inner, dict) else found.get("country_code")
            geo = Geo(country_iso_code=code) if isinstance(code, str) else None
        return system, geo


class Database(NamedTuple):
    """An open MaxMind DB file. `ip_version` 4: it holds no IPv6 addresses."""

    path: Path
    reader: "maxminddb.Reader"
    ip_version: int


def ask(database: Database | None, address: str) -> Any:
    """The record of an address, None where there is none. Raises LenswatchError at a broken file."""
    if database is None or (database.ip_version == 4 and ":" in address):
        return None
    import maxminddb

    try:
        return database.reader.get(address)
    except (ValueError, maxminddb.InvalidDatabaseError) as error:
        raise LenswatchError(
            f"{database.path}: cannot be asked about {address}: {error}; get the file again"
        ) from error


def open_database(path: Path | None) -> Database | None:
    """A MaxMind DB file, or None for no path. Raises SettingsError that names the file."""
    if path is None:
        return None
    import maxminddb

    try:
        reader = maxminddb.open_database(path, maxminddb.MODE_MMAP)
        return Database(path, reader, reader.metadata().ip_version)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise SettingsError(f"{path}: cannot be read as a MaxMind DB file: {error}") from error
