"""Which device said it: a bounded inventory of what was seen on our side, by MAC address or by site and address.

Where layer 2 is seen the MAC names a device, unless it carries many addresses, as a router's does; then, and elsewhere,
the address does. The identity is minimal: maker by MAC prefix, by names that only that maker's devices call, by
discovery ports; evidence against by the user agent of a desktop browser.
"""

import dataclasses
from collections.abc import Sequence

from collector.identify.banners import Banners
from collector.identify.evidence import (
    ASKED_SHARE,
    BROWSER,
    BROWSER_WEIGHT,
    CALL_WEIGHTS,
    MIN_CONFIDENCE,
    PORT_WEIGHT,
    PREFIX_WEIGHTS,
    combine,
)
from collector.identify.fingerprint import Fingerprint
from collector.observation import Announced, Device, DeviceIdentity, Model

MAX_DEVICES = 100_000
MAX_ADDRESSES_OF_A_MAC = 8
"""A MAC address that stands before more addresses than this is a router's, not a device's."""
MAX_EVIDENCE = 16
PREFIX, CALLED, ASKED = "MAC prefix", "calls", "looks up"


@dataclasses.dataclass(slots=True)
class KnownDevice:
    """A device: its ECS field sets and the evidence behind them, text → (weight, maker or None when it speaks against).

    `resolver`: the device answers DNS. `model`, `serial_number` and `firmware` are what it last said of itself.
    """

    device: Device
    identity: DeviceIdentity
    evidence: dict[str, tuple[float, str | None]]
    resolver: bool = False
    model: str | None = None
    serial_number: str | None = None
    firmware: str | None = None

    @property
    def is_camera(self) -> bool:
        """Whether the device is taken for a camera or recorder."""
        return self.identity.type in ("camera", "recorder")

    def add(self, text: str, weight: float, maker: str | None) -> None:
        """Weigh a new piece of evidence; the same piece counts once."""
        if text in self.evidence or len(self.evidence) >= MAX_EVIDENCE:
            return
        self.evidence[text] = (weight, maker)
        self._judge()

    def tell(self, said: Announced) -> None:
        """The device said what it is; what it does not say again still holds."""
        told = (said.model or self.model, said.serial_number or self.serial_number, said.firmware or self.firmware)
        if told != (self.model, self.serial_number, self.firmware):
            self.model, self.serial_number, self.firmware = told
            self._judge()

    def serve_names(self) -> None:
        """The device answers DNS: what it asks for, it asks for others."""
        if self.resolver:
            return
        self.resolver = True
        asked = [text for text in self.evidence if text.startswith(ASKED)]
        for text in asked:
            del self.evidence[text]
        if asked:
            self._judge()

    def _judge(self) -> None:
        by_maker: dict[str, list[float]] = {}
        against = []
        for weight, maker in self.evidence.values():
            if maker is None:
                against.append(weight)
            else:
                by_maker.setdefault(maker, []).append(weight)
        other = combine(against)
        # Who made the radio made the box, whatever brand's service it calls.
        made = {maker for text, (_, maker) in self.evidence.items() if text.startswith(PREFIX)}
        maker, likely = max(
            ((maker, combine(weights)) for maker, weights in by_maker.items()),
            key=lambda pair: (pair[0] in made and pair[1] >= MIN_CONFIDENCE, pair[1]),
            default=(None, 0.0),
        )
        camera = likely * (1.0 - other)
        kind = "camera" if camera >= MIN_CONFIDENCE else "other" if other >= MIN_CONFIDENCE else "unknown"
        # New structs: observations that were already made keep what was known when they were made.
        self.identity = DeviceIdentity(
            type=kind,
            confidence=round(camera if kind != "other" else other * (1.0 - likely), 3),
            evidence=list(self.evidence),
            firmware=self.firmware,
        )
        self.device = Device(
            id=self.device.id,
            manufacturer=maker if camera >= MIN_CONFIDENCE else None,
            model=Model(name=self.model) if self.model else None,
            serial_number=self.serial_number,
        )


