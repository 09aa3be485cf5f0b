"""ASN and country of an address, from MaxMind DB files (maxminddb.org, MaxMind-DB-spec 2.0) that the operator names."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.errors import SettingsError
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
        found: Any = self._asn.get(address) if self._asn is not None else None
        if isinstance(found, dict) and isinstance(found.get("autonomous_system_number"), int):
            name = found.get("autonomous_system_organization")
            organization = AutonomousSystemOrganization(name=name) if isinstance(name, str) else None
            system = AutonomousSystem(number=found["autonomous_system_number"], organization=organization)
        found = self._country.get(address) if self._country is not None else None
        if isinstance(found, dict):
            inner = found.get("country")
            code = inner.get("iso_code") if isinstance(inner, dict) else found.get("country_code")
            geo = Geo(country_iso_code=code) if isinstance(code, str) else None
        return system, geo


def open_database(path: Path | None) -> "maxminddb.Reader | None":
    """A MaxMind DB file, or None for no path. Raises SettingsError that names the file."""
    if path is None:
        return None
    import maxminddb

    try:
        return maxminddb.open_database(path, maxminddb.MODE_MMAP)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise SettingsError(f"{path}: cannot be read as a MaxMind DB file: {error}") from error
