"""What is staged is read at once, and written when it is said to be."""

import asyncio
import types
from pathlib import Path

from faust.types import TP

from collector.kafka_settings import KafkaSettings
from streams.app import make_app
from streams.settings import WorkerSettings
from streams.table import TextTable, pack_key, unpack_key


class Data(dict[bytes, bytes]):
    """As Faust's store in memory: of what it has read itself it knows the partition."""

    def __init__(self, **written: bytes) -> None:
        super().__init__({pack_key(key): value for key, value in written.items()})
        self._key_partition = dict.fromkeys(self, 7)


def make_table(**written: bytes) -> tuple[TextTable, Data]:
    data = Data(**written)
    topic = types.SimpleNamespace(get_topic_name=lambda: "night-devices-changelog")
    return TextTable(types.SimpleNamespace(data=data, changelog_topic=topic)), data


def test_what_is_staged_is_read_and_not_yet_written() -> None:
    table, data = make_table(a=b"1", b=b"2")
    table.stage(3, {"a": b"9", "b": None, "c": b"3"})
    assert dict(table.items()) == {"a": b"9", "c": b"3"} == {key: table[key] for key in table} and len(table) == 2
    assert table.get("b") is None and data == {b"a": b"1", b"b": b"2"}
    assert table.staged["b"].partition == 3 and table.topic == "night-devices-changelog"


def test_what_is_kept_is_written_and_not_staged_any_more() -> None:
    table, data = make_table(a=b"1", b=b"2")
    table.stage(0, {"a": b"9", "b": None, "never": None})
    table.keep(dict(table.staged))
    assert data == {b"a": b"9"} and table.staged == {} and dict(table.items()) == {"a": b"9"}


def test_of_what_is_kept_faust_knows_the_partition_and_forgets_it_when_that_is_anothers(tmp_path: Path) -> None:
    made = make_app(KafkaSettings(servers="127.0.0.1:1", partitions=2), WorkerSettings(), tmp_path).Table(
        "t", key_type=bytes, value_type=bytes, partitions=2
    )
    table = TextTable(made)
    table.stage(0, {"ours": b"1", "gone": b"1"})
    table.stage(1, {"theirs": b"1"})
    table.keep(dict(table.staged))
    table.stage(0, {"gone": None})
    table.keep(dict(table.staged))
    asyncio.run(made.data.on_recovery_completed({TP(table.topic, 0)}, set()))
    assert dict(table.items()) == {"ours": b"1"}


def test_what_changed_again_in_between_stays_staged() -> None:
    table, data = make_table()
    table.stage(0, {"a": b"1", "b": b"1"})
    staged = dict(table.staged)
    table.stage(0, {"a": b"1", "b": None})
    table.keep(staged)
    assert data == {b"a": b"1", b"b": b"1"} and set(table.staged) == {"a", "b"}
    table.keep(dict(table.staged))
    assert data == {b"a": b"1"} and table.staged == {}


def test_what_is_staged_again_is_written_after_what_was_staged_in_between() -> None:
    table, _ = make_table()
    table.stage(0, {"a": b"1", "b": b"1"})
    table.stage(0, {"a": b"2"})
    assert list(table.staged) == ["b", "a"]


def test_an_id_that_is_no_good_unicode_is_a_key_too() -> None:
    assert unpack_key(pack_key("d/\udcff")) == "d/\udcff"
