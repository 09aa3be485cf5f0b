"""`lenswatch collect` without a broker: its settings, its refusals, what it says. The rest is in tests/system."""

import json
from pathlib import Path

import pytest

from tests.streams.command import OFFICE, run


def test_without_a_broker_named_it_says_how_to_name_one(tmp_path: Path) -> None:
    ran = run("collect", OFFICE, state=tmp_path)
    assert ran.code == 2 and "where is Kafka? name --kafka HOST:PORT" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kafka", "broker"), "'broker' is no HOST:PORT"),
        (("--kafka", "127.0.0.1:1", "--config", "gone.toml"), "gone.toml: No such file"),
    ],
)
def test_wrong_options_are_usage_errors(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    ran = run("collect", OFFICE, *arguments, state=tmp_path)
    assert ran.code == 2 and words in ran.err and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"LENSWATCH_KAFKA_PASSWORD": "secret"}, "would send the credentials readable"),
        ({"LENSWATCH_SPOOL_MAX_BYTES": "5"}, "spool.max_bytes is less than"),
        ({"LENSWATCH_KAFKA_SERVER": "a:1"}, "LENSWATCH_KAFKA_SERVER: there is no such key"),
        ({"LENSWATCH_COLLECTOR_METRICS": "9471"}, "no HOST:PORT"),
    ],
)
def test_wrong_settings_name_the_variable(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    ran = run("collect", OFFICE, "--kafka", "127.0.0.1:1", state=tmp_path, **variables)
    assert ran.code == 2 and words in ran.err and "secret" not in ran.err


def test_the_centres_sections_of_the_same_file_are_let_pass(tmp_path: Path) -> None:
    config = tmp_path / "lenswatch.toml"
    config.write_text('[collector]\nsensor = "gate"\n[rules]\nfolders = []\n[store]\nmax_alerts = 5\n')
    ran = run("collect", OFFICE, "--dump", "--config", config, state=tmp_path)
    assert ran.code == 0
    assert {json.loads(line)["observer"]["name"] for line in ran.out.splitlines()} == {"gate"}


def test_dump_shows_what_would_be_published_and_touches_nothing(tmp_path: Path) -> None:
    ran = run("collect", OFFICE, "--dump", state=tmp_path)
    watched = run("watch", OFFICE, "--observations", "-", state=tmp_path / "other")
    assert ran.code == 0 and ran.out.splitlines() == watched.out.splitlines()
    assert not (tmp_path / "lenswatch").exists()


def test_a_source_that_nothing_opens_or_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.pcap").write_bytes(OFFICE.read_bytes()[:30_000])
    ran = run("collect", tmp_path / "broken.pcap", "--dump", state=tmp_path)
    assert ran.code == 1 and "broken.pcap: byte" in ran.err and ran.out
    assert run("collect", "gone.pcap", "--dump", state=tmp_path).code == 1


def test_check_without_a_broker_says_so_and_what_it_would_do(tmp_path: Path) -> None:
    ran = run("collect", OFFICE, "--kafka", "127.0.0.1:1", "--check", state=tmp_path)
    assert ran.code == 1 and "office.pcap, 148,981 bytes" in ran.out and "0 observations wait" in ran.out
    assert ran.err.splitlines() == ["lenswatch: 127.0.0.1:1: Connection refused"]
    assert run("collect", OFFICE, "--dump", "--check", state=tmp_path).code == 0


def test_without_a_broker_what_was_read_waits_for_the_next_start(tmp_path: Path) -> None:
    quiet = {"LENSWATCH_COLLECTOR_METRICS": "", "LENSWATCH_SPOOL_DRAIN_SECONDS": "0"}
    ran = run("collect", OFFICE, "--kafka", "127.0.0.1:1", state=tmp_path, **quiet)
    assert ran.code == 1 and "105 observations wait for the next start (127.0.0.1:1: Connection refused" in ran.err
    checked = run("collect", OFFICE, "--kafka", "127.0.0.1:1", "--check", state=tmp_path)
    assert "105 observations wait" in checked.out
