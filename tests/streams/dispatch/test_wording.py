"""A message for people: the gravest first, the rest counted, and nothing in it that steers a chat."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rules.alert import Alert
from streams.dispatch.wording import MAX_LINE, line, message_of
from streams.processors.fold import revise

Make = Callable[..., list[Alert]]


def graded(alert: Alert, level: str, **more: Any) -> Alert:
    return msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, level=level, **more))


def for_us(alert: Alert) -> Alert:
    """The alert as it is where a profile says who we are."""
    verdicts = alert.lenswatch.verdicts or []
    ours = [msgspec.structs.replace(each, profile="us-federal-contractor") for each in verdicts]
    return msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, verdicts=ours))


def test_an_alert_is_its_sentence_its_verdict_where_it_can_be_seen_and_its_id(alert: Alert) -> None:
    told = message_of([for_us(alert)], "https://grafana.example/d/lenswatch?id={id}")
    sentence, verdict, where, identifier = told.body.splitlines()
    assert sentence == f"high: {alert.message}"
    assert alert.lenswatch.outcome and verdict.startswith(f"For us-federal-contractor: {alert.lenswatch.outcome}, ")
    assert where == f"https://grafana.example/d/lenswatch?id={alert.event.id}"
    assert identifier == f"id {alert.event.id}-1"
    assert told.title == f"lenswatch: high: {alert.rule.name}" and (told.level, told.key) == ("high", alert.event.id)


def test_without_a_link_the_command_is_named_and_without_a_profile_no_verdict(alert: Alert) -> None:
    body = message_of([alert], None).body.splitlines()
    assert body[1:] == [f"lenswatch alerts show {alert.event.id}", f"id {alert.event.id}-1"]


def test_of_many_the_gravest_are_told_and_the_others_counted(alerts_of: Make) -> None:
    alerts = [graded(alert, level) for alert, level in zip(alerts_of(9), ["low", "high", "critical"] * 3, strict=True)]
    told = message_of(alerts, None)
    heads = [part.partition(":")[0] for part in told.body.split("\n\n")[:-1]]
    assert heads == ["critical"] * 3 + ["high"] * 2
    assert told.body.endswith("and 4 more (1 high, 3 low): lenswatch alerts --unseen")
    assert told.title.endswith(", and 8 more") and (told.level, told.key) == ("critical", None)


def test_what_happened_since_is_said(alert: Alert) -> None:
    ended = revise(alert, alert.timestamp, "ended")
    told = message_of([ended], None)
    assert told.body.startswith("high (ended): ") and told.is_end and f"id {alert.event.id}-2" in told.body
    assert not message_of([ended, alert], None).is_end


@pytest.mark.parametrize("text", ["@all", "a\nb", "\x1b[2Jx", "x\u202ey", "r\r\nBcc: kim"])
def test_no_text_of_a_device_steers_a_chat_or_a_mail(text: str) -> None:
    said = line(f"camera {text} calls")
    assert said.isprintable() and "@" not in said and said.startswith("camera ")


def test_long_texts_are_cut(alert: Alert) -> None:
    told = message_of([msgspec.structs.replace(alert, message="m" * 30_000)] * 9, None)
    assert len(told.body) < 5 * 4 * MAX_LINE + 200
