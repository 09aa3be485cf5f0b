"""A canary's alert is known as one, and a camera's is not; each canary is a finding of its own."""

import datetime

from collector.canary import make_canary
from rules.alert import Alert
from rules.match import RuleSet
from streams.processors.canary import TEST_SENSOR, is_canary, is_test
from streams.processors.correlate import Correlate
from streams.processors.detect import Memory, judge
from streams.processors.firmware import Updates
from streams.processors.fold import Fold

AT = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)


def test_a_canary_goes_through_the_rules_and_is_known(rules: RuleSet, alert: Alert) -> None:
    (canary,) = rules.match(make_canary("s1", "hq", AT))
    assert is_canary(canary) and not is_canary(alert)
    assert canary.lenswatch.level == "informational" and canary.lenswatch.site == "hq"


def test_the_canary_that_a_person_asked_for_is_known(rules: RuleSet, alert: Alert) -> None:
    (asked,), (other,) = (rules.match(make_canary(sensor, "hq", AT)) for sensor in (TEST_SENSOR, "s1"))
    assert is_test(asked) and not is_test(other) and not is_test(alert)


def test_every_canary_is_news(rules: RuleSet) -> None:
    memory = Memory(Fold(), Correlate(), Updates())
    canaries = [make_canary("s1", "hq", AT + datetime.timedelta(minutes=15 * number)) for number in range(4)]
    judged = judge(canaries, rules, lambda _: memory)
    assert len({alert.event.id for alert in judged.news}) == 4 and judged.told == judged.matched == 4


def test_a_canary_is_no_open_finding_and_ends_no_window_of_a_capture_that_is_read_later(
    rules: RuleSet, alert: Alert
) -> None:
    fold = Fold()
    fold.add(alert)
    (canary,) = rules.match(make_canary("s1", "hq", AT + datetime.timedelta(days=300)))
    assert fold.add(canary) == [canary] and len(fold) == 1
    assert fold.known(alert.event.id) == alert
