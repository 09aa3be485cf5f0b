"""A change of the rules' files is told once, when it has come to rest."""

from pathlib import Path

import pytest

from streams.rule_files import RuleFiles, files_of
from streams.settings import RulesSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "rules" / "facts" / "endpoints"
    place.mkdir(parents=True)
    (place / "a.toml").write_text("1", "utf-8")
    return tmp_path / "rules"


def told(files: RuleFiles) -> list[bool]:
    """Three looks."""
    return [files.changed() for _ in range(3)]


def test_nothing_is_told_where_nothing_changes(folder: Path) -> None:
    assert told(RuleFiles([folder])) == [False, False, False]


def test_each_sort_of_change_is_told_once_after_two_looks_that_agree(folder: Path, tmp_path: Path) -> None:
    waivers = tmp_path / "waivers.toml"
    files = RuleFiles([folder], [waivers])
    fact = folder / "facts" / "endpoints" / "a.toml"
    (folder / "detections").mkdir()
    other = tmp_path / "other"
    other.write_text("2", "utf-8")
    for change in (
        lambda: fact.write_text("12", "utf-8"),
        lambda: other.replace(fact),
        lambda: (folder / "facts" / "endpoints" / "list.txt").touch(),
        lambda: (folder / "detections" / "x.yml").touch(),
        lambda: (folder / "pack.sig").touch(),
        lambda: waivers.touch(),
        lambda: waivers.unlink(),
        lambda: (folder / "detections" / "x.yml").unlink(),
    ):
        change()
        assert told(files) == [False, True, False]


def test_what_is_still_being_written_is_waited_for(folder: Path) -> None:
    files = RuleFiles([folder])
    fact = folder / "facts" / "endpoints" / "a.toml"
    for size in range(2, 6):
        fact.write_text("x" * size, "utf-8")
        assert not files.changed() and files.is_settling
    assert files.changed() and not files.is_settling


def test_what_was_changed_and_changed_back_is_no_change(folder: Path) -> None:
    files = RuleFiles([folder])
    more = folder / "facts" / "b.toml"
    more.touch()
    assert not files.changed()
    more.unlink()
    assert told(files) == [False, False, False]


def test_what_is_there_can_be_taken_for_known(folder: Path) -> None:
    files = RuleFiles([folder])
    (folder / "facts" / "b.toml").touch()
    files.forget()
    assert told(files) == [False, False, False]


def test_the_files_are_those_of_settings_and_command_line(folder: Path, tmp_path: Path) -> None:
    waiver, key, own = tmp_path / "w.toml", tmp_path / "k.pub", tmp_path / "own"
    files = files_of(RulesSettings(folders=(folder,), waivers=(waiver,), trusted_keys=(key,)), [own])
    for path in (waiver, key):
        path.touch()
        assert told(files) == [False, True, False]
    (own / "facts").mkdir(parents=True)
    (own / "facts" / "x.toml").touch()
    assert told(files) == [False, True, False]
