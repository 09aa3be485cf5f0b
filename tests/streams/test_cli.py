"""The `lenswatch` command, as its user and as a script meets it."""

import gc
import gzip
import importlib.metadata
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from collector.observation import Observation
from streams.cli import typed
from tests.streams.command import (
    OFFICE,
    OWN_DETECTION,
    OWN_FACT,
    PROGRAM,
    SECONDS,
    Ran,
    environment,
    last_revisions,
    run,
    spawn,
)

# --- the front door


def test_without_a_command_the_help_is_told_as_a_usage_error(tmp_path: Path) -> None:
    ran = run(state=tmp_path)
    assert ran.code == 2 and ran.out == ""
    for command in ("watch", "demo", "doctor", "rules", "alerts"):
        assert f"\n  {command} " in ran.err


@pytest.mark.parametrize(
    "command",
    [(), ("watch",), ("demo",), ("doctor",), ("alerts",), ("alerts", "show"), ("rules",), ("rules", "explain")],
)
def test_every_command_explains_itself(tmp_path: Path, command: tuple[str, ...]) -> None:
    ran = run(*command, "--help", state=tmp_path)
    assert ran.code == 0 and ran.err == ""
    assert ran.out.startswith(f"Usage: {' '.join(('lenswatch', *command))}")
    assert len(ran.out.splitlines()[2].split()) >= 4, "a sentence says what it does"


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    ran = run("--version", state=tmp_path)
    assert (ran.code, ran.out) == (0, f"lenswatch {importlib.metadata.version('lenswatch')}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("wacth",), "No such command 'wacth'"),
        (("watch",), "Missing argument 'SOURCE'"),
        (("watch", "a.pcap", "--alrets", "x"), "No such option: --alrets"),
        (
            ("watch", "a.pcap", "--fail-on", "bad"),
            "'bad' is no level; one of informational, low, medium, high, critical",
        ),
        (("watch", "a.pcap", "--as-of", "2026-13-01"), "--as-of: '2026-13-01' is no day; write YYYY-MM-DD"),
        (("watch", "a.pcap", "--alerts", "-", "--observations", "-"), "only one of --alerts and --observations"),
        (("watch", "a.pcap", "--config", "none.toml"), "none.toml: No such file or directory"),
        (("rules", "lookup", "x", "--as-of", "today"), "'today' is no day"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run(*arguments, state=tmp_path)
    assert ran.code == 2 and ran.out == ""
    assert ran.complaints == ran.err.splitlines() and len(ran.complaints) == 1
    assert words in ran.err


def test_an_unknown_key_of_the_settings_is_one_line_with_file_and_key_and_exit_2(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[collector]\nsight = 'harbour'\n", "utf-8")
    ran = run("watch", OFFICE, "--config", config, state=tmp_path)
    assert ran.code == 2
    assert len(ran.complaints) == 1 and str(config) in ran.err and "sight" in ran.err


# --- watch


def test_results_go_to_standard_output_and_words_to_standard_error(watched: tuple[Ran, Path]) -> None:
    ran, _ = watched
    assert ran.code == 0
    assert "Hangzhou Hikvision" in ran.out and "packets" not in ran.out
    assert ran.err.startswith("packets ") and "\x1b" not in ran.out + ran.err


def test_one_packet_that_is_nobodys_gives_no_alerts(tmp_path: Path) -> None:
    office = OFFICE.read_bytes()
    one = tmp_path / "one.pcap"
    one.write_bytes(office[: 24 + 16 + int.from_bytes(office[32:36], "little")])
    ran = run("watch", one, state=tmp_path)
    assert (ran.code, ran.out) == (0, "no alerts\n")


def test_a_run_without_alerts_does_not_load_what_only_others_need(tmp_path: Path) -> None:
    office = OFFICE.read_bytes()
    one = tmp_path / "one.pcap"
    one.write_bytes(office[: 24 + 16 + int.from_bytes(office[32:36], "little")])
    code = "import sys; from streams.cli import app; app(standalone_mode=False); print(*sys.modules)"
    command = [PROGRAM.with_name("python"), "-c", code, "watch", str(one)]
    done = subprocess.run(command, env=environment(tmp_path, {}), capture_output=True, text=True, check=True)
    first, loaded = done.stdout.splitlines()
    assert first == "no alerts"
    assert set(loaded.split()) & {"rich", "maxminddb", "scapy", "hypothesis"} == set()


def test_alerts_on_standard_output_are_lines_and_nothing_else(watched: tuple[Ran, Path], tmp_path: Path) -> None:
    ran = run("watch", OFFICE, "--alerts", "-", state=tmp_path)
    assert ran.code == 0 and len(last_revisions(ran.alerts)) == 12


def test_observations_on_standard_output_are_lines_and_nothing_else(tmp_path: Path) -> None:
    ran = run("watch", OFFICE, "--observations", "-", state=tmp_path)
    seen = [msgspec.json.decode(line, type=Observation) for line in ran.out.splitlines()]
    assert len(seen) > 100 and ran.code == 0


def test_a_gzipped_capture_says_the_same(watched: tuple[Ran, Path], tmp_path: Path) -> None:
    packed = tmp_path / "office.pcap.gz"
    packed.write_bytes(gzip.compress(OFFICE.read_bytes()))
    assert run("watch", packed, state=tmp_path).out == watched[0].out


def test_a_capture_on_standard_input_says_the_same(watched: tuple[Ran, Path], tmp_path: Path) -> None:
    ran = spawn("watch", "-", state=tmp_path, given=OFFICE.read_bytes())
    assert (ran.code, ran.out) == (0, watched[0].out)


def test_several_sources_are_one_run_and_the_same_packets_twice_are_the_same_findings(tmp_path: Path) -> None:
    copy = shutil.copy(OFFICE, tmp_path / "copy.pcap")
    one = run("watch", OFFICE, "--alerts", "-", state=tmp_path / "one")
    two = run("watch", OFFICE, copy, "--alerts", "-", state=tmp_path / "two")
    assert two.code == 0 and "packets       956 " in two.err
    first, second = last_revisions(one.alerts), last_revisions(two.alerts)
    assert first.keys() == second.keys()
    assert all(second[key].lenswatch.count > alert.lenswatch.count for key, alert in first.items())


def test_a_missing_source_is_told_before_anything_is_read(tmp_path: Path) -> None:
    ran = run("watch", OFFICE, tmp_path / "none.pcap", "--alerts", tmp_path / "alerts.jsonl", state=tmp_path)
    assert ran.code == 1 and len(ran.complaints) == 1 and "none.pcap" in ran.err
    assert not (tmp_path / "alerts.jsonl").exists() and "packets" not in ran.err


@pytest.mark.parametrize("option", ["--alerts", "--observations"])
def test_an_output_that_cannot_be_written_is_one_line_and_exit_1(tmp_path: Path, option: str) -> None:
    ran = run("watch", OFFICE, option, tmp_path / "none" / "x.jsonl", state=tmp_path)
    assert ran.code == 1 and ran.out == ""
    assert len(ran.err.splitlines()) == len(ran.complaints) == 1
    assert "none/x.jsonl: cannot be written: No such file or directory" in ran.err


@pytest.mark.parametrize(("level", "code"), [("informational", 3), ("high", 3), ("critical", 0)])
def test_fail_on_is_exit_3_at_that_level_or_above(tmp_path: Path, level: str, code: int) -> None:
    ran = run("watch", OFFICE, "--fail-on", level, state=tmp_path)
    assert ran.code == code and ran.complaints == [] and "Hangzhou Hikvision" in ran.out


def test_a_problem_outranks_fail_on(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(OFFICE.read_bytes()[:-1])
    assert run("watch", cut, "--fail-on", "high", state=tmp_path).code == 1


def test_as_of_a_day_before_a_listing_takes_it_out_and_the_day_itself_puts_it_in(tmp_path: Path) -> None:
    before, after = (
        run("watch", OFFICE, "--alerts", "-", "--as-of", day, state=tmp_path) for day in ("2019-08-12", "2019-08-13")
    )
    listed = {}
    for ran in (before, after):
        cloud = [alert for alert in last_revisions(ran.alerts).values() if alert.lenswatch.role == "p2p"]
        company = next(
            alert.lenswatch for alert in cloud if alert.lenswatch.entity and alert.lenswatch.entity.id == "dahua"
        )
        assert company.entity is not None
        listed[ran] = (company.level, company.entity.listed, [each.programme for each in company.listings or []])
    assert listed[before] == ("low", False, [])
    assert listed[after] == ("high", True, ["US-MCCAIN-889"])


def test_own_rules_add_a_fact_and_a_detection(tmp_path: Path, own_rules: Path) -> None:
    ran = run("watch", OFFICE, "--rules", own_rules, "--alerts", "-", "--fail-on", "critical", state=tmp_path)
    assert ran.code == 3
    own = [alert for alert in ran.alerts if alert.rule.name == "Anybody contacts our example"]
    assert [(alert.lenswatch.level, alert.source.ip) for alert in own] == [("critical", "10.20.16.40")]
    assert own[0].message.startswith("Device 10.20.16.40 called www.example.com of Hangzhou Hikvision")
    assert own[0].lenswatch.endpoint is not None and own[0].lenswatch.endpoint.sources == ["own"]
    assert len({alert.event.id for alert in ran.alerts}) > 12


def test_broken_rules_are_a_line_each_with_file_and_key_and_exit_1(tmp_path: Path, own_rules: Path) -> None:
    fact = own_rules / "facts" / "endpoints" / "hikvision.toml"
    fact.write_text(OWN_FACT.replace('role = "cloud"', 'role = "clowd"'), "utf-8")
    detection = own_rules / "detections" / "ours.yml"
    detection.write_text(OWN_DETECTION.replace("level: critical", "level: fatal"), "utf-8")
    ran = run("watch", OFFICE, "--rules", own_rules, state=tmp_path)
    assert ran.code == 1 and ran.out == "" and ran.err.splitlines() == ran.complaints
    assert any(str(fact) in line and "role" in line for line in ran.complaints)
    assert any(str(detection) in line and "level" in line for line in ran.complaints)


def test_a_rules_folder_without_rules_is_refused(tmp_path: Path) -> None:
    ran = run("watch", OFFICE, "--rules", tmp_path / "none", state=tmp_path)
    assert ran.code == 1 and len(ran.complaints) == 1 and "none: holds no rules" in ran.err


def test_the_sensor_and_site_of_the_settings_stand_in_every_alert(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('[collector]\nsensor = "switch-2"\nsite = "harbour"\n', "utf-8")
    ran = run("watch", OFFICE, "--config", config, "--alerts", "-", state=tmp_path)
    assert {alert.observer.name for alert in ran.alerts} == {"switch-2"}
    assert {alert.lenswatch.site for alert in ran.alerts} == {"harbour"}


def test_the_cycle_collector_and_the_signals_are_left_as_they_were(tmp_path: Path) -> None:
    before = gc.get_threshold(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run("watch", OFFICE, state=tmp_path)
    assert (gc.get_threshold(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert gc.get_freeze_count() == 0


# --- pipes, terminals, signals


def test_a_reader_that_has_enough_ends_the_run_in_silence(tmp_path: Path) -> None:
    many = tmp_path / "many.pcap"
    office = OFFICE.read_bytes()
    many.write_bytes(office + office[24:] * 40)
    command = f"{PROGRAM} watch {many} --observations - | head -n 1"
    done = subprocess.run(["bash", "-c", command], env=environment(tmp_path, {}), capture_output=True, check=False)
    assert done.stderr == b"" and len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("command", ["alerts", "alerts --json", "rules list", "rules lookup www.hikvision.com"])
def test_a_list_that_nobody_reads_to_its_end_ends_in_silence(watched: tuple[Ran, Path], command: str) -> None:
    shell = f"{PROGRAM} {command} | head -c 1"
    done = subprocess.run(["bash", "-c", shell], env=environment(watched[1], {}), capture_output=True, check=False)
    assert done.stderr == b""


def on_a_terminal(arguments: list[str], state: Path, columns: int) -> bytes:
    """What a terminal shows of both streams."""
    master, slave = pty.openpty()
    given = environment(state, {"COLUMNS": str(columns), "TERM": "xterm"})
    process = subprocess.Popen([str(PROGRAM), *arguments], stdin=slave, stdout=slave, stderr=slave, env=given)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait(60) == 0
    return shown


def test_the_progress_bar_is_on_a_terminal_only(watched: tuple[Ran, Path], tmp_path: Path) -> None:
    assert b"reading" in on_a_terminal(["watch", str(OFFICE)], tmp_path, 120)
    assert "reading" not in watched[0].err


def test_a_terminal_gets_colours_and_a_pipe_does_not(watched: tuple[Ran, Path]) -> None:
    assert b"\x1b[31mhigh" in on_a_terminal(["alerts"], watched[1], 120)
    assert "\x1b" not in run("alerts", state=watched[1]).out


def wait_until_still(path: Path) -> None:
    """Wait until the file has lines, and none came for a second."""
    ends, before = time.monotonic() + SECONDS, -1
    while before <= 0 or path.stat().st_size != before:
        assert time.monotonic() < ends, "nothing was read"
        before = path.stat().st_size if path.exists() else -1
        time.sleep(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_that_waits_for_a_pipe_and_what_was_read_is_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [str(PROGRAM), "watch", "-", "--observations", str(tmp_path / "seen.jsonl")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tmp_path, {}),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(OFFICE.read_bytes())
    process.stdin.flush()
    wait_until_still(tmp_path / "seen.jsonl")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"Hangzhou Hikvision" in out and b"alerts        12 " in err
    assert err.splitlines()[-1].startswith(b"lenswatch: interrupted")
    assert len(run("alerts", "--json", state=tmp_path).alerts) == 12


def test_what_to_type_is_the_way_to_the_command_where_the_shell_does_not_find_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = tmp_path / "bin" / "lenswatch"
    command.parent.mkdir()
    command.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(command)])
    monkeypatch.setenv("PATH", "/nonexistent")
    assert typed() == "bin/lenswatch"
    monkeypatch.setenv("PATH", str(command.parent))
    assert typed() == "lenswatch"
