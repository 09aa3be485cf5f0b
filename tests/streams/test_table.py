"""What is staged is read at once, and written when it is said to be."""

import types

from streams.table import TextTable, pack_key, unpack_key


def make_table(**written: bytes) -> tuple[TextTable, dict[bytes, bytes]]:
    data = {pack_key(key): value for key, value in written.items()}
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
