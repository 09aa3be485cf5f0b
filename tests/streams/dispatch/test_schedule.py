"""The tries of Standard Webhooks, spread a little; and how long a receiver asks to wait."""

import pytest

from streams.dispatch.schedule import DELAYS, MAX_RETRY_AFTER_SECONDS, next_delay, pause_after, read_retry_after

AT = 1_700_000_000.0


def test_the_tries_are_those_of_the_specification() -> None:
    found = [next_delay(attempts, 0.0) for attempts in range(1, 11)]
    assert found == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400, None]


def test_jitter_only_adds_and_never_more_than_a_fifth() -> None:
    for attempts, delay in enumerate(DELAYS, 1):
        assert next_delay(attempts, 1.0) == pytest.approx(1.2 * delay)


def test_a_refused_message_is_not_tried_for_days() -> None:
    assert [next_delay(attempts, 0.0, refused=True) for attempts in (1, 2, 3)] == [5, 300, None]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("99999999999999", MAX_RETRY_AFTER_SECONDS),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:10:20 GMT", 0.0),
        ("Tue, 14 Nov 2123 22:10:20 GMT", MAX_RETRY_AFTER_SECONDS),
        ("soon", None),
        ("-1", None),
        ("١٢", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, AT) == seconds


def test_a_pause_is_what_was_asked_for_and_never_none() -> None:
    assert [pause_after(asked) for asked in (None, 0.0, 7.0, 3600.0)] == [60.0, 5.0, 7.0, 3600.0]
