"""ASN and country of an address, from MaxMind DB files (maxminddb.org, MaxMind-DB-spec 2.0) that the operator names."""

import functools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.errors import LenswatchError, SettingsError
from collector.observation import AutonomousSystem, AutonomousSystemOrganization, Geo
from streams.processors.enrich import AddressFacts

if TYPE_CHECKING:
    import maxminddb

MAX_CACHED_ADDRESSES = 65_536
OPERATORS = Path(__file__).parent / "operators" / "operators.mmdb"
NO_NUMBER, NO_COUNTRY = "addresses_without_AS_number", "addresses_without_country"
TAKEN, REFUSED = "changed_files_taken", "changed_files_refused"


class GeoFiles:
    """Looks addresses up in an ASN and a country database, either of which may be absent: without one of AS numbers,
    those that the facts name are known all the same (`streams/operators`). Raises SettingsError.

    `counts`: how often an address's number or country was not known, and how often changed files were taken or refused.
    """

    def __init__(self, asn: Path | None, country: Path | None) -> None:
        self._paths = (asn, country)
        self._stamps = tuple(map(stamp, self._paths))
        self._asn, self._country = map(open_database, self._paths)
        self.missing = tuple(name for name, path in (("asn", asn), ("country", country)) if path is None)
        self.counts: Counter[str] = Counter()
        self.look_up = functools.lru_cache(MAX_CACHED_ADDRESSES)(self._look_up)

    def refresh(self) -> str | None:
        """Take files that have changed; what is wrong with them in a line, and then those from before are kept."""
        stamps = tuple(map(stamp, self._paths))
        if stamps == self._stamps:
            return None
        self._stamps = stamps
        try:
            self._asn, self._country = map(open_database, self._paths)
        except SettingsError as error:
            self.counts[REFUSED] += 1
            return f"{error}; the one from before is kept"
        self.counts[TAKEN] += 1
        self.look_up.cache_clear()
        return None

    def _look_up(self, address: str) -> AddressFacts:
        system = geo = None
        if self._asn is None:
            # Only now: most runs over a capture ask for nothing.
            self._asn = open_database(OPERATORS)
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
        if system is None:
            self.counts[NO_NUMBER] += 1
        if geo is None:
            self.counts[NO_COUNTRY] += 1
        return system, geo


def stamp(path: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file does: its inode, size and time; None where there is none."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


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
        # Into memory: a mapped file that somebody shortens in place takes the process down.
        reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        return Database(path, reader, reader.metadata().ip_version)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise SettingsError(f"{path}: cannot be read as a MaxMind DB file: {error}") from error
