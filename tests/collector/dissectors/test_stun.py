"""STUN and TURN: by whose help a device finds its way out, and no more of the call than that."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.stun import (
    MAX_MESSAGES,
    StunConversation,
    begin,
    read_address,
    read_message,
    recognises_datagram,
    recognises_stream,
)
from collector.errors import Truncated
from tests.collector.dissectors.documents import STUN_ANSWER, STUN_ASK, TURN_REFUSED, attribute, stun

# RFC 5769 2.1: a request with SOFTWARE "STUN test client".
WORKED = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff"
    "80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
    "c1b571a280280004e57a3bcf"
)


def test_the_worked_example_says_its_software() -> None:
    assert recognises_datagram(WORKED, 40_000, FROM_CLIENT)
    fact = read_message(WORKED, False)
    assert fact.action == "binding request" and fact.announced is not None
    assert fact.announced.software == "STUN test client"


def test_an_answer_says_under_which_address_the_device_is_seen() -> None:
    fact = read_message(STUN_ANSWER, True)
    assert fact.action == "binding success" and fact.announced is not None and fact.announced.ip == "192.0.2.1"
    assert read_address(bytes.fromhex("00010050c6336401"), bytes(16)) == "198.51.100.1"
    six = bytes.fromhex("0002a1470113a9faa5d3f179bc25f4b5bed2b9d9")  # RFC 5769 2.3
    assert (
        read_address(six, bytes.fromhex("2112a442b7e7a701bc34d686fa87dfae")) == "2001:db8:1234:5678:11:2233:4455:6677"
    )
    assert read_address(b"\0\3\0\0", bytes(16)) is None


def test_a_relay_that_refuses_says_its_realm() -> None:
    fact = read_message(TURN_REFUSED, True)
    assert fact.action == "allocate error" and fact.announced is not None and fact.announced.realm == "turn.example"


def test_every_class_and_a_method_without_a_name_have_words() -> None:
    words = [read_message(stun(kind), False).action for kind in (0x0016, 0x0111, 0x0004, 0x3EEF)]
    assert words == ["send indication", "binding error", "refresh request", "method 4095 request"]


def test_the_classic_form_is_recognised_on_its_port_only() -> None:
    classic = stun(1, cookie=b"5e5e")
    assert recognises_datagram(classic, 3_478, FROM_CLIENT) and not recognises_datagram(classic, 9, FROM_CLIENT)


def test_a_length_that_is_not_the_datagrams_is_not_recognised() -> None:
    assert not recognises_datagram(STUN_ASK + b"\0\0\0\0", 3_478, FROM_CLIENT)
    assert recognises_stream(STUN_ASK[:3], 3_478, FROM_CLIENT) is None
    assert recognises_stream(b"\0\1\0\x08" + b"5e5e", 3_478, FROM_CLIENT) is False


def test_media_and_dtls_on_the_same_flow_pass_by() -> None:
    conversation = StunConversation()
    assert len(conversation.read(FROM_CLIENT, STUN_ASK)) == 1
    for other in (b"\x80\x60" + bytes(400), b"\x16\xfe\xfd" + bytes(100), b"\0" * 8):
        assert conversation.read(FROM_CLIENT, other) == []
    for _ in range(MAX_MESSAGES):
        conversation.read(FROM_SERVER, STUN_ANSWER)
    assert conversation.wants == [True, False]


def test_channel_data_in_a_stream_ends_the_reading_of_its_side() -> None:
    dissection = begin()
    assert len(list(dissection.feed(FROM_CLIENT, STUN_ASK + b"\x40\0\0\x10" + bytes(16)))) == 1
    assert dissection.wants == [False, True]


def test_an_attribute_past_the_end_is_truncated() -> None:
    with pytest.raises(Truncated):
        read_message(stun(1, attribute(0x8022, b"abc")[:-2] + b"\0\0\0\x22\0\x40"), False)
