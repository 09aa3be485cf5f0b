"""Headers off: a block of raw packets → a PacketBatch, vectorised.

Ethernet with IPv4 without options, nearly all of the traffic, is decoded from one gathered matrix of headers; the rest
(VLAN tags, IPv6, options, tunnels, other link types) in a second, smaller pass of the same kind. What is neither TCP
nor UDP is counted by reason. Sources: IEEE 802.3, 802.1Q; RFC 791, 8200, 9293, 768; the link-type list of tcpdump.org.
"""

import dataclasses
import secrets

import numpy as np
import numpy.typing as npt

from collector.ledger import Ledger
from collector.links import ENCRYPTED, IPV4, IPV6, LINK_ETHERNET, LINK_TYPES, NO_MAC, Layer, peel
from collector.packets import (
    HEAD_BYTES,
    TCP,
    UDP,
    Block,
    Bytes,
    Ints,
    Mask,
    PacketBatch,
    Words,
    big_endian,
    gather,
)
from collector.tunnels import MAX_TUNNELS, TUNNEL_PORTS, open_tunnels

EXTENSION_HEADERS = (0, 43, 60, 135, 139, 140)
FRAGMENT_HEADER, AUTHENTICATION_HEADER = 44, 51
MAX_EXTENSION_HEADERS = 8
ICMP, ICMPV6 = 1, 58

FAST_HEADER = np.dtype(
    {
        "names": ["type", "length", "kind", "source", "destination",
                  "source_port", "destination_port", "udp_length", "sequence", "offset", "flags"],
        "formats": [">u4", ">u2", ">u4", ">u4", ">u4", ">u2", ">u2", ">u2", ">u4", "u1", "u1"],
        "offsets": [12, 16, 20, 26, 30, 34, 36, 38, 38, 46, 47],
        "itemsize": HEAD_BYTES,
    }
)  # fmt: skip

# Two words say it all: ethertype, version and header length; and flags, fragment offset (their bits), and protocol.
TYPE_MASK, TYPE_PLAIN = 0xFFFF_FF00, 0x0800_4500
KIND_MASK, KIND_TCP, KIND_UDP = 0x3FFF_00FF, TCP, UDP

# Drawn anew by every process, so that nobody can send flows that are made to share a key.
MIX = np.frombuffer(secrets.token_bytes(48), np.uint64) | np.uint64(1)
SHIFT = np.uint64(29)
WORD_BITS_16 = np.uint64(16)


def flow_key(lower: Words, upper: Words, transport: npt.NDArray[np.generic]) -> Words:
    """A 64-bit hash of the two ends, given as one word each in numeric order, and the transport."""
    key = lower * MIX[0] + upper * MIX[1] + transport.astype(np.uint64) * MIX[2]
    key ^= key >> SHIFT
    key *= MIX[3]
    mixed: Words = key ^ (key >> SHIFT)
    return mixed


def decode(block: Block, ledger: Ledger) -> PacketBatch:
    """A block's TCP and UDP packets in capture order; what else was there is counted in the ledger."""
    count = len(block.start)
    ledger.packets_in += count
    ledger.bytes_in += int(block.wire.sum())
    if block.link_type == LINK_ETHERNET:
        fast, batch = decode_plain_ethernet(block)
        rest = np.flatnonzero(~fast)
        if len(rest):
            other = decode_others(block, rest, ledger)
            batch = merge(batch, np.flatnonzero(fast), other[0], other[1])
    elif block.link_type in LINK_TYPES:
        batch = decode_others(block, np.arange(count), ledger)[0]
    else:
        ledger.drop("decode", "unknown_link_type", count)
        batch = decode_others(block, np.arange(0), ledger)[0]
    ledger.packets_decoded += len(batch)
    return batch


