"""A list of declared devices: CSV, our own columns or those of a NetBox export. What is wrong is one line with file and
line, and the mend.
"""

import csv
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from collector.errors import SettingsError
from collector.observation import Declared

MAX_ROWS: Final = 100_000
MAX_CELL_CHARACTERS: Final = 200
COLUMNS: Final = {
    "address": ("address", "ip", "ip_address", "cidr", "network", "prefix", "primary_ip4", "primary_ip", "primary_ip6",
                "primary_ipv4", "primary_ipv6", "ipv4_address", "ipv6_address"),
    "mac": ("mac", "mac_address", "primary_mac_address", "hardware_address"),
    "name": ("name", "device", "device_name", "hostname"),
    "site": ("site", "site_name", "location"),
    "maker": ("maker", "manufacturer", "vendor", "brand"),
    "model": ("model", "device_type", "type"),
    "owner": ("owner", "tenant", "contact"),
    "use_class": ("use_class", "use", "role", "device_role"),
}  # fmt: skip
"""Ours first; then NetBox's, as its CSV export of devices, of IP addresses and of prefixes names them."""
DeclaredList = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        metavar="FILE",
        help="CSV of the cameras that should be there (address or MAC, name, site, maker, …); differences are told.",
    ),
]
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")
_MAC: Final = re.compile(r"[0-9a-f]{12}")


def read_declared(path: Path) -> list[Declared]:
    """The rows of a file. Raises SettingsError with the first that is wrong."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start}: is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(text.splitlines(), delimiter=delimiter, strict=True)
    try:
        return list(_read(path, lines))
    except csv.Error as error:
        raise SettingsError(f"{path}: line {lines.line_num}: is no CSV: {error}; put quotes around a cell") from error


def _read(path: Path, lines: Iterator[list[str]]) -> Iterator[Declared]:
    header = [_NO_WORD.sub("_", cell.strip().casefold()).strip("_") for cell in next(lines, [])]
    places = {ours: [header.index(name) for name in names if name in header] for ours, names in COLUMNS.items()}
    if not (places["address"] or places["mac"]):
        raise SettingsError(f"{path}: line 1: no column address or mac; name the columns in the first line")
    seen: dict[str, int] = {}
    for cells in lines:
        number = lines.line_num  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in cells):
            continue
        if number > MAX_ROWS + 1:
            raise SettingsError(f"{path}: line {number}: more than {MAX_ROWS} rows; split the file by site")
        try:
            declared = _row(cells, places)
        except ValueError as error:
            raise SettingsError(f"{path}: line {number}: {error}") from error
        for what in filter(None, (declared.address, declared.network, declared.mac)):
            key = f"{declared.site} {what}"
            if key in seen:
                raise SettingsError(f"{path}: line {number}: {what} stands in line {seen[key]} too; keep one of them")
            seen[key] = number
        yield declared


def _row(cells: list[str], places: dict[str, list[int]]) -> Declared:
    """A row's cells. ValueError says what is wrong with it."""
    values: dict[str, str | None] = {}
    for column, found in places.items():
        texts = [cells[place].strip() for place in found if place < len(cells)]
        values[column] = next((text[:MAX_CELL_CHARACTERS] for text in texts if text), None)
    where, mac = values.pop("address"), values.pop("mac")
    address = network = None
    if where is not None:
        address, network = read_place(where)
    if mac is not None:
        digits = re.sub(r"[:.-]", "", mac.casefold())
        if not _MAC.fullmatch(digits):
            raise ValueError(f"{mac!r} is no MAC address; write 44:19:b6:00:00:01")
        mac = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    if where is None and mac is None:
        raise ValueError("neither an address nor a MAC; give the device one of them, or take the row out")
    return Declared(address=address, network=network, mac=mac, **values)


def read_place(text: str) -> tuple[str | None, str | None]:
    """An address, or a network. One with the length of its network, as interfaces have it (10.0.0.7/24), is that
    address; ValueError for what is neither."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither an address nor a network; write 10.0.0.7 or 10.0.0.0/24") from error
    if "/" not in text or interface.ip != interface.network.network_address or interface.network.num_addresses == 1:
        return str(interface.ip), None
    return None, str(interface.network)
