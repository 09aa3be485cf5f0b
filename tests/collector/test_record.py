"""A record's headers say what it holds, whatever somebody else put there; a device has one partition."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from kafka.partitioner.default import DefaultPartitioner

from collector.errors import Malformed
from collector.observation import Observation
from collector.record import (
    MAX_HEADER_BYTES,
    RecordHead,
    pack,
    partition_key,
    partition_of,
    read_head,
    unpack,
    write_head,
)
from tests.collector.seen import device_id, seen

HEAD = RecordHead(sensor="gate 7 · süd", boot_id="00ff", seq=12, count=3)


def changed(name: str, value: bytes | None) -> list[tuple[str, bytes]]:
    """The headers with one changed, or left out."""
    return [(each, value if each == name else before) for each, before in write_head(HEAD)
            if each != name or value is not None]  # type: ignore[misc]  # fmt: skip


def test_headers_are_read_as_they_were_written() -> None:
    assert read_head(write_head(HEAD)) == HEAD
    assert dict(write_head(HEAD))["schema"] == b"1"


def test_further_headers_are_let_pass() -> None:
    assert read_head([("traceparent", b"\xff"), *write_head(HEAD)]) == HEAD


@pytest.mark.parametrize("name", ["schema", "sensor", "boot_id", "seq", "count"])
def test_a_header_that_is_missing_empty_huge_double_or_no_text_is_named(name: str) -> None:
    for headers in (
        changed(name, None), changed(name, b""), changed(name, b"1" * (MAX_HEADER_BYTES + 1)),
        [*write_head(HEAD), (name, b"1")], changed(name, b"\xff\xfe"),
    ):  # fmt: skip
        with pytest.raises(Malformed, match=f"header {name} "):
            read_head(headers)


@pytest.mark.parametrize("value", [b"-1", b"1.0", b"x", b"1 ", "٣".encode(), b"9" * 19])
@pytest.mark.parametrize("name", ["schema", "seq", "count"])
def test_what_is_no_number_is_named(name: str, value: bytes) -> None:
    with pytest.raises(Malformed, match=f"header {name} is no number"):
        read_head(changed(name, value))


@given(some.lists(some.tuples(some.sampled_from(["schema", "sensor", "boot_id", "seq", "count", "x"]), some.binary())))
def test_headers_of_anybody_are_read_or_malformed(headers: list[tuple[str, bytes]]) -> None:
    try:
        head = read_head(headers)
    except Malformed:
        return
    assert read_head(write_head(head)) == head


def test_a_value_holds_its_documents_in_order() -> None:
    documents = [seen(number, name="a\nb") for number in range(3)]
    value = pack(msgspec.json.encode(each) for each in documents)
    assert [msgspec.json.decode(line, type=Observation) for line in unpack(value)] == documents
    assert unpack(b"") == []


@given(some.text(min_size=1), some.integers(1, 64))
def test_the_partition_is_the_one_kafkas_own_client_would_choose(key: str, partitions: int) -> None:
    class Cluster:
        def topics(self) -> set[str]:
            return {"t"}

        def partitions_for_topic(self, topic: str) -> set[int]:
            return set(range(partitions))

        available_partitions_for_topic = partitions_for_topic

    chosen = DefaultPartitioner().partition("t", key, key.encode("utf-8", "replace"), None, None, Cluster())
    assert partition_of(key, partitions) == chosen


def test_the_device_decides_and_without_one_the_address_that_began() -> None:
    assert partition_key(seen(1, device=5)) == device_id(5)
    assert partition_key(seen(1, device=None)) == "10.0.0.0"
    assert len({partition_of(partition_key(seen(1, device)), 12) for device in range(200)}) == 12