def decode_plain_ethernet(block: Block) -> tuple[Mask, PacketBatch]:
    """The Ethernet/IPv4/TCP|UDP packets without tag, option or fragment: which they are, and their columns."""
    rows = gather(block.data, block.start, HEAD_BYTES) if block.heads is None else block.heads
    header = rows.view(FAST_HEADER)[:, 0]
    kind = header["kind"] & KIND_MASK
    is_tcp = kind == KIND_TCP
    fast = (is_tcp | (kind == KIND_UDP)) & ((header["type"] & TYPE_MASK) == TYPE_PLAIN)
    need, length = np.where(is_tcp, 40, 28), header["length"]
    fast &= (block.captured >= need + 14) & ((length >= need) | (length == 0)) & (~is_tcp | (header["offset"] >= 0x50))
    start, captured, wire, time_ns = block.start, block.captured, block.wire, block.time_ns
    if not fast.all():
        header, is_tcp = header[fast], is_tcp[fast]
        start, captured, wire, time_ns = start[fast], captured[fast], wire[fast], time_ns[fast]
    source_port, destination_port = header["source_port"].astype(np.int64), header["destination_port"].astype(np.int64)
    # TCP from such a port is as rare as a tunnel, so that asking every packet's is enough.
    if TUNNEL_PORTS.take(destination_port).any():
        plain = is_tcp | ~TUNNEL_PORTS[destination_port]
        fast[np.flatnonzero(fast)[~plain]] = False
        header, is_tcp, start, captured = header[plain], is_tcp[plain], start[plain], captured[plain]
        wire, time_ns, source_port = wire[plain], time_ns[plain], source_port[plain]
        destination_port = destination_port[plain]
    source = (header["source"].astype(np.uint64) << WORD_BITS_16) | source_port.view(np.uint64)
    destination = (header["destination"].astype(np.uint64) << WORD_BITS_16) | destination_port.view(np.uint64)
    upward = source < destination
    transport = np.where(is_tcp, TCP, UDP)
    length = header["length"].astype(np.int64)
    length = np.where(length == 0, wire - 14, length)
    network = start + 14
    payload = network + np.where(is_tcp, 20 + ((header["offset"] >> 4).astype(np.int64) << 2), 28)
    body = np.where(is_tcp, length, np.minimum(length, header["udp_length"].astype(np.int64) + 20))
    end = network + np.minimum(body, captured - 14)
    batch = PacketBatch(
        data=block.data,
        link_type=block.link_type,
        time_ns=time_ns,
        frame=start,
        network=network,
        payload=payload,
        payload_end=np.maximum(end, payload),
        wire=length,
        source_port=source_port,
        destination_port=destination_port,
        sequence=np.where(is_tcp, header["sequence"].astype(np.int64), 0),
        flags=np.where(is_tcp, header["flags"].astype(np.int64), 0),
        transport=transport,
        version=np.full(len(start), 4),
        vlan=np.zeros(len(start), np.int64),
        key=flow_key(np.minimum(source, destination), np.maximum(source, destination), transport),
        upward=upward,
        interface=block.interface,
    )
    return fast, batch


