"""NTP: who asks for the time, and what answers; video is never taken for it."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.ntp import DISSECTOR, glance, read_datagram, recognises
from collector.errors import Truncated
from collector.reading import DatagramReader, datagram_candidates, load_dissectors
from tests.collector.dissectors.documents import NTP_ANSWER, NTP_ASK
from tests.collector.frames import lying


def plain(*payloads: bytes) -> list[bool]:
    """Which a glance takes."""
    return [bool(each) for each in glance(*lying(payloads))]


def test_a_question_and_an_answer_have_their_modes() -> None:
    (asked,), (answered,) = read_datagram(NTP_ASK, FROM_CLIENT), read_datagram(NTP_ANSWER, FROM_SERVER)
    assert (asked.action, asked.announced, asked.backward) == ("client", None, False)
    assert (answered.action, answered.backward) == ("server", True)
    assert answered.announced is not None and answered.announced.identifier == "GPS"


def test_the_source_of_a_server_that_asks_another_is_that_ones_address() -> None:
    (fact,) = read_datagram(b"\x24\2" + bytes(10) + bytes((192, 0, 2, 7)) + bytes(32), FROM_SERVER)
    assert fact.announced is not None and fact.announced.identifier == "192.0.2.7"


def test_on_another_port_only_a_simple_clients_question_is_recognised() -> None:
    assert recognises(NTP_ASK, 123, FROM_CLIENT) and recognises(NTP_ASK, 10_123, FROM_CLIENT)
    assert recognises(NTP_ANSWER, 123, FROM_SERVER) and not recognises(NTP_ANSWER, 10_123, FROM_SERVER)


def test_video_of_the_same_length_is_not_taken_for_it() -> None:
    for first in range(256):
        assert not recognises(bytes([first]) + bytes(range(1, 48)), 20_000, FROM_CLIENT)


def test_a_control_message_is_recognised_and_a_cut_one_is_truncated() -> None:
    assert recognises(b"\x16\2" + bytes(10), 123, FROM_CLIENT)
    (fact,) = read_datagram(b"\x16\2" + bytes(10), FROM_CLIENT)
    assert fact.action == "control"
    with pytest.raises(Truncated):
        read_datagram(NTP_ASK[:47], FROM_CLIENT)


@pytest.mark.parametrize("first", range(256))
@pytest.mark.parametrize("rest", [bytes(47), bytes(39) + b"\xff\0\1\x80" * 2, bytes(3) + b"\0\1" + bytes(42)])
def test_what_a_glance_takes_is_a_request_for_the_time_and_says_no_more(first: int, rest: bytes) -> None:
    payload = bytes((first,)) + rest
    reader = DatagramReader(datagram_candidates(load_dissectors()), 123, 0)
    if plain(payload) == [True]:
        facts = reader.read(FROM_CLIENT, payload)
        assert reader.dissector is DISSECTOR
        assert [(each.dataset, each.action, each.announced) for each in facts] == [("ntp", "client", None)]


def test_a_glance_takes_plain_requests_alone() -> None:
    assert plain(b"\x23" + bytes(47), b"\x1b" + bytes(39) + b"12345678") == [True, True]
    odd = (b"", b"\x24" + bytes(47), b"\x23" + bytes(48), b"\x23\1" + bytes(46), b"\x23" + bytes(38) + b"\1" + bytes(8))
    assert plain(*odd, b"\x23" + bytes(47)) == [False] * len(odd) + [True]
