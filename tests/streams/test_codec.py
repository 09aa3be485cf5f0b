"""A record is read, or it is told why not; nothing else comes of any bytes."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.observation import Observation
from collector.record import RecordHead, pack, write_head
from rules.match import RuleSet
from streams.codec import (
    MAX_LETTER_BYTES,
    MAX_OBSERVATIONS,
    MAX_VALUE_BYTES,
    PIECE_BYTES,
    DeadLetter,
    Forget,
    Read,
    Tick,
    Unreadable,
    believable,
    read_alert,
    read_record,
    write_alert,
    write_dead_letter,
    write_forget,
    write_tick,
)

Headers = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def line(observe: Callable[..., Observation]) -> bytes:
    """An observation as a line of a record."""
    return msgspec.json.encode(observe())


def head(count: int = 1, **more: Any) -> Headers:
    return write_head(RecordHead(**{"sensor": "door", "boot_id": "0a", "seq": 7, "count": count} | more))


def without(name: str) -> Headers:
    return [(key, value) for key, value in head() if key != name]


def test_a_record_says_where_it_is_from_and_what_was_seen(line: bytes, observe: Callable[..., Observation]) -> None:
    read = read_record(head(2), pack([line, line]), 5.0)
    assert isinstance(read, Read) and read.fault is None
    assert read.batch[:4] == ("door", "0a", 7, 5.0)
    assert list(read.batch.observations) == [observe(), observe()] == list(read.batch.observations)
    again = read_record(dict(head(2)), pack([line, line]), 5.0)
    assert isinstance(again, Read) and again.batch[:4] == read.batch[:4] and list(again.lines) == list(read.lines)


@pytest.mark.parametrize("device", ["hq/44:19:b6:00:00:01", "büro/10.0.0.9", "x" * 1_000, "odd\udcff/1"])
def test_the_word_that_a_device_is_to_be_forgotten_has_its_id_whole(device: str) -> None:
    assert read_record(write_forget(device), None, 0.0) == Forget(device)


def test_an_id_that_is_too_long_or_no_text_is_no_such_word() -> None:
    with pytest.raises(ValueError, match="longer than 1024"):
        write_forget("x" * 1_025)
    for data in (b"\xff\xfe", b"", None):
        with pytest.raises(Unreadable, match="to be forgotten") as caught:
            read_record([("schema", b"1"), ("forget", data)], None, 0.0)  # type: ignore[list-item]
        assert caught.value.reason == "headers"


@pytest.mark.parametrize(
    ("said", "believed"), [(None, 0.0), (-0.001, 0.0), (1e9, 1e9), (1.7e12, 2e9 + 86_400), (float("inf"), 2e9 + 86_400)]
)
def test_the_time_of_a_record_is_what_its_sender_says_within_reason(said: float | None, believed: float) -> None:
    assert believable(said, 2e9) == believed
    write_dead_letter("empty", "", b"", b"", [], ("seen", 0, 1), believed)


def test_an_observation_whose_time_has_no_zone_is_none(line: bytes) -> None:
    read = read_record(head(2), pack([line, re.sub(rb'("@timestamp":"[^"]*?)(Z|\+00:00)"', rb'\1"', line)]), 5.0)
    assert isinstance(read, Read) and len(list(read.lines)) == 1 and read.fault is not None
    assert read.fault.reason == "wrong_fields" and "timezone" in read.fault.words


def test_a_tick_is_a_time() -> None:
    assert read_record(write_tick(1_793_606_400.25), b"", 0.0) == Tick(1_793_606_400.25)


def test_fields_and_datasets_that_nobody_knows_yet_are_let_pass(line: bytes) -> None:
    document = msgspec.json.decode(line)
    document["quantum"] = {"state": "both"}
    document["event"]["dataset"] = "lenswatch.quantum"
    document["destination"]["mood"] = "fine"
    read = read_record([*head(), ("colour", b"\xff")], msgspec.json.encode(document), 0.0)
    assert isinstance(read, Read) and next(iter(read.batch.observations)).event.dataset == "lenswatch.quantum"


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        (head(), None, "empty"),
        (head(), b"", "empty"),
        (head(), b"\n\n", "empty"),
        (head(), b"hello", "not_json"),
        (head(), b"\xff\xfe", "not_json"),
        (head(), b'{"a":' * 100_000, "not_json"),
        (head(), b"{}", "wrong_fields"),
        (head(), b"[1, 2]", "wrong_fields"),
        (head(), b"\x28\xb5\x2f\xfd\x04\x00", "compressed"),
        (head(), b"\x28\xb5\x2f\xfd" + b"\n." * (MAX_OBSERVATIONS + 1), "compressed"),
        (head(), b"x" * (MAX_VALUE_BYTES + 1), "too_big"),
        (head(), b"{}\n" * (MAX_OBSERVATIONS + 1), "too_big"),
        (head(schema=2), b"{}", "newer_schema"),
        ([], b"{}", "headers"),
        (None, b"{}", "headers"),
        (without("schema"), b"{}", "headers"),
        (without("sensor"), b"{}", "headers"),
        (without("boot_id"), b"{}", "headers"),
        (without("seq"), b"{}", "headers"),
        (without("count"), b"{}", "headers"),
        ([*without("seq"), ("seq", b"-1")], b"{}", "headers"),
        ([*without("schema"), ("schema", "١".encode())], b"{}", "headers"),
        ([("schema", b"1"), ("tick", b"soon")], b"", "headers"),
        ([("tick", b"1")], b"", "headers"),
    ],
)  # fmt: skip
def test_a_record_that_is_none_says_why(headers: Any, value: bytes | None, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_record(headers, value, 0.0)
    assert refused.value.reason == reason and len(refused.value.words) <= 300


def test_of_a_record_with_bad_lines_the_good_ones_are_read(line: bytes) -> None:
    bad = [b'{"@timestamp": 5}', b"half a li"]
    read = read_record(head(4), pack([line, bad[0], line, bad[1]]), 0.0)
    assert isinstance(read, Read) and read.lines.count() == 2
    assert read.fault is not None and read.fault.lines == bad and read.fault.reason == "wrong_fields"
    assert read.fault.words.startswith("line 2: ")


def test_a_count_that_is_not_so_is_told_and_the_observations_are_read(line: bytes) -> None:
    read = read_record(head(3), pack([line, line]), 0.0)
    assert isinstance(read, Read) and read.lines.count() == 2
    assert read.fault is not None and read.fault.reason == "count"


def test_a_clock_in_1970_is_no_reason_to_refuse(line: bytes) -> None:
    read = read_record(head(), line.replace(b"2026-11-02", b"1970-01-01"), 0.0)
    assert isinstance(read, Read) and next(iter(read.batch.observations)).timestamp.year == 1970


@given(
    headers=st.lists(
        st.tuples(st.sampled_from(("schema", "sensor", "boot_id", "seq", "count", "tick", "forget")), st.binary())
    ),
    value=st.none() | st.binary(),
)
def test_whatever_the_bytes_a_record_is_read_or_unreadable(headers: Headers, value: bytes | None) -> None:
    try:
        read = read_record(headers, value, 0.0)
        assert not isinstance(read, Read) or read.lines.count() == len(list(read.batch.observations))
    except Unreadable as error:
        assert error.reason


BAD = {b'{"@timestamp": 5}': "wrong_fields", b"half a li": "not_json", b"\xff": "not_json"}


@pytest.mark.parametrize("piece_bytes", [0, 1, 700, PIECE_BYTES])
@given(kinds=st.lists(st.sampled_from(["good", "blank", *BAD]), max_size=30), ends=st.booleans())
def test_however_a_record_is_cut_every_line_is_read_or_is_at_fault(
    line: bytes, piece_bytes: int, kinds: list[Any], ends: bool
) -> None:
    lines = [{"good": line, "blank": b" "}.get(kind, kind) for kind in kinds]
    value = b"\n".join(lines) + (b"\n" if ends else b"")
    good, bad = kinds.count("good"), [each for each in lines if each in BAD]
    with mock.patch("streams.codec.PIECE_BYTES", piece_bytes):
        if not good:
            with pytest.raises(Unreadable) as refused:
                read_record(head(good), value, 0.0)
            assert refused.value.reason == (BAD[bad[0]] if bad else "empty")
            return
        pieces: list[int] = []

        def through(found: list[Observation]) -> list[Observation]:
            pieces.append(len(found))
            return found[::-1]

        read = read_record(head(good), value, 0.0, through)
        assert isinstance(read, Read) and pieces == [], "nothing is done with them before they are wanted"
        for _ in range(2):
            assert len(list(read.batch.observations)) == good == read.lines.count() == sum(pieces)
            assert piece_bytes == PIECE_BYTES or max(pieces) <= 1 + piece_bytes // len(line)
            pieces.clear()
        fault = read.fault
        assert pieces == []
    assert (fault.lines if fault is not None else []) == bad
    if fault is not None:
        number = 1 + [each for each in lines if each != b" "].index(bad[0])
        assert fault.reason == BAD[bad[0]] and fault.words.startswith(f"line {number}: ")


def test_a_dead_letter_keeps_reason_digest_origin_and_the_bytes() -> None:
    value = b"not json"
    data = write_dead_letter("not_json", "line 1", value, value, head(), ("topic", 3, 99), 5.0)
    letter = msgspec.json.decode(data, type=DeadLetter)
    assert letter.digest == hashlib.sha256(value).hexdigest() and letter.size_bytes == 8
    assert base64.b64decode(letter.original) == value and letter.reason == "not_json"
    origin = letter.origin
    assert (origin.topic, origin.partition, origin.offset, origin.sensor, origin.seq) == ("topic", 3, 99, "door", "7")


def test_a_dead_letter_is_bounded() -> None:
    value = b"x" * (3 * MAX_LETTER_BYTES)
    data = write_dead_letter("too_big", "w", value, value, None, ("t", 0, 0), 0.0)
    assert len(data) < 2 * MAX_LETTER_BYTES and msgspec.json.decode(data)["size_bytes"] == len(value)


def test_an_alert_comes_back_as_it_went(rules: RuleSet, observe: Callable[..., Observation]) -> None:
    (alert,) = rules.match(observe({"destination.domain": "www.easy4ipcloud.com", "event.dataset": "lenswatch.tls"}))
    assert read_alert(write_alert(alert)) == alert


@pytest.mark.parametrize(("value", "reason"), [(b"", "not_json"), (b"\xff", "not_json"), (b"{}", "wrong_fields")])
def test_what_is_no_alert_is_unreadable(value: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_alert(value)
    assert refused.value.reason == reason
