"""Packets and captures as they lie on the wire, built from their parts with struct: for the tests and the mutants.

A `Packet` is its time in nanoseconds since 1970 and its bytes. Addresses are text; ports, numbers and lengths are what
the header shall say, so that each of them can lie.
"""

import gzip
import ipaddress
import struct
from collections.abc import Sequence

import numpy as np

from collector.packets import ACK, FIN, SLACK_BYTES, SYN, Block, Bytes, Ints

Packet = tuple[int, bytes]

NS = 10**9
BEGIN_NS = 1_793_606_400 * NS
CAMERA, SERVER = "10.20.0.11", "192.0.2.80"
CAMERA_MAC, GATEWAY_MAC = "00:00:5e:00:53:11", "00:00:5e:00:53:01"
PSH_ACK = ACK | 0x08


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(
    body: bytes,
    kind: int = 0,
    tags: Sequence[tuple[int, int]] = (),
    source: str = CAMERA_MAC,
    target: str = GATEWAY_MAC,
) -> bytes:
    """A frame; `tags` are (TPID, VLAN id), the outermost first. The kind is told from the body unless it is given."""
    kind = kind or (0x86DD if body[:1] and body[0] >> 4 == 6 else 0x0800)
    middle = b"".join(struct.pack(">HH", tpid, vlan) for tpid, vlan in tags)
    return mac(target) + mac(source) + middle + kind.to_bytes(2, "big") + body


def ipv4(
    body: bytes, protocol: int, source: str = CAMERA, target: str = SERVER, options: bytes = b"",
    length: int | None = None, fragment: int = 0x4000, first: int | None = None,
) -> bytes:  # fmt: skip
    """An IPv4 packet (RFC 791); `first` is the version and header length byte, `fragment` flags and offset."""
    header = 20 + len(options)
    total = header + len(body) if length is None else length
    head = struct.pack(
        ">BBHHHBBH", 0x40 | header // 4 if first is None else first, 0, total, 1, fragment, 64, protocol, 0
    )
    return head + ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(target).packed + options + body


def ipv6(
    body: bytes, protocol: int, source: str = "fd20::11", target: str = "2001:db8::80",
    extensions: Sequence[tuple[int, bytes]] = (), length: int | None = None,
) -> bytes:  # fmt: skip
    """An IPv6 packet (RFC 8200); `extensions` are (kind, all bytes after the next-header byte)."""
    kinds = [kind for kind, _ in extensions] + [protocol]
    chain = b"".join(bytes([kinds[number + 1]]) + rest for number, (_, rest) in enumerate(extensions))
    size = len(chain) + len(body) if length is None else length
    head = struct.pack(">IHBB", 6 << 28, size, kinds[0], 64)
    return head + ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(target).packed + chain + body


def tcp(
    payload: bytes = b"", source: int = 40_000, target: int = 443, sequence: int = 1, flags: int = PSH_ACK,
    options: bytes = b"", offset: int | None = None,
) -> bytes:  # fmt: skip
    """A TCP segment (RFC 9293); `offset` is the header's length in words of four bytes."""
    words = (20 + len(options)) // 4 if offset is None else offset
    return (
        struct.pack(">HHIIBBHHH", source, target, sequence % 2**32, 1, words << 4, flags, 8192, 0, 0)
        + options
        + payload
    )


def udp(payload: bytes = b"", source: int = 40_000, target: int = 53, length: int | None = None) -> bytes:
    """A UDP datagram (RFC 768)."""
    return struct.pack(">HHHH", source, target, 8 + len(payload) if length is None else length, 0) + payload


def tcp_frame(
    payload: bytes = b"", ends: tuple[str, int, str, int] = (CAMERA, 40_000, SERVER, 443), sequence: int = 1,
    flags: int = PSH_ACK, back: bool = False,
) -> bytes:  # fmt: skip
    """A TCP segment in Ethernet between two ends, from the first to the second, or `back`."""
    return frame(tcp(payload, *ports(ends, back), sequence, flags), 6, ends, back)


def udp_frame(
    payload: bytes = b"", ends: tuple[str, int, str, int] = (CAMERA, 40_000, SERVER, 53), back: bool = False
) -> bytes:
    """A UDP datagram in Ethernet between two ends, from the first to the second, or `back`."""
    return frame(udp(payload, *ports(ends, back)), 17, ends, back)


def ports(ends: tuple[str, int, str, int], back: bool) -> tuple[int, int]:
    return (ends[3], ends[1]) if back else (ends[1], ends[3])


def frame(body: bytes, protocol: int, ends: tuple[str, int, str, int], back: bool, own: str = CAMERA_MAC) -> bytes:
    """A transport body in IP and Ethernet; the first end has the MAC address `own`, the second the gateway's."""
    source, target = (ends[2], ends[0]) if back else (ends[0], ends[2])
    packet = (ipv6 if ":" in source else ipv4)(body, protocol, source, target)
    return ethernet(packet, source=GATEWAY_MAC if back else own, target=own if back else GATEWAY_MAC)


