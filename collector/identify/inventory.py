"""Which device said it: a bounded inventory of what was seen on our side, by MAC address or by site and address.

Where layer 2 is seen the MAC names a device, unless it carries many addresses, as a router's does; then, and elsewhere,
the address does. DHCP and what devices announce join an address to the MAC behind it, and an address that moves on is
joined anew. The first sign of a device mints its id, and the id stays.
"""

import ipaddress
import itertools
from collections.abc import Iterable, Sequence

from collector.identify.banners import Banners
from collector.identify.evidence import (
    ASKED_SHARE,
    CALL_SURE,
    CALL_WEIGHTS,
    CALLED,
    PORT_WEIGHT,
    PREFIX,
    PREFIX_SURE,
    PREFIX_WEIGHTS,
    Opinions,
    Sign,
)
from collector.identify.fingerprint import Fingerprint
from collector.identify.known import ASKED, End, KnownDevice
from collector.settings import is_hardware

MAX_DEVICES = 100_000
MAX_ADDRESSES_OF_A_MAC = 8
"""A MAC address that stands before more IPv4 addresses than this is a router's, not a device's."""
MAX_IPV6_OF_A_MAC = 32
"""The same for IPv6, where a device makes itself a new address every day (RFC 8981)."""
MAX_HARDWARE = 4
MAX_ENDS_OF_A_DEVICE = 4
"""On average: so many more places where devices are met than devices are remembered."""
MAX_ROUTERS = 1_024
MAX_KNOWN_CALLS = 4_096
LOOKED_AT_FOR_EVICTION = 64
NOWHERE = ("0.0.0.0", "::")  # noqa: S104
BURNT_IN = 3
"""The bytes of a MAC address that are its maker's: two interfaces of one device share them."""


