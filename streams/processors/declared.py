"""What is declared to be there against what is seen: cameras that nobody declared, declared devices that are silent,
and makers that are not as declared. Pure: a register is told what is observed, and answers with observations.
"""

import datetime
import hashlib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from collector.observation import (
    CAMERA_KINDS,
    DEVICE_DATASET,
    Declared,
    Device,
    DeviceIdentity,
    Endpoint,
    Event,
    Lenswatch,
    Network,
    Observation,
    Observer,
)

DATASET: Final = "lenswatch.inventory"
UNDECLARED, SILENT, MAKER_DIFFERS = "undeclared", "silent", "maker differs"
SILENT_SECONDS: Final = 86_400.0
MIN_CAMERA: Final = 0.5
MIN_MAKER: Final = 0.7
MAX_TOLD: Final = 100_000
LOOKS_A_SPAN: Final = 24
"""So often in the time for which a device may be silent, all rows are looked at."""
_NO_LETTER: Final = re.compile(r"[^a-z0-9]+")

AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Row:
    """A declared device, or a network of such, and when it was last seen (packet time)."""

    __slots__ = ("declared", "network", "seen", "told_silent")

    def __init__(self, declared: Declared, network: AnyNetwork | None = None) -> None:
        self.declared, self.network = declared, network
        self.seen: datetime.datetime | None = None
        self.told_silent = False


class Register:
    """Everything that is declared. `counts` says what was seen of it, and which differences were told."""

    def __init__(self, rows: Sequence[Declared], silent_seconds: float = SILENT_SECONDS) -> None:
        self.silent_seconds = silent_seconds
        self.counts: Counter[str] = Counter()
        self.rows: list[Row] = []
        self._by_hardware: dict[str, Row] = {}
        self._by_address: dict[str, Row] = {}
        self._networks: list[Row] = []
        self._told: dict[tuple[str, str], None] = {}
        self._began: datetime.datetime | None = None
        self._look_at: datetime.datetime | None = None
        for declared in rows:
            self._add(declared)
        self._networks.sort(key=lambda row: -row.network.prefixlen if row.network is not None else 0)

    def _add(self, declared: Declared) -> None:
        network = ipaddress.ip_network(declared.network) if declared.network is not None else None
        row = Row(declared, network)
        self.rows.append(row)
        if declared.mac is not None:
            self._by_hardware[declared.mac] = row
        if declared.address is not None:
            self._by_address[declared.address] = row
        if network is not None:
            self._networks.append(row)

    @property
    def addresses(self) -> list[str]:
        """The single addresses that are declared."""
        return list(self._by_address)

    @property
    def hardware(self) -> list[str]:
        """The MACs that are declared."""
        return list(self._by_hardware)

    def find(self, addresses: Iterable[str], hardware: Iterable[str], site: str | None) -> Row | None:
        """The row of a device: by its MAC, by its address, by the narrowest network that it is in."""
        addresses = list(addresses)
        exact = [self._by_hardware.get(each) for each in hardware] + [self._by_address.get(each) for each in addresses]
        for row in exact:
            if row is not None and row.declared.site in (None, site):
                return row
        for row in self._networks:
            if row.declared.site in (None, site) and any(_is_in(each, row.network) for each in addresses):
                return row
        return None

    def remember(self, addresses: Iterable[str], hardware: Iterable[str], site: str | None,
                 seen: datetime.datetime) -> None:  # fmt: skip
        """A device was last seen then, before this run."""
        row = self.find(addresses, hardware, site)
        if row is not None:
            row.seen = max(seen, row.seen or seen)

    def compare(self, found: Iterable[Observation]) -> list[Observation]:
        """The differences that observations show, in their order; then what has been silent for too long."""
        told: list[Observation] = []
        last = None
        for each in found:
            last = each
            if self._began is None:
                self._began = each.timestamp
            if each.event.dataset == DEVICE_DATASET:
                told += self._compare(each)
        return told if last is None else told + self._silent(last)

    def _compare(self, seen: Observation) -> list[Observation]:
        device, more = seen.device, seen.lenswatch
        if device is None or more is None or more.device is None:
            return []
        identity = more.device
        addresses = identity.addresses or [seen.source.ip]
        # What a device had yesterday may be another's today.
        row = self.find(newest(addresses), identity.hardware or (), more.site)
        if row is None:
            if (
                identity.type in CAMERA_KINDS
                and identity.confidence >= MIN_CAMERA
                and self._is_new(UNDECLARED, device.id)
            ):
                return [_tell(UNDECLARED, seen, seen.source, device, identity, None)]
            return []
        row.seen = max(seen.timestamp, row.seen or seen.timestamp)
        row.told_silent = False
        if differs(row.declared.maker, device, identity) and self._is_new(MAKER_DIFFERS, device.id):
            return [_tell(MAKER_DIFFERS, seen, seen.source, device, identity, row.declared)]
        return []

    def _is_new(self, what: str, device: str) -> bool:
        if (what, device) in self._told:
            return False
        if len(self._told) >= MAX_TOLD:
            del self._told[next(iter(self._told))]
        self._told[what, device] = None
        self.counts[what] += 1
        return True

    def _silent(self, last: Observation) -> list[Observation]:
        if self._look_at is not None and last.timestamp < self._look_at:
            return []
        told = []
        allowed = datetime.timedelta(seconds=self.silent_seconds)
        self._look_at = last.timestamp + allowed / LOOKS_A_SPAN
        for row in self.rows:
            since = max(filter(None, (row.seen, self._began)), default=None)
            if row.network is not None or row.told_silent or since is None or last.timestamp - since < allowed:
                continue
            row.told_silent = True
            self.counts[SILENT] += 1
            declared = row.declared
            where = declared.mac or declared.address or ""
            site = declared.site or (last.lenswatch.site if last.lenswatch is not None else None)
            here = Endpoint(ip=declared.address or "0.0.0.0", mac=declared.mac)  # noqa: S104
            device = Device(id=f"{site}/{where}")
            told.append(_tell(SILENT, last, here, device, DeviceIdentity(type="unknown", confidence=0.0), declared))
        return told

    @property
    def seen(self) -> int:
        """How many of the declared devices (networks apart) were seen."""
        return sum(row.seen is not None for row in self.rows if row.network is None)


