"""Headers off: a block of raw packets → a PacketBatch, vectorised.

Ethernet with IPv4 without options, nearly all of the traffic, is decoded from one gathered matrix of headers; the rest
(VLAN tags, IPv6, options, other link types) in a second, smaller pass of the same kind. What is neither TCP nor
UDP is counted by reason. Sources: IEEE 802.3, 802.1Q; RFC 791, 8200, 9293, 768; the link-type list of tcpdump.org.
"""

import secrets

import numpy as np
import numpy.typing as npt

from collector.ledger import Ledger
from collector.packets import HEAD_BYTES, TCP, UDP, Block, Bytes, Ints, Mask, PacketBatch, Words, pick

LINK_NULL, LINK_ETHERNET, LINK_LOOP = 0, 1, 108
LINK_LINUX_SLL, LINK_LINUX_SLL2 = 113, 276
LINK_RAW, LINK_IPV4, LINK_IPV6 = 101, 228, 229
RAW_LINKS = frozenset((LINK_RAW, 12, 14, LINK_IPV4, LINK_IPV6))
LINK_TYPES = frozenset((LINK_NULL, LINK_ETHERNET, LINK_LOOP, LINK_LINUX_SLL, LINK_LINUX_SLL2)) | RAW_LINKS

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
VLAN_ETHERTYPES = (0x8100, 0x88A8, 0x9100)
MAX_VLAN_TAGS = 3
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


def gather(data: Bytes, offsets: Ints, width: int) -> Bytes:
    """The `width` bytes at each offset, a row each (uint8, packets × width)."""
    return np.ndarray((len(offsets), width), np.uint8, pick(data, offsets, width))


def big_endian(rows: Bytes, at: int, width: int) -> Ints:
    """The big-endian number of `width` bytes at column `at` of every row."""
    value = rows[:, at].astype(np.int64)
    for column in range(at + 1, at + width):
        value = (value << 8) | rows[:, column]
    return value


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
    header = np.ndarray((len(rows),), FAST_HEADER, rows)
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
    return PacketBatch(data=batch.data, link_type=batch.link_type, interface=batch.interface, **columns)  # type: ignore[arg-type]


def decode_others(block: Block, places: Ints, ledger: Ledger) -> tuple[PacketBatch, Ints]:
    """The general pass over the packets at `places`: their batch, and the places of those that are in it."""
    start, end = block.start[places], block.start[places] + block.captured[places]
    network, ethertype, vlan = strip_link(block, start, end)
    version = (block.data[np.minimum(network, len(block.data) - 1)] >> 4).astype(np.int64)
    missing = network + 20 > end
    four = ~missing & (ethertype == ETHERTYPE_IPV4) & (version == 4)
    six = ~missing & (ethertype == ETHERTYPE_IPV6) & (version == 6)
    is_ip = (ethertype == ETHERTYPE_IPV4) | (ethertype == ETHERTYPE_IPV6)
    ledger.drop("decode", "not_ip", int((~is_ip & (network <= end)).sum()))
    ledger.drop("decode", "truncated_link", int((~is_ip & (network > end)).sum()))
    ledger.drop("decode", "truncated_ip", int((is_ip & missing).sum()))
    ledger.drop("decode", "malformed_ip", int((is_ip & ~missing & ~four & ~six).sum()))
    whole = block.start[places] + block.wire[places]
    parts = [
        strip_ipv4(block, network[four], end[four], whole[four], ledger),
        strip_ipv6(block, network[six], end[six], whole[six], ledger),
    ]
    kept = [np.flatnonzero(four)[parts[0].keep], np.flatnonzero(six)[parts[1].keep]]
    chosen = np.concatenate(kept)
    transport_at = np.concatenate([part.transport_at[part.keep] for part in parts])
    packet_end = np.concatenate([part.end[part.keep] for part in parts])
    protocol = np.concatenate([part.protocol[part.keep] for part in parts])
    wire = np.concatenate([part.wire[part.keep] for part in parts])
    is_six = np.concatenate([np.zeros(len(kept[0]), bool), np.ones(len(kept[1]), bool)])
    order = np.argsort(chosen, kind="stable")
    return strip_transport(
        block, places[chosen[order]], network[chosen[order]], vlan[chosen[order]], transport_at[order],
        packet_end[order], protocol[order], wire[order], is_six[order], ledger,
    )  # fmt: skip


