"""A stream is read by whoever recognises it, through loss and disorder, and let go when nothing more is of use."""

import gc
import weakref

import pytest

from collector.digests import Digests
from collector.dissectors import DISSECTORS
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Dissector
from collector.reading import (
    MAX_UNDECIDED_BYTES,
    MAX_UNDECIDED_DATAGRAMS,
    DatagramReader,
    StreamReader,
    datagram_candidates,
    load_dissectors,
    stream_candidates,
    with_digests,
)
from collector.reassembly import MAX_HELD_SEGMENTS
from tests.collector.dissectors.messages import ANSWER, GET, HELLO, QUERY, RESPONSE, dns, over_tcp

SYN_AT = 999
STREAMS, DATAGRAMS = stream_candidates(load_dissectors()), datagram_candidates(load_dissectors())
UPLOAD = b"POST /upload HTTP/1.1\r\nHost: cloud.example\r\nContent-Length: 1000\r\n\r\n"
BROKEN_QUERY = QUERY[:14] + b"\xff" * 20
# On another port than 53 a DNS message is waited for until it is whole; this one never will be.
NEVER_DECIDED = (4_000).to_bytes(2, "big") + QUERY[:12] + b"\x3f" * 4_000


def stream(port: int = 443) -> StreamReader:
    return StreamReader(STREAMS, port, 0)


def datagrams(port: int = 53) -> DatagramReader:
    return DatagramReader(DATAGRAMS, port, 0)


def test_every_dissector_of_the_list_is_loaded_in_its_order() -> None:
    loaded = load_dissectors()
    assert len(loaded) == len(DISSECTORS) and all(isinstance(each, Dissector) for each in loaded)
    assert loaded[0].name == "tls"


def test_pipelines_that_come_and_go_leave_no_tables_behind() -> None:
    gone = []
    for _ in range(100):
        digests = Digests((), 1, 1, 1)
        gone.append(weakref.ref(digests))
        dissectors = with_digests(load_dissectors(), digests)
        assert datagram_candidates(dissectors) is DATAGRAMS
        stream_candidates(dissectors)
    del digests, dissectors
    gc.collect()
    assert sum(each() is not None for each in gone) < 10


def test_a_client_hello_in_two_segments_out_of_order_and_sent_again_is_one_hello() -> None:
    reader, half = stream(), len(HELLO) // 2
    assert reader.feed(FROM_CLIENT, 1_000 + half, HELLO[half:], SYN_AT) == []
    assert reader.feed(FROM_CLIENT, 1_000 + half, HELLO[half:], SYN_AT) == []
    [fact] = reader.feed(FROM_CLIENT, 1_000, HELLO[:half], SYN_AT)
    assert (fact.dataset, fact.name, reader.protocol) == ("tls", "camera.example", "tls")
    assert reader.feed(FROM_CLIENT, 1_000, HELLO[:half], SYN_AT) == []
    assert (reader.gaps, reader.broken) == (0, None)


@pytest.mark.parametrize("cut", [1, 5, 6, 100, len(HELLO) - 1])
def test_a_client_hello_cut_anywhere_is_one_hello(cut: int) -> None:
    reader = stream()
    assert reader.feed(FROM_CLIENT, 1_000, HELLO[:cut], SYN_AT) == []
    assert len(reader.feed(FROM_CLIENT, 1_000 + cut, HELLO[cut:], SYN_AT)) == 1


def test_without_a_syn_the_first_bytes_are_the_beginning() -> None:
    assert len(stream().feed(FROM_CLIENT, 77_777, HELLO, -1)) == 1


def test_a_stray_syn_behind_the_bytes_does_not_cut_them_off() -> None:
    assert len(stream().feed(FROM_CLIENT, 1_000, HELLO, 2_000_000)) == 1


def test_sequence_numbers_wrap() -> None:
    reader = stream()
    first = 2**32 - 10
    assert reader.feed(FROM_CLIENT, first, HELLO[:10], first - 1) == []
    assert len(reader.feed(FROM_CLIENT, 0, HELLO[10:], first - 1)) == 1


def test_a_hole_in_a_body_that_means_nothing_does_no_harm() -> None:
    reader = stream(80)
    body, at = bytes(1_000), 1_000 + len(UPLOAD)
    assert len(reader.feed(FROM_CLIENT, 1_000, UPLOAD + body[:100], SYN_AT)) == 1
    assert reader.feed(FROM_CLIENT, at + 600, body[600:] + GET, SYN_AT) == []
    [(direction, fact)] = reader.finish()
    assert (direction, fact.url.original if fact.url else None) == (FROM_CLIENT, "http://other.example/a?b")
    assert reader.gaps == 1 and reader.wants[FROM_CLIENT]


def test_a_hole_anywhere_else_ends_the_reading_of_its_direction() -> None:
    reader = stream(80)
    at = 1_000 + len(UPLOAD)
    reader.feed(FROM_CLIENT, 1_000, UPLOAD + bytes(900), SYN_AT)
    assert reader.feed(FROM_CLIENT, at + 1_001, GET, SYN_AT) == []
    assert reader.finish() == []
    assert (reader.gaps, reader.wants[FROM_CLIENT], reader.wants[FROM_SERVER]) == (1, False, True)


