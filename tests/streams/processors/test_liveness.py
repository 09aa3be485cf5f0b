"""The greatest time wins, and who was not seen for a while is silent."""

from streams.processors.liveness import note_seen, silent


def test_the_first_time_is_news_and_the_greatest_stays() -> None:
    seen: dict[str, float] = {}
    assert note_seen(seen, "camera", 10) and not note_seen(seen, "camera", 5)
    assert seen == {"camera": 10}
    note_seen(seen, "camera", 12)
    assert seen == {"camera": 12}


def test_who_was_seen_once_and_not_for_so_long_is_silent() -> None:
    assert silent({"a": 100.0, "b": 150.0}, at=161.0, after_seconds=60) == ["a"]
    assert silent({"a": 100.0}, at=160.0, after_seconds=60) == []
