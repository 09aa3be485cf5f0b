"""`lenswatch settings check`: every key explained; what is wrong is refused in a line each."""

import json
from pathlib import Path

import pytest

from tests.streams.command import run

SOC = '[sinks.soc]\nkind = "webhook"\nurl = "https://soc.example.org/hook"\nsecret_file = "{secret}"\n'


def settings_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "lenswatch.toml"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def secret_file(folder: Path, mode: int) -> Path:
    path = folder / "soc.secret"
    path.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "utf-8")
    path.chmod(mode)
    return path


def test_sound_settings_are_explained_and_taken(tmp_path: Path) -> None:
    path = settings_file(tmp_path, '[collector]\nsite = "quay"\n' + SOC.format(secret=secret_file(tmp_path, 0o600)))
    ran = run("settings", "check", path, state=tmp_path, LENSWATCH_STORE_MAX_ALERTS="7", COLUMNS="100")
    assert ran.code == 0 and not ran.err
    assert '\nsite = "quay"   # file\n' in ran.out
    assert (
        "\nmax_alerts = 7   # LENSWATCH_STORE_MAX_ALERTS\n    How many alerts are kept. Default: 100000.\n" in ran.out
    )
    assert "\n[sinks.soc]\n" in ran.out and max(map(len, ran.out.splitlines())) <= 140
    assert "MfKQ" not in ran.out


def test_without_a_file_the_defaults_are_explained(tmp_path: Path) -> None:
    ran = run("settings", "check", "--json", state=tmp_path)
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0 and {row["from"] for row in rows} == {"default"} and all(row["words"] for row in rows)
    assert {"section": "worker", "key": "stall_seconds", "value": "120.0", "unit": "seconds"}.items() <= next(
        row for row in rows if row["key"] == "stall_seconds"
    ).items()


def test_every_secret_that_others_may_read_is_refused_in_a_line_of_its_own(tmp_path: Path) -> None:
    secret = secret_file(tmp_path, 0o644)
    text = SOC.format(secret=secret) + (
        f'[kafka]\nservers = "k:1"\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "SCRAM-SHA-512"\nusername = "u"\n'
        f'password_file = "{secret}"\n'
    )
    ran = run("settings", "check", settings_file(tmp_path, text), state=tmp_path)
    assert ran.code == 2
    kafka, soc = ran.complaints
    assert f"kafka.password_file {secret} can be read by every user of this machine: chmod 600" in kafka
    assert f"sinks.soc: secret_file {secret} can be read by every user of this machine: chmod 600" in soc
    secret.chmod(0o600)
    assert run("settings", "check", tmp_path / "lenswatch.toml", state=tmp_path).code == 0


def test_a_password_in_a_settings_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    text = (
        '[kafka]\nservers = "k:1"\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nusername = "u"\n'
        'password = "correct horse"\n'
    )
    path = settings_file(tmp_path, text, 0o644)
    ran = run("settings", "check", path, state=tmp_path)
    (line,) = ran.complaints
    assert ran.code == 2 and "kafka.password is in this file, which every user" in line
    assert "horse" not in ran.out + ran.err
    path.chmod(0o640)
    assert run("settings", "check", path, state=tmp_path).code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[collector]\nsight = 'x'\n", "`sight` - at `$.collector`"),
        ("[colector]\nsite = 'x'\n", "`colector`"),
        ("[sinks.soc]\nkind = 'pigeon'\n", "sinks.soc: kind is 'pigeon'; there are "),
        (
            "[sinks.soc]\nkind = 'jsonl'\npath = 'x'\nmax_byte = 1\n",
            "sinks.soc: Object contains unknown field `max_byte`",
        ),
        ("[rules.sites.quay]\nprofiles = ['us-privat']\n", "there is no profile 'us-privat'"),
        ("[geo]\nasn = '/nowhere/asn.mmdb'\n", "/nowhere/asn.mmdb"),
        ("[kafka]\nsecurity_protocol = 'SSL'\ncafile = '/nowhere/ca.pem'\n", "/nowhere/ca.pem"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_place(tmp_path: Path, text: str, words: str) -> None:
    path = settings_file(tmp_path, text)
    ran = run("settings", "check", path, state=tmp_path)
    (line,) = ran.complaints
    assert ran.code == 2 and line.startswith(f"lenswatch: {path}: ") and words in line


def test_to_check_a_sink_makes_no_file(tmp_path: Path) -> None:
    path = settings_file(tmp_path, f"[sinks.siem]\nkind = 'jsonl'\npath = '{tmp_path}/alerts.jsonl'\n")
    assert run("settings", "check", path, state=tmp_path).code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["lenswatch.toml"]


def test_a_variable_that_sets_nothing_is_said(tmp_path: Path) -> None:
    ran = run("settings", "check", state=tmp_path, LENSWATCH_COLLECTER_SITE="quay")
    assert ran.code == 0 and ran.complaints == [
        "lenswatch: LENSWATCH_COLLECTER_SITE sets nothing: no section is called so"
    ]


def test_a_command_that_gets_a_token_is_not_run(tmp_path: Path) -> None:
    text = (
        "[kafka]\nservers = 'k:1'\nsecurity_protocol = 'SASL_SSL'\nsasl_mechanism = 'OAUTHBEARER'\n"
        f"token_command = ['touch', '{tmp_path}/ran']\n"
    )
    assert run("settings", "check", settings_file(tmp_path, text), state=tmp_path).code == 0
    assert not (tmp_path / "ran").exists()


def test_the_example_is_sound(tmp_path: Path) -> None:
    printed = run("settings", "example", state=tmp_path)
    assert printed.code == 0 and "# [sinks.NAME]" in printed.out
    assert run("settings", "check", settings_file(tmp_path, printed.out), state=tmp_path).code == 0
