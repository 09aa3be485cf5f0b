"""A table of the settings becomes a sink's struct, or a line that names the key."""

from pathlib import Path

import msgspec
import pytest

from collector.errors import SettingsError
from streams.dispatch.tables import read_table


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: Path
    many: int = 1

    def __post_init__(self) -> None:
        if self.many < 1:
            raise ValueError("many is less than 1")


def test_a_table_is_read_without_its_kind() -> None:
    assert read_table(Table, {"kind": "x", "path": "/a/b", "many": 2}) == Table(path=Path("/a/b"), many=2)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({}, "path"),
        ({"path": ""}, "path"),
        ({"path": 7}, "path"),
        ({"path": "/a", "other": 1}, "other"),
        ({"path": "/a", "many": "x"}, "many"),
        ({"path": "/a", "many": 0}, "many is less than 1"),
    ],
)
def test_a_wrong_key_is_named(table: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        read_table(Table, table)
