"""`lenswatch waivers`, the warning before the end, and what a run does with what is waived."""

import datetime
import json
import struct
from pathlib import Path

import pytest

from rules.waivers import Waiver, Waivers
from streams.waivers import state, waiver_rows, warnings
from tests.streams.command import OFFICE, last_revisions, read_alerts, run

WAIVER = """
[[waiver]]
id = "phase-out"
ground = "waiver under FAR 4.2104"
approver = "head of the agency"
reference = "letter 12"
from = 2026-01-01
until = {until}
{scope}
"""


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def waiver(until: str) -> Waiver:
    return Waiver(
        id="w", ground="g", approver="a", reference="r", begins=day("2026-10-01"), until=day(until), roles=("time",)
    )


def config(tmp_path: Path, scope: str, until: str = "2026-12-31", more: str = "") -> Path:
    (tmp_path / "w.toml").write_text(WAIVER.format(scope=scope, until=until))
    path = tmp_path / "s.toml"
    path.write_text(f'[rules]\nwaivers = ["{tmp_path / "w.toml"}"]\n{more}')
    return path


def test_waivers_are_listed_with_the_days_left(tmp_path: Path) -> None:
    settings = config(tmp_path, 'companies = ["dahua"]')
    ran = run("waivers", "--config", settings, "--on", "2026-12-10", state=tmp_path)
    text = " ".join(ran.out.split())
    assert ran.code == 0
    for words in ("phase-out: 21 days left, ends soon", "companies: dahua", "waiver under FAR 4.2104", "letter 12"):
        assert words in text
    document = json.loads(run("waivers", "--config", settings, "--on", "2027-01-02", "--json", state=tmp_path).out)
    assert (document["days_left"], document["in_force"], document["from"]) == (-2, False, "2026-01-01")


def test_without_waivers_it_says_where_they_are_named(tmp_path: Path) -> None:
    assert "[rules] waivers" in run("waivers", state=tmp_path).out


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("2026-09-30", "begins in 1 days"),
        ("2026-10-01", "61 days left"),
        ("2026-11-01", "30 days left, ends soon"),
        ("2026-12-03", "ended 2 days ago"),
    ],
)
def test_a_waiver_has_not_begun_is_in_force_or_has_ended(on: str, words: str) -> None:
    assert state(waiver("2026-12-01"), day(on)) == words


def test_the_warning_comes_30_days_before_the_end() -> None:
    both = Waivers([waiver("2026-12-01")])
    assert warnings(both, day("2026-10-31")) == []
    assert warnings(both, day("2026-11-01")) == ["waiver w ends in 30 days, on 2026-12-01; then its alerts begin"]
    assert ("covers", "roles: time") in waiver_rows(waiver("2026-12-01"), day("2026-11-01"))


def test_what_is_waived_is_counted_by_its_waiver_and_not_told(tmp_path: Path) -> None:
    plain = run("watch", OFFICE, "--alerts", "-", state=tmp_path)
    settings = config(tmp_path, 'companies = ["dahua"]')
    ran = run("watch", OFFICE, "--alerts", "-", "--config", settings, state=tmp_path)
    dahua = {id for id, alert in last_revisions(plain.alerts).items() if is_of(alert, "dahua")}
    assert dahua
    assert last_revisions(ran.alerts).keys() == last_revisions(plain.alerts).keys() - dahua
    assert "phase-out" in next(line for line in ran.err.splitlines() if line.startswith("waived"))
    assert "the ledger is open" not in ran.err


def is_of(alert: object, company: str) -> bool:
    entity = alert.lenswatch.entity  # type: ignore[attr-defined]
    return entity is not None and entity.id == company


def test_the_day_after_its_end_alerts_begin_anew_and_nothing_held_back_comes(tmp_path: Path) -> None:
    plain = run("watch", OFFICE, "--alerts", "-", state=tmp_path)
    ended = config(tmp_path, 'companies = ["dahua"]', until="2026-11-01")
    ran = run("watch", OFFICE, "--alerts", "-", "--config", ended, "--as-of", "2026-11-02", state=tmp_path)
    assert [alert.event.id for alert in ran.alerts] == [alert.event.id for alert in plain.alerts]
    assert all(alert.lenswatch.revision == 1 for alert in read_alerts(ran.out) if alert.lenswatch.state == "new")


def test_a_watch_warns_of_a_waiver_that_ends_soon(tmp_path: Path) -> None:
    settings = config(tmp_path, 'companies = ["dahua"]', until="2026-11-20")
    ran = run("watch", OFFICE, "--config", settings, "--as-of", "2026-11-02", state=tmp_path)
    assert "lenswatch: waiver phase-out ends in 18 days, on 2026-11-20; then its alerts begin" in ran.err


def test_a_waiver_that_would_swallow_everything_stops_the_watch(tmp_path: Path) -> None:
    ran = run("watch", OFFICE, "--config", config(tmp_path, 'sites = ["default"]'), state=tmp_path)
    assert ran.code == 1 and "would swallow every alert of a site" in ran.err and "w.toml" in ran.err


def a_day_later(capture: bytes) -> bytes:
    """A pcap (little-endian, as the office is) with every packet a day later."""
    assert capture[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    later, place = bytearray(capture), 24
    while place < len(capture):
        seconds, _, length, _ = struct.unpack_from("<IIII", capture, place)
        struct.pack_into("<I", later, place, seconds + 24 * 60 * 60)
        place += 16 + length
    return bytes(later)


def test_traffic_that_runs_over_the_end_of_a_waiver_is_told_from_the_day_after_as_if_it_were_new(
    tmp_path: Path,
) -> None:
    tomorrow = tmp_path / "tomorrow.pcap"
    tomorrow.write_bytes(a_day_later(OFFICE.read_bytes()))
    settings = config(tmp_path, 'companies = ["dahua"]', until="2026-11-02")
    both = run("watch", OFFICE, tomorrow, "--alerts", "-", "--config", settings, state=tmp_path / "a")
    alone = run("watch", tomorrow, "--alerts", "-", state=tmp_path / "b")
    told = {id: alert for id, alert in last_revisions(both.alerts).items() if is_of(alert, "dahua")}
    fresh = {id: alert for id, alert in last_revisions(alone.alerts).items() if is_of(alert, "dahua")}
    assert told.keys() == fresh.keys() and told
    for id, alert in told.items():
        assert alert.lenswatch.first_seen.date() == day("2026-11-03")
        assert alert.lenswatch.count == fresh[id].lenswatch.count
        assert alert.lenswatch.revision == fresh[id].lenswatch.revision
    assert "phase-out" in both.err and "the ledger is open" not in both.err
