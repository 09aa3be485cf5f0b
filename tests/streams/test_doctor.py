"""The doctor answers every question, and names the mend of everything that is not well."""

import json
import sqlite3
from pathlib import Path

import pytest

from collector.ledger import Ledger
from collector.settings import CaptureSettings, DeepSettings
from rules.alert import Alert
from streams import doctor
from streams.dispatch.outbox import Outbox
from streams.doctor import BAD, NOTE, OK, Answer, examine, keep_last_run
from streams.local import Run
from streams.settings import GeoSettings, Settings, StoreSettings
from tests.streams.command import OFFICE, run

CHECKS = ["python", "libraries", "tshark", "privileges", "rules", "geo", "disk", "alerts", "sinks", "clock", "ledger"]


def answers(state: Path, asn: Path | None = None) -> dict[str, Answer]:
    settings = Settings(store=StoreSettings(folder=state), geo=GeoSettings(asn=asn))
    return {answer.check: answer for answer in examine(settings)}


def test_a_sound_machine_has_nothing_bad_and_every_note_has_its_mend(tmp_path: Path) -> None:
    found = answers(tmp_path)
    assert list(found) == CHECKS
    assert [check for check, answer in found.items() if answer.state == BAD] == []
    assert all(answer.text for answer in found.values())
    assert all(bool(answer.mend) == (answer.state != OK) for answer in found.values())
    assert "21 detections" in found["rules"].text and "numpy" in found["libraries"].text


def test_a_tshark_that_is_not_there_is_bad_only_where_the_settings_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert doctor.check_tshark(Settings()).state == NOTE
    for settings in (Settings(deep=DeepSettings(enabled=True)), Settings(capture=CaptureSettings(engine="pyshark"))):
        found = doctor.check_tshark(settings)
        assert found.state == BAD and "asks for it" in found.text and "install tshark" in found.mend


def test_what_waits_for_a_sink_and_what_is_wrong_with_one_is_said(tmp_path: Path, alert: Alert) -> None:
    lines = {"kind": "jsonl", "path": str(tmp_path / "lines")}
    settings = Settings(store=StoreSettings(folder=tmp_path), sinks={"lines": lines})
    assert doctor.check_sinks(settings) == Answer("sinks", OK, "lines (jsonl)")
    outbox = Outbox(tmp_path / "outbox", 10)
    outbox.put(["lines"], [alert], 1.0)
    outbox.close()
    found = doctor.check_sinks(settings)
    assert found.state == NOTE and found.text == "1 alerts wait for lines" and "sinks test" in found.mend
    wrong = Settings(store=StoreSettings(folder=tmp_path), sinks={"lines": {"kind": "pager"}})
    found = doctor.check_sinks(wrong)
    assert found.state == BAD and "sinks.lines: kind is 'pager'" in found.text


def test_after_a_run_the_ledger_and_the_alerts_are_well(tmp_path: Path) -> None:
    run("watch", OFFICE, state=tmp_path)
    found = answers(tmp_path / "lenswatch")
    assert found["ledger"].state == OK and "478 packets" in found["ledger"].text
    assert found["ledger"].text.endswith("12 alerts; every sum closes")
    assert found["alerts"] == Answer("alerts", OK, "12 kept, at most 100,000")


def test_the_command_prints_every_answer_and_ends_well(tmp_path: Path) -> None:
    ran = run("doctor", state=tmp_path)
    assert ran.code == 0 and ran.err == ""
    assert [line.split()[1] for line in ran.out.splitlines() if not line.startswith(" ")] == CHECKS
    assert "→ lenswatch geo build makes MaxMind DB files; name them at [geo] asn and country" in " ".join(
        ran.out.split()
    )


