"""Reolink: which camera is looked for by its id, and that somebody logs in."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.reolink import (
    GreetingDissection,
    SearchConversation,
    recognises_datagram,
    recognises_stream,
    turn,
)
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import (
    REOLINK_FOUND,
    REOLINK_LOGIN,
    REOLINK_LOGIN_ANSWER,
    REOLINK_SEARCH,
    reolink,
)


def test_a_search_says_for_which_camera() -> None:
    conversation = SearchConversation()
    (asked,), (found,) = conversation.read(FROM_CLIENT, REOLINK_SEARCH), conversation.read(FROM_SERVER, REOLINK_FOUND)
    assert (asked.dataset, asked.action) == ("reolink", "C2D_C")
    assert asked.announced == Announced(identifier="95270000YGAKNWKJ")
    assert (found.action, found.backward, found.announced) == ("D2C_C_R", True, None)


def test_the_words_of_the_key_are_turned_with_the_transmission_number() -> None:
    # The first word of the key is 0x1f2d3c4b, and lies little-endian; the number is added to each word.
    assert turn(bytes(4), 0) == bytes.fromhex("4b3c2d1f") and turn(bytes(4), 1) == bytes.fromhex("4c3c2d1f")
    assert turn(turn(b"any bytes, of any length", 0xFFFFFFFF), 0xFFFFFFFF) == b"any bytes, of any length"


def test_acknowledgements_and_data_are_video_and_end_the_reading() -> None:
    conversation = SearchConversation()
    assert conversation.read(FROM_SERVER, b"\x10\xcf\x87\x2a" + bytes(1_300)) == []
    assert conversation.wants == [True, False]


def test_only_a_search_datagram_with_its_length_is_recognised() -> None:
    assert recognises_datagram(REOLINK_SEARCH, 9, FROM_CLIENT)
    assert not recognises_datagram(REOLINK_SEARCH + b"x", 2_018, FROM_CLIENT)
    assert not recognises_datagram(b"\x3a\xcf\x87\x2a" + bytes(40), 2_018, FROM_CLIENT)


def test_what_holds_no_document_is_malformed() -> None:
    with pytest.raises(Malformed):
        SearchConversation().read(FROM_CLIENT, reolink(b"<Q2P></Q2P>"))


def test_a_login_is_one_fact_a_side_and_then_the_connection_is_left_alone() -> None:
    dissection = GreetingDissection()
    facts = [*dissection.feed(FROM_CLIENT, REOLINK_LOGIN), *dissection.feed(FROM_SERVER, REOLINK_LOGIN_ANSWER)]
    assert [(fact.action, fact.backward) for fact in facts] == [("login", False), ("login answer", True)]
    assert dissection.wants == [False, False] and not list(dissection.feed(FROM_SERVER, bytes(100)))
    assert recognises_stream(REOLINK_LOGIN[:3], 9_000, FROM_CLIENT) is None
    assert recognises_stream(b"\xf0\xde\xbc\x0a\3\0\0\0", 9_000, FROM_CLIENT) is False
    with pytest.raises(Malformed):
        list(GreetingDissection().feed(FROM_CLIENT, b"GET / HTTP/1.1\r\n\r\n    "))
