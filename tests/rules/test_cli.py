"""`lenswatch rules`: what is in force, whose a name is, whether a folder is sound."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from rules.load import load_rules
from rules.match import RuleSet
from tests.streams.command import Ran, run

Command = Callable[..., Ran]


@pytest.fixture(scope="module")
def loaded() -> RuleSet:
    return load_rules()


@pytest.fixture
def rules_command(tmp_path: Path) -> Command:
    """`lenswatch rules` with some arguments."""

    def call(*arguments: object, **more: str) -> Ran:
        return run("rules", *arguments, state=tmp_path, **more)

    return call


def test_without_a_command_the_help_is_told_as_a_usage_error(rules_command: Command) -> None:
    ran = rules_command()
    assert ran.code == 2 and ran.out == ""
    for command in ("check", "list", "lookup", "test", "explain"):
        assert f"\n  {command} " in ran.err


def test_check_counts_what_is_shipped(rules_command: Command, loaded: RuleSet) -> None:
    ran = rules_command("check")
    assert ran.code == 0 and ran.err == ""
    first, second = ran.out.splitlines()
    assert first.startswith(
        f"{len(loaded.detections)} detections, {len(loaded.correlations)} correlations, "
    ) and first.endswith(": all right")
    assert f" {len(loaded.facts.entities)} companies, {len(loaded.facts.programmes)} programmes, " in first
    assert second == f"digest {loaded.digest}"


def test_check_says_all_that_is_wrong_a_line_each_with_file_and_key(rules_command: Command, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "facts" / "endpoints").mkdir(parents=True)
    (own / "detections").mkdir()
    fact = own / "facts" / "endpoints" / "hikvision.toml"
    fact.write_text('entity = "hikvision"\n[[endpoint]]\nname = "x.example"\nmatch = "suffix"\n', "utf-8")
    detection = own / "detections" / "x.yml"
    detection.write_text("title: x\nlevel: fatal\n", "utf-8")
    ran = rules_command("check", "--rules", own)
    assert ran.code == 1 and ran.out == ""
    assert len(ran.complaints) == len(ran.err.splitlines()) >= 3
    assert any(str(fact) in line and "role" in line for line in ran.complaints)
    assert any(f"{detection}: level: " in line for line in ran.complaints)
    assert any(f"{detection}: detection: " in line for line in ran.complaints)


def test_list_names_every_detection_with_its_level(rules_command: Command, loaded: RuleSet) -> None:
    lines = rules_command("list").out.splitlines()
    heads = [*loaded.detections, *(correlation.head for correlation in loaded.correlations)]
    assert len(lines) == len(heads)
    for detection in heads:
        name = f"{detection.path.parent.name}/{detection.path.stem}"
        assert [line.split(maxsplit=2) for line in lines if name in line] == [[detection.level, name, detection.title]]


def test_list_as_json_is_a_document_a_line(rules_command: Command, loaded: RuleSet) -> None:
    documents = [json.loads(line) for line in rules_command("list", "--json").out.splitlines()]
    assert {document["id"]: document["version"] for document in documents} == {
        each.id: each.version for each in (*loaded.detections, *(found.head for found in loaded.correlations))
    }
    assert all(Path(document["file"]).is_file() for document in documents)


def test_lookup_tells_the_fact_its_sources_the_company_and_its_listings(
    rules_command: Command, loaded: RuleSet
) -> None:
    found = loaded.lookup("litedev.hik-connect.com")
    assert found.match is not None and found.entity is not None and found.listings
    text = " ".join(rules_command("lookup", "LiteDev.Hik-Connect.com.").out.split())
    assert f"role {found.match.role}, confidence {found.match.confidence}" in text and found.entity.name in text
    for source in found.match.sources:
        assert f"{source}: {' '.join(loaded.facts.sources[source].title.split())}" in text
    for listing in found.listings:
        assert (
            f"{listing.programme}: {listing.status.replace('_', ' ')} since {listing.since}, {listing.citation}" in text
        )


def test_lookup_as_of_a_day_tells_the_listings_of_that_day(rules_command: Command) -> None:
    before = rules_command("lookup", "www.hikvision.com", "--as-of", "2019-08-12").out
    after = rules_command("lookup", "www.hikvision.com", "--as-of", "2019-08-13").out
    assert "US-MCCAIN-889" not in before and "none is known here" in before
    assert "US-MCCAIN-889" in after and "US-BIS-EL" not in after


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("frontdesk-17.quickddns.com", "role ddns_customer"),
        ("dahuatec.xyz", "lookalike resembles dahuatech.com"),
        ("AS4134", "operator"),
        ("as4134", "AS4134"),
        ("192.0.2.1", "address 192.0.2.1 facts nothing is known of it"),
        ("www.example.org", "name www.example.org facts nothing is known of it"),
        ("x\x1b[31m.example", "x\\x1b[31m.example"),
    ],
)
def test_lookup_says_what_an_asked_for_name_is(rules_command: Command, asked: str, words: str) -> None:
    ran = rules_command("lookup", asked)
    assert ran.code == 0 and words in " ".join(ran.out.split()) and "\x1b" not in ran.out


def test_lookup_as_json_is_the_whole_answer(rules_command: Command, loaded: RuleSet) -> None:
    ran = rules_command("lookup", "www.hikvision.com", "--json")
    assert json.loads(ran.out) == json.loads(msgspec.json.encode(loaded.lookup("www.hikvision.com")))


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_lookup_fits_the_width_and_breaks_no_word(rules_command: Command, columns: str) -> None:
    for line in rules_command("lookup", "litedev.hik-connect.com", COLUMNS=columns).out.splitlines():
        assert len(line) <= int(columns) or len(line.split()) <= 2


def test_test_runs_every_case(rules_command: Command, loaded: RuleSet) -> None:
    cases = sum(len(each.cases) for each in (*loaded.detections, *loaded.correlations))
    ran = rules_command("test")
    assert (ran.code, ran.out) == (0, f"{cases} cases passed, 0 failed\n")


def test_test_names_the_case_that_failed_and_is_exit_1(rules_command: Command, tmp_path: Path, loaded: RuleSet) -> None:
    shipped = next(detection for detection in loaded.detections if detection.path.stem == "maker-ddns")
    own = tmp_path / "own" / "detections" / "mine.yml"
    own.parent.mkdir(parents=True)
    own.write_text(shipped.path.read_text("utf-8").replace("fires: true", "fires: false", 1) + EXTRA_CASE, "utf-8")
    ran = rules_command("test", "--rules", tmp_path / "own")
    assert ran.code == 1 and ran.out.splitlines()[-1].endswith(" 1 failed")
    assert f"{own}: case " in ran.out and "should be silent, and fires" in ran.out


EXTRA_CASE = """\
    - name: it fires all the same
      fires: true
"""
