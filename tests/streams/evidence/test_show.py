"""`lenswatch alerts show ID --packets`, as its user meets it."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from collector.evidence.segments import find_packets
from rules.alert import Alert
from streams.evidence.fetch import observations_of
from streams.screen import peer_words
from tests.collector.wireshark.answering import needs_tshark
from tests.streams.command import OFFICE, run

pytestmark = [pytest.mark.system, needs_tshark]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, and what it left."""
    state = tmp_path_factory.mktemp("state")
    ran = run("demo", "--folder", state / "demo", state=state)
    assert ran.code == 0 and "--packets" in ran.err
    return state


@pytest.fixture(scope="module")
def alerts(state: Path) -> list[Alert]:
    return run("alerts", "--json", state=state).alerts


def test_for_every_alert_of_the_demo_the_packets_are_there_and_contain_the_name_that_fired(
    state: Path, alerts: list[Alert]
) -> None:
    assert len(alerts) == 12
    for alert in alerts:
        ran = run("alerts", "show", alert.event.id, "--packets", "--json", state=state)
        assert (ran.code, ran.complaints) == (0, []), alert.message
        packets = [msgspec.json.decode(line) for line in ran.out.splitlines()]
        assert {id for each in packets for id in each["observations"]} >= set(alert.lenswatch.evidence)
        name = peer_words(alert)
        named = [field for each in packets for field in each["fields"] if field["named"]]
        if alert.threat is not None and alert.threat.indicator.url is not None:
            assert name.casefold() in {field["value"].rstrip(".").partition(":")[0].casefold() for field in named}
        else:
            # An address without a name stands in every packet's header.
            assert all(name in each["ends"] for each in packets), name


def test_they_are_shown_in_words_with_their_fields(state: Path, alerts: list[Alert]) -> None:
    alert = next(each for each in alerts if each.rule.name and (each.lenswatch.steps or []))
    ran = run("alerts", "show", alert.event.id[:8], "--packets", state=state)
    assert ran.code == 0 and "packet 1 " in ran.out and "← named in the alert" in " ".join(ran.out.split())
    assert "http.host = " in ran.out and "http.request.uri" in ran.out and "(byte " in ran.out
    assert all(each in ran.out for each in alert.lenswatch.evidence)


def test_a_folder_has_the_alert_the_packets_and_a_manifest(state: Path, alerts: list[Alert], tmp_path: Path) -> None:
    alert, folder = alerts[0], tmp_path / "case"
    ran = run("alerts", "show", alert.event.id, "--packets", "--to", folder, state=state)
    assert ran.code == 0 and str(folder / "packets.pcapng") in ran.out
    check = subprocess.run(["sha256sum", "-c", "manifest.sha256"], cwd=folder, capture_output=True, check=False)
    assert check.returncode == 0
    assert msgspec.json.decode((folder / "alert.json").read_bytes(), type=Alert) == alert
    command = ["tshark", "-n", "-r", str(folder / "packets.pcapng"), "-T", "fields", "-e", "frame.comment"]
    comments = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert all(f"lenswatch observation {each}" in comments for each in alert.lenswatch.evidence)
    again = run("alerts", "show", alert.event.id, "--packets", "--to", folder, state=state)
    assert again.code == 1 and "is not overwritten" in again.complaints[0]


def test_what_has_expired_is_said_in_one_line(state: Path, alerts: list[Alert]) -> None:
    ran = run(
        "alerts", "show", alerts[0].event.id, "--packets", state=state, LENSWATCH_EVIDENCE_MAX_AGE_SECONDS="0.001"
    )
    assert ran.code == 1 and ran.out == "" and len(ran.complaints) == 1 and "have expired" in ran.complaints[0]


def test_the_other_engine_keeps_evidence_of_every_alert_too(tmp_path: Path) -> None:
    assert run("watch", OFFICE, "--engine", "pyshark", state=tmp_path).code == 0
    told = run("alerts", "--json", state=tmp_path).alerts
    assert len(told) == 12
    for alert in told:
        found = find_packets(tmp_path / "lenswatch" / "evidence", observations_of(alert))
        assert found.packets and found.missing == [], alert.message


def test_off_by_setting_nothing_is_kept(tmp_path: Path) -> None:
    off = {"LENSWATCH_EVIDENCE_KEEP": "false"}
    assert run("watch", OFFICE, state=tmp_path, **off).code == 0
    assert not (tmp_path / "lenswatch" / "evidence").exists()
    (alert, *_) = run("alerts", "--json", state=tmp_path).alerts
    ran = run("alerts", "show", alert.event.id, "--packets", state=tmp_path, **off)
    assert ran.code == 1 and "keep is false" in ran.complaints[0]


def test_what_devices_say_cannot_steer_a_terminal(state: Path, alerts: list[Alert], tmp_path: Path) -> None:
    shown = "".join(run("alerts", "show", each.event.id, "--packets", state=state).out for each in alerts[:3])
    assert all(line.isprintable() for line in shown.splitlines())


def test_a_folder_without_packets_is_a_matter_of_usage(state: Path, alerts: list[Alert], tmp_path: Path) -> None:
    ran = run("alerts", "show", alerts[0].event.id, "--to", tmp_path, state=state)
    assert ran.code == 2 and "goes with --packets only" in ran.complaints[0]
