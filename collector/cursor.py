"""The only bounds check in the house: `pull_*` reads and moves on, `Truncated` is its only failure."""

from collector.errors import Truncated


class Cursor:
    """A read position in some bytes. Big-endian, as networks are, unless a name says otherwise."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes | memoryview, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else min(end, len(data))

    def remaining(self) -> int:
        """Bytes not yet pulled."""
        return self.end - self.position

    def pull_bytes(self, size: int) -> bytes:
        """The next `size` bytes; Truncated when there are fewer."""
        start, stop = self.position, self.position + size
        if size < 0 or stop > self.end:
            raise Truncated(f"{size} bytes wanted at {start}, {self.end - start} left")
        self.position = stop
        return bytes(self.data[start:stop])

    def pull_u8(self) -> int:
        """The next byte as a number."""
        if self.position >= self.end:
            raise Truncated(f"1 byte wanted at {self.position}, none left")
        value = self.data[self.position]
        self.position += 1
        return value

    def pull_u16(self) -> int:
        """The next two bytes as a number."""
        return int.from_bytes(self.pull_bytes(2), "big")

    def pull_u24(self) -> int:
        """The next three bytes as a number."""
        return int.from_bytes(self.pull_bytes(3), "big")

    def pull_u32(self) -> int:
        """The next four bytes as a number."""
        return int.from_bytes(self.pull_bytes(4), "big")

    def pull_block(self, size: int) -> "Cursor":
        """A cursor over the next `size` bytes, which this one skips; Truncated when there are fewer."""
        start, stop = self.position, self.position + size
        if size < 0 or stop > self.end:
            raise Truncated(f"a block of {size} bytes wanted at {start}, {self.end - start} left")
        self.position = stop
        return Cursor(self.data, start, stop)
