"""A canary says that it is one, each is another, and they come on time."""

import datetime

from collector.canary import Canaries, make_canary

AT = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)


def test_nothing_of_a_canary_can_be_taken_for_real() -> None:
    canary = make_canary("s1", "hq", AT)
    assert canary.event.dataset == "lenswatch.canary" and canary.observer.name == "s1"
    assert canary.source.ip.startswith("192.0.2.") and canary.destination.ip.startswith("192.0.2.")
    assert canary.destination.domain is not None and canary.destination.domain.endswith(".invalid")
    assert canary.device is not None and canary.device.id == "hq/canary/s1" and canary.lenswatch is not None


def test_each_time_and_sensor_has_its_own() -> None:
    later = AT + datetime.timedelta(seconds=1)
    made = [make_canary(*each) for each in (("s1", "hq", AT), ("s1", "hq", later), ("s2", "hq", AT), ("s1", "x", AT))]
    assert len({canary.event.id for canary in made}) == 4
    assert make_canary("s1", "hq", AT) == made[0]


def test_they_come_on_time_and_the_first_after_one_time() -> None:
    canaries = Canaries("s1", "hq", 60.0, 1000.0)
    sung = [at for at in range(1000, 1300) if canaries.due(float(at))]
    assert sung == [1060, 1120, 1180, 1240]


def test_zero_is_never() -> None:
    canaries = Canaries("s1", "hq", 0.0, 1000.0)
    assert not any(canaries.due(float(at)) for at in range(1000, 100_000, 100))
