"""CSV tables: whole or refused."""

from pathlib import Path

import pytest

from rules.errors import RuleError
from rules.table import read_table


def rows(tmp_path: Path, content: bytes) -> list[tuple[str, dict[str, str]]]:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    return list(read_table(path, ("name",)))


def test_a_mark_of_byte_order_and_the_heading_s_case_do_not_matter(tmp_path: Path) -> None:
    assert rows(tmp_path, b'\xef\xbb\xbf Name ,B\r\n"a, b",1\r\n\r\n') == [("line 2", {"name": "a, b", "b": "1"})]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"name,b\nx\n", "line 2: has 1 fields, not 2 as the heading"),
        (b"name,b\nx,y,z\n", "has 3 fields"),
        (b'name,b\nx,"y\n', "cut off"),
        (b"b\nx\n", "has no column name"),
        (b"name\n\xff\n", "not UTF-8"),
        (b"name\n" + b"x" * (1 << 20) + b"x\n", "field larger"),
    ],
)
def test_what_is_not_whole_is_refused_with_its_line(tmp_path: Path, content: bytes, word: str) -> None:
    with pytest.raises(RuleError, match=word):
        rows(tmp_path, content)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="cannot be read"):
        list(read_table(tmp_path / "none.csv", ("name",)))
