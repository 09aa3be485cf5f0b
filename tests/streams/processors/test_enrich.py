"""What is known of a peer's address is put on an outbound contact, and on nothing else."""

from collections.abc import Callable

import pytest

from collector.observation import AutonomousSystem, Geo, Observation
from streams.processors.enrich import AddressFacts, enrich

SYSTEM = AutonomousSystem(number=64_500)
GEO = Geo(country_iso_code="NL")


def test_an_outbound_contact_gets_number_and_country(observe: Callable[..., Observation]) -> None:
    asked = []

    def look_up(address: str) -> AddressFacts:
        asked.append(address)
        return SYSTEM, GEO

    before = observe()
    after = enrich(before, look_up)
    assert (after.destination.as_, after.destination.geo) == (SYSTEM, GEO)
    assert asked == ["192.0.2.82"] and before.destination.as_ is None
    assert after.source == before.source and after.event == before.event


@pytest.mark.parametrize("direction", ["inbound", "internal", "external", None])
def test_no_other_contact_is_asked_about(observe: Callable[..., Observation], direction: str | None) -> None:
    observation = observe({"network.direction": direction})

    def look_up(address: str) -> AddressFacts:
        raise AssertionError(address)

    assert enrich(observation, look_up) is observation


def test_an_unknown_address_leaves_the_observation_as_it_is(observe: Callable[..., Observation]) -> None:
    observation = observe()
    assert enrich(observation, lambda _: (None, None)) is observation
