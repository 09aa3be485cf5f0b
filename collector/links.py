"""Everything before the IP header off, vectorised: link layers, VLAN tags, LLC/SNAP, MPLS labels, PPPoE and PPP.

What stands at a packet's `at` is its `kind`: an ethertype, or LINK and a link type of a capture. Each kind has a
function that moves `at` behind its header and says the next kind, for all packets of that kind at once. Sources: the
link-type list of tcpdump.org; IEEE 802.3, 802.1Q, 802.11; RFC 1661, 1662 (PPP), 2516 (PPPoE), 3032, 4385 (MPLS).
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from collector.packets import Block, Bytes, Ints, Mask, big_endian, gather

LINK = 1 << 16
LINK_NULL, LINK_ETHERNET, LINK_PPP, LINK_PPP_HDLC, LINK_PPPOE, LINK_CISCO_HDLC = 0, 1, 9, 50, 51, 104
LINK_WIFI, LINK_LOOP, LINK_LINUX_SLL, LINK_RADIOTAP, LINK_PPI, LINK_NFLOG = 105, 108, 113, 127, 192, 239
LINK_RAW, LINK_IPV4, LINK_IPV6, LINK_LINUX_SLL2 = 101, 228, 229, 276
LINK_DSA_BROADCOM, LINK_DSA_BROADCOM_BEFORE, LINK_DSA, LINK_EDSA = 281, 282, 283, 284
RAW_LINKS = (LINK_RAW, 12, 14, LINK_IPV4, LINK_IPV6)
LINK_TYPES = frozenset(
    (LINK_NULL, LINK_ETHERNET, LINK_PPP, LINK_PPP_HDLC, LINK_PPPOE, LINK_CISCO_HDLC, LINK_WIFI, LINK_LOOP,
     LINK_LINUX_SLL, LINK_RADIOTAP, LINK_PPI, LINK_NFLOG, LINK_LINUX_SLL2, LINK_DSA_BROADCOM, LINK_DSA_BROADCOM_BEFORE,
     LINK_DSA, LINK_EDSA, *RAW_LINKS)
)  # fmt: skip

NOTHING, IPV4, IPV6, BRIDGED, PPP, PPPOE = 0, 0x0800, 0x86DD, 0x6558, 0x880B, 0x8864
MPLS, MPLS_MULTICAST, VLANS = 0x8847, 0x8848, (0x8100, 0x88A8, 0x9100)
LLC, ENCRYPTED = 1 << 20, 1 << 21
MAX_802_3_LENGTH = 1500
MAX_VLAN_TAGS, MAX_LABELS, MAX_SHIMS, MAX_ATTRIBUTES = 3, 8, 8, 32
NFLOG_PAYLOAD = 9
NO_MAC = -1


@dataclasses.dataclass(slots=True)
class Layer:
    """Packets on their way through the headers; a value a packet in every column.

    `place`: its number in the block. `frame`: offset of its innermost link-layer header. `at`: offset of what comes
    next, which is of `kind`. `end`, `whole`: where its bytes end in the buffer, and where they would if all had been
    captured. `vlan`: the outermost tag, or 0. `target`, `sender`: offsets of the MAC addresses, or NO_MAC. `outer`:
    offset of the outermost IP header that carried it in a tunnel, or -1; `tunnel`, `tag`: that tunnel's number and id.
    """

    place: Ints
    frame: Ints
    at: Ints
    end: Ints
    whole: Ints
    kind: Ints
    vlan: Ints
    target: Ints
    sender: Ints
    outer: Ints
    tunnel: Ints
    tag: Ints

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, block: Block, places: Ints) -> "Layer":
        """The packets of a block at `places`, nothing off yet."""
        start, zero = block.start[places], np.zeros(len(places), np.int64)
        return cls(
            place=places,
            frame=start,
            at=start,
            end=start + block.captured[places],
            whole=start + block.wire[places],
            kind=zero + (LINK + block.link_type),
            vlan=zero,
            target=zero + NO_MAC,
            sender=zero + NO_MAC,
            outer=zero - 1,
            tunnel=zero,
            tag=zero,
        )

    def take(self, chosen: Ints | Mask) -> "Layer":
        """Some of the packets."""
        return Layer(**{name: getattr(self, name)[chosen] for name in COLUMNS})

    @classmethod
    def join(cls, layers: Sequence["Layer"]) -> "Layer":
        """The packets of all these, one behind the other."""
        return cls(**{name: np.concatenate([getattr(layer, name) for layer in layers]) for name in COLUMNS})

    def put(self, chosen: Ints, part: "Layer") -> None:
        """Set some of the packets to what `part` says of them."""
        for name in PEELED:
            getattr(self, name)[chosen] = getattr(part, name)


COLUMNS = tuple(field.name for field in dataclasses.fields(Layer))
PEELED = ("frame", "at", "kind", "vlan", "target", "sender")
Peel = Callable[[Bytes, Layer], None]


def peel(data: Bytes, layer: Layer) -> None:
    """Move every packet to its IP header; what has none gets the kind NOTHING (`at` > `end`: it was cut off there)."""
    first = int(layer.kind[0]) if len(layer) else NOTHING
    if first in PEELERS and (layer.kind == first).all():
        # Fresh columns: those of a block are shared.
        layer.frame, layer.kind, layer.vlan = layer.frame.copy(), layer.kind.copy(), layer.vlan.copy()
        PEELERS[first](data, layer)
    for _ in range(MAX_SHIMS):
        pending = np.flatnonzero((layer.kind != IPV4) & (layer.kind != IPV6) & (layer.kind != NOTHING))
        kinds = layer.kind[pending]
        moved = False
        for kind, function in PEELERS.items():
            rows = pending[kinds == kind]
            if len(rows):
                part = layer.take(rows)
                function(data, part)
                layer.put(rows, part)
                moved = True
        if not moved:
            break


def head_of(data: Bytes, layer: Layer, width: int) -> tuple[Bytes, Mask]:
    """The next `width` bytes of every packet, and whether they are its own; elsewhere they may be anything."""
    fits = layer.at + width <= layer.end
    return gather(data, np.where(fits, layer.at, 0), width), fits


def go_on(layer: Layer, size: int | Ints, kind: Ints, fits: Mask) -> None:
    """Behind a header of `size` bytes stands `kind`; where the header is cut off, nothing does."""
    layer.at = np.where(fits, layer.at + size, layer.end + 1)
    layer.kind = np.where(layer.at <= layer.end, kind, NOTHING)


def by_nibble(first: Ints) -> Ints:
    """IPv4 or IPv6 by the version in a packet's first byte, else NOTHING."""
    return np.where(first >> 4 == 4, IPV4, np.where(first >> 4 == 6, IPV6, NOTHING))


