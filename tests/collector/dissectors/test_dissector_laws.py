"""What holds for every dissector on the list, whatever it reads: facts, not yet, or Malformed, and nothing else."""

import re
from collections.abc import Iterable
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.dissectors import DISSECTORS
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Conversation, Dissection, Dissector, Fact
from collector.errors import Malformed
from collector.reading import (
    DatagramReader,
    StreamReader,
    datagram_candidates,
    load_dissectors,
    stream_candidates,
)
from collector.tunnels import TUNNEL_PORTS, TUNNELS
from tests.collector.dissectors.messages import CONVERSATIONS, DATAGRAMS, STREAMS, Sample
from tests.house.tree import ROOT

PORTS = (53, 80, 123, 443, 1053, 3478, 5050, 5353, 5355, 8800, 34_567, 37_777)
STRANGE_PORT = 50_123
MAX_DATAGRAMS_A_SIDE = 64
"""After so many that say nothing new, no conversation may still want to be read: video comes in millions."""


def resolve(dotted: str) -> Dissector:
    module, _, attribute = dotted.rpartition(".")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, Dissector)
    return found


def begin(sample: Sample) -> Dissection:
    make = resolve(sample.dissector).begin
    assert make is not None
    return make()


def read_datagram(sample: Sample, payload: bytes, direction: int) -> list[Fact]:
    read = resolve(sample.dissector).read_datagram
    assert read is not None
    return read(payload, direction)


def converse(sample: Sample) -> Conversation:
    make = resolve(sample.dissector).converse
    assert make is not None
    return make()


def feed(dissection: Dissection, direction: int, chunks: Iterable[bytes]) -> list[Fact]:
    return [fact for chunk in chunks for fact in dissection.feed(direction, chunk)]


def listen(sample: Sample) -> list[Fact]:
    dissection = begin(sample)
    return [fact for direction, data in sample.parts for fact in feed(dissection, direction, [data])]


def named(sample: Sample) -> str:
    return sample.dissector.removeprefix("collector.dissectors.")


streams = pytest.mark.parametrize("sample", STREAMS, ids=named)
conversations = pytest.mark.parametrize("sample", CONVERSATIONS, ids=named)
datagrams = pytest.mark.parametrize("sample", DATAGRAMS, ids=named)
dissectors = pytest.mark.parametrize("dotted", DISSECTORS)


def test_every_dissector_on_the_list_has_a_sample_for_what_it_reads() -> None:
    for dotted in DISSECTORS:
        dissector = resolve(dotted)
        for reads, samples in (
            (dissector.begin, STREAMS),
            (dissector.read_datagram, DATAGRAMS),
            (dissector.converse, CONVERSATIONS),
        ):
            if reads is not None:
                mend = f"add a Sample of {dotted} to tests/collector/dissectors/messages.py"
                assert dotted in {sample.dissector for sample in samples}, mend


def test_the_manual_names_every_dissector_and_every_tunnel() -> None:
    page = (ROOT / "docs" / "17-what-is-read.md").read_text("utf-8")
    told = set(re.findall(r"`(\w+)`", page))
    assert {each.name for each in load_dissectors()} <= told
    assert set(TUNNELS[1:]) <= told
    assert all(str(port) in page for port in np.flatnonzero(TUNNEL_PORTS).tolist())


@streams
def test_a_conversation_is_read_whole(sample: Sample) -> None:
    assert len(listen(sample)) == sample.facts


@datagrams
def test_each_datagram_is_read(sample: Sample) -> None:
    facts = [fact for direction, data in sample.parts for fact in read_datagram(sample, data, direction)]
    assert len(facts) == sample.facts


@conversations
def test_a_conversation_of_datagrams_is_read_whole(sample: Sample) -> None:
    conversation = converse(sample)
    assert (
        len([fact for direction, data in sample.parts for fact in conversation.read(direction, data)]) == sample.facts
    )


@conversations
def test_the_first_datagram_of_a_conversation_is_recognised(sample: Sample) -> None:
    for direction, data in sample.parts:
        assert resolve(sample.dissector).recognises(data, sample.port, direction) is True


