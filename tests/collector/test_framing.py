"""Messages that say how long they are come out whole, wherever the segments end, and no more than are of use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.errors import Malformed
from collector.framing import NO_MESSAGE, FramedMessages


def measure(data: bytes, position: int) -> int | None:
    """A byte of length, then so many; 0 is no message, 255 a broken one."""
    if data[position] == 255:
        raise Malformed("too long")
    return NO_MESSAGE if data[position] == 0 else position + 1 + data[position]


def read(message: bytes, direction: int) -> Fact:
    return Fact("test", action=message[1:].decode(), backward=direction == FROM_SERVER)


@given(st.lists(st.integers(0, 20), max_size=6))
def test_it_does_not_matter_where_segments_end(cuts: list[int]) -> None:
    data, ends = b"\3one\3two\5three", sorted(cuts)
    framed = FramedMessages(measure, read, 9)
    found = []
    for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
        found += list(framed.feed(FROM_CLIENT, data[start:end]))
    assert [fact.action for fact in found] == ["one", "two", "three"]


def test_what_is_no_message_ends_one_direction_and_not_the_other() -> None:
    framed = FramedMessages(measure, read, 9)
    assert [fact.action for fact in framed.feed(FROM_CLIENT, b"\3one\0\3two")] == ["one"]
    assert framed.wants == [False, True]
    assert list(framed.feed(FROM_CLIENT, b"\3two")) == []
    assert [fact.backward for fact in framed.feed(FROM_SERVER, b"\3two")] == [True]


def test_after_the_most_no_more_is_wanted_or_held() -> None:
    framed = FramedMessages(measure, read, 2)
    assert len(list(framed.feed(FROM_CLIENT, b"\1a\1b\1c"))) == 2
    assert framed.wants == [False, True] and framed._held == [b"", b""]


def test_what_came_before_a_broken_message_is_told() -> None:
    found = []
    with pytest.raises(Malformed):
        for fact in FramedMessages(measure, read, 9).feed(FROM_CLIENT, b"\3one\xff"):
            found.append(fact.action)
    assert found == ["one"]
