"""Tunnels and mirrors that IP carries: which packets hold another packet, and where it begins; vectorised.

IP in IP (RFC 2003, 4213, 2473), GRE (RFC 2784, 2890, 2637), ERSPAN I, II and III (draft-foschiano-erspan-03), MPLS
in IP (RFC 4023), GRE in UDP (RFC 8086), VXLAN (RFC 7348; mirrors of AWS, Azure and others send it), VXLAN-GPE
(draft-ietf-nvo3-vxlan-gpe), GENEVE (RFC 8926; load balancers before appliances send it), TZSP (wiki.mikrotik.com).
Mirrors of AWS (Traffic Mirroring packet format) and Alibaba Cloud (Traffic mirroring) send VXLAN to 4789; Azure's
Gateway Load Balancer sends it to the ports of its two tunnel interfaces: 10800 and 10801 in a published set-up
(erjosito/azcli, gwlb.azcli, after Azure's own tutorial).
A port alone makes no tunnel: what is behind it must look like one, else the datagram stays a datagram.
"""

import numpy as np

from collector.links import (
    BRIDGED,
    IPV4,
    IPV6,
    LINK,
    LINK_WIFI,
    MPLS,
    MPLS_MULTICAST,
    NO_MAC,
    NOTHING,
    PPP,
    Layer,
    head_of,
)
from collector.packets import UDP, Bytes, Ints, Mask, big_endian, gather

MAX_TUNNELS = 4
"""How deep tunnels are opened; a packet in one more is counted."""

TUNNELS = ("", "ipip", "gre", "erspan", "mpls", "vxlan", "geneve", "tzsp")
IPIP, GRE, ERSPAN, LABELLED, VXLAN, GENEVE, TZSP = range(1, len(TUNNELS))
IN_IPV4, IN_IPV6, IN_GRE, IN_MPLS = 4, 41, 47, 137
VXLAN_PORTS, GPE_PORT, GENEVE_PORTS, TZSP_PORT = (4789, 8472, 10_800, 10_801), 4790, (6081,), 37_008
GRE_PORT = 4754

TUNNEL_PORTS = np.zeros(65_536, bool)
TUNNEL_PORTS[[*VXLAN_PORTS, GPE_PORT, *GENEVE_PORTS, TZSP_PORT, GRE_PORT]] = True
"""The UDP ports behind which a tunnel may be; asked for every datagram."""

ERSPAN_2, ERSPAN_3 = 0x88BE, 0x22EB
GRE_KINDS = (IPV4, IPV6, BRIDGED, MPLS, MPLS_MULTICAST)
GENEVE_KINDS = (IPV4, IPV6, BRIDGED)
MAX_TZSP_TAGS = 16


