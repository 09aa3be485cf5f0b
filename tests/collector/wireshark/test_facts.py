"""Wireshark's layers make the facts that our own dissectors make of the same bytes."""

import pytest

from collector.dissectors import DISSECTORS
from collector.dissectors.dissector import Fact
from collector.errors import Malformed
from collector.reading import load_dissectors
from collector.wireshark.facts import READERS
from tests.collector.dissectors.messages import DATAGRAMS, HELLO, STREAMS, Sample
from tests.collector.wireshark.answering import layers_over_tcp, layers_over_udp, needs_tshark

pytestmark = [pytest.mark.system, needs_tshark]
OURS = dict(zip(DISSECTORS, load_dissectors(), strict=True))
KNOWN = [each for each in DATAGRAMS if OURS[each.dissector].name in READERS and "quic" not in each.dissector]


def finished(facts: list[Fact]) -> list[Fact]:
    for fact in facts:
        if fact.finish is not None:
            fact.finish()
            fact.finish = None
    return facts


@pytest.mark.parametrize("sample", KNOWN, ids=lambda sample: sample.dissector.split(".")[2])
def test_a_datagram_s_facts_are_ours(sample: Sample) -> None:
    dissector = OURS[sample.dissector]
    for side, payload in sample.parts:
        ours = (
            dissector.read_datagram(payload, side)
            if dissector.read_datagram is not None
            else dissector.converse().read(side, payload)  # type: ignore[misc]
        )
        layer = layers_over_udp(payload, sample.port, back=bool(side))[dissector.name]
        assert finished(list(READERS[dissector.name](layer, side))) == finished(ours)


def test_a_hello_s_fingerprints_are_ours() -> None:
    [ours] = finished(list(OURS["collector.dissectors.tls.DISSECTOR"].begin().feed(0, HELLO)))  # type: ignore[misc]
    [theirs] = finished(list(READERS["tls"](layers_over_tcp(HELLO, 443)["tls"], 0)))
    assert theirs == ours and theirs.tls is not None and theirs.tls.client is not None and theirs.tls.client.ja4


def test_a_length_that_is_none_breaks_the_protocol_once_the_request_is_told() -> None:
    request = b"GET /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: x\r\n\r\n"
    told = READERS["http"](layers_over_tcp(request, 80)["http"], 0)
    assert next(told).name == "a.example"
    with pytest.raises(Malformed, match="Content-Length"):
        next(told)


def test_a_question_that_cannot_be_read_breaks_the_protocol() -> None:
    with pytest.raises(Malformed, match="first question"):
        list(READERS["dns"](layers_over_udp(b"\0\1\1\0\0\1\0\0\0\0\0\0\x3fup", 53)["dns"], 0))


def test_every_protocol_here_is_one_that_we_dissect_too() -> None:
    assert {each.name for each in OURS.values()} >= READERS.keys()
    assert len(STREAMS) and "wsd" not in READERS