def test_a_hole_is_given_up_when_too_much_waits_behind_it() -> None:
    reader = stream(80)
    at = 1_000 + len(UPLOAD)
    assert len(reader.feed(FROM_CLIENT, 1_000, UPLOAD, SYN_AT)) == 1
    for number in range(MAX_HELD_SEGMENTS + 1):
        assert reader.feed(FROM_CLIENT, at + 500 + 2 * number, b"x", SYN_AT) == []
    assert reader.gaps == 1 and reader.wants[FROM_CLIENT]


def test_a_hole_before_the_first_bytes_does_no_harm() -> None:
    reader = stream()
    assert reader.feed(FROM_CLIENT, 5_000, HELLO, SYN_AT) == []
    assert [fact.dataset for _, fact in reader.finish()] == ["tls"]


def test_a_segment_wholly_inside_a_body_is_skipped_without_being_fed() -> None:
    reader = stream(80)
    at = 1_000 + len(UPLOAD)
    assert reader.skips(FROM_CLIENT, 1_000, 10) is False
    reader.feed(FROM_CLIENT, 1_000, UPLOAD, SYN_AT)
    assert reader.skips(FROM_CLIENT, at + 1, 10) is False, "it is out of order"
    assert reader.skips(FROM_CLIENT, at, 1_001) is False, "it reaches past the body"
    assert reader.skips(FROM_CLIENT, at, 1_000) is True
    assert len(reader.feed(FROM_CLIENT, at + 1_000, GET, SYN_AT)) == 1


def test_the_content_is_recognised_on_any_port() -> None:
    for port in (8_086, 37_777, 1):
        [fact] = stream(port).feed(FROM_CLIENT, 1_000, GET, SYN_AT)
        assert fact.dataset == "http"
        assert [fact.dataset for fact in stream(port).feed(FROM_CLIENT, 1_000, HELLO, SYN_AT)] == ["tls"]


def test_what_nobody_recognises_is_let_go_at_once() -> None:
    reader = stream(554)
    assert reader.feed(FROM_CLIENT, 1_000, b"\x24\x00\x05\x78" + bytes(1_400), SYN_AT) == []
    assert (reader.wants[FROM_CLIENT], reader.wants[FROM_SERVER]) == (False, True)


def test_what_stays_undecided_is_let_go_after_the_cap() -> None:
    reader = stream(4_000)
    for at in range(0, MAX_UNDECIDED_BYTES, 512):
        assert reader.wants[FROM_CLIENT]
        assert reader.feed(FROM_CLIENT, 1_000 + at, NEVER_DECIDED[at : at + 512], SYN_AT) == []
    assert (reader.wants[FROM_CLIENT], reader.protocol) == (False, None)


def test_bytes_of_the_other_side_that_came_before_the_decision_are_read_too() -> None:
    reader = stream(80)
    assert reader.feed(FROM_SERVER, 5_000, RESPONSE[:5], 4_999) == []
    found = reader.feed(FROM_CLIENT, 1_000, GET, SYN_AT)
    found += reader.feed(FROM_SERVER, 5_005, RESPONSE[5:], 4_999)
    assert [fact.http is not None and fact.http.response is not None for fact in found] == [False, True]


def test_what_was_read_before_the_bytes_broke_is_kept() -> None:
    reader = stream(53)
    data = over_tcp(QUERY) + over_tcp(BROKEN_QUERY)
    assert len(reader.feed(FROM_CLIENT, 1_000, data, SYN_AT)) == 1
    assert reader.broken is not None


def test_a_reader_that_gives_up_wants_nothing() -> None:
    for begun in (b"", HELLO[:50], GET):
        reader = stream()
        reader.feed(FROM_CLIENT, 1_000, begun, SYN_AT)
        reader.give_up()
        assert not reader.wants[FROM_CLIENT] and not reader.wants[FROM_SERVER]
        assert reader.finish() == []


def test_datagrams_are_read_one_by_one() -> None:
    reader = datagrams()
    assert [fact.backward for fact in reader.read(FROM_CLIENT, QUERY)] == [False]
    assert [fact.backward for fact in reader.read(FROM_SERVER, ANSWER)] == [True]
    assert (reader.protocol, reader.broken) == ("dns", None)


def test_a_flow_of_foreign_datagrams_is_let_go_after_the_cap() -> None:
    reader = datagrams(9_000)
    for _ in range(MAX_UNDECIDED_DATAGRAMS):
        assert reader.wants[FROM_CLIENT]
        assert reader.read(FROM_CLIENT, b"\x80\x60video") == []
    assert not reader.wants[FROM_CLIENT] and not reader.wants[FROM_SERVER]


def test_a_broken_datagram_is_told_once_and_the_next_is_read() -> None:
    reader = datagrams()
    assert reader.read(FROM_CLIENT, BROKEN_QUERY) == [] and reader.broken is not None
    assert reader.read(FROM_CLIENT, BROKEN_QUERY) == [] and reader.broken is None
    assert len(reader.read(FROM_CLIENT, dns([]) + bytes(2))) == 1 or reader.read(FROM_CLIENT, QUERY)
