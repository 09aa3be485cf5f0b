"""When to try again. Standard Webhooks 1.0.0, "Deliverability and reliability"; Retry-After is RFC 9110, 10.2.3."""

import datetime
import email.utils
from typing import Final

MINUTE, HOUR = 60.0, 3600.0
# After the first try, which is made at once.
DELAYS: Final = (
    5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip
# A message that is refused for what it is keeps those behind it waiting, so it is not tried for days.
REFUSED_DELAYS: Final = DELAYS[:2]
JITTER: Final = 0.2
MAX_RETRY_AFTER_SECONDS: Final = 24 * HOUR
THROTTLE_SECONDS: Final = 60.0
# A receiver that asks for no pause, or for one that is over, is not asked the same all the time.
MIN_THROTTLE_SECONDS: Final = 5.0


def next_delay(attempts: int, chance: float, refused: bool = False) -> float | None:
    """Seconds until the next try after so many failed ones (1 or more); None when there is none. `chance` (0 to 1)
    spreads the tries over a fifth more of the time."""
    delays = REFUSED_DELAYS if refused else DELAYS
    if attempts > len(delays):
        return None
    return delays[attempts - 1] * (1 + JITTER * chance)


def read_retry_after(value: str | None, at: float) -> float | None:
    """Seconds to wait, from Retry-After as seconds or as a date; None when it says nothing that can be read. `at` is
    now, in seconds since 1970."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        then = email.utils.parsedate_to_datetime(value[:60])
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.UTC)
    return min(max(0.0, then.timestamp() - at), MAX_RETRY_AFTER_SECONDS)


def pause_after(asked_seconds: float | None) -> float:
    """Seconds in which nothing is sent to a receiver that asked for a pause; None: it did not say for how long."""
    return THROTTLE_SECONDS if asked_seconds is None else max(MIN_THROTTLE_SECONDS, asked_seconds)
