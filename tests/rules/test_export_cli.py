"""`lenswatch rules export`: text on standard output, what was left out on standard error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rules.export_cli import FORMATS
from tests.streams.command import Ran, run

Command = Callable[..., Ran]


@pytest.fixture
def export(tmp_path: Path) -> Command:
    """`lenswatch rules export` with some arguments."""

    def call(*arguments: object) -> Ran:
        return run("rules", "export", *arguments, state=tmp_path)

    return call


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_typed(export: Command, name: str) -> None:
    ran = export(name, "--on", "2026-11-25", "--role", "telemetry")
    assert ran.code == 0 and "xiongmai" in ran.out
    assert " of 13 indicators written for " in ran.err


def test_what_is_wanted_is_chosen(export: Command) -> None:
    ran = export("csv", "--programme", "US-NS-CMIC", "--role", "firmware", "--min-confidence", "medium")
    assert ran.code == 0
    rows = ran.out.splitlines()[1:]
    assert rows and all(",firmware," in row and "US-NS-CMIC" in row for row in rows)
    assert not any("dahua" in row for row in rows)


def test_own_facts_travel_too(export: Command, tmp_path: Path) -> None:
    facts = tmp_path / "own" / "facts"
    (facts / "endpoints").mkdir(parents=True)
    (facts / "sources.toml").write_text('[sources.ours]\ntitle = "x"\nkind = "registry"\n', "utf-8")
    (facts / "endpoints" / "dahua.toml").write_text(
        'entity = "dahua"\n[[endpoint]]\nname = "ours.example"\nmatch = "exact"\nrole = "push"\nconfidence = "high"\n'
        'sources = ["ours"]\n[[list]]\nfile = "more.txt"\nrole = "push"\nconfidence = "low"\nsources = ["ours"]\n',
        "utf-8",
    )
    (facts / "endpoints" / "more.txt").write_text("one.example\n203.0.113.0/28\n", "utf-8")
    ran = export("rpz", "--role", "push", "--rules", tmp_path / "own", "--block")
    assert ran.code == 0
    assert "ours.example IN CNAME . ;" in ran.out and "*.one.example IN CNAME . ;" in ran.out
    assert "28.0.113.0.203.rpz-ip IN CNAME . ;" in ran.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["snort"], "one of csv, dnsmasq, misp"),
        (["csv", "--role", "ddns_customer"], "'ddns_customer' is not known; one of website"),
        (["csv", "--programme", "US-X"], "'US-X' is not known; one of AU-REMOVAL-2023"),
        (["csv", "--min-confidence", "sure"], "one of high, medium, low, background"),
        (["csv", "--block"], "csv only tells"),
        (["csv", "--on", "yesterday"], "yesterday"),
    ],
)
def test_an_unknown_word_is_a_usage_error_that_names_the_known_ones(
    export: Command, arguments: list[str], word: str
) -> None:
    ran = export(*arguments)
    assert ran.code == 2 and ran.out == "" and word in ran.err
