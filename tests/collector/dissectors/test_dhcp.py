"""DHCP: what a device says of itself when it joins, wherever in the message it says it."""

import pytest

from collector.dissectors.dhcp import read_datagram, read_full_name, recognises
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import (
    CAMERA_MAC,
    DHCP_ACK,
    DHCP_DISCOVER,
    DHCP_FULL_NAME,
    DHCP_OVERLOADED,
    dhcp,
    option,
)


def said(data: bytes) -> Announced:
    (fact,) = read_datagram(data, FROM_CLIENT)
    assert fact.announced is not None
    return fact.announced


def test_a_device_that_joins_says_its_name_class_and_wishes() -> None:
    (fact,) = read_datagram(DHCP_DISCOVER, FROM_CLIENT)
    assert (fact.dataset, fact.action, fact.backward) == ("dhcp", "DISCOVER", False)
    assert fact.announced == Announced(name="AV-2000", software="udhcp 1.22.1", mac=CAMERA_MAC, parameters="1,3,6,42")


def test_a_reply_says_whose_address_it_is_whoever_the_flow_takes_for_its_server() -> None:
    (fact,) = read_datagram(DHCP_ACK, FROM_CLIENT)
    assert fact.backward is True and fact.announced == Announced(mac=CAMERA_MAC, ip="10.20.0.11")


def test_the_address_that_is_asked_for_is_said_where_none_is_given_yet() -> None:
    assert said(dhcp(option(53, b"\3") + option(50, bytes((10, 20, 0, 12))) + b"\xff")).ip == "10.20.0.12"


def test_options_in_other_fields_and_in_parts_are_read() -> None:
    found = said(DHCP_OVERLOADED)
    assert (found.name, found.software) == ("AV-2000", "acme ip camera")
    assert said(dhcp(option(53, b"\1") + option(12, b"AV-") + option(12, b"2000"))).name == "AV-2000"


def test_a_full_name_in_labels_or_as_text_comes_before_the_host_name() -> None:
    assert said(DHCP_FULL_NAME).name == "gate.example"
    assert read_full_name(b"\0\0\0gate") == "gate" and read_full_name(b"\4\0\0\x0fgate") == "gate"
    assert read_full_name(b"\0") is None and read_full_name(None) is None


def test_a_message_without_its_cookie_or_type_or_with_a_broken_option_is_malformed() -> None:
    for broken in (
        DHCP_DISCOVER[:236] + bytes(4) + DHCP_DISCOVER[240:],
        dhcp(option(12, b"AV-2000")),
        dhcp(option(53, b"\x63")),
        dhcp(option(53, b"\1") + b"\x0c\x20AV"),
        dhcp(option(53, b"\1") + b"\x0c"),
        DHCP_DISCOVER[:239],
    ):
        with pytest.raises(Malformed):
            read_datagram(broken, FROM_CLIENT)


def test_only_a_message_with_the_cookie_is_recognised() -> None:
    assert recognises(DHCP_DISCOVER, 67, FROM_CLIENT) and recognises(DHCP_ACK, 9_999, FROM_SERVER)
    assert not recognises(DHCP_DISCOVER[:236] + bytes(64), 67, FROM_CLIENT)
    assert not recognises(b"\1" + bytes(100), 67, FROM_CLIENT)
