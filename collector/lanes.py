"""Many walkers at once: where a pcap window's records begin, found in lanes that all step together.

A record says how long it is, so that one walker waits for memory at every packet. Here the window is cut into lanes. In
each, a record is looked for by the high bytes of its seconds, which all records of four minutes share, and from there
all lanes step at once. Where a lane begins is a guess: it is right when the lane before it ends just there. Where it
does not, the lane before is walked again, one record at a time, until it meets the beginning of another.
"""

import mmap
import struct
from collections.abc import Collection

import numpy as np

from collector.packets import Bytes, Ints, pick

LANE_BYTES = 1 << 16
MAX_SEARCH_BYTES = 1 << 12
MIN_LANES = 16
"""Fewer lanes are walked one by one: a step of them all costs as much as so many single ones."""

LENGTH_AT, LENGTH_BYTES = 8, 4

Buffer = bytearray | mmap.mmap


class LaneWalk:
    """Walks records of one byte order ("<" or ">") whose header takes `header` bytes."""

    def __init__(self, order: str, header: int) -> None:
        self.header = header
        self._length_at = struct.Struct(f"{order}I").unpack_from
        self._length = np.dtype(f"{order}u4")
        # The lowest byte of the seconds is the first of a little-endian record, the fourth of a big-endian one.
        self._low, self._high = (1, slice(1, 4)) if order == "<" else (0, slice(0, 3))

    def walk(self, buffer: Buffer, array: Bytes, start: int, end: int) -> tuple[Ints, int]:
        """Where each record begins from `start` on, and where the one behind them would: behind `end`, when the last of
        them is not whole. `array` is over the buffer, and goes on behind `end` for a record header at least."""
        begins = self._guess(buffer, start, end)
        if len(begins) <= MIN_LANES:
            alone, at = self._step(buffer, start, end - self.header + 1)
            return np.array(alone, np.int64), at
        lanes, limits = np.array(begins[:-1]), np.array(begins[1:])
        found, stops = self._step_all(buffer, array, lanes, limits)
        last, at = self._step(buffer, begins[-1], end - self.header + 1)
        places = np.concatenate((*found, np.array(last, np.int64)))
        places.sort()
        wrong = np.flatnonzero(stops != limits)
        if len(wrong):
            return self._mend(buffer, places, begins, wrong.tolist(), end, at)
        return places, at

    def _guess(self, buffer: Buffer, start: int, end: int) -> list[int]:
        """Where the lanes begin; only the first is known to be right."""
        high, low, begins = bytes(buffer[start : start + 4])[self._high], self._low, [start]
        for place in range(start + LANE_BYTES, end - LANE_BYTES, LANE_BYTES):
            at = buffer.find(high, place, place + MAX_SEARCH_BYTES)
            if at >= 0:
                begins.append(at - low)
        return begins

    def _step(self, buffer: Buffer, at: int, limit: int, stops: Collection[int] = ()) -> tuple[list[int], int]:
        """One walker, from `at` to the first record at or behind `limit`, or to one of `stops`."""
        found: list[int] = []
        keep, length_at, header = found.append, self._length_at, self.header
        while at < limit and at not in stops:
            keep(at)
            (length,) = length_at(buffer, at + LENGTH_AT)
            at += length + header
        return found, at

    def _step_all(self, buffer: Buffer, array: Bytes, at: Ints, limits: Ints) -> tuple[list[Ints], Ints]:
        """All walkers at once, each to its limit: the places they came by, and where each stopped."""
        found: list[Ints] = []
        stops, lanes, header = limits.copy(), np.arange(len(at)), self.header
        while len(at) > MIN_LANES:
            found.append(at)
            at = at + pick(array, at + LENGTH_AT, LENGTH_BYTES).view(self._length) + header
            going = at < limits
            if not going.all():
                stops[lanes[~going]] = at[~going]
                at, limits, lanes = at[going], limits[going], lanes[going]
        for lane, place, limit in zip(lanes.tolist(), at.tolist(), limits.tolist(), strict=True):
            places, stops[lane] = self._step(buffer, place, limit)
            found.append(np.array(places, np.int64))
        return found, stops

    def _mend(
        self, buffer: Buffer, places: Ints, begins: list[int], wrong: list[int], end: int, at: int
    ) -> tuple[Ints, int]:
        """The places, with each lane that ran past the next one's beginning walked until it meets a later one."""
        limit, right, kept = end - self.header + 1, 0, []
        for lane in wrong:
            if begins[lane] < right:
                continue
            walked, stop = self._step(buffer, begins[lane], limit, frozenset(begins[lane + 1 :]))
            before, behind = np.searchsorted(places, (right, begins[lane]))
            kept += [places[before:behind], np.array(walked, np.int64)]
            right = stop
            if stop >= limit:
                return np.concatenate(kept), stop
        kept.append(places[np.searchsorted(places, right) :])
        return np.concatenate(kept), at
