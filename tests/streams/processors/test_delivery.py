"""A revision is delivered once; a repeat, or an earlier one, is no news."""

from collections.abc import Callable

import msgspec
import pytest

from collector.observation import Observation
from rules.alert import Alert
from rules.match import RuleSet
from streams.processors.delivery import Deliveries, known_of


@pytest.fixture(scope="module")
def tell(rules: RuleSet, observe: Callable[..., Observation]) -> Callable[..., Alert]:
    """An alert with this id and revision."""
    (alert,) = rules.match(observe({"destination.domain": "www.easy4ipcloud.com", "event.dataset": "lenswatch.tls"}))

    def make(key: str, revision: int) -> Alert:
        detail = msgspec.structs.replace(alert.lenswatch, revision=revision)
        event = msgspec.structs.replace(alert.event, id=key)
        return msgspec.structs.replace(alert, event=event, lenswatch=detail)

    return make


def test_a_revision_is_news_once(tell: Callable[..., Alert]) -> None:
    deliveries = Deliveries(3)
    assert deliveries.is_news(tell("a", 1))
    deliveries.delivered(tell("a", 1))
    assert not deliveries.is_news(tell("a", 1)) and deliveries.is_news(tell("a", 2))
    deliveries.delivered(tell("a", 2))
    assert not deliveries.is_news(tell("a", 1)) and deliveries.is_news(tell("b", 1))


def test_what_was_delivered_is_known_after_a_restart(tell: Callable[..., Alert]) -> None:
    table: dict[str, bytes] = {}
    for number in (2, 3):
        deliveries = Deliveries(number)
        for revision in (1, 2):
            changed = deliveries.delivered(tell(f"alert-{number}", revision))
            table |= {key: value for key, value in changed.items() if value is not None}
    again = Deliveries(3, known_of(table.items())[3])
    assert len(again) == 1 and not again.is_news(tell("alert-3", 2)) and again.is_news(tell("alert-3", 3))


def test_what_is_remembered_is_bounded_and_counted(tell: Callable[..., Alert]) -> None:
    deliveries = Deliveries(0, max_delivered=2)
    for key in ("a", "b"):
        deliveries.delivered(tell(key, 1))
    deliveries.delivered(tell("a", 2))
    changed = deliveries.delivered(tell("c", 1))
    assert changed["b"] is None and changed["c"] is not None
    assert len(deliveries) == 2 and deliveries.evicted == 1 and not deliveries.is_news(tell("a", 2))
