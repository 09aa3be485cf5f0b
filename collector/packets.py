"""What capture hands to decode, and decode to flows: columns over one shared buffer, no object a packet."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SLACK_BYTES = 128
"""A block's buffer goes on for this many bytes behind its last packet, so that headers can be gathered blindly."""

HEAD_BYTES = 54
"""Ethernet, IPv4 and TCP without options."""

TCP, UDP = 6, 17
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


def pick(array: Bytes, offsets: Ints, width: int) -> npt.NDArray[np.void]:
    """The `width` bytes at each offset, an item each: items of one opaque type are copied whole, and fast."""
    items: npt.NDArray[np.void] = np.ndarray((len(array) - width + 1,), f"V{width}", array.data, 0, (1,))
    picked: npt.NDArray[np.void] = items[offsets]
    return picked


def gather(data: Bytes, offsets: Ints, width: int) -> Bytes:
    """The `width` bytes at each offset, a row each (uint8, packets × width)."""
    return np.ndarray((len(offsets), width), np.uint8, pick(data, offsets, width))


def big_endian(rows: Bytes, at: int, width: int) -> Ints:
    """The big-endian number of `width` bytes at column `at` of every row."""
    value = rows[:, at].astype(np.int64)
    for column in range(at + 1, at + width):
        value = (value << 8) | rows[:, column]
    return value


def alike(keys: Words) -> tuple[Ints, Ints]:
    """Which hashes are the same, without sorting them all: where each stands first, in that order, and of
    each hash the number of its like among them."""
    every = np.arange(len(keys), dtype=np.int32)
    size = 1 << len(keys).bit_length()
    slots = (keys & np.uint64(size - 1)).view(np.int64)
    places = np.empty(size, np.int32)
    # Of several values for one place numpy keeps the last: reversed, the first.
    places[slots[::-1]] = every[::-1]
    place = places[slots]
    # Those that another has driven out of its slot are few.
    out = np.flatnonzero(keys[place] != keys)
    if len(out):
        _, first, inverse = np.unique(keys[out], return_index=True, return_inverse=True)
        place[out] = out[first[inverse]]
    distinct = np.flatnonzero(place == every)
    numbers = np.empty(len(keys), np.int64)
    numbers[distinct] = np.arange(len(distinct))
    return distinct, numbers[place]


class Payloads(NamedTuple):
    """The payloads of some packets, a value a packet: the row and the side of its flow, where the payload starts and
    stops in the batch's data, its sequence number, that of its side's SYN or -1, its time (nanoseconds since 1970)."""

    rows: Ints
    sides: Ints
    starts: Ints
    stops: Ints
    sequences: Ints
    syns: Ints
    times: Ints

    def at(self, places: Ints) -> "Payloads":
        """Those at these places."""
        return Payloads(*(column[places] for column in self))


@dataclasses.dataclass(slots=True)
class Block:
    """Raw packets of one link type, as a source hands them over.

    `data` (uint8) holds them; packet i is `data[start[i] : start[i] + captured[i]]`, was `wire[i]` bytes long on the
    wire and came at `time_ns[i]` (nanoseconds since 1970, UTC). `heads`, where a source has them at hand, are the first
    HEAD_BYTES from each start on (packets × HEAD_BYTES; behind a shorter packet stands anything). `position` is how
    many bytes of the source are done with this block. `at_ns`, of a source that does not end, is the time up to which
    it has handed over everything, also where no packet came; `lost` are what it let go before this block, and why, and
    `notice` are words for whoever watches over it.
    """

    data: Bytes
    start: Ints
    captured: Ints
    wire: Ints
    time_ns: Ints
    link_type: int
    heads: Bytes | None = None
    position: int = 0
    interface: str | None = None
    at_ns: int | None = None
    lost: tuple[tuple[str, int], ...] = ()
    notice: str | None = None

    def spans(self, span_ns: int) -> Iterator["Block"]:
        """The block, cut where packet time passes a multiple of `span_ns`; a packet that is late stays where it is."""
        if len(self.time_ns) and self.time_ns.min() // span_ns == self.time_ns.max() // span_ns:
            yield self
            return
        spans = np.maximum.accumulate(self.time_ns // span_ns)
        cuts = (np.flatnonzero(spans[1:] != spans[:-1]) + 1).tolist()
        for first, last in zip([0, *cuts], [*cuts, len(spans)], strict=True):
            part = slice(first, last)
            yield dataclasses.replace(
                self,
                start=self.start[part],
                captured=self.captured[part],
                wire=self.wire[part],
                time_ns=self.time_ns[part],
                heads=None if self.heads is None else self.heads[part],
            )


@dataclasses.dataclass(slots=True)
class PacketBatch:
    """The TCP and UDP packets of a block, headers off; every column has one value a packet, in capture order.

    `network` is the offset of the IP header in `data`, `frame` that of the link-layer header, `payload` and
    `payload_end` bound the transport payload that was captured. `wire` is the length on the wire of the IP packet.
    `key` is the flow's hash, the same in both directions; `upward` is true when the packet's sender is the
    numerically lower of the two ends. `flags` and `sequence` are zero for UDP. `vlan` is 0 without a tag.

    The rest is None where nothing of the kind is in the batch. `macs` (packets × 12: receiver's, sender's; zeros where
    layer 2 is not seen), where they are not simply the first bytes of an Ethernet frame. `outer`: offset of the
    outermost IP header that carried the packet in a tunnel, or -1; `tunnel` and `tag`: which one, and its id.
    """

    data: Bytes
    link_type: int
    time_ns: Ints
    frame: Ints
    network: Ints
    payload: Ints
    payload_end: Ints
    wire: Ints
    source_port: Ints
    destination_port: Ints
    sequence: Ints
    flags: Ints
    transport: Ints
    version: Ints
    vlan: Ints
    key: Words
    upward: Mask
    interface: str | None = None
    macs: Bytes | None = None
    outer: Ints | None = None
    tunnel: Ints | None = None
    tag: Ints | None = None

    def __len__(self) -> int:
        return len(self.time_ns)

    def payload_of(self, packet: int) -> bytes:
        """The transport payload of one packet."""
        return self.data[int(self.payload[packet]) : int(self.payload_end[packet])].tobytes()
