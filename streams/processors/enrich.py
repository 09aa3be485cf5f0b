"""Observation → the same with what is known of its peer's address: who announces it, in which country."""

from collections.abc import Callable

import msgspec

from collector.observation import AutonomousSystem, Geo, Observation

AddressFacts = tuple[AutonomousSystem | None, Geo | None]


def enrich(observation: Observation, look_up: Callable[[str], AddressFacts]) -> Observation:
    """The observation with `destination.as` and `destination.geo` of an outbound contact, where they are known."""
    if observation.network.direction != "outbound":
        return observation
    system, geo = look_up(observation.destination.ip)
    if system is None and geo is None:
        return observation
    destination = msgspec.structs.replace(observation.destination, as_=system, geo=geo)
    return msgspec.structs.replace(observation, destination=destination)