def peel_raw(data: Bytes, layer: Layer) -> None:
    """No header at all: the version tells which IP it is."""
    rows, fits = head_of(data, layer, 1)
    layer.kind = np.where(fits, by_nibble(rows[:, 0].astype(np.int64)), NOTHING)


def peel_loopback(data: Bytes, layer: Layer) -> None:
    """Four bytes of address family, in either byte order (BSD, and OpenBSD's LOOP)."""
    rows, fits = head_of(data, layer, 4)
    family = np.maximum(rows[:, 0], rows[:, 3]).astype(np.int64)
    kind = np.where(family == 2, IPV4, np.where(np.isin(family, (10, 24, 28, 30)), IPV6, NOTHING))
    go_on(layer, 4, kind, fits)


def ethertype(value: Ints) -> Ints:
    """The kind that a type field says: up to MAX_802_3_LENGTH it is a length, and LLC follows."""
    return np.where(value <= MAX_802_3_LENGTH, np.where(value == 0, NOTHING, LLC), value)


def peel_ethernet(data: Bytes, layer: Layer) -> None:
    """An Ethernet frame; it brings its own MAC addresses, and VLAN tags of its own."""
    rows, fits = head_of(data, layer, 14)
    layer.frame, layer.vlan = layer.at, np.zeros(len(layer), np.int64)
    layer.target, layer.sender = np.where(fits, layer.at, NO_MAC), np.where(fits, layer.at + 6, NO_MAC)
    go_on(layer, 14, ethertype(big_endian(rows, 12, 2)), fits)


def tagged_ethernet(tag_bytes: int) -> Peel:
    """An Ethernet frame with a switch chip's tag of so many bytes behind its addresses."""

    def peel_tagged(data: Bytes, layer: Layer) -> None:
        rows, fits = head_of(data, layer, 14 + tag_bytes)
        layer.target, layer.sender = np.where(fits, layer.at, NO_MAC), np.where(fits, layer.at + 6, NO_MAC)
        go_on(layer, 14 + tag_bytes, ethertype(big_endian(rows, 12 + tag_bytes, 2)), fits)

    return peel_tagged


