"""`lenswatch whatif`: the office that is shipped, under scenarios."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from rules.load import load_rules, under_scenario
from streams.settings import Settings
from streams.whatif import Contacts, compare, read_contacts, recorded_last
from tests.streams.command import OFFICE, run

EXPECTED = json.loads((OFFICE.parent / "office.expected.json").read_text("utf-8"))
DAY = datetime.date(2026, 11, 2)


def ask(state: Path, *arguments: object, **more: str) -> dict[str, Any]:
    ran = run("whatif", *arguments, "--json", state=state, **more)
    assert (ran.code, ran.err) == (0, "")
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


def changes(answer: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    return {(row["company"], row["activity"], row["before"], row["after"]) for row in answer["changes"]}


def test_a_blocking_of_hikvision_changes_its_calls_and_leaves_those_of_others(tmp_path: Path) -> None:
    answer = ask(tmp_path, "hikvision-sdn-45", OFFICE, "--profile", "us-private")
    assert changes(answer) == {
        ("hikvision", "cloud_relay", "checked_not_listed", "licence_required"),
        ("hikvision", "update_check", "checked_not_listed", "licence_required"),
        ("hikvision", "update_received", "checked_not_listed", "licence_required"),
        ("hikvision", "device_present", "checked_not_listed", "review"),
        ("hikvision", "name_lookup", "checked_not_listed", "context_only"),
    }
    assert {row["programme"] for row in answer["changes"]} == {"US-OFAC-SDN"}
    assert answer["devices"]["changed"] < answer["devices"]["seen"]
    assert 0 < answer["calls"]["changed"] < answer["calls"]["seen"]


def test_the_days_left_are_counted_from_the_day_asked_about(tmp_path: Path) -> None:
    whole = ask(tmp_path, "hikvision-sdn-90", OFFICE, "--profile", "us-private")
    assert (whole["begins"], whole["wind_down_until"], whole["days_left"]) == ("2026-11-02", "2027-01-31", 90)
    later = ask(
        tmp_path, "hikvision-sdn-90", OFFICE, "--profile", "us-private", "--from", "2026-11-02", "--on", "2027-02-10"
    )
    assert later["days_left"] == -10


def test_who_depends_on_updates_is_told_with_the_last_one(tmp_path: Path) -> None:
    answer = ask(tmp_path, "dahua-sdn-45", OFFICE, "--profile", "us-private")
    dahua = [row for row in answer["update_dependence"] if row["company"] == "dahua"]
    assert dahua and all(row["last_update"].startswith("2026-11-02T08:0") for row in dahua)
    assert {row["device"] for row in dahua} <= {row["device"] for row in answer["changes"]}


@pytest.mark.parametrize("scenario", ["cetc-sdn-45", "bis-affiliates-back"])
def test_a_blocking_of_cetc_does_not_reach_hikvision(tmp_path: Path, scenario: str) -> None:
    answer = ask(tmp_path, scenario, OFFICE, "--profile", "us-private")
    assert answer["changes"] == [] and answer["devices"]["changed"] == 0


def test_a_scenario_that_has_not_begun_changes_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path, "hikvision-sdn-45", OFFICE, "--from", "2026-11-03")["changes"] == []


def test_a_profile_whom_it_does_not_concern_sees_no_change(tmp_path: Path) -> None:
    assert ask(tmp_path, "hikvision-sdn-45", OFFICE, "--profile", "tw-agency")["changes"] == []


def test_a_scenario_of_ones_own_ends_a_waiver(tmp_path: Path) -> None:
    place = tmp_path / "own" / "facts" / "scenarios"
    place.mkdir(parents=True)
    (place / "no-waiver.toml").write_text(
        'id = "no-waiver"\nname = "The waiver is withdrawn"\nsources = ["far-25"]\nconfidence = "high"\n'
        'waivers_ended = ["w"]\n'
    )
    (tmp_path / "w.toml").write_text(
        '[[waiver]]\nid = "w"\nground = "g"\napprover = "a"\nreference = "r"\nfrom = 2026-01-01\n'
        'until = 2027-01-01\nprogrammes = ["US-MCCAIN-889"]\n'
    )
    answer = ask(
        tmp_path, "no-waiver", OFFICE, "--rules", tmp_path / "own", "--profile", "us-federal-contractor",
        LENSWATCH_RULES_WAIVERS=f'["{tmp_path / "w.toml"}"]',
    )  # fmt: skip
    assert ("dahua", "cloud_relay", "waived", "prohibited") in changes(answer)
    assert {row["programme"] for row in answer["changes"]} == {"US-MCCAIN-889"}


def test_the_answer_in_words_groups_devices_by_change(tmp_path: Path) -> None:
    ran = run("whatif", "hikvision-sdn-45", OFFICE, "--profile", "us-private", state=tmp_path)
    text = " ".join(ran.out.split())
    assert ran.code == 0
    for words in (
        "Hikvision is put on the SDN list, with 45 days to wind down",
        "days left 45: winding down until 2026-12-17",
        "US-OFAC-SDN for us-private: checked not listed → licence required",
        "General Licence 38",
    ):
        assert words in text, words
    assert "changes none" in " ".join(run("whatif", "cetc-sdn-45", OFFICE, state=tmp_path).out.split())


def test_unknown_scenarios_and_missing_captures_are_one_line(tmp_path: Path) -> None:
    ran = run("whatif", "doom", OFFICE, state=tmp_path)
    assert ran.code == 2 and len(ran.complaints) == 1 and "hikvision-sdn-45" in ran.err
    ran = run("whatif", "cetc-sdn-45", tmp_path / "none.pcap", state=tmp_path)
    assert ran.code == 1 and len(ran.complaints) == 1 and "none.pcap" in ran.err


def test_a_broken_capture_is_told_and_what_was_read_is_kept(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(OFFICE.read_bytes()[:-5])
    ran = run("whatif", "hikvision-sdn-45", cut, "--json", state=tmp_path)
    assert ran.code == 1 and "cut.pcap" in ran.err and json.loads(ran.out)["changes"]


def test_the_memory_of_contacts_is_bounded_and_what_is_let_go_is_counted() -> None:
    rules = load_rules()
    contacts, _ = read_contacts(Settings(), rules, [str(OFFICE)])
    small = Contacts(rules, max_contacts=2)
    samples = [calls.sample for calls in contacts.calls.values()]
    small.write(samples)
    assert (len(small.calls), small.let_go) == (2, len(samples) - 2)
    assert recorded_last(contacts) == DAY
    found = compare(rules, under_scenario(rules, "hikvision-sdn-45", DAY), small, DAY)
    assert {change.calls.device for change in found} <= {calls.device for calls in small.calls.values()}
