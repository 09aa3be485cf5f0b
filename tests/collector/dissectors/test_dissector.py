"""What every protocol must offer: the two sides, a fact, and a dissector that nobody changes."""

import dataclasses

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Dissector, Fact


def test_the_two_sides_are_the_two_places_of_a_list() -> None:
    assert ["client", "server"][FROM_CLIENT] == "client"
    assert ["client", "server"][FROM_SERVER] == "server"
    assert FROM_SERVER == 1 - FROM_CLIENT


def test_a_fact_says_only_what_was_read() -> None:
    fact = Fact("dns")
    said = {field.name for field in dataclasses.fields(fact) if getattr(fact, field.name) not in (None, False)}
    assert said == {"dataset"}


def test_a_fact_takes_no_field_that_it_does_not_have() -> None:
    with pytest.raises(AttributeError):
        Fact("dns").verdict = "bad"  # type: ignore[attr-defined]


def test_a_dissector_cannot_be_changed() -> None:
    dissector = Dissector("any", lambda first, port, direction: None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        dissector.name = "other"  # type: ignore[misc]
    assert (dissector.begin, dissector.read_datagram) == (None, None)
