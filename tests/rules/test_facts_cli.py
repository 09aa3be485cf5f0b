"""`lenswatch facts`: a list in, reviewed, watched with; and a refused one leaves everything as it was."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.factbook import SHIPPED
from rules.match import RuleSet
from tests.rules.lists.published import csl_csv, ofac_xml, party, row, whole_csl
from tests.streams.command import Ran, run

Command = Callable[..., Ran]


@pytest.fixture
def facts(tmp_path: Path) -> Command:
    """`lenswatch facts` with some arguments."""

    def call(*arguments: object) -> Ran:
        return run("facts", *arguments, state=tmp_path / "state")

    return call


@pytest.fixture
def sdn(tmp_path: Path) -> Path:
    """An SDN list that names Hikvision."""
    name = "HANGZHOU HIKVISION DIGITAL TECHNOLOGY CO., LTD."
    parties = [
        party(name, "60001", since="2026-11-18", tags=("GLOMAG",), ids=("91330000733796106P",)),
        party("CEIEC", "60002"), party("INTEGRITY TECHNOLOGY GROUP, INCORPORATED", "60003", since="2025-01-03"),
    ]  # fmt: skip
    return ofac_xml(tmp_path / "sdn_advanced.xml", parties, "2026-11-19")


def test_without_a_command_the_help_is_told_as_a_usage_error(facts: Command) -> None:
    ran = facts()
    assert ran.code == 2 and "\n  import " in ran.err and "\n  diff " in ran.err


def test_an_imported_list_is_in_force_where_its_folder_is_named_and_nowhere_else(
    facts: Command, sdn: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in SHIPPED.rglob("*.toml")}
    ran = facts("import", "ofac", sdn, "--into", tmp_path / "lists")
    assert ran.code == 0, ran.err
    assert "SDN: 3 entries" in ran.out and "hikvision: US-OFAC-SDN, US-GLOMAG: its identifier" in ran.out
    assert {path: path.read_bytes() for path in SHIPPED.rglob("*.toml")} == before
    words = ("lookup", "hik-connect.com", "--as-of", "2026-11-20")
    with_list = run("rules", *words, "--rules", tmp_path / "lists", state=tmp_path)
    assert "US-OFAC-SDN: listed since 2026-11-18, Executive Order 14032" in with_list.out
    assert "US-OFAC-SDN" not in run("rules", *words, state=tmp_path).out
    assert run("rules", "check", "--rules", tmp_path / "lists", state=tmp_path).code == 0


def test_the_verdict_changes_with_the_list(facts: Command, sdn: Path, tmp_path: Path) -> None:
    assert facts("import", "ofac", sdn, "--into", tmp_path / "lists").code == 0
    words = ("hikvision", "--activity", "update_received", "--profile", "us-private", "--on", "2026-11-20", "--json")
    ran = run("verdict", *words, "--rules", tmp_path / "lists", state=tmp_path)
    assert ran.code == 0, ran.err
    outcomes = {each["programme"]: each["outcome"] for each in json.loads(ran.out)["verdicts"]}
    assert outcomes["US-OFAC-SDN"] == "licence_required"
    before = run("verdict", *words, state=tmp_path)
    outcomes = {each["programme"]: each["outcome"] for each in json.loads(before.out)["verdicts"]}
    assert outcomes["US-OFAC-SDN"] == "checked_not_listed"


def test_a_refused_list_is_all_its_reasons_and_leaves_the_folder_as_it_was(
    facts: Command, sdn: Path, tmp_path: Path
) -> None:
    into = tmp_path / "lists"
    assert facts("import", "ofac", sdn, "--into", into).code == 0
    before = {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}
    older = ofac_xml(tmp_path / "older.xml", [party("SOMEBODY ELSE", "1")], "2026-11-01")
    ran = facts("import", "ofac", older, "--into", into)
    assert ran.code == 1 and ran.out == ""
    assert any("older than what is loaded (2026-11-19, sdn_advanced.xml)" in line for line in ran.complaints)
    assert any("SDN: 1 entries, 3 on 2026-11-19: 67% fewer" in line for line in ran.complaints)
    assert any("does not name CEIEC" in line for line in ran.complaints)
    assert {path: path.read_bytes() for path in into.rglob("*") if path.is_file()} == before
    cut = tmp_path / "cut.xml"
    cut.write_bytes(sdn.read_bytes()[:-40])
    ran = facts("import", "ofac", cut, "--into", into)
    assert ran.code == 1 and "cut off" in ran.err and len(ran.complaints) == 1


def test_both_files_of_ofac_go_into_one_folder(facts: Command, sdn: Path, tmp_path: Path, shipped: RuleSet) -> None:
    into = tmp_path / "lists"
    assert facts("import", "ofac", sdn, "--into", into).code == 0
    parties = [
        party(each.name.upper(), each.identifiers.get("ofac_uid", f"9{at}"), "CMIC", since=str(listing.since))
        for at, each in enumerate(shipped.facts.entities.values())
        for listing in each.listings
        if listing.programme == "US-NS-CMIC" and listing.status == "listed"
    ]
    ran = facts("import", "ofac", ofac_xml(tmp_path / "cons_advanced.xml", parties), "--into", into)
    assert ran.code == 0, ran.err
    names = {path.name for path in (into / "facts" / "listings").iterdir()}
    assert names == {"ofac-sdn.toml", "ofac-cons.toml"}
    assert run("rules", "check", "--rules", into, state=tmp_path).code == 0


def test_a_diff_says_what_changed_and_for_whom(facts: Command, tmp_path: Path, shipped: RuleSet) -> None:
    rows = whole_csl(shipped.facts.entities.values())
    old, new = tmp_path / "old", tmp_path / "new"
    assert facts("import", "csl", csl_csv(tmp_path / "a", rows), "--into", old, "--published", "2026-11-01").code == 0
    shutil.copytree(old, new)
    rows = [each for each in rows if "TIANDY" not in each["name"]] + [
        row("Hangzhou Xiongmai Technology Co., Ltd.", "EL")
    ]
    path = csl_csv(tmp_path / "b", rows)
    ran = facts("import", "csl", path, "--into", new, "--published", "2026-11-08", "--removed", "tiandy")
    assert ran.code == 0, ran.err
    ran = facts("diff", old, new)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert any(line.startswith("changed  tiandy: listing US-BIS-EL: status: listed → removed") for line in lines)
    assert any(line.startswith("added    xiongmai: listing US-BIS-EL: listed since 2019-10-09") for line in lines)
    assert "2 companies, 2 of them with known names" in ran.err
    as_json = facts("diff", old, new, "--json").out.splitlines()
    assert len(as_json) == len(lines) and json.loads(as_json[0])["entity"]
    assert facts("diff", "shipped", "shipped").out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["import", "un", "x", "--into", "y"], 2, "one of ofac, csl, 1260h, fcc"),
        (["import", "csl", "no-such-file", "--into", "y"], 1, "cannot be read"),
        (["import", "csl", "x"], 2, "--into"),
        (["import", "csl", "x", "--into", "y", "--removed", "acme"], 2, "'acme' is no company"),
        (["import", "csl", "x", "--into", "y", "--same", "dahua"], 2, "write COMPANY=NAME"),
        (["diff", "shipped", "no-such-folder"], 1, "holds no facts"),
    ],
)
def test_a_wrong_word_is_one_line(facts: Command, arguments: list[str], code: int, word: str) -> None:
    ran = facts(*arguments)
    assert ran.code == code and ran.out == "" and word in ran.err
