"""The pcap capture format: a file header, then a record a packet (draft-ietf-opsawg-pcap).

Both byte orders, microseconds and nanoseconds, and the longer records of the "modified" format (magic a1b2cd34).
"""

import dataclasses
import mmap
import struct
from typing import Self

import numpy as np
import numpy.typing as npt

from collector.lanes import LaneWalk
from collector.packets import HEAD_BYTES, Block, Bytes, Ints, pick

MAX_CAPTURED_BYTES = 262_144
"""The longest packet that a record may hold (libpcap's MAXIMUM_SNAPLEN); a greater length is a broken record."""

FILE_HEADER_BYTES = 24
MAX_BLOCK_PACKETS = 1 << 14
"""More packets at once would have columns that leave the processor's cache."""

MAGICS = {0xA1B2C3D4: (1_000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1_000, 24)}


@dataclasses.dataclass(slots=True)
class Window:
    """The bytes `start` to `end` of a buffer and of the array over it; both go on for SLACK_BYTES behind `end`."""

    buffer: bytearray | mmap.mmap
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
    """Finds the records of a pcap capture.

    `scan` is called as bytes come in, while they are still in the processor's cache, and `take` when there are enough:
    a walk over a few megabytes at once would wait for memory at every packet.
    """

    def __init__(self, order: str, tick_ns: int, header: int, link_type: int) -> None:
        self.order, self.tick_ns, self.header, self.link_type = order, tick_ns, header, link_type
        self._lanes = LaneWalk(order, header)
        self._record = np.dtype([(name, f"{order}u4") for name in ("seconds", "ticks", "captured", "wire")])
        self._offsets: list[Ints] = []
        self._heads: list[npt.NDArray[np.void]] = []
        self._at = 0
        self._too_long: int | None = None

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

    def scan(self, window: Window) -> int:
        """Find the whole records of the window; the offset behind them."""
        buffer, array, header = window.buffer, window.array, self.header
        offsets, at = self._lanes.walk(buffer, array, window.start, window.end)
        if at > window.end:
            # The last record goes on behind the window; one that is too long never ends.
            last = int(offsets[-1])
            self._too_long = at - last - header if at - last - header > MAX_CAPTURED_BYTES else None
            offsets, at = offsets[:-1], last
        if len(offsets):
            self._offsets.append(offsets)
            self._heads.append(pick(array, offsets, header + HEAD_BYTES))
        self._at = at
        return at

    def take(self, window: Window) -> Step:
        """The records that were found since the last time, as blocks over the window's buffer."""
        at, problem = self._at, None
        if self._too_long is not None:
            problem = too_long(self._too_long)
        if not self._offsets:
            return Step([], at, problem)
        offsets, width = np.concatenate(self._offsets), self.header + HEAD_BYTES
        heads = np.ndarray((len(offsets), width), np.uint8, np.concatenate(self._heads))
        records = np.ndarray((len(offsets),), self._record, heads, 0, (width,))
        self._offsets, self._heads = [], []
        captured = records["captured"].astype(np.int64)
        bad = np.flatnonzero(captured > MAX_CAPTURED_BYTES)
        if len(bad):
            first = int(bad[0])
            at, problem = int(offsets[first]), too_long(int(captured[first]))
            offsets, records, captured, heads = offsets[:first], records[:first], captured[:first], heads[:first]
        if not len(offsets):
            return Step([], at, problem)
        times = records["seconds"].astype(np.int64) * 10**9 + records["ticks"].astype(np.int64) * self.tick_ns
        wire = np.maximum(records["wire"].astype(np.int64), captured)
        start, head = offsets + self.header, heads[:, self.header :]
        blocks = []
        for first in range(0, len(offsets), MAX_BLOCK_PACKETS):
            part = slice(first, first + MAX_BLOCK_PACKETS)
            blocks.append(
                Block(window.array, start[part], captured[part], wire[part], times[part], self.link_type, head[part])
            )
        return Step(blocks, at, problem)


def too_long(captured: int) -> str:
    """What is wrong with a record that says it holds so many bytes."""
    return f"a record of {captured} bytes; at most {MAX_CAPTURED_BYTES} are possible"
