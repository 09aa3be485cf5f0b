"""A document that is too long says less, and where the whole is."""

import json
from collections.abc import Callable

import msgspec
from hypothesis import given, settings

from rules.alert import Alert
from streams.formats.ecs import cut, shortened, versions
from tests.streams.formats.whole import ANY_TEXT


def test_the_first_version_is_the_alert(told: list[Alert], whole: Alert) -> None:
    for alert in (*told, whole):
        assert msgspec.convert(next(versions(alert)), Alert) == alert


def test_later_versions_are_shorter_and_say_where_the_whole_is(told: list[Alert]) -> None:
    for alert in told:
        sizes = [len(json.dumps(each, ensure_ascii=False)) for each in versions(alert)]
        assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 300
        _, *short = versions(alert)
        assert all(each["shortened"] == f"lenswatch alerts show {alert.event.id}" for each in short)
        assert all(each["lenswatch"]["revision"] == alert.lenswatch.revision for each in short)


@settings(max_examples=40)
@given(ANY_TEXT)
def test_whatever_is_said_the_last_version_is_small(hostile: Callable[[str], Alert], text: str) -> None:
    *_, last = versions(hostile(text))
    assert len(json.dumps(last)) < 300


def test_what_a_person_needs_first_stays(alert: Alert) -> None:
    short = shortened(alert)
    assert short["message"] == alert.message and short["lenswatch"]["listings"][0]["citation"]
    assert "evidence" not in short["lenswatch"]


def test_a_cut_is_of_texts_and_lists() -> None:
    assert cut({"a": ["xxxx"] * 20, "n": 1}, 3) == {"a": ["xx…"] * 10, "n": 1}
