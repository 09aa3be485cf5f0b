"""Segments of one direction of a TCP flow → its bytes in order (RFC 9293 3.4: sequence numbers are modulo 2^32).

The first copy of a byte wins, as most receivers have it; what a later segment says of the same place is left out.
A hole is waited for while what lies behind it fits MAX_HELD_BYTES and MAX_HELD_SEGMENTS; after that the reading goes
on behind it, and `gap_before` says so of the bytes that were just returned.
"""

from bisect import bisect_left

MAX_HELD_BYTES = 65_536
MAX_HELD_SEGMENTS = 64
MAX_SKIP_BYTES = 1 << 30

_MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000


class Reassembly:
    """One direction of one TCP connection.

    `gaps` counts the holes that were given up, `skipped_bytes` the bytes that were in them. `gap_before` is true when
    a hole lies right before the bytes that the last call returned: who reads them must stop or find its feet again.
    A hole that lies wholly inside bytes nobody wants (`Dissection.skip`) does no harm; its size is what
    `skipped_bytes` grew by.
    """

    __slots__ = ("_base", "_held", "_held_bytes", "_next", "_starts", "gap_before", "gaps", "skipped_bytes")

    def __init__(self) -> None:
        self.gap_before = False
        self.gaps = 0
        self.skipped_bytes = 0
        self._next = -1
        # Held segments do not overlap; `_starts` are their distances from `_base`, ascending. Distances do not wrap.
        self._base = 0
        self._starts: list[int] = []
        self._held: list[bytes] = []
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that wait behind a hole, at most MAX_HELD_BYTES."""
        return self._held_bytes

    def begin(self, sequence: int) -> None:
        """The SYN's sequence number: data begins one after it. A SYN that is sent again changes nothing."""
        if self._next < 0:
            self._next = (sequence + 1) & _MASK

    def feed(self, sequence: int, payload: bytes) -> bytes:
        """A segment's sequence number and payload; returns the bytes that are now in order, often none.

        Without a `begin`, the first segment that carries bytes sets where the stream starts.
        """
        if self.gap_before:
            self.gap_before = False
        if sequence == self._next and not self._held:
            self._next = (sequence + len(payload)) & _MASK
            return payload
        if not payload:
            return b""
        if self._next < 0:
            self._next = (sequence + len(payload)) & _MASK
            return payload
        ahead = (sequence - self._next) & _MASK
        if ahead >= _HALF:
            payload = payload[_MASK + 1 - ahead :]
            if not payload:
                return b""
            ahead = 0
        if ahead == 0 and not self._held:
            self._next = (self._next + len(payload)) & _MASK
            return payload
        self._hold(self._base + ahead, payload)
        if self._starts[0] == self._base:
            return self._release()
        return self._give_up() if self._over() else b""

    def skip(self, size: int) -> bytes:
        """Counts the next `size` bytes (0 to MAX_SKIP_BYTES) as seen, so that they need not be fed, in any order.

        Returns the held bytes that are in order after them, if there are any.
        """
        if not 0 <= size <= MAX_SKIP_BYTES:
            raise ValueError(f"a skip of {size} bytes is not between 0 and {MAX_SKIP_BYTES}")
        self.gap_before = False
        if self._next < 0:
            return b""
        self._next = (self._next + size) & _MASK
        self._base += size
        while self._starts and self._starts[0] < self._base:
            start, segment = self._starts.pop(0), self._held.pop(0)
            rest = segment[self._base - start :]
            self._held_bytes -= len(segment) - len(rest)
            if rest:
                self._starts.insert(0, self._base)
                self._held.insert(0, rest)
        return self._release() if self._starts and self._starts[0] == self._base else b""

    def flush(self) -> bytes:
        """At the end of a flow: the next bytes behind a hole (`gap_before` is true), or none. Ask until none come."""
        self.gap_before = False
        return self._give_up() if self._held else b""

    def _over(self) -> bool:
        return self._held_bytes > MAX_HELD_BYTES or len(self._held) > MAX_HELD_SEGMENTS

    def _hold(self, start: int, payload: bytes) -> None:
        """Keeps of `payload` what no held segment has already said."""
        starts, held = self._starts, self._held
        end = start + len(payload)
        position = start
        index = bisect_left(starts, start)
        if index and starts[index - 1] + len(held[index - 1]) > position:
            position = starts[index - 1] + len(held[index - 1])
        while position < end:
            stop = min(end, starts[index]) if index < len(starts) else end
            if stop > position:
                starts.insert(index, position)
                held.insert(index, payload[position - start : stop - start])
                self._held_bytes += stop - position
                index += 1
            if stop == end:
                return
            position = starts[index] + len(held[index])
            index += 1

    def _release(self) -> bytes:
        """The first run of held segments that touch each other; the stream goes on behind it."""
        starts, held = self._starts, self._held
        position = starts[0]
        count = 0
        while count < len(starts) and starts[count] == position:
            position += len(held[count])
            count += 1
        data = b"".join(held[:count])
        del starts[:count], held[:count]
        self._held_bytes -= len(data)
        self._next = (self._next + position - self._base) & _MASK
        self._base = position
        return data

    def _give_up(self) -> bytes:
        """Leaves the hole behind. Runs that must go too, to come under the caps, are lost and count as skipped."""
        data = b""
        while True:
            self.gaps += 1
            self.skipped_bytes += self._starts[0] - self._base + len(data)
            data = self._release()
            if not self._held or not self._over():
                self.gap_before = True
                return data
