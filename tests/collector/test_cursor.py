"""A cursor reads what is there and says Truncated of the rest, and never moves when it fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cursor import Cursor
from collector.errors import Malformed, Truncated


def test_numbers_are_big_endian() -> None:
    cursor = Cursor(bytes(range(1, 11)))
    assert [cursor.pull_u8(), cursor.pull_u16(), cursor.pull_u24(), cursor.pull_u32()] == [
        0x01,
        0x0203,
        0x040506,
        0x0708090A,
    ]
    assert cursor.remaining() == 0


def test_bytes_are_bytes_even_from_a_memoryview() -> None:
    pulled = Cursor(memoryview(b"abcdef"), 1, 5).pull_bytes(3)
    assert pulled == b"bcd"
    assert type(pulled) is bytes


@pytest.mark.parametrize("method", ["pull_u8", "pull_u16", "pull_u24", "pull_u32"])
def test_a_number_that_is_not_all_there_is_truncated(method: str) -> None:
    for size in range(int(method.removeprefix("pull_u")) // 8):
        cursor = Cursor(bytes(9), 9 - size)
        with pytest.raises(Truncated):
            getattr(cursor, method)()
        assert cursor.remaining() == size


def test_bytes_beyond_the_end_are_truncated_and_name_the_place() -> None:
    cursor = Cursor(b"abcdef", 2, 4)
    with pytest.raises(Truncated, match="3 bytes wanted at 2, 2 left"):
        cursor.pull_bytes(3)
    assert cursor.pull_bytes(2) == b"cd"


@pytest.mark.parametrize("size", [-1, 7])
def test_a_size_that_cannot_be_is_truncated(size: int) -> None:
    with pytest.raises(Truncated):
        Cursor(b"abcdef").pull_bytes(size)
    with pytest.raises(Truncated):
        Cursor(b"abcdef").pull_block(size)


def test_a_block_is_read_apart_and_ends_where_its_length_says() -> None:
    cursor = Cursor(b"\3abcdef")
    block = cursor.pull_block(cursor.pull_u8())
    assert cursor.pull_bytes(3) == b"def"
    assert block.pull_bytes(3) == b"abc"
    with pytest.raises(Truncated):
        block.pull_u8()


def test_the_end_is_never_behind_the_data() -> None:
    cursor = Cursor(b"ab", 0, 100)
    assert cursor.remaining() == 2
    with pytest.raises(Truncated):
        cursor.pull_bytes(3)


def test_truncated_is_malformed_and_malformed_is_a_value_error() -> None:
    assert issubclass(Truncated, Malformed)
    assert issubclass(Malformed, ValueError)


@given(data=st.binary(max_size=40), sizes=st.lists(st.integers(-2, 20), max_size=12))
def test_what_is_pulled_is_the_data_in_order(data: bytes, sizes: list[int]) -> None:
    cursor = Cursor(data)
    pulled = b""
    for size in sizes:
        try:
            pulled += cursor.pull_bytes(size)
        except Truncated:
            assert size < 0 or size > cursor.remaining()
    assert data == pulled + data[len(data) - cursor.remaining() :]
