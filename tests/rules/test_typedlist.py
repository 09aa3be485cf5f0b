"""Tables that a person made."""

from pathlib import Path

import pytest

from rules.errors import RuleError
from rules.lists.reader import Entry, Tally
from rules.typedlist import read_typed


def entries(tmp_path: Path, text: str) -> list[Entry]:
    path = tmp_path / "x.csv"
    path.write_text(text, "utf-8")
    return list(read_typed(path, Tally(), "L", ("P",), "the law"))


def test_several_values_are_parted_by_a_bar_and_a_missing_citation_is_the_programme_s(tmp_path: Path) -> None:
    [entry] = entries(tmp_path, "name,aliases,identifiers,country\nA B,C | D,91330000733796106P,CN|HK\n")
    assert entry.aliases == ("C", "D") and entry.countries == ("CN", "HK") and entry.citation == "the law"
    assert entry.identifiers == ("91330000733796106P",) and entry.since is None


@pytest.mark.parametrize(
    ("text", "word"), [("name\n \n", "line 2: has no name"), ("name,since\nA,June\n", "'June' is no day")]
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(RuleError, match=word):
        entries(tmp_path, text)