class Inside:
    """What lies in each of some packets: a Layer over copies of their columns, and whether it is a tunnel at all."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.is_tunnel = np.zeros(len(layer), bool)

    def set(self, rows: Ints, part: Layer, tunnel: int, tag: Ints | int = 0) -> None:
        """The packets `rows` hold what `part` says where its kind is not NOTHING; an outer tunnel keeps its name."""
        held = part.kind != NOTHING
        rows, part = rows[held], part.take(held)
        tags = np.broadcast_to(np.asarray(tag, np.int64), held.shape)[held]
        self.layer.at[rows], self.layer.kind[rows], self.layer.frame[rows] = part.at, part.kind, part.at
        first = self.layer.tunnel[rows] == 0
        self.layer.tag[rows] = np.where(first, tags, self.layer.tag[rows])
        self.layer.tunnel[rows] = np.where(first, tunnel, self.layer.tunnel[rows])
        self.is_tunnel[rows] = True


def open_tunnels(data: Bytes, layer: Layer, protocol: Ints) -> tuple[Mask, Layer]:
    """Which packets are tunnels, and what they hold. Each stands at its transport header, `protocol` says which."""
    suspect = np.isin(protocol, (IN_IPV4, IN_IPV6, IN_GRE, IN_MPLS))
    datagram = protocol == UDP
    if datagram.any():
        rows, fits = head_of(data, layer, 8)
        port = big_endian(rows, 2, 2)
        suspect |= datagram & fits & TUNNEL_PORTS[port]
    else:
        port = np.zeros(len(layer), np.int64)
    chosen = np.flatnonzero(suspect)
    if not len(chosen):
        return suspect, layer.take(chosen)
    part, protocol, port = layer.take(chosen), protocol[chosen], port[chosen]
    # What is inside came from somewhere else: neither the tunnel's addresses nor its tags are its own.
    part.target, part.sender, part.vlan = (np.full(len(part), value) for value in (NO_MAC, NO_MAC, 0))
    inside = Inside(part)
    for number, kind in ((IN_IPV4, IPV4), (IN_IPV6, IPV6), (IN_MPLS, MPLS)):
        rows_of = np.flatnonzero(protocol == number)
        held = part.take(rows_of)
        held.kind = np.full(len(rows_of), kind)
        inside.set(rows_of, held, LABELLED if kind == MPLS else IPIP)
    open_gre(data, inside, np.flatnonzero(protocol == IN_GRE), 0)
    on = np.where(protocol == UDP, port, -1)
    open_vxlan(data, inside, np.flatnonzero(np.isin(on, (*VXLAN_PORTS, GPE_PORT))))
    open_geneve(data, inside, np.flatnonzero(np.isin(on, GENEVE_PORTS)))
    open_tzsp(data, inside, np.flatnonzero(on == TZSP_PORT))
    open_gre(data, inside, np.flatnonzero(on == GRE_PORT), 8)
    suspect[chosen] = inside.is_tunnel
    return suspect, part.take(inside.is_tunnel)


def behind_udp(inside: Inside, rows: Ints, skip: int = 8) -> Layer:
    """The packets `rows`, moved behind their UDP headers."""
    part = inside.layer.take(rows)
    part.at = part.at + skip
    return part


def open_gre(data: Bytes, inside: Inside, rows: Ints, skip: int) -> None:
    """GRE and what it carries: IP, Ethernet, MPLS, PPP (version 1, RFC 2637) or a mirror's ERSPAN."""
    if not len(rows):
        return
    part = behind_udp(inside, rows, skip)
    head, fits = head_of(data, part, 4)
    flags, carried = big_endian(head, 0, 2), big_endian(head, 2, 2)
    version = flags & 7
    size = 4 + np.where(flags & 0x8000, 4, 0) + np.where(flags & 0x2000, 4, 0) + np.where(flags & 0x1000, 4, 0)
    size += np.where((version == 1) & (flags & 0x0080 != 0), 4, 0)
    # Source routes (RFC 1701) are obsolete; nobody may send them.
    fits &= (flags & 0x4000 == 0) & (version <= 1)
    key_at = part.at + 4 + np.where(flags & 0x8000, 4, 0)
    keyed = fits & (flags & 0x2000 != 0) & (key_at + 4 <= part.end)
    key = np.where(keyed, big_endian(gather(data, np.where(keyed, key_at, 0), 4), 0, 4), 0)
    part.at = part.at + size
    plain = np.where((version == 0) & np.isin(carried, GRE_KINDS), carried, NOTHING)
    plain = np.where((version == 1) & (carried == PPP), PPP, plain)
    part.kind = np.where(fits & (part.at <= part.end), plain, NOTHING)
    inside.set(rows, part, GRE, key)
    mirrored = fits & (version == 0)
    open_erspan_2(data, inside, rows, part, mirrored & (carried == ERSPAN_2), flags & 0x1000 != 0)
    open_erspan_3(data, inside, rows, part, mirrored & (carried == ERSPAN_3))


def open_erspan_2(data: Bytes, inside: Inside, rows: Ints, part: Layer, is_two: Mask, numbered: Mask) -> None:
    """Type I, without a sequence number, has no header of its own; type II has one of eight bytes."""
    chosen = np.flatnonzero(is_two)
    if not len(chosen):
        return
    held, with_header = part.take(chosen), numbered[chosen]
    head, fits = head_of(data, held, 8)
    session = np.where(with_header & fits, big_endian(head, 2, 2) & 0x3FF, 0)
    held.at = held.at + np.where(with_header, 8, 0)
    held.kind = np.where((held.at + 14 <= held.end) & (~with_header | (head[:, 0] >> 4 == 1)), BRIDGED, NOTHING)
    inside.set(rows[chosen], held, ERSPAN, session)