class Inventory:
    """Every device of one site. `evicted` counts what the bound let go."""

    def __init__(self, site: str, fingerprints: Sequence[Fingerprint], max_devices: int = MAX_DEVICES) -> None:
        self.site, self.max_devices = site, max_devices
        self.evicted = 0
        self.devices: dict[str, KnownDevice] = {}
        self._by_end: dict[tuple[bytes, str], KnownDevice] = {}
        self._addresses: dict[bytes, set[str]] = {}
        self._prefixes: dict[int, dict[bytes, tuple[str, str, str]]] = {}
        self._calls: dict[str, tuple[str, bool, str]] = {}
        self._ports: dict[tuple[str, int], tuple[str, str]] = {}
        for fingerprint in fingerprints:
            self._learn(fingerprint)
        self._call_ends = tuple(
            {name.rpartition(".")[0].rpartition(".")[2] + "." + name.rpartition(".")[2] for name in self._calls}
        )
        self.discovery_ports = frozenset(self._ports)
        self.banners = Banners(fingerprints)

    def _learn(self, fingerprint: Fingerprint) -> None:
        for prefix in fingerprint.prefixes:
            for text in prefix.macs:
                digits, _, bits = text.partition("/")
                nibbles = int(bits or 24) // 4
                key = digits.replace(":", "").lower().ljust(nibbles, "0")[:nibbles].encode()
                self._prefixes.setdefault(nibbles, {})[key] = (fingerprint.maker, fingerprint.name, prefix.relevance)
        for call in fingerprint.calls:
            self._calls[call.name] = (fingerprint.maker, call.match == "suffix", call.relevance)
        for port in fingerprint.ports:
            if port.relevance == "high" and port.side != "calls":
                self._ports[port.transport, port.port] = (fingerprint.maker, port.protocol)

    def __len__(self) -> int:
        return len(self.devices)

    def device_at(self, mac: bytes, address: str) -> KnownDevice:
        """The device at a MAC address (six bytes, or none where layer 2 is not seen) and an IP address."""
        known = self._by_end.get((mac, address))
        if known is None:
            known = self._meet(mac, address)
        return known

    def _meet(self, mac: bytes, address: str) -> KnownDevice:
        name = address
        if mac and not mac[0] & 1:
            behind = self._addresses.setdefault(mac, set())
            if len(behind) <= MAX_ADDRESSES_OF_A_MAC:
                behind.add(address)
            if len(behind) <= MAX_ADDRESSES_OF_A_MAC:
                name = mac.hex(":")
        identifier = f"{self.site}/{name}"
        known = self.devices.get(identifier)
        if known is None:
            known = KnownDevice(Device(id=identifier), DeviceIdentity(type="unknown", confidence=0.0), {})
            self.devices[identifier] = known
            if name is not address:
                self._weigh_prefix(known, mac)
        if len(self._by_end) >= self.max_devices:
            self._forget_oldest()
        self._by_end[mac, address] = known
        return known

    def _forget_oldest(self) -> None:
        mac, address = next(iter(self._by_end))
        gone = self._by_end.pop((mac, address))
        self.devices.pop(gone.device.id, None)
        self._addresses.pop(mac, None)
        self.evicted += 1

    def _weigh_prefix(self, known: KnownDevice, mac: bytes) -> None:
        digits = mac.hex().encode()
        for nibbles in sorted(self._prefixes, reverse=True):
            found = self._prefixes[nibbles].get(digits[:nibbles])
            if found is not None:
                maker, _, relevance = found
                known.add(f"{PREFIX} {mac[: (nibbles + 1) // 2].hex(':')} of {maker}", PREFIX_WEIGHTS[relevance], maker)
                return

    def knows_call(self, name: str) -> bool:
        """Whether a name may be one that devices call; asked before who called it."""
        return name.lower().endswith(self._call_ends)

    def note_call(self, known: KnownDevice, name: str, asked: bool = False) -> None:
        """The device called this name, or only asked DNS for it."""
        name = name.lower()
        at = 0
        while True:
            found = self._calls.get(name[at:])
            if found is not None and (at == 0 or found[1]):
                weight = CALL_WEIGHTS[found[2]] * (ASKED_SHARE if asked else 1.0)
                text = f"{ASKED if asked else CALLED} {name[at:]}, as devices of {found[0]} do"
                known.add(text, weight, found[0])
                return
            at = name.find(".", at) + 1
            if not at:
                return

    def note_port(self, known: KnownDevice, transport: str, port: int) -> None:
        """The device spoke on this discovery port of some maker."""
        found = self._ports.get((transport, port))
        if found is not None:
            known.add(f"speaks {found[1]} on {transport} port {port}", PORT_WEIGHT, found[0])

    def note_user_agent(self, known: KnownDevice, agent: str) -> None:
        """The device sent this HTTP user agent."""
        if BROWSER.match(agent):
            known.add("a browser's user agent", BROWSER_WEIGHT, None)
