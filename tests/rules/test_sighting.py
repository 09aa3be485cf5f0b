"""What a detection is asked about."""

from rules.endpoints import EndpointMatch
from rules.fact import Entity
from rules.sighting import Contact

MATCH = EndpointMatch("acme", "cloud", "high", "acme.example", "suffix", ("s",))


def test_a_contact_names_its_company() -> None:
    entity = Entity(id="acme", name="Acme Co.", kind="company", sources=("s",), confidence="high", country="CN")
    contact = Contact(MATCH, entity, "cloud", "cloud_relay")
    assert (contact.entity_id, contact.company, contact.country) == ("acme", "Acme Co.", "CN")


def test_a_company_without_a_file_is_named_by_its_id() -> None:
    contact = Contact(MATCH, None, "cloud", "cloud_relay")
    assert (contact.entity_id, contact.company, contact.country) == ("acme", "acme", None)
