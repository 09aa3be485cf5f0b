"""What a facts table may say, and that nothing else passes."""

from typing import Any

import msgspec
import pytest

from rules.fact import ROLES, EndpointName, Entity, FirmwareFact, Listing, MilitaryLink, NetworkFile, NotTheCompany

ENDPOINT = {
    "name": "cam.example.com",
    "match": "suffix",
    "role": "cloud",
    "confidence": "high",
    "sources": ["handbook"],
}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"role": "spying"}, "$.role"),
        ({"match": "prefix"}, "$.match"),
        ({"confidence": "certain"}, "$.confidence"),
        ({"sources": "handbook"}, "$.sources"),
        ({"port": 443}, "port"),
    ],
)
def test_an_endpoint_with_a_wrong_word_is_refused_by_its_key(change: dict[str, Any], place: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=place.replace("$.", r"\$\.")):
        msgspec.convert(ENDPOINT | change, EndpointName)


@pytest.mark.parametrize("key", ["name", "match", "role", "confidence", "sources"])
def test_an_endpoint_needs_each_of_its_keys(key: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=key):
        msgspec.convert({name: value for name, value in ENDPOINT.items() if name != key}, EndpointName)


def test_every_role_is_taken() -> None:
    for role in ROLES:
        assert msgspec.convert(ENDPOINT | {"role": role}, EndpointName).role == role


def test_a_fact_cannot_be_changed() -> None:
    endpoint = msgspec.convert(ENDPOINT, EndpointName)
    with pytest.raises(AttributeError):
        endpoint.role = "website"  # type: ignore[misc]


def test_a_firmware_fact_is_matched_unless_it_says_otherwise() -> None:
    fact = FirmwareFact(kind="file", pattern=r"^a\.bin$", confidence="low", sources=("handbook",))
    assert fact.on_wire


def test_a_listing_knows_only_the_statuses_of_the_book() -> None:
    table = {"programme": "US-X", "status": "banned", "citation": "1 FR 1", "sources": ["s"], "confidence": "high"}
    with pytest.raises(msgspec.ValidationError, match="banned"):
        msgspec.convert(table, Listing)


def test_a_military_link_is_official_or_is_none() -> None:
    table = {"claim": "is said to be", "citation": "a page", "source": "s", "grade": "reported"}
    with pytest.raises(msgspec.ValidationError, match="reported"):
        msgspec.convert(table, MilitaryLink)


def test_an_entity_without_listings_claims_nothing() -> None:
    entity = Entity(id="a", name="A", kind="company", sources=("s",), confidence="low")
    assert (entity.listings, entity.not_found_on, entity.military_link) == ((), (), None)


def test_a_network_file_says_what_the_operator_is_to_what_it_carries() -> None:
    table = {"operator": "A", "sources": ["s"], "confidence": "low", "numbers": {"64496": "A"}, "relation": "owns"}
    with pytest.raises(msgspec.ValidationError, match="relation"):
        msgspec.convert(table, NetworkFile)


def test_a_name_that_is_not_the_company_needs_a_source() -> None:
    with pytest.raises(msgspec.ValidationError, match="sources"):
        msgspec.convert({"looks_like": "a", "reason": "alike", "names": ["a.example"]}, NotTheCompany)
