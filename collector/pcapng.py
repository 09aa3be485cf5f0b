"""The pcapng capture format (draft-ietf-opsawg-pcapng): sections of blocks, packets that name their interface."""

import dataclasses
import struct
from typing import Self

import numpy as np

from collector.packets import Block
from collector.pcap import MAX_CAPTURED_BYTES, Step, Window

SECTION_HEADER, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D
MAX_BLOCK_BYTES = 16 << 20
MAX_INTERFACES = 65_536
MAX_TIME_NS = 2**62
"""The year 2116: later than a pcap record can say, and two times still differ by less than 64 bits hold."""
OPTION_NAME, OPTION_RESOLUTION, OPTION_OFFSET = 2, 9, 14


@dataclasses.dataclass(slots=True)
class Interface:
    """An interface description: link type, snap length, ticks a second, seconds to add, name."""

    link_type: int
    snap_bytes: int
    ticks: int = 10**6
    offset_seconds: int = 0
    name: str | None = None

    def time_ns(self, high: int, low: int) -> int:
        """Nanoseconds since 1970 of a packet's two time words, 0 to MAX_TIME_NS."""
        ticks = (high << 32) | low
        return max(0, min(ticks * 10**9 // self.ticks + self.offset_seconds * 10**9, MAX_TIME_NS))


Row = tuple[int, int, int, int, Interface]
"""A packet: offset, captured bytes, bytes on the wire, nanoseconds since 1970, interface."""


class PcapngWalk:
    """Finds the packets of a pcapng capture; every section has its own byte order and interfaces."""

    def __init__(self) -> None:
        self.order = "<"
        self.interfaces: list[Interface] = []
        self._rows: list[Row] = []
        self._at = 0
        self._problem: str | None = None

    @classmethod
    def begin(cls, head: bytes) -> tuple[Self, int] | None:
        """The walk and the offset of the first block; None when `head` is no section header."""
        return (cls(), 0) if head[:4] == SECTION_HEADER.to_bytes(4, "big") else None

    def scan(self, window: Window) -> int:
        """Find the packets of the whole blocks of the window; the offset behind them."""
        rows = self._rows
        problem, at = None, window.start
        while at + 12 <= window.end:
            kind, length = struct.unpack_from(f"{self.order}II", window.buffer, at)
            if kind == SECTION_HEADER:
                length, problem = self._open_section(window, at)
            if problem is None and (length < 12 or length > MAX_BLOCK_BYTES or length % 4):
                problem = f"a block of {length} bytes; blocks take 12 to {MAX_BLOCK_BYTES}, a multiple of 4"
            if problem is not None or at + length > window.end:
                break
            problem = self._read_block(kind, window, at, length, rows)
            if problem is not None:
                break
            at += length
        self._at, self._problem = at, problem
        return at

    def take(self, window: Window) -> Step:
        """The packets that were found since the last time, as blocks over the window's buffer."""
        rows, self._rows = self._rows, []
        return Step(build_blocks(window, rows), self._at, self._problem)

    def _open_section(self, window: Window, at: int) -> tuple[int, str | None]:
        """A section header sets the byte order and forgets the interfaces."""
        magic = bytes(window.buffer[at + 8 : at + 12])
        for order in "<>":
            if magic == struct.pack(f"{order}I", BYTE_ORDER_MAGIC):
                self.order, self.interfaces = order, []
                length, _, major, minor = struct.unpack_from(f"{order}IIHH", window.buffer, at + 4)
                if at + 16 <= window.end and (major, minor) not in ((1, 0), (1, 2)):
                    return length, f"pcapng version {major}.{minor}; 1.0 can be read"
                return length, None
        return 0, f"a section header with the byte order magic {magic.hex()}"

    def _read_block(self, kind: int, window: Window, at: int, length: int, rows: list[Row]) -> str | None:
        """Keep what a block says; the reason when it cannot be read."""
        body = length - 12
        if kind == INTERFACE:
            if body < 8 or len(self.interfaces) >= MAX_INTERFACES:
                return "an interface description that is too short, or one too many"
            self.interfaces.append(self._read_interface(bytes(window.buffer[at + 8 : at + 8 + body])))
            return None
        if kind in (ENHANCED_PACKET, OLD_PACKET):
            if body < 20:
                return "a packet block that is too short"
            number, high, low, captured, wire = struct.unpack_from(f"{self.order}IIIII", window.buffer, at + 8)
            if kind == OLD_PACKET:
                (number,) = struct.unpack_from(f"{self.order}H", window.buffer, at + 8)
            start, room = at + 28, body - 20
        elif kind == SIMPLE_PACKET:
            if body < 4:
                return "a packet block that is too short"
            (wire,) = struct.unpack_from(f"{self.order}I", window.buffer, at + 8)
            number, high, low, start, room = 0, 0, 0, at + 12, body - 4
            snap = self.interfaces[0].snap_bytes if self.interfaces else 0
            captured = min(wire, snap or wire, room)
        else:
            return None
        if number >= len(self.interfaces):
            return f"a packet of interface {number}, which no interface description block has described"
        if captured > min(room, MAX_CAPTURED_BYTES):
            return f"a packet of {captured} bytes in a block with room for {room}"
        interface = self.interfaces[number]
        rows.append((start, captured, max(wire, captured), interface.time_ns(high, low), interface))
        return None

    def _read_interface(self, body: bytes) -> Interface:
        """An interface description with the options that matter here; a broken option ends the list."""
        link_type, _, snap = struct.unpack_from(f"{self.order}HHI", body)
        interface = Interface(link_type, snap)
        at = 8
        while at + 4 <= len(body):
            code, size = struct.unpack_from(f"{self.order}HH", body, at)
            value = body[at + 4 : at + 4 + size]
            at += 4 + (size + 3) // 4 * 4
            if code == 0 or len(value) < size:
                break
            if code == OPTION_NAME:
                interface.name = value.decode("utf-8", "replace").rstrip("\0")[:64] or None
            elif code == OPTION_RESOLUTION and size == 1:
                power = value[0] & 0x7F
                interface.ticks = 2 ** min(power, 63) if value[0] & 0x80 else 10 ** min(power, 18)
            elif code == OPTION_OFFSET and size == 8:
                (interface.offset_seconds,) = struct.unpack(f"{self.order}q", value)
        return interface


def build_blocks(window: Window, rows: list[Row]) -> list[Block]:
    """The packets as blocks; a block holds packets of one link type and interface, in capture order."""
    blocks: list[Block] = []
    first = 0
    for last in range(1, len(rows) + 1):
        if last < len(rows) and rows[last][4] is rows[first][4]:
            continue
        run, interface = rows[first:last], rows[first][4]
        start, captured, wire, time_ns = (np.array([row[column] for row in run], np.int64) for column in range(4))
        blocks.append(
            Block(window.array, start, captured, wire, time_ns, interface.link_type, interface=interface.name)
        )
        first = last
    return blocks
