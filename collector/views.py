"""A flow in ECS words: who began it, from where to where, on which of our devices; made once a flow that is read."""

import binascii
import datetime
import functools
import hashlib
import ipaddress
import socket
from collections.abc import Iterator

import numpy as np

from collector.decode import flow_key
from collector.flows import Column, of_sides
from collector.identify.inventory import Inventory
from collector.identify.known import End, KnownDevice
from collector.observation import Endpoint, Network, Vlan
from collector.packets import TCP, Ints, Mask, Words

MAX_COMMUNITY_IDS = 1 << 14
MAX_TEXTS = 1 << 14
BROADCAST = 0xFFFF_FFFF
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

Pair = tuple[bool, bool]
PAIRS: tuple[Pair, ...] = ((False, False), (True, False), (False, True), (True, True))
FlowValues = tuple[int, int, int, int, bool, tuple[int, int], bytes, bytes, Pair, Pair, int]
"""began, transport, version, VLAN, layer 2 seen; by side: ports, addresses (16 bytes each), MACs, ours, group.
Last, the number of its ingress."""


def time_of(at_ns: int) -> datetime.datetime:
    """Nanoseconds since 1970 as a UTC time of microseconds."""
    return EPOCH + datetime.timedelta(microseconds=at_ns // 1000)


class OwnNetworks:
    """Our networks (CIDR), asked for many addresses at once."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        parsed = [ipaddress.ip_network(network) for network in networks]
        # As they lie in memory.
        self._four = [
            tuple(np.frombuffer(part.packed, np.uint32) for part in (each.network_address, each.netmask))
            for each in parsed
            if each.version == 4
        ]
        self._six = [
            tuple(
                np.frombuffer(int(part).to_bytes(16, "big"), np.uint8) for part in (each.network_address, each.netmask)
            )
            for each in parsed
            if each.version == 6
        ]

    def are_own(self, addresses: Column, version: Column) -> Mask:
        """Which addresses (flows × 2 × 16 bytes, IPv4 in the first four) are in our networks."""
        words = firsts_of(addresses)
        own = np.zeros(words.shape, bool)
        for network, mask in self._four:
            own |= (words & mask) == network
        six = np.flatnonzero(version == 6)
        if len(six):
            own[six] = False
            for wanted, bits in self._six:
                own[six] |= ((addresses[six] & bits) == wanted).all(axis=2)
        return own

    def values(self, columns: dict[str, Column], rows: Ints) -> list[FlowValues]:
        """What the table's columns say of some rows, as plain values, a tuple a flow."""
        addresses, version = columns["addresses"].take(rows, 0), columns["version"][rows]
        return list(
            zip(
                columns["began"][rows].tolist(), columns["transport"][rows].tolist(), version.tolist(),
                columns["vlan"][rows].tolist(), columns["layer2"][rows].tolist(),
                zip(*columns["ports"].take(rows, 0).T.tolist(), strict=True), rows_of(addresses, 32),
                rows_of(columns["macs"].take(rows, 0), 12), pairs_of(self.are_own(addresses, version)),
                pairs_of(are_groups(addresses, version)), columns["ingress"][rows].tolist(),
                strict=True,
            )
        )  # fmt: skip


def are_groups(addresses: Column, version: Column) -> Mask:
    """Which addresses (as in `OwnNetworks.are_own`) are a group's or unspecified."""
    first, words = addresses[:, :, 0], firsts_of(addresses)
    four = (version == 4)[:, None]
    group: Mask = np.where(four, (first >= 224) & ((first < 240) | (words == BROADCAST)), first == 255)
    group |= four & (words == 0)
    return group


def firsts_of(addresses: Column) -> Column:
    """The first four bytes of addresses (flows × 2 × 16) as numbers, in the order in which they lie in memory."""
    words: Column = np.ascontiguousarray(addresses).view(np.uint32)[:, :, 0]
    return words


def pairs_of(sides: Mask) -> Iterator[Pair]:
    """What is said of both sides of some flows (flows × 2), a pair a flow; the same few pairs again and again."""
    return map(PAIRS.__getitem__, (sides[:, 0] + sides[:, 1] * np.int64(2)).tolist())


def rows_of(array: Column, width: int) -> list[bytes]:
    """The rows of an array of bytes, `width` bytes each."""
    rows: list[bytes] = np.ndarray((len(array),), f"V{width}", np.ascontiguousarray(array)).tolist()
    return rows


def packed_addresses(addresses: Column, version: Column) -> list[bytes]:
    """Addresses (flows × 16 bytes, IPv4 in the first four) as bytes, four or 16."""
    if (version == 4).all():
        return rows_of(addresses[:, :4], 4)
    whole = zip(rows_of(addresses, 16), (version == 4).tolist(), strict=True)
    return [address[:4] if four else address for address, four in whole]


def macs_of(columns: dict[str, Column], rows: Ints, sides: Ints) -> list[bytes]:
    """The MAC addresses of a side of some flows, empty where layer 2 is not seen."""
    macs, seen = rows_of(of_sides(columns["macs"], rows, sides), 6), columns["layer2"][rows]
    return macs if seen.all() else [mac if known else b"" for mac, known in zip(macs, seen.tolist(), strict=True)]


def end_keys(columns: dict[str, Column], ends: Ints) -> Words:
    """A 64-bit hash of each end (2 × row + side) of some flows: by address, and by MAC where layer 2 is seen."""
    # A router's MAC stands before many devices, so that the address is asked for too. Where layer 2 is not seen, the
    # MAC may be that of a flow that stood in the row before.
    rows, below = ends >> 1, np.zeros((len(ends), 8), np.uint8)
    seen = columns["layer2"][rows]
    below[:, :6] = columns["macs"].reshape(-1, 6).take(ends, 0)
    below[~seen] = 0
    below[:, 6], below[:, 7] = seen, columns["version"][rows]
    halves = columns["addresses"].view(np.uint64).reshape(-1, 2).take(ends, 0)
    return flow_key(halves[:, 0], halves[:, 1], below.view(np.uint64)[:, 0])


@functools.lru_cache(MAX_TEXTS)
def text_of(address: bytes) -> str:
    """An address's text; remembered, for the same few of ours are asked for again and again."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


class FlowView:
    """One flow's fixed fields. `ends` are the address bytes of the side that began it and of its peer.

    Texts and the device on our side are made when they are asked for, and what only an observation needs (`source`,
    `destination`, `network`, and `flow`, its name in event ids) by `complete`, because most flows never become one.
    """

    __slots__ = (
        "_device", "_inventory", "_texts", "destination", "direction", "ends", "flow", "network", "source", "values",
    )  # fmt: skip

    def __init__(self, values: FlowValues, inventory: Inventory) -> None:
        self.values, self._inventory = values, inventory
        began, version, addresses, own, group = values[0], values[2], values[6], values[8], values[9]
        size, peer = (4 if version == 4 else 16), 1 - began
        ends = (addresses[:size], addresses[16 : 16 + size])
        self.ends = ends if began == 0 else (ends[1], ends[0])
        inside = own[peer] or group[peer]
        self.direction = ("internal" if inside else "outbound") if own[began] else ("inbound" if inside else "external")
        self.flow = ""
        self._texts: tuple[str, str] | None = None
        self._device: KnownDevice | None = None
        self.network: Network
        self.source: Endpoint
        self.destination: Endpoint

    @property
    def texts(self) -> tuple[str, str]:
        """The addresses of the side that began the flow and of its peer."""
        if self._texts is None:
            self._texts = text_of(self.ends[0]), text_of(self.ends[1])
        return self._texts

    @property
    def client(self) -> str:
        """The address of the side that began the flow."""
        return self.texts[0]

    @property
    def server(self) -> str:
        """The address of the side that was called."""
        return self.texts[1]

    @property
    def device(self) -> KnownDevice:
        """The device on our side of the flow."""
        if self._device is None:
            began, own = self.values[0], self.values[8]
            theirs = own[1 - began] and not own[began]
            mac = self.server_mac if theirs else self._mac(began)
            self._device = self._inventory.device_at(mac, self.texts[theirs])
        return self._device

    def end_of(self, server: bool) -> End:
        """MAC address and address of the side that was called, or of the one that called."""
        return (self.server_mac, self.server) if server else (self._mac(self.values[0]), self.client)

    @property
    def server_mac(self) -> bytes:
        """The MAC address of the side that was called; empty where layer 2 is not seen."""
        return self._mac(1 - self.values[0])

    def _mac(self, side: int) -> bytes:
        macs = self.values[7]
        if not self.values[4]:
            return b""
        return macs[6:] if side else macs[:6]

    def complete(self) -> None:
        """Make the ECS field sets and the name of the flow, once."""
        if self.flow:
            return
        began, transport, version, vlan, layer2, ports, addresses, macs, _, _, _ = self.values
        size, peer = (4 if version == 4 else 16), 1 - began
        raw = addresses[:size], addresses[16 : 16 + size]
        hardware = (macs[:6].hex(":"), macs[6:].hex(":")) if layer2 else (None, None)
        name = "tcp" if transport == TCP else "udp"
        port, peer_port = ports[began], ports[peer]
        self.source = Endpoint(ip=self.client, port=port, mac=hardware[began])
        self.destination = Endpoint(ip=self.server, port=peer_port, mac=hardware[peer])
        self.network = Network(
            transport=name,
            type="ipv4" if version == 4 else "ipv6",
            community_id=community_id(raw[began], raw[peer], transport, port, peer_port),
            direction=self.direction,
            vlan=Vlan(id=str(vlan)) if vlan else None,
        )
        self.flow = f"{name}|{self.client}|{port}|{self.server}|{peer_port}"

    def peer_address(self) -> str:
        """The address of the side that is not ours, when one is ours: whom our device talks to."""
        return self.client if self.direction == "inbound" else self.server

    @property
    def service(self) -> tuple[str, int]:
        """Transport and port of the side that was called."""
        return ("tcp" if self.values[1] == TCP else "udp"), self.values[5][1 - self.values[0]]

    def server_device(self) -> KnownDevice | None:
        """The device that was called, when it is one of ours."""
        if self.direction not in ("internal", "inbound"):
            return None
        return self._inventory.device_at(self.server_mac, self.server)


@functools.lru_cache(MAX_COMMUNITY_IDS)
def community_id(source: bytes, destination: bytes, transport: int, source_port: int, destination_port: int) -> str:
    """The Community ID, version 1, seed 0 (github.com/corelight/community-id-spec): the same for both directions."""
    if (source, source_port) > (destination, destination_port):
        source, destination, source_port, destination_port = destination, source, destination_port, source_port
    ports = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    digest = hashlib.sha1(b"\0\0" + source + destination + bytes((transport, 0)) + ports, usedforsecurity=False)
    return "1:" + binascii.b2a_base64(digest.digest(), newline=False).decode("ascii")
