"""Messages of a TCP connection that each say how long they are: cut out of the stream, wherever its segments end."""

from collections.abc import Callable, Iterator

from collector.dissectors.dissector import Fact

NO_MESSAGE = -1
"""What stands there is no message of the protocol: no more of this direction is of use."""

Measure = Callable[[bytes, int], int | None]
"""Data and where a message begins → where it ends, None while that is not known, NO_MESSAGE. Raises Malformed."""
Read = Callable[[bytes, int], Fact]
"""A whole message and its direction → what it says. Raises Malformed."""


class FramedMessages:
    """The first messages of a connection, at most `most` a direction; see `dissector.Dissection`."""

    __slots__ = ("_held", "_left", "_measure", "_read", "skip", "wants")

    def __init__(self, measure: Measure, read: Read, most: int) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._measure, self._read = measure, read
        self._held = [b"", b""]
        self._left = [most, most]

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for each message that they complete."""
        data = self._held[direction] + data
        position = 0
        while self.wants[direction] and position < len(data):
            end = self._measure(data, position)
            if end == NO_MESSAGE:
                self.wants[direction] = False
                break
            if end is None or end > len(data):
                break
            yield self._read(data[position:end], direction)
            position = end
            self._left[direction] -= 1
            self.wants[direction] = self._left[direction] > 0
        self._held[direction] = data[position:] if self.wants[direction] else b""
