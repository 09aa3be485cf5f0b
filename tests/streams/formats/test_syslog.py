"""Messages by the grammar of RFC 5424, whatever was said, each after its length."""

import datetime
import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings

from collector.canary import make_canary
from rules.alert import LEVELS, Alert
from rules.match import RuleSet
from streams.formats.syslog import FACILITIES, SEVERITIES, frame, write_json, write_message
from tests.streams.formats.whole import ANY_TEXT
from tests.streams.listener import read_message, unframed


def test_every_alert_of_the_demo_is_a_message(told: list[Alert]) -> None:
    for alert in told:
        message = write_message(alert, write_json({"a": "ü"}), FACILITIES["local0"], 32_473, "1.2.3")
        (priority, at, host, app, process, news), values, body = read_message(message)
        assert int(priority) == 16 * 8 + SEVERITIES[alert.lenswatch.level]
        assert datetime.datetime.fromisoformat(at) == alert.timestamp and at.endswith("Z")
        assert (host, app, process) == (alert.observer.name, "lenswatch", "-")
        assert news in ("alert.new", "alert.step", "alert.ended", "canary")
        assert values["id"] == alert.event.id and int(values["revision"]) == alert.lenswatch.revision
        assert body == b'{"a":"\\u00fc"}'


def test_levels_become_the_severities_of_syslog() -> None:
    assert set(SEVERITIES) == set(LEVELS)
    assert [SEVERITIES[level] for level in reversed(LEVELS)] == [2, 3, 4, 5, 6]


def test_a_canary_is_marked_as_one(rules: RuleSet, alert: Alert) -> None:
    (canary,) = rules.match(make_canary("sensor", "hq", alert.timestamp))
    assert read_message(write_message(canary, "x", 1, 1, "1"))[0][5] == "canary"


def test_structured_data_has_its_three_escapes(hostile: Callable[[str], Alert]) -> None:
    message = write_message(hostile('a"b\\c]d\ne'), "x", 1, 1, "1")
    assert b'device="a\\"b\\\\c\\]d\\\\ne"' in message
    assert read_message(message)[1]["device"] == 'a"b\\c]d\\ne'


@settings(max_examples=300)
@given(ANY_TEXT)
def test_nothing_that_is_said_breaks_out_of_its_field(hostile: Callable[[str], Alert], text: str) -> None:
    alert = hostile(text)
    message = write_message(alert, "body", 16, 32_473, "1")
    _, values, body = read_message(message)
    assert body == b"body" and values["id"] == alert.event.id and values["rule"] == alert.rule.id
    assert unframed(frame(message) * 2) == [message, message]


def test_a_field_of_a_megabyte_is_cut(hostile: Callable[[str], Alert]) -> None:
    assert len(write_message(hostile("]" * 1_000_000), "", 16, 1, "1")) < 8_000


@pytest.mark.parametrize("text", ["ü\u202e\ud800\n", "😀"])
def test_a_body_of_json_is_ascii_on_one_line(text: str) -> None:
    written = write_json({"text": text})
    assert written.isascii() and "\n" not in written and json.loads(written) == {"text": text}


def test_a_time_of_another_zone_is_the_same_moment(whole: Alert) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    alert = msgspec.structs.replace(whole, timestamp=whole.timestamp.astimezone(zone))
    assert write_message(alert, "x", 1, 1, "1") == write_message(whole, "x", 1, 1, "1")


def test_a_host_name_without_a_character_is_none(whole: Alert) -> None:
    alert = msgspec.structs.replace(whole, observer=msgspec.structs.replace(whole.observer, name=""))
    assert read_message(write_message(alert, "x", 1, 1, "1"))[0][2] == "-"
