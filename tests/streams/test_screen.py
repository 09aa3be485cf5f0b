"""What a person sees fits the width, breaks no name, and cannot steer the terminal."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from collector.ledger import Ledger
from collector.observation import Device, Model, Observation
from rules.alert import Alert, Step
from rules.match import RuleSet
from streams import screen
from streams.local import Run
from streams.processors.firmware import update_of
from tests.streams.command import OFFICE, Ran, run

NAMES = ("materialfile.dahuasecurity.com", "pub-cfg.secu100.net", "fd20:8::22", "10.20.16.41", "192.0.2.66")
PROGRAMMES = ("US-MCCAIN-889", "US-BIS-EL", "US-FCC", "US-NS-CMIC", "US-DOD-1260H", "CA-ICA-HIKVISION")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    run("watch", OFFICE, state=folder)
    return folder


@pytest.fixture(scope="module")
def alert(rules: RuleSet, observe: Callable[..., Observation]) -> Alert:
    (found,) = rules.match(observe({"destination.domain": "www.easy4ipcloud.com"}))
    return found


def listed(state: Path, columns: int) -> Ran:
    return run("alerts", state=state, COLUMNS=str(columns))


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 140, 160, 170, 250])
def test_no_line_is_wider_than_the_screen_and_no_name_is_broken(state: Path, columns: int) -> None:
    ran = listed(state, columns)
    assert max(len(line.rstrip()) for line in ran.out.splitlines()) <= columns
    for word in (*NAMES, *PROGRAMMES, "Hikvision", "2019-08-13"):
        assert word in ran.out


@pytest.mark.parametrize(("columns", "table"), [(80, False), (120, True), (170, True)])
def test_where_a_table_has_no_room_each_alert_has_lines_of_its_own(state: Path, columns: int, table: bool) -> None:
    assert ("Listed on" in listed(state, columns).out) == table
    assert ("alert " in listed(state, columns).out) == (not table)


def test_a_wide_screen_shows_company_and_time_in_columns_of_their_own(state: Path) -> None:
    narrow, wide = listed(state, 120).out, listed(state, 170).out
    assert "Company" in wide.splitlines()[0] and "First seen, UTC" in wide.splitlines()[0]
    assert "Company" not in narrow.splitlines()[0] and "Hangzhou Xiongmai" in narrow


def test_every_alert_is_shown_with_the_first_digits_of_its_id_at_every_width(state: Path) -> None:
    ids = [alert.event.id[:8] for alert in run("alerts", "--json", state=state).alerts]
    for columns in (80, 120, 170):
        out = listed(state, columns).out
        assert [out.count(each) for each in ids] == [1] * 12


def test_a_pipe_gets_a_wide_table(state: Path) -> None:
    assert "Company" in run("alerts", state=state).out.splitlines()[0]


def test_only_listings_of_the_company_itself_are_called_listings(alert: Alert) -> None:
    words = screen.listing_words(alert)
    assert words == "US-MCCAIN-889, US-BIS-EL, US-FCC, US-DOD-1260H\nsince 2019-08-13"
    statement = [each for each in alert.lenswatch.listings or [] if each.status == "named_in_statement"]
    assert statement and statement[0].programme not in words


def changed(alert: Alert, **detail: Any) -> Alert:
    return msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, **detail))


def test_a_company_without_a_listing_and_no_company_are_told_apart(alert: Alert) -> None:
    assert screen.listing_words(changed(alert, listings=None)) == "no listing known"
    assert screen.listing_words(changed(alert, entity=None)) == ""


def hostile(alert: Alert) -> Alert:
    """An alert whose device says things that steer terminals and markup."""
    assert alert.threat is not None and alert.threat.indicator.url is not None
    evil = "\x1b]0;owned\x07[red]\x9b2J\u202e\nx"
    url = msgspec.structs.replace(alert.threat.indicator.url, domain=evil)
    indicator = msgspec.structs.replace(alert.threat.indicator, url=url)
    device = Device(id="site/x", manufacturer=evil, model=Model(name=evil))
    alert = changed(alert, device_evidence=[evil])
    return msgspec.structs.replace(
        alert, device=device, message=evil, threat=msgspec.structs.replace(alert.threat, indicator=indicator)
    )


@pytest.mark.parametrize("columns", ["80", "120", "170"])
def test_nothing_that_a_device_says_steers_the_terminal(
    alert: Alert, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    with mock.patch.dict(os.environ, {"COLUMNS": columns}):
        screen.print_alerts([hostile(alert)])
        print(screen.story_text(screen.story(hostile(alert))))
    out = capsys.readouterr().out
    assert not [character for character in out if not character.isprintable() and character != "\n"]
    assert "\\x1b]0;owned" in out and "[red]" in out


@pytest.mark.parametrize("columns", ["60", "200"])
def test_alerts_of_several_sensors_say_whose_they_are(
    alert: Alert, capsys: pytest.CaptureFixture[str], columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    event = msgspec.structs.replace(alert.event, id="f" * 32)
    other = msgspec.structs.replace(alert, event=event, observer=msgspec.structs.replace(alert.observer, name="yard"))
    screen.print_alerts([alert])
    assert "at sensor" not in capsys.readouterr().out
    screen.print_alerts([alert, other])
    out = capsys.readouterr().out
    assert "at sensor" in out and "at yard" in out


def test_past_the_longest_table_the_rest_is_counted(
    alert: Alert, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "MAX_TABLE_ROWS", 2)
    ids = (msgspec.structs.replace(alert.event, id=str(number) * 32) for number in range(5))
    screen.print_alerts(msgspec.structs.replace(alert, event=event) for event in ids)
    out = capsys.readouterr().out
    assert "3 more: see --alerts PATH" in out and "11111111" in out and "22222222" not in out


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_a_story_fits_the_width_but_for_what_cannot_be_broken(alert: Alert, columns: str) -> None:
    with mock.patch.dict(os.environ, {"COLUMNS": columns}):
        lines = screen.story_text(screen.story(alert)).splitlines()
    assert lines[0].startswith("high      ")
    for line in lines:
        assert len(line) <= min(int(columns), screen.MAX_READING_WIDTH) or len(line.split()) <= 2


def test_a_story_tells_what_file_an_update_brought_and_what_was_not_seen(alert: Alert) -> None:
    fetched = Step(
        step="download", at=alert.timestamp, detail="/digicap.dav", observation="a", host="10.0.9.5", origin="inside",
        size_bytes=28_000_000, mime_type="application/octet-stream", sha256="ab" * 32, container="Hikvision digicap",
        probable=True,
    )  # fmt: skip
    detail = msgspec.structs.replace(alert.lenswatch, steps=[fetched], update=update_of([fetched]))
    rows = list(screen.story(msgspec.structs.replace(alert, lenswatch=detail)))
    assert ("", "28,000,000 bytes (Hikvision digicap, application/octet-stream), probable") in rows
    assert ("", f"SHA-256 {'ab' * 32}") in rows
    assert ("update", "from inside, by 10.0.9.5; not seen: the restart, the new version") in rows


def test_a_story_tells_the_steps_and_the_lookalike(
    rules: RuleSet, observe: Callable[..., Observation], alert: Alert
) -> None:
    path = "/cloudupgrade/check?model=IPC"
    server = "materialfile.dahuasecurity.com"
    url = {"original": path, "domain": server, "path": path}
    (update,) = rules.match(observe({"destination.domain": server, "url": url}))
    assert ("step", f"check at 2026-11-02 08:00:00 UTC: {path}") in list(screen.story(update))
    (like,) = rules.match(observe({"destination.domain": "dahuatec.xyz"}))
    assert ("lookalike", "dahuatec.xyz resembles dahuatech.com (edit distance)") in list(screen.story(like))
    unlisted = changed(alert, listings=None)
    assert ("listings", "no listing of the company on that day is known here") in list(screen.story(unlisted))


def test_a_source_that_has_gone_from_the_facts_is_named_all_the_same() -> None:
    assert list(screen.source_rows(["gone"], {})) == [("source", "gone (no longer among the facts)")]


def test_the_summary_tells_what_was_let_go_and_which_sum_is_open() -> None:
    ledger = Ledger(packets_in=10, packets_decoded=7)
    ledger.drop("decode", "not_ip", 2)
    lines = screen.summary_lines(Run(ledger, seconds=2.0))
    assert lines[0] == "packets       10 in 2.00 s (5 a second)"
    assert "not decoded   2 not ip" in lines
    assert lines[-1] == "the ledger is open: decode: 10 packets in, 7 decoded, 2 let go by reason"
