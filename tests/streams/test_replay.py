"""Which time is meant, and what a replay says of itself. What it does is tested against a broker."""

import datetime
from collections import Counter

import pytest

from collector.errors import SettingsError
from streams.replay import Replay, read_time

NOW = datetime.datetime(2026, 11, 2, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("earliest", None),
        ("2026-11-02", "2026-11-02T00:00:00+00:00"),
        ("2026-11-02T08:00:00", "2026-11-02T08:00:00+00:00"),
        ("2026-11-02T08:00:00Z", "2026-11-02T08:00:00+00:00"),
        ("2026-11-02T08:00:00+02:00", "2026-11-02T08:00:00+02:00"),
        ("7d", "2026-10-26T12:00:00+00:00"),
        ("90m", "2026-11-02T10:30:00+00:00"),
        ("30s", "2026-11-02T11:59:30+00:00"),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, expected: str | None) -> None:
    found = read_time(text, NOW, "--replay")
    assert found == (None if expected is None else datetime.datetime.fromisoformat(expected))


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7y", "2026-13-01", "-7d"])
def test_what_is_no_time_is_refused_with_the_options_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--until: '.*' is no time; write 2026-11-02T08:00:00Z, 7d or earliest"):
        read_time(text, NOW, "--until")


def test_a_replay_says_what_it_came_to() -> None:
    done = Replay(
        "abc", "d" * 64, "lenswatch.replay.v1", records=3, observations=1200, revisions=4, alerts=Counter(high=1, low=2)
    )
    assert done.words() == (
        "replay abc: 3 records, 1,200 observations; findings: 1 high, 2 low; 4 revisions on lenswatch.replay.v1; "
        "rules dddddddddddd"
    )
    done.unreadable["empty"] += 1
    assert "3 records, 1 unreadable, " in done.words()
