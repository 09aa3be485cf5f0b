"""The pcap capture format: a file header, then a record a packet (draft-ietf-opsawg-pcap).

Both byte orders, microseconds and nanoseconds, and the longer records of the "modified" format (magic a1b2cd34).
"""

import dataclasses
import struct
from typing import Self

import numpy as np

from collector.packets import Block, Bytes, Ints

MAX_CAPTURED_BYTES = 262_144
"""The longest packet that a record may hold (libpcap's MAXIMUM_SNAPLEN); a greater length is a broken record."""

FILE_HEADER_BYTES = 24
LENGTH_AT = 8
LANE_BYTES, MIN_LANES, LANE_CHECK_STEPS = 1 << 16, 16, 8
MAGICS = {0xA1B2C3D4: (1_000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1_000, 24)}


@dataclasses.dataclass(slots=True)
class Window:
    """The bytes `start` to `end` of a buffer and of the array over it; both go on for SLACK_BYTES behind `end`."""

    buffer: bytearray
    array: Bytes
    start: int
    end: int


@dataclasses.dataclass(slots=True)
class Step:
    """What a walk over a window found: blocks, where it stopped, and why it cannot go on (None: it can)."""

    blocks: list[Block]
    at: int
    problem: str | None = None


class PcapWalk:
    """Finds the records of a pcap capture."""

    def __init__(self, order: str, tick_ns: int, header: int, link_type: int) -> None:
        self.order, self.tick_ns, self.header, self.link_type = order, tick_ns, header, link_type
        self._length_at = struct.Struct(f"{order}I").unpack_from
        self._record = np.dtype([(name, f"{order}u4") for name in ("seconds", "ticks", "captured", "wire")])

    @classmethod
    def begin(cls, head: bytes) -> tuple[Self, int] | None:
        """The walk and the offset of the first record; None when `head` is no pcap file header."""
        if len(head) < FILE_HEADER_BYTES:
            return None
        for order in "<>":
            known = MAGICS.get(int(struct.unpack(f"{order}I", head[:4])[0]))
            if known is not None:
                link_type = int(struct.unpack(f"{order}I", head[20:24])[0]) & 0x03FF_FFFF
                return cls(order, *known, link_type), FILE_HEADER_BYTES
        return None

    def step(self, window: Window) -> Step:
        """The whole records of the window."""
        header = self.header
        offsets = self._walk_lanes(window)
        if offsets is None:
            offsets = self._walk(window)
        if not len(offsets):
            return Step([], window.start)
        at = int(offsets[-1]) + header + int(self._length_at(window.buffer, int(offsets[-1]) + LENGTH_AT)[0])
        items = np.ndarray((len(window.array) - 15,), "V16", window.array.data, 0, (1,))
        records = np.ndarray((len(offsets),), self._record, items[offsets])
        captured = records["captured"].astype(np.int64)
        problem = None
        bad = np.flatnonzero(captured > MAX_CAPTURED_BYTES)
        whole = int(bad[0]) if len(bad) else len(offsets) - (at > window.end)
        if len(bad):
            at = int(offsets[whole])
            problem = f"a record of {int(captured[whole])} bytes; at most {MAX_CAPTURED_BYTES} are possible"
        elif at > window.end:
            at = int(offsets[-1])
        if not whole:
            return Step([], at, problem)
        times = records["seconds"][:whole].astype(np.int64) * 10**9
        times += records["ticks"][:whole].astype(np.int64) * self.tick_ns
        wire = np.maximum(records["wire"][:whole].astype(np.int64), captured[:whole])
        block = Block(window.array, offsets[:whole] + header, captured[:whole], wire, times, self.link_type)
        return Step([block], at, problem)

    def _walk(self, window: Window) -> Ints:
        """The offsets of the records that begin in the window, one after the other."""
        length_at, buffer, header = self._length_at, window.buffer, self.header
        lengths: list[int] = []
        keep, at, limit = lengths.append, window.start + LENGTH_AT, window.end - header + LENGTH_AT
        while at <= limit:
            keep(at)
            (length,) = length_at(buffer, at)
            at += length + header
        return np.array(lengths, np.int64) - LENGTH_AT

    def _walk_lanes(self, window: Window) -> Ints | None:
        """As `_walk`, in many places at once: each lane walks from a record to where the next lane began.

        A lane's first record is a guess. A lane that does not arrive exactly there proves it wrong, and gives None; so
        does a window that is too small to be worth it.
        """
        starts = self._guess_starts(window)
        if len(starts) < MIN_LANES:
            return None
        limit = window.end - self.header
        ends = np.append(starts[1:], limit + 1)
        kind, room = self._record["captured"], len(window.array) - LENGTH_AT - 3
        lengths = np.ndarray((room,), kind, window.array.data, LENGTH_AT, (1,))
        at, steps, header, top = starts, [], np.int64(self.header), np.int64(limit + 1)
        while True:
            steps.append(at)
            at = at + lengths[at]
            at += header
            np.minimum(at, top, out=at)
            if len(steps) % LANE_CHECK_STEPS == 0 and not (at < ends).any():
                break
        rows = np.stack([*steps, at])
        inside = rows < ends
        arrived = rows[inside.sum(axis=0), np.arange(len(starts))]
        if not (arrived[:-1] == ends[:-1]).all():
            return None
        found: Ints = rows.T[inside.T]
        return found

    def _guess_starts(self, window: Window) -> Ints:
        """Where a record seems to begin, every LANE_BYTES of the window: by the second that the first record has."""
        buffer, header, length_at = window.buffer, self.header, self._length_at
        starts, second = [window.start], bytes(buffer[window.start : window.start + 4])
        for place in range(window.start + LANE_BYTES, window.end - 2 * LANE_BYTES, LANE_BYTES):
            at = buffer.find(second, place, place + LANE_BYTES // 2)
            while at >= 0:
                captured, wire = length_at(buffer, at + LENGTH_AT)[0], length_at(buffer, at + LENGTH_AT + 4)[0]
                following = at + header + captured
                if captured <= min(wire, LANE_BYTES) and buffer[following : following + 4] == second:
                    starts.append(at)
                    break
                at = buffer.find(second, at + 1, place + LANE_BYTES // 2)
        return np.array(starts)