def peel_switch_tag(data: Bytes, layer: Layer) -> None:
    """Broadcom's tag of four bytes before an Ethernet frame."""
    _, fits = head_of(data, layer, 4)
    go_on(layer, 4, np.full(len(layer), BRIDGED), fits)


def cooked(size: int, type_at: int) -> Peel:
    """A Linux "cooked" header of `size` bytes with the ethertype at `type_at`."""

    def peel_cooked(data: Bytes, layer: Layer) -> None:
        rows, fits = head_of(data, layer, size)
        go_on(layer, size, big_endian(rows, type_at, 2), fits)

    return peel_cooked


def peel_vlan(data: Bytes, layer: Layer) -> None:
    """Up to MAX_VLAN_TAGS tags; the outermost id that is not 0 is kept."""
    for _ in range(MAX_VLAN_TAGS):
        tagged = np.isin(layer.kind, VLANS)
        if not tagged.any():
            return
        rows, fits = head_of(data, layer, 4)
        layer.vlan = np.where(tagged & fits & (layer.vlan == 0), big_endian(rows, 0, 2) & 0x0FFF, layer.vlan)
        before = layer.kind
        go_on(
            layer, np.where(tagged, 4, 0), np.where(tagged, ethertype(big_endian(rows, 2, 2)), before), fits | ~tagged
        )
    layer.kind = np.where(np.isin(layer.kind, VLANS), NOTHING, layer.kind)


def peel_llc(data: Bytes, layer: Layer) -> None:
    """LLC with a SNAP header that says an ethertype (RFC 1042)."""
    rows, fits = head_of(data, layer, 8)
    snap = (rows[:, :6] == (0xAA, 0xAA, 3, 0, 0, 0)).all(axis=1)
    value = big_endian(rows, 6, 2)
    layer.at = layer.at + np.where(fits, 8, 0)
    layer.kind = np.where(fits & snap & (value > MAX_802_3_LENGTH), value, NOTHING)


def peel_mpls(data: Bytes, layer: Layer) -> None:
    """Labels down to the bottom of the stack; what lies there is told by its first nibble (RFC 4928 3)."""
    going, fits = np.ones(len(layer), bool), np.ones(len(layer), bool)
    for _ in range(MAX_LABELS):
        rows, inside = head_of(data, layer, 4)
        fits &= inside | ~going
        layer.at = layer.at + np.where(going, 4, 0)
        going &= inside & (rows[:, 2] & 1 == 0)
        if not going.any():
            break
    rows, inside = head_of(data, layer, 1)
    nibble = rows[:, 0] >> 4
    inner = np.where(nibble == 4, IPV4, np.where(nibble == 6, IPV6, BRIDGED))
    # A pseudowire's control word begins with a zero nibble (RFC 4385 3).
    layer.at = layer.at + np.where(inside & (nibble == 0), 4, 0)
    layer.kind = np.where(fits & inside & ~going, inner, NOTHING)
    layer.at = np.where(fits, layer.at, layer.end + 1)


def peel_pppoe(data: Bytes, layer: Layer) -> None:
    """A PPPoE session packet (RFC 2516 4); discovery has another ethertype."""
    rows, fits = head_of(data, layer, 6)
    go_on(layer, 6, np.where((rows[:, 0] == 0x11) & (rows[:, 1] == 0), PPP, NOTHING), fits)


def peel_ppp(data: Bytes, layer: Layer) -> None:
    """PPP with or without address and control bytes, its protocol in two bytes or compressed to one (RFC 1661 6.5)."""
    rows, fits = head_of(data, layer, 2)
    layer.at = layer.at + np.where(fits & (rows[:, 0] == 0xFF) & (rows[:, 1] == 3), 2, 0)
    rows, fits = head_of(data, layer, 2)
    short = rows[:, 0] & 1 == 1
    value = np.where(short, rows[:, 0].astype(np.int64), big_endian(rows, 0, 2))
    kind = np.where(value == 0x21, IPV4, np.where(value == 0x57, IPV6, NOTHING))
    kind = np.where(np.isin(value, (0x281, 0x283)), MPLS, kind)
    go_on(layer, np.where(short, 1, 2), kind, fits)


