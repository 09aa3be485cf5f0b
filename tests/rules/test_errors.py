"""What is wrong with a file is said in one line a fault."""

from pathlib import Path

from collector.errors import LenswatchError
from rules.errors import RuleError, RuleErrors


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