def merge(batch: PacketBatch, places: Ints, other: PacketBatch, other_places: Ints) -> PacketBatch:
    """Two batches of one block as one, in capture order; `places` are the packets' numbers in the block."""
    if not len(other):
        return batch
    order = np.argsort(np.concatenate((places, other_places)), kind="stable")

    def column(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate((getattr(batch, name), getattr(other, name)))[order]

    names = ("time_ns", "frame", "network", "payload", "payload_end", "wire", "source_port", "destination_port",
             "sequence", "flags", "transport", "version", "vlan", "key", "upward")  # fmt: skip
    columns = {name: column(name) for name in names}
    if other.macs is not None:
        own = (
            gather(batch.data, batch.frame, 12)
            if batch.link_type == LINK_ETHERNET
            else np.zeros((len(batch), 12), np.uint8)
        )
        columns["macs"] = np.concatenate((own, other.macs))[order]
    if other.outer is not None and other.tunnel is not None and other.tag is not None:
        zero = np.zeros(len(batch), np.int64)
        columns["outer"] = np.concatenate((zero - 1, other.outer))[order]
        columns["tunnel"] = np.concatenate((zero, other.tunnel))[order]
        columns["tag"] = np.concatenate((zero, other.tag))[order]
    return PacketBatch(data=batch.data, link_type=batch.link_type, interface=batch.interface, **columns)  # type: ignore[arg-type]


def decode_others(block: Block, places: Ints, ledger: Ledger) -> tuple[PacketBatch, Ints]:
    """The general pass over the packets at `places`: their batch, and the places of those that are in it."""
    layer, found = Layer.of(block, places), []
    for depth in range(MAX_TUNNELS + 1):
        peel(block.data, layer)
        packets = strip_ip(block, layer, ledger)
        is_tunnel, inner = open_tunnels(block.data, packets.transport_layer(), packets.protocol)
        if not len(inner):
            found.append(packets)
            break
        found.append(packets.take(~is_tunnel))
        if depth == MAX_TUNNELS:
            ledger.drop("decode", "tunnel_too_deep", len(inner))
        layer = inner
    whole = found[0] if len(found) == 1 else IpPackets.join(found)
    return strip_transport(block, whole, ledger)


def strip_ip(block: Block, layer: Layer, ledger: Ledger) -> "IpPackets":
    """IP headers off, in capture order; what is no IP, cut off or malformed is counted."""
    end, ethertype = layer.end, layer.kind
    missing = layer.at + 20 > end
    network = layer.at
    version = (block.data[np.where(missing, 0, network)] >> 4).astype(np.int64)
    four = ~missing & (ethertype == IPV4) & (version == 4)
    six = ~missing & (ethertype == IPV6) & (version == 6)
    is_ip = (ethertype == IPV4) | (ethertype == IPV6)
    secret = ethertype == ENCRYPTED
    ledger.drop("decode", "encrypted_link", int(secret.sum()))
    ledger.drop("decode", "not_ip", int((~is_ip & ~secret & (network <= end)).sum()))
    ledger.drop("decode", "truncated_link", int((~is_ip & ~secret & (network > end)).sum()))
    ledger.drop("decode", "truncated_ip", int((is_ip & missing).sum()))
    ledger.drop("decode", "malformed_ip", int((is_ip & ~missing & ~four & ~six).sum()))
    parts = [
        strip_ipv4(block, network[four], end[four], layer.whole[four], ledger),
        strip_ipv6(block, network[six], end[six], layer.whole[six], ledger),
    ]
    chosen = np.concatenate([np.flatnonzero(four)[parts[0].keep], np.flatnonzero(six)[parts[1].keep]])
    order = np.argsort(chosen, kind="stable")
    is_six = np.concatenate([np.zeros(int(parts[0].keep.sum()), bool), np.ones(int(parts[1].keep.sum()), bool)])

    def column(name: str) -> Ints:
        joined: Ints = np.concatenate([getattr(part, name)[part.keep] for part in parts])[order]
        return joined

    return IpPackets(
        layer=layer.take(chosen[order]),
        transport_at=column("transport_at"),
        end=column("end"),
        protocol=column("protocol"),
        wire=column("wire"),
        is_six=is_six[order],
    )


@dataclasses.dataclass(slots=True)
class IpPackets:
    """IP packets with their headers known: `layer` stands at the IP header; the rest as IpPart has it."""

    layer: Layer
    transport_at: Ints
    end: Ints
    protocol: Ints
    wire: Ints
    is_six: Mask

    def take(self, chosen: Ints | Mask) -> "IpPackets":
        """Some of the packets."""
        return IpPackets(
            self.layer.take(chosen), self.transport_at[chosen], self.end[chosen], self.protocol[chosen],
            self.wire[chosen], self.is_six[chosen],
        )  # fmt: skip

    @classmethod
    def join(cls, parts: list["IpPackets"]) -> "IpPackets":
        """All of them, in capture order."""
        layer = Layer.join([part.layer for part in parts])
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("transport_at", "end", "protocol", "wire", "is_six")
        }
        return cls(layer, **columns).take(np.argsort(layer.place, kind="stable"))

    def transport_layer(self) -> Layer:
        """The packets at their transport headers, each with the outermost IP header that may carry another packet."""
        layer = self.layer
        return dataclasses.replace(
            layer,
            at=self.transport_at,
            end=self.end,
            whole=np.minimum(layer.at + self.wire, layer.whole),
            outer=np.where(layer.outer < 0, layer.at, layer.outer),
        )


