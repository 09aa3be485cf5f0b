"""What is wrong with a file is said in one line a fault."""

from pathlib import Path

import pytest

from collector.errors import LenswatchError
from rules.errors import RuleError, RuleErrors, known_word


def test_a_fault_names_file_place_and_reason() -> None:
    error = RuleError("a.toml", "endpoint[0].role", "is unknown; use cloud")
    assert str(error) == "a.toml: endpoint[0].role: is unknown; use cloud"
    assert (error.path, error.place) == (Path("a.toml"), "endpoint[0].role")
    assert isinstance(error, LenswatchError)


def test_a_fault_of_a_whole_file_has_no_place() -> None:
    assert str(RuleError("a.toml", "", "is not TOML")) == "a.toml: is not TOML"


def test_several_faults_are_a_line_each() -> None:
    errors = RuleErrors([RuleError("a", "", "x"), RuleError("b", "", "y")])
    assert str(errors).splitlines() == ["a: x", "b: y"]
    assert [error.reason for error in errors.errors] == ["x", "y"]


def test_an_unknown_word_lists_the_known_and_names_the_nearest() -> None:
    assert known_word("dahua", {"dahua"}, "company") == "dahua"
    with pytest.raises(LenswatchError) as refused:
        known_word("dauha", ["hikvision", "dahua"], "company")
    assert str(refused.value) == "dauha: no such company; do you mean dahua? There are: dahua, hikvision"
    with pytest.raises(LenswatchError, match=r"^x: no such company\. There are: a$"):
        known_word("x", ["a"], "company")