def open_erspan_3(data: Bytes, inside: Inside, rows: Ints, part: Layer, is_three: Mask) -> None:
    """Type III: twelve bytes, eight more where its last bit says so; it holds a frame or a bare IP packet."""
    chosen = np.flatnonzero(is_three)
    if not len(chosen):
        return
    held = part.take(chosen)
    head, fits = head_of(data, held, 12)
    frame_type = (head[:, 10] >> 2) & 0x1F
    held.at = held.at + 12 + np.where(head[:, 11] & 1, 8, 0)
    first = gather(data, np.where(held.at < held.end, held.at, 0), 1)[:, 0]
    packet = np.where(first >> 4 == 6, IPV6, IPV4)
    kind = np.where(frame_type == 0, BRIDGED, np.where(frame_type == 2, packet, NOTHING))
    held.kind = np.where(fits & (held.at < held.end) & (head[:, 0] >> 4 == 2), kind, NOTHING)
    inside.set(rows[chosen], held, ERSPAN, big_endian(head, 2, 2) & 0x3FF)


def open_vxlan(data: Bytes, inside: Inside, rows: Ints) -> None:
    """VXLAN: the flag that an id is there, and nothing in the reserved bits but a group policy's; GPE says what it
    carries."""
    if not len(rows):
        return
    part = behind_udp(inside, rows)
    head, fits = head_of(data, part, 8)
    flags = head[:, 0]
    generic = (flags & 0x0C) == 0x0C
    plain = ((flags & 0x7F) == 0x08) & (((flags & 0x80) != 0) | (big_endian(head, 1, 3) == 0)) & (head[:, 7] == 0)
    next_kind = np.array([NOTHING, IPV4, IPV6, BRIDGED, NOTHING, MPLS, *[NOTHING] * 250], np.int64)[head[:, 3]]
    part.at = part.at + 8
    kind = np.where(plain, BRIDGED, np.where(generic, next_kind, NOTHING))
    part.kind = np.where(fits & (part.at < part.end), kind, NOTHING)
    inside.set(rows, part, VXLAN, big_endian(head, 4, 3))


def open_geneve(data: Bytes, inside: Inside, rows: Ints) -> None:
    """GENEVE, version 0, its options skipped."""
    if not len(rows):
        return
    part = behind_udp(inside, rows)
    head, fits = head_of(data, part, 8)
    carried = big_endian(head, 2, 2)
    # Version 0, no OAM message, reserved bits zero.
    known = fits & (head[:, 0] >> 6 == 0) & (head[:, 1] & 0xBF == 0) & (head[:, 7] == 0)
    part.at = part.at + 8 + ((head[:, 0] & 0x3F).astype(np.int64) << 2)
    part.kind = np.where(known & np.isin(carried, GENEVE_KINDS) & (part.at < part.end), carried, NOTHING)
    inside.set(rows, part, GENEVE, big_endian(head, 4, 3))


def open_tzsp(data: Bytes, inside: Inside, rows: Ints) -> None:
    """TZSP, version 1, a received packet or one to be sent: tagged fields up to the end tag, then the frame."""
    if not len(rows):
        return
    part = behind_udp(inside, rows)
    head, fits = head_of(data, part, 4)
    carried = big_endian(head, 2, 2)
    kind = np.where(carried == 1, BRIDGED, np.where(carried == 18, LINK + LINK_WIFI, NOTHING))
    going = fits & (head[:, 0] == 1) & (head[:, 1] <= 1) & (kind != NOTHING)
    part.at = part.at + 4
    done = np.zeros(len(rows), bool)
    for _ in range(MAX_TZSP_TAGS):
        tag, inside_one = head_of(data, part, 1)
        _, inside_two = head_of(data, part, 2)
        at_end, padding = tag[:, 0] == 1, tag[:, 0] == 0
        going &= inside_one & (at_end | padding | inside_two)
        if not going.any():
            break
        length = gather(data, np.where(inside_two, part.at, 0), 2)[:, 1].astype(np.int64)
        part.at = part.at + np.where(going, np.where(at_end | padding, 1, 2 + length), 0)
        done |= going & at_end
        going &= ~at_end
    part.kind = np.where(done & (part.at < part.end), kind, NOTHING)
    inside.set(rows, part, TZSP)
