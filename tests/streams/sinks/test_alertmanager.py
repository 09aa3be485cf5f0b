"""What Alertmanager is told: labels that stay, an end that is true, and nothing that it refuses."""

import asyncio
import datetime
import json

import msgspec
import pytest

from collector.canary import make_canary
from collector.errors import SettingsError
from rules.alert import WINDOW_SECONDS, Alert
from rules.match import RuleSet
from streams.processors.fold import revise
from streams.sinks.alertmanager import Alertmanager, annotations_of, as_posted, labels_of
from tests.streams.receiver import Receiver


def sink_at(url: str, now: float, **more: object) -> Alertmanager:
    sink = Alertmanager.build("am", {"url": url, **more})
    sink._clock = lambda: now
    return sink


def posted(alerts: list[Alert], now: float, **more: object) -> list[dict[str, object]]:
    """What a server gets."""

    async def run() -> None:
        sink = sink_at(f"http://127.0.0.1:{receiver.port}", now, **more)
        await sink.deliver(alerts)
        await sink.close()

    with Receiver() as receiver:
        asyncio.run(run())
    (got,) = receiver.got
    assert got.path == "/api/v2/alerts"
    rows: list[dict[str, object]] = json.loads(got.body)
    return rows


def test_labels_are_the_same_for_every_revision_and_day_of_a_finding(alert: Alert) -> None:
    later = alert.timestamp + datetime.timedelta(days=1)
    assert labels_of(revise(alert, later, "step")) == labels_of(alert)
    assert labels_of(alert)["severity"] == "high" and labels_of(alert)["company"] == "dahua"
    assert annotations_of(alert)["summary"] == alert.message


def test_no_label_is_empty_and_every_name_is_one_that_alertmanager_takes(alert: Alert) -> None:
    labels = as_posted(alert, alert.timestamp.timestamp(), None)["labels"]
    assert all(labels.values()) and all(name.isidentifier() and name.isascii() for name in labels)


def test_a_finding_lasts_to_the_end_of_its_window(alert: Alert) -> None:
    now = alert.timestamp.timestamp() + 5
    end = sink_at("http://am.example", now).lasts_until(alert, now)
    assert end is not None and end % WINDOW_SECONDS == 0 and 0 < end - now <= WINDOW_SECONDS


def test_what_is_long_over_is_held_long_enough_to_be_heard_of(alert: Alert) -> None:
    now = alert.timestamp.timestamp() + 30 * WINDOW_SECONDS
    assert sink_at("http://am.example", now, hold_seconds=120.0).lasts_until(alert, now) == now + 120
    ended = revise(alert, alert.timestamp, "ended")
    assert sink_at("http://am.example", now).lasts_until(ended, now) == now + 300


def test_a_process_that_dies_lets_its_alerts_end_by_themselves(alert: Alert) -> None:
    now = alert.timestamp.timestamp()
    (row,) = posted([alert], now, repeat_seconds=60.0)
    assert datetime.datetime.fromisoformat(str(row["endsAt"])).timestamp() == now + 240


def test_of_several_revisions_in_a_batch_the_last_is_told(alert: Alert) -> None:
    later = revise(alert, alert.timestamp, "step")
    (row,) = posted([alert, later], alert.timestamp.timestamp())
    assert isinstance(row["annotations"], dict) and row["annotations"]["revision"] == "2"


def test_an_end_is_never_before_the_beginning(alert: Alert) -> None:
    row = as_posted(alert, alert.lenswatch.first_seen.timestamp() - 1000, None)
    assert row["startsAt"] <= row["endsAt"]


def test_long_texts_are_cut(alert: Alert) -> None:
    row = as_posted(msgspec.structs.replace(alert, message="x" * 100_000), alert.timestamp.timestamp(), None)
    assert len(row["annotations"]["summary"]) == 2_000


def test_a_canary_says_so_and_is_soon_over(rules: RuleSet, alert: Alert) -> None:
    (canary,) = rules.match(make_canary("sensor", "hq", alert.timestamp))
    now = alert.timestamp.timestamp()
    assert labels_of(canary)["canary"] == "true"
    assert sink_at("http://am.example", now).lasts_until(canary, now) == now + 60


def test_a_link_is_the_generators_address(alert: Alert) -> None:
    row = as_posted(alert, alert.timestamp.timestamp(), "https://soc.example/{id}")
    assert row["generatorURL"] == f"https://soc.example/{alert.event.id}"


@pytest.mark.parametrize(
    ("table", "word"),
    [({}, "url"), ({"url": "am"}, "no http"), ({"url": "http://am", "repeat_seconds": 0}, "repeat_seconds")],
)
def test_a_wrong_table_is_refused(table: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        Alertmanager.build("am", table)


def test_its_own_host_may_be_private_and_no_other() -> None:
    sink = sink_at("http://10.1.2.3:9093", 0.0)
    guard = sink._server.guard
    assert guard.reason_against("10.1.2.3") is None and guard.reason_against("10.1.2.4") is not None
    assert guard.reason_against("169.254.169.254") is not None
