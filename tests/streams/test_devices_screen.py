"""Devices as a person reads them: who made them, whom they call, and what that company is listed on."""

import datetime
from collections.abc import Callable

import pytest

from collector.observation import Device, DeviceIdentity, Model
from rules.alert import Alert
from rules.match import RuleSet
from streams.devices_screen import (
    MAX_SHOWN_ALERTS,
    SORTS,
    Profile,
    bytes_words,
    columns_of,
    device_lines,
    maker_words,
    print_devices,
    profile_of,
    story_rows,
    update_words,
)
from streams.processors.firmware import Clock, UpdateState
from streams.processors.stories import Called, Story, Version

SEEN = datetime.datetime(2026, 11, 2, 8, 0, 0, tzinfo=datetime.UTC)


@pytest.fixture
def profile(rules: RuleSet) -> Profile:
    identity = DeviceIdentity(
        type="recorder", confidence=0.987, evidence=["answers in dhip"], against=["browses"], contradictions=["doubt"],
        brand="Intelbras", oem="dahua", maker="dahua", maker_confidence=0.85, firmware="4.0", name="front\x1b[2J",
    )  # fmt: skip
    story = Story(
        "hq/aa", SEEN, SEEN, Device(id="hq/aa", manufacturer="dahua", model=Model(name="MHDX 1004")), identity, "hq",
        ["10.0.0.11"], ["aa:bb"], [Version("3.9", SEEN), Version("4.0", SEEN)],
        {
            "www.easy4ipcloud.com": Called("192.0.2.1", SEEN, SEEN, 3, 1, 1_500, 28_000_000, "CN", 64500, "Net"),
            "192.0.2.9": Called("192.0.2.9", SEEN, SEEN, 1, 0, 10, 10),
        },
    )  # fmt: skip
    return profile_of(story, rules, SEEN.date(), {"dlink": "D-Link"})


def text_of(profile: Profile, alerts: list[Alert]) -> str:
    return "\n".join(f"{label}|{text}" for label, text in story_rows(profile, alerts))


def test_who_is_behind_a_brand_and_what_lists_the_companies(profile: Profile) -> None:
    assert maker_words(profile) == "Intelbras, likely made by Zhejiang Dahua Technology Co., Ltd."
    assert "US-FCC" in profile.programmes and profile.companies == ["Zhejiang Dahua Technology Co., Ltd."]


def test_a_maker_that_no_company_facts_name_has_the_name_of_its_fingerprints(rules: RuleSet) -> None:
    identity = DeviceIdentity(type="camera", confidence=0.9, maker="dlink")
    story = Story("a", SEEN, SEEN, Device(id="a", manufacturer="dlink"), identity)
    assert maker_words(profile_of(story, rules, SEEN.date(), {"dlink": "D-Link"})) == "D-Link"
    assert maker_words(profile_of(story, rules, SEEN.date(), {})) == "dlink"


def test_a_story_tells_identity_evidence_calls_firmware_and_alerts(profile: Profile, alert: Alert) -> None:
    text = text_of(profile, [alert])
    for row in (
        "is|recorder, 99% sure",
        "firmware|4.0 since 2026-11-02 08:00:00 UTC",
        "|3.9 since",
        "evidence|answers in dhip",
        "against|browses",
        "doubts|doubt",
        "|www.easy4ipcloud.com at 192.0.2.1, Zhejiang Dahua Technology Co., Ltd. (",
        "CN AS64500 Net: sent 1.5 kB, got 28.0 MB in 3 flows, 1 unanswered",
        "|192.0.2.9: sent 10 B, got 10 B in 1 flow, last",
        f"|{alert.event.id[:8]} {alert.lenswatch.level}: {alert.message}",
    ):
        assert row in text
    assert text.index("easy4ipcloud") < text.index("192.0.2.9:"), "the most bytes first"


def test_a_story_stays_on_a_page(profile: Profile, alerts_of: Callable[..., list[Alert]]) -> None:
    text = text_of(profile, alerts_of(MAX_SHOWN_ALERTS + 3))
    assert "3 more: `lenswatch alerts --device hq/aa`" in text
    profile.story.called = {}
    assert "calls|nobody outside" in text_of(profile, [])


def test_the_table_and_the_lines_tell_the_same(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    cells = {column.heading: column.cells for column in columns_of([profile])}
    assert cells["Calls"] == ["2: Zhejiang Dahua Technology Co., Ltd."] and cells["ID"] == ["hq/aa"]
    print_devices([profile])
    told = capsys.readouterr().out
    assert "MHDX 1004" in told and "\x1b" not in told, "what a device calls itself cannot steer a terminal"
    lines = device_lines(profile, 60)
    assert "recorder 10.0.0.11, 99% sure" in lines and max(map(len, lines.splitlines())) <= 60


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (28_400_000, "28.4 MB"),
        (123_456_789, "123 MB"),
        (10**16, "10000 TB"),
    ],
)
def test_bytes_in_few_digits(count: int, words: str) -> None:
    assert bytes_words(count) == words


def test_the_update_clock_says_when_of_whom_and_how_long_ago(rules: RuleSet) -> None:
    story = Story("a", SEEN, SEEN, Device(id="a"), DeviceIdentity(type="camera", confidence=0.9))
    clock = Clock(checked_at=SEEN, checked_with="up.example", updated_at=SEEN, updated_by="10.0.9.5", origin="inside")
    day = SEEN.date() + datetime.timedelta(days=12)
    text = text_of(profile_of(story, rules, day, {}, UpdateState(clock=clock)), [])
    assert "asked|for updates last 2026-11-02 08:00:00 UTC, of up.example; 12 days ago" in text
    assert "updated|last 2026-11-02 08:00:00 UTC, from inside, by 10.0.9.5; 12 days ago" in text


def test_a_device_of_which_no_update_was_seen_says_so(rules: RuleSet) -> None:
    story = Story("a", SEEN, SEEN, Device(id="a"), DeviceIdentity(type="camera", confidence=0.9))
    profile = profile_of(story, rules, SEEN.date(), {})
    assert "asked|for updates: never, as far as was seen" in text_of(profile, [])
    assert "updated|never, as far as was seen" in text_of(profile, [])
    assert update_words(profile) == ""


def test_the_table_says_how_long_ago_an_update_was(rules: RuleSet) -> None:
    story = Story("a", SEEN, SEEN, Device(id="a"), DeviceIdentity(type="camera", confidence=0.9, firmware="4.0"))
    profiles = [
        profile_of(story, rules, SEEN.date() + datetime.timedelta(days=days), {}, UpdateState(clock=clock))
        for days, clock in ((1, Clock(updated_at=SEEN)), (0, Clock(updated_at=SEEN)), (3, Clock(checked_at=SEEN)))
    ]
    column = next(each for each in columns_of(profiles) if each.heading == "Model, firmware")
    assert column.cells == ["4.0\nupdated 1 day ago", "4.0\nupdated today", "4.0\nasked for updates 3 days ago"]
    assert "updated 1 day ago" in device_lines(profiles[0], 80)
    assert sorted(profiles, key=SORTS["updated"])[0] is profiles[2]