class Inventory:
    """Every device of one site. `evicted` counts what the bound let go; `news` holds the devices of which something
    new is known, until somebody takes them out; `call_zones` are the last two labels of all names that tell devices.
    `met` is for others to note, as they like, at which ends they met a device: it is emptied when any end is nobody's
    again, and until then to meet whoever is there changes nothing."""

    def __init__(self, site: str, fingerprints: Sequence[Fingerprint], max_devices: int = MAX_DEVICES) -> None:
        self.site, self.max_devices = site, max_devices
        self.evicted = 0
        self.devices: dict[str, KnownDevice] = {}
        self.news: dict[str, KnownDevice] = {}
        self.met: set[bytes] = set()
        self._by_end: dict[End, KnownDevice] = {}
        self._by_hardware: dict[bytes, KnownDevice] = {}
        self._leases: dict[str, bytes] = {}
        self._routers: dict[bytes, None] = {b"": None}
        self._prefixes: dict[int, dict[bytes, Sign]] = {}
        self._calls: dict[str, tuple[bool, Sign, Sign]] = {}
        self._known_calls: dict[str, tuple[Sign, Sign] | None] = {}
        self._ports: dict[tuple[str, int], Sign] = {}
        self._opinions = Opinions({each.maker: each.oem for each in fingerprints if each.oem is not None})
        self._expected: frozenset[str] = frozenset()
        self._watched_hardware: frozenset[str] = frozenset()
        self._watched_networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for fingerprint in fingerprints:
            self._learn(fingerprint)
        # The longest first.
        self._prefixes = dict(sorted(self._prefixes.items(), reverse=True))
        self.call_zones = frozenset(
            name.rpartition(".")[0].rpartition(".")[2] + "." + name.rpartition(".")[2] for name in self._calls
        )
        self._call_ends = tuple(self.call_zones)
        self.discovery_ports = frozenset(self._ports)
        self.banners = Banners(fingerprints)

    def _learn(self, fingerprint: Fingerprint) -> None:
        maker = fingerprint.maker
        for prefix in fingerprint.prefixes:
            for text in prefix.macs:
                digits, _, bits = text.partition("/")
                nibbles = int(bits or 24) // 4
                key = digits.replace(":", "").lower().ljust(nibbles, "0")[:nibbles].encode()
                shown = digits if nibbles % 2 == 0 else digits.ljust((nibbles + 1) // 2 * 3 - 1, "0")
                weight = PREFIX_WEIGHTS[prefix.relevance]
                sign = Sign(f"{PREFIX} {shown} of {fingerprint.name}", PREFIX, weight, maker, PREFIX_SURE)
                self._prefixes.setdefault(nibbles, {})[key] = sign
        for call in fingerprint.calls:
            weight, sure = CALL_WEIGHTS[call.relevance], CALL_SURE[call.relevance]
            words = f"{call.name}, as devices of {fingerprint.name} do"
            self._calls[call.name] = (
                call.match == "suffix",
                Sign(f"calls {words}", CALLED, weight, maker, sure),
                Sign(f"{ASKED} {words}", CALLED, weight * ASKED_SHARE, maker, sure * ASKED_SHARE),
            )
        for port in fingerprint.ports:
            if port.relevance == "high" and port.side != "calls":
                text = f"speaks {port.protocol} on {port.transport} port {port.port}"
                self._ports[port.transport, port.port] = Sign(text, "ports", PORT_WEIGHT, maker, PORT_WEIGHT)

    def __len__(self) -> int:
        return len(self.devices)

    def expect(self, addresses: Iterable[str], hardware: Iterable[str]) -> None:
        """Devices that are to be told of, and watched, whatever they are, by address or MAC (text)."""
        self._expected = frozenset((*addresses, *hardware))

    def watch(self, places: Iterable[str]) -> None:
        """Devices that are to be watched whatever they are: addresses, networks, MACs (text)."""
        places = list(places)
        self._watched_hardware = frozenset(each for each in places if is_hardware(each))
        self._watched_networks = [ipaddress.ip_network(each) for each in places if not is_hardware(each)]

    def _is_watched(self, address: str, hardware: Iterable[str]) -> bool:
        if not self._watched_hardware.isdisjoint(hardware):
            return True
        if not self._watched_networks:
            return False
        place = ipaddress.ip_address(address)
        return any(place.version == each.version and place in each for each in self._watched_networks)

    def device_at(self, mac: bytes, address: str) -> KnownDevice:
        """The device at a MAC address (six bytes, or none where layer 2 is not seen) and an IP address."""
        known = self._by_end.get((mac, address))
        if known is None:
            known = self._meet(mac, address)
        return known

    def _meet(self, mac: bytes, address: str) -> KnownDevice:
        if not mac or mac[0] & 1:
            mac_of = b""
        else:
            mac_of = mac
            if mac not in self._routers and self._stands_before_many(mac, address):
                self._take_for_router(mac)
        known = None
        if mac_of in self._routers:
            leased = self._leases.get(address)
            known = self._by_hardware.get(leased) if leased is not None else None
            name = address
        else:
            known = self._by_hardware.get(mac_of)
            name = mac_of.hex(":")
        if known is None:
            identifier = f"{self.site}/{name}"
            known = self.devices.get(identifier) or self._mint(identifier)
            if name is not address:
                self._own(known, mac_of)
        self._put((mac, address), known)
        return known

    def _mint(self, identifier: str) -> KnownDevice:
        while len(self.devices) >= self.max_devices:
            self._forget_one(None)
        known = self.devices[identifier] = KnownDevice(identifier, self.news, self._opinions)
        return known

    def _own(self, known: KnownDevice, mac: bytes) -> None:
        """The device has this MAC address."""
        text = mac.hex(":")
        if text not in known.hardware and len(known.hardware) < MAX_HARDWARE:
            known.hardware = (*known.hardware, text)
            self._by_hardware[mac] = known
            self._weigh_prefix(known, mac)

    def _put(self, end: End, known: KnownDevice) -> None:
        before = self._by_end.pop(end, None)
        if before is known:
            self._by_end[end] = known
            return
        if before is not None:
            before.ends.remove(end)
        while len(self._by_end) >= MAX_ENDS_OF_A_DEVICE * self.max_devices:
            self._forget_one(known)
        self._by_end[end] = known
        known.ends.append(end)
        if self._expected and not self._expected.isdisjoint((end[1], *known.hardware)):
            known.told = known.watched = True
        known.watched = known.watched or self._is_watched(end[1], known.hardware)
        if known.signs or known.told or known.watched:
            self.news[known.device.id] = known

    def _leave(self, end: End) -> None:
        self._by_end.pop(end, None)
        self.met.clear()

    def _forget_one(self, kept: KnownDevice | None) -> None:
        """Of those that were met first, one that is no camera where there is one."""
        first = itertools.islice(self.devices.values(), LOOKED_AT_FOR_EVICTION)
        some = [known for known in first if known is not kept]
        self.evicted += 1
        if not some:
            if kept is not None and kept.ends:
                self._leave(kept.ends.pop(0))
            return
        gone = next((known for known in some if not known.is_camera), some[0])
        for end in gone.ends:
            self._leave(end)
        gone.ends = []
        self.devices.pop(gone.device.id, None)
        self.news.pop(gone.device.id, None)
        for text in gone.hardware:
            mac = bytes.fromhex(text.replace(":", ""))
            if self._by_hardware.get(mac) is gone:
                del self._by_hardware[mac]
                self._routers.pop(mac, None)

    def _stands_before_many(self, mac: bytes, address: str) -> bool:
        """Whether a MAC would have too many addresses with this one."""
        known = self._by_hardware.get(mac)
        if known is None or len(known.ends) < MAX_ADDRESSES_OF_A_MAC or address in NOWHERE:
            return False
        behind = {where for below, where in known.ends if below == mac and where not in NOWHERE} | {address}
        six = sum(":" in each for each in behind)
        return six > MAX_IPV6_OF_A_MAC or len(behind) - six > MAX_ADDRESSES_OF_A_MAC

    def _take_for_router(self, mac: bytes) -> None:
        """From now on each address behind this MAC is met as a device of its own."""
        if len(self._routers) > MAX_ROUTERS:
            del self._routers[next(each for each in self._routers if each)]
        self._routers[mac] = None
        router = self._by_hardware[mac]
        router.route()
        for end in router.ends:
            self._leave(end)
        router.ends = []

    def lease(self, hardware: str, address: str | None) -> KnownDevice | None:
        """DHCP: the device with this MAC (text) has, or asks for an address (None). Answers the device; None where the
        MAC is none."""
        mac = read_mac(hardware)
        if mac is None:
            return None
        if address is not None:
            self._move(mac, address)
        return self._of_hardware(mac)

    def join(self, hardware: str, address: str | None, seen_at: End) -> KnownDevice:
        """Who speaks at an end says that it has this MAC (text), and perhaps this address. Answers who it is."""
        mac, (below, where) = read_mac(hardware), seen_at
        if mac is None or below == mac:
            return self.device_at(below, where)
        at_hand = below not in self._routers and not below[0] & 1
        if at_hand and below[:BURNT_IN] == mac[:BURNT_IN]:
            known = self.device_at(below, where)
            self._own(known, mac)
            return known
        if address is not None and address != where:
            # Handed on by an address translator, or a repeater of discovery: the end is not its own.
            return self._of_hardware(mac)
        if not at_hand:
            self._move(mac, where)
        known = self._of_hardware(mac)
        self._put(seen_at, known)
        return known

    def restore(self, identifier: str, hardware: Sequence[str], addresses: Sequence[str]) -> None:
        """A device that was known before this run: under which id, with which MACs, at which addresses. What it is, it
        says again, or shows. One of another site is another device."""
        macs = [mac for mac in map(read_mac, hardware) if mac is not None]
        if not macs or identifier in self.devices or not identifier.startswith(f"{self.site}/"):
            return
        known = self._mint(identifier)
        for mac in macs:
            self._own(known, mac)
        for address in addresses:
            self._leases.setdefault(address, macs[0])
        self.news.pop(identifier, None)

    def _of_hardware(self, mac: bytes) -> KnownDevice:
        known = self._by_hardware.get(mac)
        if known is None:
            identifier = f"{self.site}/{mac.hex(':')}"
            known = self.devices.get(identifier) or self._mint(identifier)
            self._own(known, mac)
        return known

    def _move(self, mac: bytes, address: str) -> None:
        """The address is this MAC's from now on, wherever the MAC itself is not seen."""
        if self._leases.get(address) == mac:
            return
        if len(self._leases) >= self.max_devices:
            del self._leases[next(iter(self._leases))]
        self._leases[address] = mac
        for below in self._routers:
            there, holder = self._by_end.get((below, address)), self._by_hardware.get(mac)
            if there is None or there is holder:
                continue
            if there.hardware:
                self._leave((below, address))
                there.ends.remove((below, address))
            elif holder is not None and holder.ends:
                there.give_to(holder)
                self._put((below, address), holder)
            else:
                # The id under which it was met first stays its id.
                if holder is not None:
                    holder.give_to(there)
                    del self.devices[holder.device.id]
                self._own(there, mac)
                self._by_hardware[mac] = there

    def _weigh_prefix(self, known: KnownDevice, mac: bytes) -> None:
        digits = mac.hex().encode()
        for nibbles, prefixes in self._prefixes.items():
            found = prefixes.get(digits[:nibbles])
            if found is not None:
                known.add(found)
                return

    def knows_call(self, name: str) -> bool:
        """Whether a name is one that devices call; asked before who called it."""
        return self._call_of(name) is not None

    def note_call(self, known: KnownDevice, name: str, asked: bool = False) -> None:
        """The device called this name, or only asked DNS for it; of who called, the question is told no more."""
        found = self._call_of(name)
        if found is None:
            return
        called, looked_up = found
        if not asked:
            known.add_over(looked_up.text, called)
        elif called.text not in known.signs:
            known.add(looked_up)

    def _call_of(self, name: str) -> tuple[Sign, Sign] | None:
        """The signs of who calls a name, and of who asks for it; remembered, for devices call the same few."""
        try:
            return self._known_calls[name]
        except KeyError:
            if len(self._known_calls) >= MAX_KNOWN_CALLS:
                self._known_calls.clear()
            lower = name.lower()
            found = self._known_calls[name] = self._find_call(lower) if lower.endswith(self._call_ends) else None
            return found

    def _find_call(self, name: str) -> tuple[Sign, Sign] | None:
        at = 0
        while True:
            found = self._calls.get(name[at:])
            if found is not None and (at == 0 or found[0]):
                return found[1:]
            at = name.find(".", at) + 1
            if not at:
                return None

    def note_port(self, known: KnownDevice, transport: str, port: int) -> None:
        """The device spoke on this discovery port of some maker."""
        found = self._ports.get((transport, port))
        if found is not None:
            known.add(found)

    def note_user_agent(self, known: KnownDevice, agent: str) -> None:
        """The device sent this HTTP user agent."""
        for sign in self.banners.of_agent(agent):
            known.add(sign)


def read_mac(text: str) -> bytes | None:
    """A MAC address as text → its six bytes; None for what is none, for a group's and for one of all zeros."""
    digits = text.replace(":", "").replace("-", "").replace(".", "")
    if len(digits) != 12:
        return None
    try:
        mac = bytes.fromhex(digits)
    except ValueError:
        return None
    return None if mac[0] & 1 or not any(mac) else mac
