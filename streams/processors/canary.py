"""The canary: a made observation that goes the way of all others, so that its absence says that the way is broken."""

from typing import Final

from rules.alert import Alert

RULE: Final = "5b7d4e0a-64c6-4b0e-9a57-0d5f6f1c2a90"
# The sensor of the canary that `sinks test` sends.
TEST_SENSOR: Final = "sinks-test"


def is_canary(alert: Alert) -> bool:
    """Whether an alert is the canary's, and no camera's."""
    return alert.rule.id == RULE


def is_test(alert: Alert) -> bool:
    """Whether a person has asked for it, to see it arrive."""
    return is_canary(alert) and alert.observer.name == TEST_SENSOR
