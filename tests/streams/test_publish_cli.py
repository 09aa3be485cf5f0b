"""`lenswatch rules publish` makes one pack of all rules."""

from pathlib import Path

from rules.load import load_pack
from rules.match import RuleSet
from tests.streams.command import run


def test_a_pack_is_written_to_a_file_and_holds_the_rules_of_here(tmp_path: Path, rules: RuleSet) -> None:
    out = tmp_path / "rules.zip"
    ran = run("rules", "publish", "--out", out, state=tmp_path)
    assert ran.code == 0, ran.err
    assert load_pack(out.read_bytes()).digest == rules.digest and f"rules {rules.digest}" in ran.out


def test_wrong_rules_are_said_and_nothing_is_written(tmp_path: Path) -> None:
    own = tmp_path / "own" / "detections" / "x.yml"
    own.parent.mkdir(parents=True)
    own.write_text("x: 1\n", "utf-8")
    ran = run("rules", "publish", "--rules", tmp_path / "own", "--out", tmp_path / "rules.zip", state=tmp_path)
    assert ran.code == 1 and f"{own}: x: no such key in a rule" in ran.err
    assert not (tmp_path / "rules.zip").exists()


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    ran = run("rules", "publish", "--out", tmp_path / "none" / "rules.zip", state=tmp_path)
    assert ran.code == 1 and ran.err.count("\n") == 1 and "cannot be written" in ran.err


def test_without_a_broker_it_says_how_to_name_one(tmp_path: Path) -> None:
    ran = run("rules", "publish", state=tmp_path)
    assert ran.code == 2 and "no broker is named: give --kafka HOST:PORT" in ran.err