class IpPart:
    """What a network header leaves: where the transport begins, where the packet ends, and which packets go on."""

    __slots__ = ("end", "keep", "protocol", "transport_at", "wire")

    def __init__(self, transport_at: Ints, end: Ints, protocol: Ints, wire: Ints, keep: Mask) -> None:
        self.transport_at, self.end, self.protocol, self.wire, self.keep = transport_at, end, protocol, wire, keep


def strip_ipv4(block: Block, network: Ints, end: Ints, whole: Ints, ledger: Ledger) -> IpPart:
    """IPv4 with options (RFC 791). A later fragment has no transport header and is counted.

    `end` is where the capture of a packet stops, `whole` where the packet did; a length of zero is segmentation's.
    """
    rows = gather(block.data, network, 20)
    header = (rows[:, 0] & 0x0F).astype(np.int64) << 2
    length = big_endian(rows, 2, 2)
    length = np.where(length == 0, whole - network, length)
    later = (big_endian(rows, 6, 2) & 0x1FFF) != 0
    bad = (header < 20) | (length < header)
    ledger.drop("decode", "malformed_ip", int(bad.sum()))
    ledger.drop("decode", "later_fragment", int((later & ~bad).sum()))
    stop = np.minimum(network + length, end)
    return IpPart(network + header, stop, rows[:, 9].astype(np.int64), length, ~bad & ~later)


def strip_ipv6(block: Block, network: Ints, end: Ints, whole: Ints, ledger: Ledger) -> IpPart:
    """IPv6 with its extension headers (RFC 8200 4), at most MAX_EXTENSION_HEADERS. `end`, `whole`: see strip_ipv4."""
    short = network + 40 > end
    rows = gather(block.data, np.where(short, 0, network), 8)
    length = big_endian(rows, 4, 2)
    length = np.where(length == 0, whole - network, length + 40)
    protocol = rows[:, 6].astype(np.int64)
    at = network + 40
    stop = np.minimum(network + length, end)
    later = np.zeros(len(network), bool)
    for _ in range(MAX_EXTENSION_HEADERS):
        plain, fragment = np.isin(protocol, EXTENSION_HEADERS), protocol == FRAGMENT_HEADER
        security = protocol == AUTHENTICATION_HEADER
        more = (plain | fragment | security) & (at + 8 <= stop) & ~later & ~short
        if not more.any():
            break
        head = gather(block.data, np.where(more, at, 0), 8)
        size = head[:, 1].astype(np.int64)
        step = np.where(fragment, 8, np.where(security, (size + 2) << 2, (size + 1) << 3))
        later |= more & fragment & ((big_endian(head, 2, 2) & 0xFFF8) != 0)
        protocol = np.where(more, head[:, 0].astype(np.int64), protocol)
        at = np.where(more, at + step, at)
    ledger.drop("decode", "truncated_ip", int(short.sum()))
    ledger.drop("decode", "later_fragment", int((later & ~short).sum()))
    return IpPart(at, stop, protocol, length, ~short & ~later)


