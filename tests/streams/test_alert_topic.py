"""The last revision of each alert counts, and a record without a value takes its alert away."""

from collections.abc import Callable

import msgspec
import pytest

from collector.observation import Observation
from rules.alert import Alert
from rules.match import RuleSet
from streams.alert_topic import keep
from streams.codec import write_alert


@pytest.fixture(scope="module")
def alert(rules: RuleSet, observe: Callable[..., Observation]) -> Alert:
    (alert,) = rules.match(observe({"destination.domain": "www.easy4ipcloud.com", "event.dataset": "lenswatch.tls"}))
    return alert


def revised(alert: Alert, revision: int) -> Alert:
    return msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, revision=revision))


def test_the_last_revision_stays_whatever_comes_after(alert: Alert) -> None:
    last: dict[str, Alert] = {}
    for revision in (1, 3, 2):
        keep(last, b"key", write_alert(revised(alert, revision)), "")
    assert last == {"key": revised(alert, 3)}


def test_a_record_without_a_value_takes_its_alert_away(alert: Alert) -> None:
    last: dict[str, Alert] = {}
    keep(last, b"key", write_alert(alert), "")
    keep(last, b"key", None, "")
    assert last == {}


def test_what_cannot_be_read_or_was_not_asked_for_is_left_out(alert: Alert) -> None:
    last: dict[str, Alert] = {}
    keep(last, b"abc", b"not json", "")
    keep(last, None, b"{}", "")
    keep(last, b"\xff", b"{}", "")
    keep(last, b"other", write_alert(alert), "ab")
    assert last == {}
    keep(last, b"abc", write_alert(alert), "ab")
    assert last == {"abc": alert}
