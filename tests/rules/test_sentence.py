"""The words of an alert read well for each sort of traffic."""

from collections.abc import Callable
from typing import Any, get_args

import pytest

from collector.observation import Observation
from rules.alert import Lookalike
from rules.endpoints import EndpointMatch
from rules.fact import Role
from rules.sentence import ROLE_WORDS, WORDS, our_side, their_side, write_reason
from rules.sighting import Contact, Sighting

MATCH = EndpointMatch("acme", "p2p", "high", "acme.example", "suffix", ("s",))
CONTACT = Contact(MATCH, None, "p2p", "cloud_relay", "x.acme.example", "192.0.2.80")
Observe = Callable[..., Observation]


def words(seen: Sighting) -> dict[str, str]:
    return {name: word(seen) for name, word in WORDS.items()}


def test_every_role_has_words() -> None:
    assert ROLE_WORDS.keys() == set(get_args(Role))


def test_every_word_can_be_said_of_a_bare_observation(observe: Observe) -> None:
    said = words(Sighting(observe({"device": None, "lenswatch": None})))
    assert all(isinstance(text, str) for text in said.values())
    assert said["device"] == "Device 10.0.0.11"
    assert said["destination"] == "192.0.2.80:443"


@pytest.mark.parametrize(
    ("change", "device"),
    [
        ({}, "Camera 10.0.0.11"),
        ({"lenswatch.device.type": "recorder"}, "Recorder 10.0.0.11"),
        ({"lenswatch.device.type": "other"}, "Device 10.0.0.11"),
        ({"device.manufacturer": "Acme"}, "Camera 10.0.0.11 (Acme)"),
        ({"device.manufacturer": "Acme", "device.model": {"name": "X1"}}, "Camera 10.0.0.11 (Acme X1)"),
        ({"device.model": {"name": "X1"}}, "Camera 10.0.0.11 (X1)"),
        ({"lenswatch.device.type": "access_control"}, "Access control 10.0.0.11"),
        ({"source": {"ip": "0.0.0.0", "mac": "44:19:b6:00:00:01"}}, "Camera 44:19:b6:00:00:01"),
        ({"network.direction": "inbound", "destination.ip": "10.0.0.9", "source.ip": "192.0.2.1"}, "Camera 10.0.0.9"),
    ],
)
def test_a_device_is_named_by_kind_address_and_what_is_known(
    observe: Observe, change: dict[str, Any], device: str
) -> None:
    assert words(Sighting(observe(change)))["device"] == device


@pytest.mark.parametrize(
    ("change", "called"),
    [
        ({}, "called"),
        ({"event.dataset": "lenswatch.dns"}, "looked up"),
        ({"lenswatch.flow": {"state": "attempt", "duration_seconds": 1.0}}, "tried to reach"),
        ({"lenswatch.flow": {"state": "established", "duration_seconds": 1.0}}, "called"),
        ({"network.direction": "inbound"}, "was called by"),
    ],
)
def test_a_look_up_an_attempt_and_a_call_are_told_apart(observe: Observe, change: dict[str, Any], called: str) -> None:
    assert words(Sighting(observe(change)))["called"] == called


def test_the_sides_are_ours_and_theirs(observe: Observe) -> None:
    out, back = observe(), observe({"network.direction": "inbound"})
    assert (our_side(out), their_side(out)) == (out.source, out.destination)
    assert (our_side(back), their_side(back)) == (back.destination, back.source)


def test_a_destination_is_its_name_or_its_address(observe: Observe) -> None:
    assert words(Sighting(observe(), "x.acme.example"))["destination"] == "x.acme.example"
    bare = observe({"destination": {"ip": "2001:db8::1", "port": 443}})
    assert words(Sighting(bare))["destination"] == "[2001:db8::1]:443"
    assert words(Sighting(observe({"destination.port": None})))["destination"] == "192.0.2.80"


def test_a_contact_is_said_in_words(observe: Observe) -> None:
    said = words(Sighting(observe(), "x.acme.example", CONTACT))
    assert (said["company"], said["role"], said["activity"]) == ("acme", "device registration (P2P)", "cloud relay")
    assert said["step"] == "no more than a name look-up or an attempt"
    step = Contact(MATCH, None, "firmware", "update_received", "x", None, "download")
    assert words(Sighting(observe(), "x", step))["step"] == "a firmware download"


def test_a_broken_protocol_is_said_with_its_reason(observe: Observe) -> None:
    said = words(Sighting(observe({"lenswatch.broken": {"protocol": "tls", "reason": "too long"}})))
    assert (said["protocol"], said["reason"]) == ("TLS", "too long")


def test_the_reason_names_the_fact_and_says_what_a_look_up_is_worth(observe: Observe) -> None:
    reason = write_reason(Sighting(observe(), "x.acme.example", CONTACT))
    assert reason == (
        "x.acme.example matches acme.example (suffix, confidence high) of acme, role p2p, activity cloud_relay"
    )
    looked_up = write_reason(Sighting(observe({"event.dataset": "lenswatch.dns"}), "x.acme.example", CONTACT))
    assert looked_up == reason + "; a look-up or an attempt is evidence of use and nothing more"


def test_the_reason_of_a_lookalike_names_both_names(observe: Observe) -> None:
    like = Lookalike(name="acmee.top", resembles="acme.example", method="edit_distance")
    assert write_reason(Sighting(observe(), "acmee.top", lookalike=like)) == (
        "acmee.top resembles acme.example (edit_distance) and is no name that the facts know"
    )
    assert write_reason(Sighting(observe())) == "the observation itself; no endpoint fact matched"