def strip_transport(block: Block, packets: IpPackets, ledger: Ledger) -> tuple[PacketBatch, Ints]:
    """TCP and UDP headers off; ICMP, other transports and cut headers are counted."""
    at, end, protocol = packets.transport_at, packets.end, packets.protocol
    is_tcp, is_udp = protocol == TCP, protocol == UDP
    fits = at + np.where(is_tcp, 20, 8) <= end
    rows = gather(block.data, np.where(fits, at, 0), 20)
    malformed = is_tcp & fits & (rows[:, 12] < 0x50)
    keep = (is_tcp | is_udp) & fits & ~malformed
    ledger.drop("decode", "malformed_transport", int(malformed.sum()))
    icmp = (protocol == ICMP) | (protocol == ICMPV6)
    ledger.drop("decode", "icmp", int(icmp.sum()))
    ledger.drop("decode", "other_transport", int((~is_tcp & ~is_udp & ~icmp).sum()))
    ledger.drop("decode", "truncated_transport", int(((is_tcp | is_udp) & ~fits).sum()))
    packets, rows = packets.take(keep), rows[keep]
    layer, at, end, is_tcp = packets.layer, packets.transport_at, packets.end, is_tcp[keep]
    header = np.where(is_tcp, (rows[:, 12] >> 4).astype(np.int64) << 2, 8)
    end = np.where(is_tcp, end, np.minimum(end, at + big_endian(rows, 4, 2)))
    source_port, destination_port = big_endian(rows, 0, 2), big_endian(rows, 2, 2)
    source, destination = end_words(block.data, layer.at, packets.is_six, source_port, destination_port)
    payload = at + header
    batch = PacketBatch(
        data=block.data,
        link_type=block.link_type,
        time_ns=block.time_ns[layer.place],
        frame=layer.frame,
        network=layer.at,
        payload=payload,
        payload_end=np.maximum(end, payload),
        wire=packets.wire,
        source_port=source_port,
        destination_port=destination_port,
        sequence=np.where(is_tcp, big_endian(rows, 4, 4), 0),
        flags=np.where(is_tcp, rows[:, 13].astype(np.int64), 0),
        transport=packets.protocol,
        version=np.where(packets.is_six, 6, 4),
        vlan=layer.vlan,
        key=flow_key(np.minimum(source, destination), np.maximum(source, destination), packets.protocol),
        upward=source < destination,
        interface=block.interface,
    )
    note_origins(batch, layer)
    return batch, layer.place


def note_origins(batch: PacketBatch, layer: Layer) -> None:
    """Say where MAC addresses stand and which tunnels carried the packets, where that is not the usual."""
    seen = layer.target != NO_MAC
    usual = (layer.target == layer.frame) & (layer.sender == layer.frame + 6)
    if not (usual.all() if batch.link_type == LINK_ETHERNET else not seen.any()):
        batch.macs = np.zeros((len(batch), 12), np.uint8)
        batch.macs[seen, :6] = gather(batch.data, layer.target[seen], 6)
        batch.macs[seen, 6:] = gather(batch.data, layer.sender[seen], 6)
    if layer.tunnel.any():
        batch.outer, batch.tunnel, batch.tag = layer.outer, layer.tunnel, layer.tag


def end_words(
    data: Bytes, network: Ints, is_six: Mask, source_port: Ints, destination_port: Ints
) -> tuple[Words, Words]:
    """One word for each end: IPv4 address and port as they are, IPv6 address and port hashed."""
    four = gather(data, network, 20)
    source, destination = big_endian(four, 12, 4).astype(np.uint64), big_endian(four, 16, 4).astype(np.uint64)
    source = (source << WORD_BITS_16) | source_port.astype(np.uint64)
    destination = (destination << WORD_BITS_16) | destination_port.astype(np.uint64)
    if is_six.any():
        words = gather(data, network[is_six], 40)[:, 8:].copy().view(np.uint64)
        for side, ports, at in ((source, source_port, 0), (destination, destination_port, 2)):
            mixed = (words[:, at] ^ (words[:, at] >> SHIFT)) * MIX[4] + (words[:, at + 1] ^ MIX[3]) * MIX[5]
            side[is_six] = mixed + ports[is_six].astype(np.uint64) * MIX[2]
    return source, destination
