"""SSDP: who searches, who is there, and where its description is."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.ssdp import read_datagram, recognises
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import P2P_ANSWER, SSDP_ANSWER, SSDP_NOTIFY, SSDP_SEARCH


def test_a_device_that_is_there_says_what_it_is_and_where() -> None:
    (fact,) = read_datagram(SSDP_NOTIFY, FROM_CLIENT)
    assert (fact.dataset, fact.action, fact.backward) == ("ssdp", "alive", False)
    assert fact.announced == Announced(
        software="Linux/3.0 UPnP/1.0 IPCamera/1.0",
        identifier="uuid:5e5e0001::urn:schemas-upnp-org:device:Basic:1",
        location="http://10.20.0.11:49152/upnpdevicedesc.xml",
        services=["urn:schemas-upnp-org:device:Basic:1"],
    )


def test_a_search_says_for_what_and_by_whom() -> None:
    (fact,) = read_datagram(SSDP_SEARCH, FROM_CLIENT)
    assert fact.action == "search" and fact.announced == Announced(services=["upnp:rootdevice"])
    assert fact.user_agent is not None and fact.user_agent.original == "test/1.0"


def test_an_answer_is_recognised_on_any_port_by_what_it_holds() -> None:
    (fact,) = read_datagram(SSDP_ANSWER, FROM_SERVER)
    assert (fact.action, fact.backward) == ("response", True)
    assert recognises(SSDP_ANSWER, 40_000, FROM_SERVER)
    assert not recognises(P2P_ANSWER, 40_000, FROM_SERVER)


def test_a_departure_and_an_update_have_words_of_their_own() -> None:
    for word in ("byebye", "update"):
        (fact,) = read_datagram(SSDP_NOTIFY.replace(b"ssdp:alive", b"ssdp:" + word.encode()), FROM_CLIENT)
        assert fact.action == word


def test_a_search_of_another_protocol_with_the_same_first_line_is_not_taken_for_one() -> None:
    assert not recognises(b"M-SEARCH * HTTP/1.1\r\n\r\n", 32_412, FROM_CLIENT)
    assert recognises(b"M-SEARCH * HTTP/1.1\r\nMAN: x\r\n\r\n", 1900, FROM_CLIENT)


def test_bytes_that_no_terminal_should_see_are_escaped() -> None:
    (fact,) = read_datagram(SSDP_NOTIFY.replace(b"IPCamera", b"\x1b[31m"), FROM_CLIENT)
    assert fact.announced is not None and fact.announced.software == "Linux/3.0 UPnP/1.0 \\x1b[31m/1.0"


def test_a_message_without_fields_is_malformed() -> None:
    with pytest.raises(Malformed):
        read_datagram(b"NOTIFY * HTTP/1.1", FROM_CLIENT)