@conversations
def test_a_conversation_that_says_nothing_new_is_let_go(sample: Sample) -> None:
    for junk in (bytes(1_200), b"\x80\x60" + bytes(1_200), sample.parts[0][1]):
        conversation = converse(sample)
        for direction in (FROM_CLIENT, FROM_SERVER) * MAX_DATAGRAMS_A_SIDE:
            if conversation.wants[direction]:
                try_to_converse(conversation, direction, junk)
        assert not any(conversation.wants)


@conversations
def test_a_cut_longer_or_changed_datagram_of_a_conversation_is_facts_or_malformed(sample: Sample) -> None:
    for number, (direction, data) in enumerate(sample.parts):
        step = max(1, len(data) // 400)
        for other in (*(data[:cut] for cut in range(1, len(data), step)), data + data, *list(changes(data))[::step]):
            conversation = converse(sample)
            for before, earlier in sample.parts[:number]:
                conversation.read(before, earlier)
            try_to_converse(conversation, direction, other)


def try_to_converse(conversation: Conversation, direction: int, payload: bytes) -> None:
    try:
        conversation.read(direction, payload)
    except Malformed as error:
        assert "\n" not in str(error)


@streams
def test_a_stream_says_the_same_wherever_it_is_cut(sample: Sample) -> None:
    whole = listen(sample)
    for cut in range(1, max(len(data) for _, data in sample.parts)):
        dissection = begin(sample)
        facts = []
        for direction, data in sample.parts:
            facts += feed(dissection, direction, [data[:cut], data[cut:]])
        assert facts == whole, f"cut at {cut}"


@streams
def test_a_stream_says_the_same_byte_by_byte(sample: Sample) -> None:
    dissection = begin(sample)
    facts = [
        fact
        for direction, data in sample.parts
        for fact in feed(dissection, direction, (data[at : at + 1] for at in range(len(data))))
    ]
    assert facts == listen(sample)


@streams
def test_what_is_skipped_changes_nothing(sample: Sample) -> None:
    dissection = begin(sample)
    facts = []
    for direction, data in sample.parts:
        position = 0
        while position < len(data):
            if left := dissection.skip[direction]:
                dissection.skip[direction] -= min(left, len(data) - position)
                position += left
                continue
            facts += feed(dissection, direction, [data[position : position + 1]])
            position += 1
    assert facts == listen(sample)


@streams
def test_the_beginning_of_a_stream_is_recognised_or_not_yet(sample: Sample) -> None:
    recognises = resolve(sample.dissector).recognises
    for direction, data in sample.parts:
        assert recognises(data, sample.port, direction) is True
        answers = [recognises(data[:cut], sample.port, direction) for cut in range(len(data))]
        assert answers == sorted(answers, key=bool)
        assert False not in answers


PORT_IS_THE_PROTOCOL = {
    "collector.dissectors.mdns.DISSECTOR": "on another port it is DNS (RFC 6762 5.1, 6.7)",
    "collector.dissectors.tftp.DISSECTOR": "a request is a number of two bytes and any text (RFC 1350 4)",
}


@pytest.mark.parametrize("sample", [*STREAMS, *DATAGRAMS, *CONVERSATIONS], ids=named)
def test_on_a_strange_port_the_content_is_enough(sample: Sample) -> None:
    if sample.dissector in PORT_IS_THE_PROTOCOL:
        return
    facts: list[Fact] = []
    if resolve(sample.dissector).begin is not None:
        stream, at = StreamReader(stream_candidates(load_dissectors()), STRANGE_PORT, 0), [1_000, 1_000]
        for direction, data in sample.parts:
            facts += stream.feed(direction, at[direction], data, at[direction] - 1)
            at[direction] += len(data)
    else:
        datagram = DatagramReader(datagram_candidates(load_dissectors()), STRANGE_PORT, 0)
        facts += [fact for direction, data in sample.parts for fact in datagram.read(direction, data)]
    assert len(facts) == sample.facts


@datagrams
def test_a_whole_datagram_is_recognised(sample: Sample) -> None:
    for direction, data in sample.parts:
        assert resolve(sample.dissector).recognises(data, sample.port, direction) is True


@dissectors
def test_no_other_dissector_takes_a_stream_for_its_own(dotted: str) -> None:
    dissector = resolve(dotted)
    if dissector.begin is None:
        return
    for sample in STREAMS:
        if sample.dissector != dotted:
            for direction, data in sample.parts:
                assert dissector.recognises(data, 8000, direction) is False


@datagrams
def test_a_cut_or_longer_datagram_is_facts_or_malformed(sample: Sample) -> None:
    for direction, data in sample.parts:
        for cut in range(len(data)):
            read_or_refuse(sample, data[:cut], direction)
        read_or_refuse(sample, data + data, direction)


@datagrams
def test_a_datagram_with_any_byte_changed_is_facts_or_malformed(sample: Sample) -> None:
    for direction, data in sample.parts:
        for changed in changes(data):
            read_or_refuse(sample, changed, direction)


@streams
def test_a_stream_with_any_byte_changed_is_facts_or_malformed(sample: Sample) -> None:
    for direction, data in sample.parts:
        for changed in changes(data):
            try:
                feed(begin(sample), direction, [changed])
            except Malformed as error:
                assert "\n" not in str(error)


def changes(data: bytes) -> Iterable[bytes]:
    """Each byte one less and one more (a length too short, too long), 0, 255, and what is a compression pointer."""
    for at, byte in enumerate(data):
        for other in {(byte - 1) & 255, (byte + 1) & 255, 0, 255, 0xC0} - {byte}:
            yield data[:at] + bytes([other]) + data[at + 1 :]


def read_or_refuse(sample: Sample, payload: bytes, direction: int) -> None:
    try:
        facts = read_datagram(sample, payload, direction)
    except Malformed as error:
        assert "\n" not in str(error)
    else:
        assert facts


def seeded(samples: Iterable[Sample]) -> st.SearchStrategy[tuple[int, bytes]]:
    """Any bytes, and real messages cut anywhere with any bytes behind."""
    parts = sorted({part for sample in samples for part in sample.parts})
    cut = st.sampled_from(parts).flatmap(
        lambda part: st.tuples(
            st.just(part[0]),
            st.builds(lambda size, junk: part[1][:size] + junk, st.integers(0, len(part[1])), st.binary(max_size=64)),
        )
    )
    return cut | st.tuples(st.sampled_from((FROM_CLIENT, FROM_SERVER)), st.binary(max_size=256))


@dissectors
@given(part=seeded((*STREAMS, *DATAGRAMS, *CONVERSATIONS)), port=st.sampled_from(PORTS))
def test_recognising_has_three_answers_whatever_the_bytes(dotted: str, part: tuple[int, bytes], port: int) -> None:
    dissector = resolve(dotted)
    answer = dissector.recognises(part[1], port, part[0])
    assert answer in (True, False, None)
    if dissector.starts is not None and part[1][:1] and part[1][0] not in dissector.starts:
        assert answer is False


@streams
@given(part=seeded(STREAMS), cut=st.integers(0, 600))
def test_any_bytes_in_a_stream_are_facts_or_malformed_wherever_cut(
    sample: Sample, part: tuple[int, bytes], cut: int
) -> None:
    direction, data = part
    assert outcome(sample, direction, [data]) == outcome(sample, direction, [data[:cut], data[cut:]])


def outcome(sample: Sample, direction: int, chunks: list[bytes]) -> tuple[list[Fact], bool]:
    """The facts until the end or until the stream breaks, and whether it broke."""
    dissection = begin(sample)
    facts: list[Fact] = []
    try:
        for chunk in chunks:
            for fact in dissection.feed(direction, chunk):
                facts.append(fact)
    except Malformed:
        return facts, True
    return facts, False


@datagrams
@given(part=seeded(DATAGRAMS))
def test_any_datagram_is_facts_or_malformed(sample: Sample, part: tuple[int, bytes]) -> None:
    read_or_refuse(sample, part[1], part[0])


@conversations
@given(parts=st.lists(seeded(CONVERSATIONS), max_size=4))
def test_any_datagrams_in_a_conversation_are_facts_or_malformed(sample: Sample, parts: list[tuple[int, bytes]]) -> None:
    conversation = converse(sample)
    for direction, data in parts:
        if data:
            try_to_converse(conversation, direction, data)