def strip_link(block: Block, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Per packet: offset of the network header, ethertype (0 when there is none), outermost VLAN id or 0."""
    vlan = np.zeros(len(start), np.int64)
    link = block.link_type
    if link in RAW_LINKS:
        nibble = block.data[start] >> 4
        ethertype = np.where(nibble == 4, ETHERTYPE_IPV4, np.where(nibble == 6, ETHERTYPE_IPV6, 0))
        return start, np.where(start < end, ethertype, 0), vlan
    if link in (LINK_NULL, LINK_LOOP):
        family = gather(block.data, start, 4).astype(np.int64)
        value = np.maximum(family[:, 0], family[:, 3])
        ethertype = np.where(value == 2, ETHERTYPE_IPV4, np.where(np.isin(value, (10, 24, 28, 30)), ETHERTYPE_IPV6, 0))
        return start + 4, np.where(start + 4 <= end, ethertype, 0), vlan
    header, type_at = {LINK_LINUX_SLL: (16, 14), LINK_LINUX_SLL2: (20, 0)}.get(link, (14, 12))
    network = start + header
    ethertype = big_endian(gather(block.data, start + type_at, 2), 0, 2)
    for _ in range(MAX_VLAN_TAGS):
        tagged = np.isin(ethertype, VLAN_ETHERTYPES) & (network + 4 <= end)
        if not tagged.any():
            break
        tag = gather(block.data, network[tagged], 4)
        outer = vlan[tagged]
        vlan[tagged] = np.where(outer == 0, big_endian(tag, 0, 2) & 0x0FFF, outer)
        ethertype[tagged] = big_endian(tag, 2, 2)
        network = np.where(tagged, network + 4, network)
    return network, np.where(network <= end, ethertype, 0), vlan


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


def strip_transport(  # noqa: PLR0913
    block: Block, places: Ints, network: Ints, vlan: Ints, at: Ints, end: Ints, protocol: Ints, wire: Ints,
    is_six: Mask, ledger: Ledger,
) -> tuple[PacketBatch, Ints]:  # fmt: skip
    """TCP and UDP headers off; ICMP, other transports and cut headers are counted."""
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
    places, network, vlan, at, end = places[keep], network[keep], vlan[keep], at[keep], end[keep]
    is_tcp, is_six, wire, transport = is_tcp[keep], is_six[keep], wire[keep], protocol[keep]
    rows = rows[keep]
    header = np.where(is_tcp, (rows[:, 12] >> 4).astype(np.int64) << 2, 8)
    end = np.where(is_tcp, end, np.minimum(end, at + big_endian(rows, 4, 2)))
    source_port, destination_port = big_endian(rows, 0, 2), big_endian(rows, 2, 2)
    source, destination = end_words(block.data, network, is_six, source_port, destination_port)
    payload = at + header
    batch = PacketBatch(
        data=block.data,
        link_type=block.link_type,
        time_ns=block.time_ns[places],
        frame=block.start[places],
        network=network,
        payload=payload,
        payload_end=np.maximum(end, payload),
        wire=wire,
        source_port=source_port,
        destination_port=destination_port,
        sequence=np.where(is_tcp, big_endian(rows, 4, 4), 0),
        flags=np.where(is_tcp, rows[:, 13].astype(np.int64), 0),
        transport=transport,
        version=np.where(is_six, 6, 4),
        vlan=vlan,
        key=flow_key(np.minimum(source, destination), np.maximum(source, destination), transport),
        upward=source < destination,
        interface=block.interface,
    )
    return batch, places


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
