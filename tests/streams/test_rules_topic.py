"""A record of the rules topic is taken whole, or refused in one line."""

import asyncio
from typing import NamedTuple

import pytest

from collector.errors import LenswatchError
from rules.load import collect_files
from rules.match import RuleSet
from rules.pack import pack
from streams.rules_topic import KEY, SCHEMA, hand_on, load


class Record(NamedTuple):
    """As the client hands it over, as far as it is looked at."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...] = (("schema", SCHEMA),)
    offset: int = 7
    topic: str = "lenswatch.rules.v1"
    key: bytes = KEY


@pytest.fixture(scope="module")
def packed() -> bytes:
    return pack(collect_files())


def test_a_record_gives_the_rules_that_were_packed(packed: bytes, rules: RuleSet) -> None:
    assert load(Record(packed)).digest == rules.digest


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Record(b"junk"), "lenswatch.rules.v1 at 7: no pack that can be read"),
        (Record(b"junk", ()), "lenswatch.rules.v1 at 7: schema b''; upgrade the worker"),
        (Record(b"junk", (("schema", b"2"),)), "schema b'2'; upgrade the worker"),
        (
            Record(pack({"0/facts/a.toml": b"x", "0/detections/a.yml": b"x: 1", "0/detections/b.yml": b"y: ["})),
            "more)",
        ),
    ],
)
def test_what_cannot_be_taken_is_one_line_with_its_place(record: Record, words: str) -> None:
    with pytest.raises(LenswatchError) as caught:
        load(record)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_refused_pack_is_said_and_changes_nothing_and_a_good_one_is_taken(packed: bytes) -> None:
    taken: list[tuple[RuleSet, bool]] = []
    refused: list[str] = []
    for value in (packed[:-9], packed):
        asyncio.run(hand_on(Record(value), lambda *each: taken.append(each), refused.append))
    assert len(taken) == 1 and len(refused) == 1 and refused[0].startswith("lenswatch.rules.v1 at 7: ")


def test_a_pack_may_shrink_where_its_record_says_so(packed: bytes) -> None:
    taken: list[bool] = []
    for more in ((), (("may_shrink", b"1"),)):
        record = Record(packed, (("schema", SCHEMA), *more))
        asyncio.run(hand_on(record, lambda _, may_shrink: taken.append(may_shrink), pytest.fail))
    assert taken == [False, True]


def test_the_signature_travels_beside_the_pack_and_is_handed_to_whoever_reads_it(packed: bytes) -> None:
    given: list[tuple[bytes, bytes | None]] = []

    def read(content: bytes, signature: bytes | None) -> RuleSet:
        given.append((content, signature))
        raise LenswatchError("enough")

    for headers in ((("schema", SCHEMA),), (("schema", SCHEMA), ("signature", b"signed"))):
        with pytest.raises(LenswatchError, match="at 7: enough"):
            load(Record(packed, headers), read)
    assert given == [(packed, None), (packed, b"signed")]
