"""Hik-Connect and EZVIZ: that a device registers, and under which serial number."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.ezviz import (
    MAX_DATAGRAMS,
    CasConversation,
    begin_cas,
    begin_registration,
    recognises_cas,
    recognises_cas_datagram,
    recognises_registration,
)
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import (
    CAS_ANSWER,
    CAS_ASK,
    CAS_SECRET,
    REGISTRATION_1,
    REGISTRATION_4,
    cas,
    registration,
)

SERIAL = Announced(serial_number="E5E5E0001")


def test_a_registration_says_its_serial_number_and_what_comes_next() -> None:
    dissection = begin_registration()
    first, second = dissection.feed(FROM_CLIENT, REGISTRATION_1 + REGISTRATION_4)
    assert (first.dataset, first.action, first.announced) == ("ezviz", "authentication", SERIAL)
    assert (second.action, second.announced) == ("session key request", None)
    (answer,) = dissection.feed(FROM_SERVER, registration(2, b"\1\2\0\0" + bytes(96)))
    assert (answer.action, answer.backward) == ("authentication answer", True)


def test_a_list_of_what_else_the_device_can_do_may_stand_before_the_versions() -> None:
    message = registration(1, b"\1\2\1\2" + b"\1\2\0\0\x09E5E5E0001" + bytes(112), flags=0x0A)
    assert recognises_registration(message, 8_666, FROM_CLIENT) is True
    (fact,) = begin_registration().feed(FROM_CLIENT, message)
    assert fact.announced == SERIAL


def test_a_registration_is_recognised_on_any_port_and_video_is_not_taken_for_one() -> None:
    assert recognises_registration(REGISTRATION_1, 40_000, FROM_CLIENT) is True
    for other in (b"\x12\x20" + bytes(range(32)), b"\x10\x20" + b"\0\4MQTT\4" + bytes(30), b"\x12\xff\xff\xff\xff\xff"):
        assert recognises_registration(other, 8_666, FROM_CLIENT) is False


@pytest.mark.parametrize("serial", [b"\x02ab", b"\x09ab cd efg", b"\xf0" + b"a" * 20])
def test_a_serial_number_that_is_none_is_malformed(serial: bytes) -> None:
    with pytest.raises(Malformed):
        list(begin_registration().feed(FROM_CLIENT, registration(1, b"\1\2\0\0" + serial)))


def test_the_address_service_says_who_asks_and_what_it_answers() -> None:
    conversation = CasConversation()
    (asked,), (answered,) = conversation.read(FROM_CLIENT, CAS_ASK), conversation.read(FROM_SERVER, CAS_ANSWER)
    assert (asked.action, asked.announced) == ("address request", SERIAL)
    assert (answered.action, answered.announced) == ("address answer", Announced(ip="203.0.113.9"))
    assert conversation.read(FROM_CLIENT, b"\x55\x66\x77\x88" + bytes(300)) == []


def test_hundreds_of_the_same_questions_are_not_all_read() -> None:
    conversation = CasConversation()
    for _ in range(MAX_DATAGRAMS):
        conversation.read(FROM_CLIENT, CAS_ASK)
    assert conversation.wants == [False, True]


def test_an_encrypted_body_says_only_its_command() -> None:
    (fact,) = begin_cas().feed(FROM_CLIENT, CAS_SECRET)
    assert (fact.action, fact.announced) == ("local handshake", None)
    (fact,) = begin_cas().feed(FROM_CLIENT, cas(0x4444, b"<a/>"))
    assert fact.action == "command 0x4444"


def test_a_body_without_end_is_malformed_and_another_protocol_is_left_alone() -> None:
    with pytest.raises(Malformed, match="longer"):
        list(begin_cas().feed(FROM_CLIENT, CAS_ASK[:24] + b"\xff\xff\xff\xff" + CAS_ASK[28:]))
    dissection = begin_cas()
    assert len(list(dissection.feed(FROM_CLIENT, CAS_ASK + bytes(40)))) == 1 and not dissection.wants[FROM_CLIENT]


def test_the_magic_number_is_enough_and_needed() -> None:
    assert recognises_cas(CAS_ASK[:4], 6_500, FROM_CLIENT) is None and recognises_cas(CAS_ASK, 9, FROM_CLIENT) is True
    assert recognises_cas(b"\x9e\xba\xac\xe8", 6_500, FROM_CLIENT) is False
    assert recognises_cas_datagram(CAS_ASK, 9, FROM_CLIENT) and not recognises_cas_datagram(
        CAS_ASK[:20], 9, FROM_CLIENT
    )