def peel_radio(data: Bytes, layer: Layer) -> None:
    """A radiotap or PPI header before an 802.11 frame: its length is at offset 2, little-endian, in both."""
    rows, fits = head_of(data, layer, 8)
    size = rows[:, 2].astype(np.int64) | (rows[:, 3].astype(np.int64) << 8)
    go_on(layer, np.maximum(size, 8), np.full(len(layer), LINK + LINK_WIFI), fits)


def peel_wifi(data: Bytes, layer: Layer) -> None:
    """An 802.11 data frame (9.2.4, 9.3.2.1) that nobody encrypted; its addresses stand where its direction says."""
    rows, fits = head_of(data, layer, 24)
    control, flags = rows[:, 0], rows[:, 1]
    # Data, with a body: bit 4 of the subtype says that there is none, bit 8 that a QoS field follows.
    is_data = fits & (control & 0x0F == 0x08) & (control & 0x40 == 0)
    to_system, from_system = flags & 1 == 1, flags & 2 == 2
    quality = control & 0x80 == 0x80
    size = 24 + np.where(to_system & from_system, 6, 0) + np.where(quality, 2, 0)
    size += np.where(quality & (flags & 0x80 == 0x80), 4, 0)
    target = layer.at + np.where(to_system, 16, 4)
    sender = layer.at + np.where(from_system, np.where(to_system, 24, 16), 10)
    whole = is_data & (layer.at + size <= layer.end)
    layer.frame = layer.at
    layer.target, layer.sender = np.where(whole, target, NO_MAC), np.where(whole, sender, NO_MAC)
    kind = np.where(flags & 0x40 == 0x40, ENCRYPTED, LLC)
    go_on(layer, np.where(is_data, size, 0), np.where(is_data, kind, NOTHING), fits)
    layer.at = np.where(fits, layer.at, layer.end + 1)


def peel_nflog(data: Bytes, layer: Layer) -> None:
    """Netfilter's log: attributes, aligned to four bytes, of which one is the packet (little-endian hosts)."""
    rows, fits = head_of(data, layer, 4)
    family = rows[:, 0].astype(np.int64)
    kind = np.where(family == 2, IPV4, np.where(family == 10, IPV6, NOTHING))
    layer.at = layer.at + 4
    seeking, found = fits.copy(), np.zeros(len(layer), bool)
    for _ in range(MAX_ATTRIBUTES):
        rows, inside = head_of(data, layer, 4)
        size = rows[:, 0].astype(np.int64) | (rows[:, 1].astype(np.int64) << 8)
        seeking &= inside & (size >= 4)
        if not seeking.any():
            break
        found |= seeking & (rows[:, 2] == NFLOG_PAYLOAD) & (rows[:, 3] == 0)
        layer.at = layer.at + np.where(seeking, np.where(found, 4, (size + 3) & ~3), 0)
        seeking &= ~found
    layer.kind = np.where(found & (layer.at <= layer.end), kind, NOTHING)


PEELERS: dict[int, Peel] = {
    LINK + LINK_ETHERNET: peel_ethernet,
    BRIDGED: peel_ethernet,
    **dict.fromkeys(VLANS, peel_vlan),
    LLC: peel_llc,
    MPLS: peel_mpls,
    MPLS_MULTICAST: peel_mpls,
    PPPOE: peel_pppoe,
    PPP: peel_ppp,
    **{LINK + link: peel_raw for link in RAW_LINKS},
    LINK + LINK_NULL: peel_loopback,
    LINK + LINK_LOOP: peel_loopback,
    LINK + LINK_LINUX_SLL: cooked(16, 14),
    LINK + LINK_LINUX_SLL2: cooked(20, 0),
    LINK + LINK_PPP: peel_ppp,
    LINK + LINK_PPP_HDLC: peel_ppp,
    LINK + LINK_PPPOE: peel_pppoe,
    LINK + LINK_CISCO_HDLC: cooked(4, 2),
    LINK + LINK_RADIOTAP: peel_radio,
    LINK + LINK_PPI: peel_radio,
    LINK + LINK_WIFI: peel_wifi,
    LINK + LINK_NFLOG: peel_nflog,
    LINK + LINK_DSA_BROADCOM: tagged_ethernet(4),
    LINK + LINK_DSA_BROADCOM_BEFORE: peel_switch_tag,
    LINK + LINK_DSA: tagged_ethernet(4),
    LINK + LINK_EDSA: tagged_ethernet(8),
}