def test_a_broken_rules_folder_is_bad_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "own" / "detections").mkdir(parents=True)
    (tmp_path / "own" / "detections" / "x.yml").write_text("title: [", "utf-8")
    ran = run("doctor", state=tmp_path, LENSWATCH_RULES_FOLDERS=f'["{tmp_path / "own"}"]')
    assert ran.code == 1
    assert "bad   rules" in ran.out and "x.yml: line 2: is not YAML" in " ".join(ran.out.split())
    assert "→ lenswatch rules check --rules DIR says all that is wrong" in ran.out


def test_a_missing_geo_file_is_bad(tmp_path: Path) -> None:
    found = answers(tmp_path, tmp_path / "none.mmdb")["geo"]
    assert found.state == BAD and "none.mmdb: cannot be read" in found.text and "[geo]" in found.mend


def test_a_state_folder_that_cannot_be_made_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    found = answers(tmp_path / "file" / "state")["disk"]
    assert found.state == BAD and "Not a directory" in found.text and "[store] folder" in found.mend


def test_a_broken_store_is_bad(tmp_path: Path) -> None:
    (tmp_path / "alerts.sqlite").write_bytes(b"no database at all")
    found = answers(tmp_path)["alerts"]
    assert found.state == BAD and "alerts.sqlite" in found.text and found.mend


def test_a_store_of_another_make_is_bad(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "alerts.sqlite")
    database.execute("CREATE TABLE alerts (something TEXT)")
    database.close()
    assert answers(tmp_path)["alerts"].state == BAD


def test_a_last_run_with_an_open_sum_is_bad_and_exit_1(tmp_path: Path) -> None:
    open_run = Run(Ledger(packets_in=10, packets_decoded=7), observations=3)
    keep_last_run(tmp_path, open_run, 0.0)
    found = answers(tmp_path)["ledger"]
    assert found.state == BAD and found.mend
    assert "1970-01-01T00:00:00Z" in found.text and "decode: 10 packets in, 7 decoded, 0 let go" in found.text
    assert "rules: 0 observations made, 3 matched" in found.text
    assert run("doctor", state=tmp_path, LENSWATCH_STORE_FOLDER=str(tmp_path)).code == 1


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"ended": 1, "packets": "many"}', "\xff"])
def test_a_last_run_that_cannot_be_read_is_a_note(tmp_path: Path, content: str) -> None:
    (tmp_path / "last-run.json").write_bytes(content.encode("latin-1"))
    found = answers(tmp_path)["ledger"]
    assert found.state == NOTE and "cannot be read" in found.text and found.mend


def test_what_a_run_came_to_is_kept_whole(tmp_path: Path) -> None:
    ledger = Ledger(packets_in=10, packets_decoded=9)
    ledger.drop("decode", "not_ip")
    keep_last_run(tmp_path, Run(ledger, problems=["a.pcap: byte 7: cut off"]), 86_400.0)
    kept = json.loads((tmp_path / "last-run.json").read_text("utf-8"))
    assert kept["ended"] == "1970-01-02T00:00:00Z" and kept["let_go"] == {"decode.not_ip": 1}
    assert kept["problems"] == ["a.pcap: byte 7: cut off"] and kept["open"] == []


def test_a_missing_library_an_old_python_and_a_wrong_clock_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", ("numpy", "no-such-library"))
    monkeypatch.setattr(doctor, "MIN_PYTHON", (4, 0))
    monkeypatch.setattr(doctor, "MIN_YEAR", 9999)
    found = [doctor.check_libraries(), doctor.check_python(), doctor.check_clock()]
    assert [answer.state for answer in found] == [BAD, BAD, BAD] and all(answer.mend for answer in found)
    assert found[0].text == "missing: no-such-library"


def test_without_tshark_there_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.check_tshark(Settings()).state == NOTE
    (tmp_path / "tshark").write_text("#!/bin/sh\nexit 1\n", "utf-8")
    (tmp_path / "tshark").chmod(0o755)
    found = doctor.check_tshark(Settings())
    assert found.state == NOTE and "does not start" in found.text and found.mend


def test_little_room_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 1 << 62)
    assert answers(tmp_path)["disk"].state == NOTE
