"""DHIP and DHDiscover: what Dahua's devices answer to a search, and that somebody logs in to one."""

import pytest

from collector.dissectors.dhip import (
    MAX_MESSAGES,
    DhipDissection,
    read_datagram,
    recognises_datagram,
    recognises_stream,
)
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import (
    CAMERA_MAC,
    DHIP_ANSWER,
    DHIP_LOGIN,
    DHIP_REALM,
    DHIP_SEARCH,
    OLD_ANSWER,
    OLD_LOGIN,
    OLD_LOGIN_ANSWER,
    OLD_REALM,
    OLD_REALM_ANSWER,
    OLD_SEARCH,
    dhip,
)


def test_a_device_says_maker_model_serial_number_firmware_and_addresses() -> None:
    (asked,), (answered,) = read_datagram(DHIP_SEARCH, FROM_CLIENT), read_datagram(DHIP_ANSWER, FROM_SERVER)
    assert (asked.dataset, asked.action, asked.announced) == ("dhip", "DHDiscover.search", None)
    assert (answered.action, answered.backward) == ("client.notifyDevInfo", True)
    assert answered.announced == Announced(
        type="IPC", name="5E5E0001", manufacturer="General", model="IPC-HX0000", serial_number="5E5E0001PAZ0001",
        firmware="2.820.0.32", mac=CAMERA_MAC, ip="10.20.0.11",
    )  # fmt: skip


def test_the_old_search_is_read_on_any_port() -> None:
    (asked,), (answered,) = read_datagram(OLD_SEARCH, FROM_CLIENT), read_datagram(OLD_ANSWER, FROM_SERVER)
    assert asked.action == "search"
    assert answered.announced == Announced(name="GATE", model="IPC-HX0000", mac=CAMERA_MAC, ip="10.20.0.11")
    for port, loose in ((5_050, True), (9, False)):
        assert recognises_datagram(OLD_SEARCH, port, FROM_CLIENT) and recognises_datagram(OLD_ANSWER, port, FROM_SERVER)
        assert recognises_datagram(OLD_SEARCH[:31] + b"x", port, FROM_CLIENT) is loose
        assert recognises_datagram(OLD_ANSWER.replace(b":", b"-"), port, FROM_SERVER) is loose
        assert not recognises_datagram(OLD_SEARCH + b"x", port, FROM_CLIENT)


def test_a_login_says_the_realm_but_no_name_and_no_password() -> None:
    dissection = DhipDissection()
    (asked,) = dissection.feed(FROM_CLIENT, DHIP_LOGIN)
    (answered,) = dissection.feed(FROM_SERVER, DHIP_REALM)
    assert asked.action == "global.login" and asked.announced is None
    assert answered.announced == Announced(realm="Login to 5E5E0001PAZ0001")


def test_the_binary_form_is_told_by_its_commands_and_its_bodies_are_passed_by() -> None:
    dissection = DhipDissection()
    assert [fact.action for fact in dissection.feed(FROM_CLIENT, OLD_LOGIN * 2)] == ["login", "login"]
    assert [fact.action for fact in dissection.feed(FROM_SERVER, OLD_LOGIN_ANSWER)] == ["login answer"]


@pytest.mark.parametrize("login", [OLD_REALM, OLD_LOGIN])
def test_a_login_in_the_binary_form_is_told_by_its_header_on_any_port(login: bytes) -> None:
    answers = [recognises_stream(login[:size], 8_000, FROM_CLIENT) for size in range(len(login) + 1)]
    assert answers == [None] * 32 + [True] * (len(login) - 31)
    other = login[:30] + b"\0\0" + login[32:]
    assert recognises_stream(other, 8_000, FROM_CLIENT) is False and recognises_stream(other, 37_777, FROM_CLIENT)
    assert recognises_stream(OLD_LOGIN_ANSWER, 8_000, FROM_SERVER) is False


def test_the_greeting_says_the_realm_in_which_a_device_s_serial_number_stands() -> None:
    dissection = DhipDissection()
    said = [fact.announced for fact in dissection.feed(FROM_SERVER, OLD_REALM_ANSWER + OLD_LOGIN_ANSWER)]
    assert said == [Announced(realm="Login to 5E5E0001PAZ0001"), None]


def test_a_greeting_that_is_none_is_passed_by() -> None:
    for size, body in ((4, b"\xff\0ab"), (2_000, bytes(2_000))):
        answer = OLD_LOGIN_ANSWER[:4] + size.to_bytes(4, "little") + OLD_LOGIN_ANSWER[8:] + body
        facts = list(DhipDissection().feed(FROM_SERVER, answer * 2))
        assert [(fact.action, fact.announced) for fact in facts] == [("login answer", None)] * 2


def test_a_connection_is_left_alone_after_its_first_messages_or_at_its_first_video() -> None:
    dissection = DhipDissection()
    assert len(list(dissection.feed(FROM_CLIENT, DHIP_LOGIN * 100))) == MAX_MESSAGES
    list(dissection.feed(FROM_SERVER, OLD_LOGIN_ANSWER + b"\xbc\0\0\0" + bytes(60)))
    assert dissection.wants == [False, False]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"{" * 50_000, b'"DHIP"'])
def test_what_holds_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_datagram(dhip(body), FROM_SERVER)


def test_a_length_without_end_is_malformed_and_text_that_is_no_utf_8_is_read() -> None:
    with pytest.raises(Malformed, match="longer"):
        list(DhipDissection().feed(FROM_CLIENT, DHIP_LOGIN[:16] + b"\xff\xff\xff\xff" + DHIP_LOGIN[20:]))
    (fact,) = read_datagram(dhip(b'{"method": "caf\xe9"}'), FROM_CLIENT)
    assert fact.action == "café"