class Talk:
    """One TCP connection, packet by packet, a millisecond between them. `packets` is what was said."""

    def __init__(
        self, ends: tuple[str, int, str, int] = (CAMERA, 40_000, SERVER, 443), at_ns: int = BEGIN_NS,
        own: str = CAMERA_MAC, first: tuple[int, int] = (1_000, 5_000), handshake: bool = True,
    ) -> None:  # fmt: skip
        self.ends, self.at_ns, self.own = ends, at_ns, own
        self.sequence = list(first)
        self.packets: list[Packet] = []
        if handshake:
            self.send(0, flags=SYN)
            self.send(1, flags=SYN | ACK)
            self.send(0, flags=ACK)

    def send(self, side: int, payload: bytes = b"", flags: int = PSH_ACK, sequence: int | None = None) -> None:
        """A segment of side 0 (who began) or 1; a `sequence` of its own leaves the stream's place where it was."""
        number = self.sequence[side] if sequence is None else sequence
        segment = tcp(payload, *ports(self.ends, side == 1), number, flags)
        self.packets.append((self.at_ns, frame(segment, 6, self.ends, side == 1, self.own)))
        self.at_ns += 1_000_000
        if sequence is None:
            self.sequence[side] += len(payload) + (flags & SYN != 0) + (flags & FIN != 0)

    def close(self) -> None:
        """An orderly end, the side that began first."""
        self.send(0, flags=FIN | ACK)
        self.send(1, flags=FIN | ACK)
        self.send(0, flags=ACK)


def spaced(frames: Sequence[bytes], at_ns: int = BEGIN_NS, step_ns: int = 1_000_000) -> list[Packet]:
    """The frames with times, `step_ns` apart."""
    return [(at_ns + number * step_ns, data) for number, data in enumerate(frames)]


def block_of(
    packets: Sequence[Packet], link_type: int = 1, wire: Sequence[int] | None = None, behind: bytes = b"\xee" * 16
) -> Block:
    """Packets as a source hands them over, with the slack of packets.py behind the last.

    `behind` stands behind each: in a capture that is the next record's, and nobody may read it as the packet's.
    """
    sizes = np.array([len(data) for _, data in packets], np.int64)
    buffer = b"".join(data + behind for _, data in packets) + bytes(SLACK_BYTES)
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes + len(behind))))[: len(packets)]
    times = np.array([at_ns for at_ns, _ in packets], np.int64)
    lengths = sizes if wire is None else np.array(wire, np.int64)
    return Block(np.frombuffer(buffer, np.uint8), starts, sizes, lengths, times, link_type)


def lying(payloads: Sequence[bytes]) -> tuple[Bytes, Ints, Ints]:
    """Payloads as they lie in a batch: its data, and where each starts and stops."""
    block = block_of([(BEGIN_NS, payload) for payload in payloads])
    return block.data, block.start, block.start + block.captured


def pcap_header(order: str = "<", magic: int = 0xA1B2C3D4, link_type: int = 1, snap: int = 262_144) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, link_type)


def pcap_record(
    packet: Packet, order: str = "<", tick_ns: int = 1_000, extra: bytes = b"", captured: int | None = None,
    wire: int | None = None,
) -> bytes:  # fmt: skip
    """A record; `captured` and `wire` may lie, `extra` is what the modified format has between header and packet."""
    at_ns, data = packet
    have = len(data) if captured is None else captured
    seconds, rest = divmod(at_ns, NS)
    return struct.pack(f"{order}IIII", seconds, rest // tick_ns, have, have if wire is None else wire) + extra + data


def pcap(packets: Sequence[Packet], order: str = "<", magic: int = 0xA1B2C3D4, link_type: int = 1) -> bytes:
    """A capture file of these packets."""
    tick_ns, extra = (1 if magic == 0xA1B23C4D else 1_000), (bytes(8) if magic == 0xA1B2CD34 else b"")
    records = [pcap_record(packet, order, tick_ns, extra) for packet in packets]
    return pcap_header(order, magic, link_type) + b"".join(records)


def zipped(*members: bytes) -> bytes:
    """Gzip members, one behind the other."""
    return b"".join(gzip.compress(member, mtime=0) for member in members)


def ng_block(kind: int, body: bytes, order: str = "<", length: int | None = None) -> bytes:
    """A pcapng block; the body is filled up to a multiple of four."""
    padded = body + bytes(-len(body) % 4)
    size = len(padded) + 12 if length is None else length
    return struct.pack(f"{order}II", kind, size) + padded + struct.pack(f"{order}I", size)


def ng_section(order: str = "<", major: int = 1, minor: int = 0) -> bytes:
    return ng_block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, major, minor, -1), order)


def ng_option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def ng_interface(link_type: int = 1, order: str = "<", snap: int = 0, options: bytes = b"") -> bytes:
    return ng_block(1, struct.pack(f"{order}HHI", link_type, 0, snap) + options, order)


def ng_packet(
    ticks: int, data: bytes, interface: int = 0, order: str = "<", captured: int | None = None, wire: int | None = None
) -> bytes:
    """An enhanced packet block."""
    have = len(data) if captured is None else captured
    words = (interface, ticks >> 32, ticks & 0xFFFF_FFFF, have, have if wire is None else wire)
    return ng_block(6, struct.pack(f"{order}IIIII", *words) + data, order)


def ng_old_packet(ticks: int, data: bytes, interface: int = 0, order: str = "<") -> bytes:
    """The packet block that came before the enhanced one."""
    head = struct.pack(f"{order}HHIIII", interface, 0, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), len(data))
    return ng_block(2, head + data, order)


def ng_simple_packet(data: bytes, wire: int, order: str = "<") -> bytes:
    return ng_block(3, struct.pack(f"{order}I", wire) + data, order)
