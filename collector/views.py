"""A flow in ECS words: who began it, from where to where, on which of our devices; made once a flow that is read."""

import binascii
import datetime
import hashlib
import ipaddress
import socket

import numpy as np

from collector.flows import Column
from collector.identify.inventory import Inventory, KnownDevice
from collector.observation import Endpoint, Network, Vlan
from collector.packets import TCP, Ints, Mask

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

FlowValues = tuple[int, int, int, int, bool, list[int], bytes, bytes, list[bool], list[bool]]
"""began, transport, version, VLAN, layer 2 seen; by side: ports, addresses (16 bytes each), MACs, ours, group."""


def time_of(at_ns: int) -> datetime.datetime:
    """Nanoseconds since 1970 as a UTC time of microseconds."""
    return EPOCH + datetime.timedelta(microseconds=at_ns // 1000)


class OwnNetworks:
    """Our networks (CIDR), asked for many addresses at once."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        parsed = [ipaddress.ip_network(network) for network in networks]
        self._four = [(int(each.network_address), int(each.netmask)) for each in parsed if each.version == 4]
        self._six = [
            tuple(
                np.frombuffer(int(part).to_bytes(16, "big"), np.uint8) for part in (each.network_address, each.netmask)
            )
            for each in parsed
            if each.version == 6
        ]

    def are_own(self, addresses: Column, version: Column) -> Mask:
        """Which addresses (flows × 2 × 16 bytes, IPv4 in the first four) are in our networks."""
        numbers = addresses[:, :, :4].copy().view(">u4")[:, :, 0].astype(np.uint32)
        own = np.zeros(numbers.shape, bool)
        for network, mask in self._four:
            own |= (numbers & mask) == network
        six = np.flatnonzero(version == 6)
        if len(six):
            own[six] = False
            for wanted, bits in self._six:
                own[six] |= ((addresses[six] & bits) == wanted).all(axis=2)
        return own

    def values(self, columns: dict[str, Column], rows: Ints) -> list[FlowValues]:
        """What the table's columns say of some rows, as plain values, a tuple a flow."""
        addresses, version = columns["addresses"][rows], columns["version"][rows]
        first = addresses[:, :, 0]
        four = (version == 4)[:, None]
        group = np.where(
            four, (first >= 224) & ((first < 240) | (addresses[:, :, :4] == 255).all(axis=2)), first == 255
        )
        group |= four & (addresses[:, :, :4] == 0).all(axis=2)
        return list(
            zip(
                columns["began"][rows].tolist(), columns["transport"][rows].tolist(), version.tolist(),
                columns["vlan"][rows].tolist(), columns["layer2"][rows].tolist(), columns["ports"][rows].tolist(),
                rows_of(addresses, 32), rows_of(columns["macs"][rows], 12),
                self.are_own(addresses, version).tolist(), group.tolist(), strict=True,
            )
        )  # fmt: skip


def rows_of(array: Column, width: int) -> list[bytes]:
    """The rows of an array of bytes, `width` bytes each."""
    data = array.tobytes()
    return [data[at : at + width] for at in range(0, len(data), width)]


class FlowView:
    """One flow's fixed fields. `client` began it and `server` is its peer, `device` is the one on our side.

    What only an observation needs (`source`, `destination`, `network`, `flow`, its name in event ids) is made by
    `complete`, because most flows never become one.
    """

    __slots__ = ("client", "destination", "device", "direction", "flow", "network", "server", "source", "values")

    def __init__(self, values: FlowValues, inventory: Inventory) -> None:
        self.values = values
        began, _, version, _, layer2, _, addresses, macs, own, group = values
        family, size = (socket.AF_INET, 4) if version == 4 else (socket.AF_INET6, 16)
        ends = socket.inet_ntop(family, addresses[:size]), socket.inet_ntop(family, addresses[16 : 16 + size])
        peer = 1 - began
        self.client, self.server = ends[began], ends[peer]
        inside = own[peer] or group[peer]
        self.direction = ("internal" if inside else "outbound") if own[began] else ("inbound" if inside else "external")
        ours = peer if own[peer] and not own[began] else began
        mac = (macs[6:] if ours else macs[:6]) if layer2 else b""
        self.device = inventory.device_at(mac, ends[ours])
        self.flow = ""
        self.network: Network
        self.source: Endpoint
        self.destination: Endpoint

    def complete(self) -> None:
        """Make the ECS field sets and the name of the flow, once."""
        if self.flow:
            return
        began, transport, version, vlan, layer2, ports, addresses, macs, _, _ = self.values
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

    @property
    def peer(self) -> str:
        """The address of the side that is not ours, when one is ours: whom our device talks to."""
        return self.client if self.direction == "inbound" else self.server

    @property
    def service(self) -> tuple[str, int]:
        """Transport and port of the side that was called."""
        return ("tcp" if self.values[1] == TCP else "udp"), self.values[5][1 - self.values[0]]

    def server_device(self, inventory: Inventory) -> KnownDevice | None:
        """The device that was called, when it is one of ours."""
        began, macs, layer2 = self.values[0], self.values[7], self.values[4]
        if self.direction not in ("internal", "inbound"):
            return None
        return inventory.device_at((macs[6:] if began == 0 else macs[:6]) if layer2 else b"", self.server)


def community_id(source: bytes, destination: bytes, transport: int, source_port: int, destination_port: int) -> str:
    """The Community ID, version 1, seed 0 (github.com/corelight/community-id-spec): the same for both directions."""
    if (source, source_port) > (destination, destination_port):
        source, destination, source_port, destination_port = destination, source, destination_port, source_port
    ports = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    digest = hashlib.sha1(b"\0\0" + source + destination + bytes((transport, 0)) + ports, usedforsecurity=False)
    return "1:" + binascii.b2a_base64(digest.digest(), newline=False).decode("ascii")
