"""WS-Discovery: what an ONVIF device says of itself in its scopes."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.wsd import read_datagram, recognises
from collector.errors import Malformed
from collector.texts import MAX_LIST_ITEMS
from tests.collector.dissectors.documents import SADP_PROBE, WSD_MATCH, WSD_PROBE


def test_a_device_says_name_model_kind_address_and_scopes() -> None:
    (fact,) = read_datagram(WSD_MATCH, FROM_SERVER)
    said = fact.announced
    assert said is not None and (fact.dataset, fact.action, fact.backward) == ("wsd", "ProbeMatches", True)
    assert (said.name, said.model, said.type) == ("ACME AV-2000", "AV-2000", "video_encoder")
    assert said.identifier == "urn:uuid:5e5e0001" and said.location == "http://10.20.0.11/onvif/device_service"
    assert said.services == ["dn:NetworkVideoTransmitter", "tds:Device"]
    assert said.scopes is not None and said.scopes[1] == "onvif://www.onvif.org/name/ACME%20AV-2000"


def test_a_probe_says_what_is_looked_for() -> None:
    (fact,) = read_datagram(WSD_PROBE, FROM_CLIENT)
    assert fact.action == "Probe"
    assert fact.announced is not None and fact.announced.services == ["dn:NetworkVideoTransmitter"]


def test_any_prefix_and_either_namespace_will_do() -> None:
    other = WSD_MATCH.replace(b"wsa:", b"a:").replace(b"<d:", b"<").replace(b"</d:", b"</")
    newer = other.replace(
        b"http://schemas.xmlsoap.org/ws/2005/04/discovery", b"http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01"
    )
    for document in (other, newer):
        assert recognises(document, 3_702, FROM_SERVER)
        (fact,) = read_datagram(document, FROM_SERVER)
        assert fact.announced is not None and fact.announced.name == "ACME AV-2000"


def test_more_scopes_than_a_list_may_hold_are_left_out() -> None:
    many = b" ".join(b"onvif://www.onvif.org/x/%d" % each for each in range(500))
    (fact,) = read_datagram(WSD_MATCH.replace(b"<d:Scopes>", b"<d:Scopes>" + many + b" "), FROM_SERVER)
    assert fact.announced is not None and fact.announced.scopes is not None
    assert len(fact.announced.scopes) == MAX_LIST_ITEMS


def test_an_envelope_without_an_action_is_malformed_and_other_xml_is_nobodys() -> None:
    with pytest.raises(Malformed):
        read_datagram(WSD_PROBE.replace(b"Action", b"Axtion"), FROM_CLIENT)
    assert not recognises(SADP_PROBE, 3_702, FROM_CLIENT)