def newest(addresses: Sequence[str]) -> list[str]:
    """Of the addresses of a device, the newest last, those that it has now: one of each family."""
    four = [each for each in addresses if ":" not in each]
    six = [each for each in addresses if ":" in each]
    return four[-1:] + six[-1:]


def differs(declared: str | None, device: Device, identity: DeviceIdentity) -> bool:
    """Whether a device speaks surely as one of another maker than is declared."""
    maker = device.manufacturer or identity.maker
    if declared is None or maker is None or (identity.maker_confidence or 0.0) < MIN_MAKER:
        return False
    said = _letters(declared)
    return not any(
        said in each or each in said for each in map(_letters, filter(None, (maker, identity.brand))) if each
    )


def _letters(name: str) -> str:
    """Letters and digits alone: D-Link is dlink. Of a maker's id its first word is enough."""
    return _NO_LETTER.sub("", name.casefold().partition("-systems")[0].partition("-technologies")[0])


def _is_in(address: str, network: AnyNetwork | None) -> bool:
    try:
        return network is not None and ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _tell(
    action: str, seen: Observation, here: Endpoint, device: Device, identity: DeviceIdentity, declared: Declared | None
) -> Observation:
    site = seen.lenswatch.site if seen.lenswatch is not None else None
    text = f"{action}|{device.id}|{seen.timestamp.isoformat()}"
    return Observation(
        timestamp=seen.timestamp,
        event=Event(
            kind="event", dataset=DATASET, id=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), action=action
        ),
        observer=Observer(name=seen.observer.name),
        source=here,
        destination=here,
        network=Network(transport="", type="ipv6" if ":" in here.ip else "ipv4", community_id="", direction="internal"),
        device=device,
        lenswatch=Lenswatch(device=identity, site=site, declared=declared),
    )
