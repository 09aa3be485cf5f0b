"""An entry is small, and its head is read without the rest."""

import msgspec
import pytest
import zstandard

from streams.processors.entry import Entry, Packing, heads_of


@pytest.mark.parametrize(("text", "is_packed"), [("short", False), ("long " * 500, True)])
def test_an_entry_comes_back_whole_and_a_long_body_is_compressed(text: str, is_packed: bool) -> None:
    packing = Packing()
    data = packing.pack(Entry(3, 1.0, 2.0, None, 1, ["0a"]), [text])
    entry, body = packing.unpack(data)
    assert (entry.partition, entry.seen, entry.touched, entry.due, entry.open, entry.grounds) == (
        3,
        1,
        2,
        None,
        1,
        ["0a"],
    )
    assert msgspec.msgpack.decode(body) == [text] and entry.body == b""
    assert (zstandard.FRAME_HEADER in data) is is_packed and (len(data) < 100)


def test_heads_are_told_by_partition_without_the_bodies() -> None:
    packing = Packing()
    table = {f"d/{number}": packing.pack(Entry(number % 2, number, 0, None, 0), ["x" * 9]) for number in range(4)}
    heads = heads_of(table.items())
    assert {number: [(key, head.seen) for key, head in some] for number, some in heads.items()} == {
        0: [("d/0", 0.0), ("d/2", 2.0)], 1: [("d/1", 1.0), ("d/3", 3.0)],
    }  # fmt: skip


def test_an_entry_of_before_there_were_grounds_is_read() -> None:
    data = msgspec.msgpack.encode([1, 5.0, 6.0, 7.0, 2, b"\x90"])
    ((key, head),) = heads_of([("d/a", data)])[1]
    assert (key, head.open, head.names) == ("d/a", 2, [])
    assert Packing().unpack(data) == (Entry(1, 5.0, 6.0, 7.0, 2), b"\x90")


class Before(msgspec.Struct, array_like=True):
    """An entry, as it was before there were grounds."""

    partition: int
    seen: float
    touched: float
    due: float | None
    open: int
    body: bytes = b""


def test_a_worker_of_before_there_were_grounds_ends_with_an_error_and_does_not_misread_a_finding() -> None:
    for grounds in ([], ["0a"]):
        data = Packing().pack(Entry(1, 5.0, 6.0, None, 0, grounds), ["x"])
        with pytest.raises(msgspec.ValidationError, match="Expected `bytes`, got `array`"):
            msgspec.msgpack.decode(data, type=Before)
