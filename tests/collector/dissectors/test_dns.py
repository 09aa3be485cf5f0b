"""DNS, mDNS and LLMNR: names, records, compression, what is cut off, and what is no DNS at all."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.dissectors.dns import (
    DISSECTOR,
    LLMNR,
    MAX_ANSWERS,
    MAX_GLANCED_LABELS,
    MAX_POINTERS,
    MAX_QUESTIONS,
    DnsDissection,
    glance,
    read_ipv6,
    read_labels,
    read_message,
    recognises_datagram,
    recognises_stream,
)
from collector.errors import Malformed, Truncated
from collector.observation import Dns, DnsAnswer, DnsQuestion
from collector.reading import DatagramReader, datagram_candidates, load_dissectors
from tests.collector.dissectors.messages import ANSWER, QUERY, answer, block, dns, name, numbers, over_tcp, question
from tests.collector.frames import lying

HERE = b"\xc0\x0c"


def data_of(number: int, data: bytes) -> str:
    """The text of one record of a type in an answer to example.com."""
    (fact,) = read_message(dns([question("example.com", number)], [answer(HERE, number, data)], flags=0x8180))
    assert fact.dns is not None
    assert fact.dns.answers is not None
    return fact.dns.answers[0].data


def asked(message: bytes) -> str | None:
    return read_message(message)[0].name


def test_a_query_is_its_question() -> None:
    assert read_message(QUERY) == [
        Fact(
            "dns",
            name="www.example.com",
            named_by="dns_question",
            dns=Dns(type="query", id="4660", question=DnsQuestion(name="www.example.com", type="A")),
        )
    ]


def test_an_answer_carries_its_records_and_addresses() -> None:
    assert read_message(ANSWER) == [
        Fact(
            "dns",
            name="www.example.com",
            named_by="dns_question",
            backward=True,
            dns=Dns(
                type="answer",
                id="4660",
                question=DnsQuestion(name="www.example.com", type="A"),
                response_code="NOERROR",
                answers=[
                    DnsAnswer(name="www.example.com", type="CNAME", data="web.example.com", ttl=300),
                    DnsAnswer(name="web.example.com", type="A", data="93.184.216.34", ttl=300),
                    DnsAnswer(name="web.example.com", type="AAAA", data="2001:db8::1", ttl=300),
                ],
                resolved_ip=["93.184.216.34", "2001:db8::1"],
            ),
        )
    ]


@pytest.mark.parametrize(
    ("number", "data", "text"),
    [
        (2, b"\2ns\xc0\x0c", "ns.example.com"),
        (6, b"\2ns\xc0\x0c\4post\xc0\x0c" + bytes(range(20)), None),
        (12, name("cam.local"), "cam.local"),
        (15, b"\0\x0a\4mail\xc0\x0c", "10 mail.example.com"),
        (16, b'\5a="b"\4c\\\xff ', '"a=\\"b\\"" "c\\\\\\255 "'),
        (33, b"\0\1\0\2\x1f\x90\3cam\xc0\x0c", "1 2 8080 cam.example.com"),
        (65, b"\0\0\3svc\xc0\x0c", "0 svc.example.com"),
        (43, b"\1\2\xfe", "0102fe"),
        (1, b"\1\2\3", "010203"),
        (28, b"\1\2\3", "010203"),
        (65280, b"\xde\xad", "dead"),
    ],
)
def test_the_data_of_a_record_are_as_in_a_zone_file(number: int, data: bytes, text: str | None) -> None:
    soa = "ns.example.com post.example.com 66051 67438087 134810123 202182159 269554195"
    assert data_of(number, data) == (text or soa)


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (5, name("a") + b"x"),
        (5, b"\xc0\xff"),
        (6, name("a") + name("b") + bytes(19)),
        (15, b"\0\x0a"),
        (16, b"\5abc"),
        (33, b"\0\1\0\2\0\3"),
        (65, b"\0\1\0\0\1\0\x09\2h2"),
        (65, b"\0\1\0\0\1\0"),
    ],
)
def test_data_that_break_their_type_are_hexadecimal(number: int, data: bytes) -> None:
    assert data_of(number, data) == data.hex()


def test_a_service_binding_names_its_protocols_hints_and_that_ech_is_there() -> None:
    def parameter(key: int, value: bytes) -> bytes:
        return key.to_bytes(2, "big") + block(value)

    parameters = [
        parameter(0, numbers((1, 9))),
        parameter(1, b"\2h2\3a,b"),
        parameter(2, b""),
        parameter(3, b"\x20\xfb"),
        parameter(4, bytes((192, 0, 2, 1, 192, 0, 2, 2))),
        parameter(5, bytes(80)),
        parameter(6, bytes.fromhex("20010db8") + bytes(11) + b"\1"),
        parameter(9, b"x y\xff"),
    ]
    message = dns([question("a.example", 65)], [answer(HERE, 65, b"\0\1\0" + b"".join(parameters))], flags=0x8180)
    (fact,) = read_message(message)
    assert fact.dns is not None
    assert fact.dns.answers is not None
    assert fact.dns.answers[0].data == (
        "1 . mandatory=alpn,key9 alpn=h2,a\\,b no-default-alpn port=8443 ipv4hint=192.0.2.1,192.0.2.2 ech"
        " ipv6hint=2001:db8::1 key9=x y\\255"
    )
    assert fact.dns.resolved_ip == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"\0", "."),
        (b"\1a\0", "a"),
        (b"\3a.b\1c\0", "a\\.b.c"),
        (b"\4a\\b \1c\0", "a\\\\b .c"),
        (b"\3\x00\xe2\x7f\0", "\\000\\226\\127"),
        (b"\x0d_camera-1 (2)\5local\0", "_camera-1 (2).local"),
        (b"\7EXAMPLE\0", "EXAMPLE"),
    ],
)
def test_a_name_is_as_sent_and_odd_bytes_are_decimal(wire: bytes, text: str) -> None:
    assert asked(dns([wire + b"\0\1\0\1"])) == text


@pytest.mark.parametrize(("number", "text"), [(1, "A"), (65, "HTTPS"), (255, "ANY"), (65280, "TYPE65280")])
def test_every_type_has_a_name(number: int, text: str) -> None:
    (fact,) = read_message(dns([question("a", number)]))
    assert fact.dns is not None
    assert fact.dns.question == DnsQuestion(name="a", type=text)


@pytest.mark.parametrize(("code", "text"), [(0, "NOERROR"), (3, "NXDOMAIN"), (5, "REFUSED"), (15, "RCODE15")])
def test_every_response_code_has_a_name(code: int, text: str) -> None:
    (fact,) = read_message(dns([question("a")], flags=0x8180 | code))
    assert fact.dns is not None
    assert fact.dns.response_code == text


def test_a_name_of_255_bytes_is_read_and_one_more_is_malformed() -> None:
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    assert asked(dns([question(longest)])) == longest
    with pytest.raises(Malformed, match="longer than 255"):
        read_message(dns([question(longest + "d")]))


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\xc0\x0c", "points to 12"),
        (b"\xc0\x20", "points to 32"),
        (b"\xc0\x00", "points to 0"),
        (b"\1a\xc0\x0c", "points to 12"),
        (b"\x40a\0", "label of type 1"),
        (b"\x80a\0", "label of type 2"),
        (b"\x09a\0", "runs past the end"),
        (b"\1a", "runs past the end"),
        (b"\xc0", "runs past the end"),
    ],
)
def test_a_name_that_loops_points_ahead_or_runs_out_is_malformed(wire: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_message(dns([wire]))


def test_two_pointers_at_each_other_end_the_answers() -> None:
    first = answer(b"\xc0\x2d", 1, bytes(4))
    (fact,) = read_message(dns([question("example.com")], [first, answer(b"\xc0\x1d", 1, bytes(4))], flags=0x8180))
    assert fact.dns is not None
    assert fact.dns.answers is None


@pytest.mark.parametrize(("jumps", "types"), [(MAX_POINTERS, ["NULL", "A"]), (MAX_POINTERS + 1, ["NULL"])])
def test_a_chain_of_pointers_is_followed_only_so_far(jumps: int, types: list[str]) -> None:
    start = 12 + len(question(".")) + 11
    links = [12, *range(start, start + 2 * (jumps - 2), 2)]
    chain = answer(b"\0", 10, numbers([0xC000 | target for target in links]))
    owner = numbers([0xC000 | start + 2 * (jumps - 2)])
    (fact,) = read_message(dns([question(".")], [chain, answer(owner, 1, bytes(4))], flags=0x8180))
    assert fact.dns is not None
    assert fact.dns.answers is not None
    assert [record.type for record in fact.dns.answers] == types


def test_a_cut_answer_gives_the_question_and_the_answers_before_the_cut() -> None:
    counts = []
    for cut in range(len(QUERY), len(ANSWER)):
        (fact,) = read_message(ANSWER[:cut])
        assert fact.name == "www.example.com"
        assert fact.dns is not None
        counts.append(len(fact.dns.answers or ()))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3}


def test_a_message_without_its_first_question_is_truncated() -> None:
    for cut in range(len(QUERY)):
        with pytest.raises(Truncated):
            read_message(QUERY[:cut])


def test_several_questions_are_a_fact_each_and_the_first_has_the_answers() -> None:
    message = dns([question("a.local"), question("b.local", 12)], [answer(HERE, 1, bytes((10, 0, 0, 1)))], flags=0x8400)
    first, second = read_message(message)
    assert (first.name, second.name) == ("a.local", "b.local")
    assert first.dns is not None
    assert second.dns is not None
    assert first.dns.resolved_ip == ["10.0.0.1"]
    assert (second.dns.question, second.dns.answers) == (DnsQuestion(name="b.local", type="PTR"), None)


def test_a_second_question_that_breaks_leaves_the_first() -> None:
    assert [fact.name for fact in read_message(dns([question("a.local"), b"\xc0\xff\0\1\0\1"]))] == ["a.local"]


def test_a_message_without_question_is_one_fact_without_a_name() -> None:
    (fact,) = read_message(dns([], [answer(name("cam.local"), 1, bytes((10, 0, 0, 1)))], flags=0x8400))
    assert (fact.name, fact.named_by) == (None, None)
    assert fact.dns is not None
    assert fact.dns.question is None
    assert fact.dns.resolved_ip == ["10.0.0.1"]
    (header,) = read_message(dns(flags=0x8181))
    assert header.dns == Dns(type="answer", id="4660", response_code="FORMERR")


def test_answers_and_questions_are_counted_only_so_far() -> None:
    many = dns([question("a")], [answer(b"\0", 1, bytes(4))] * (MAX_ANSWERS + 5), flags=0x8180)
    (fact,) = read_message(many)
    assert fact.dns is not None
    assert len(fact.dns.answers or ()) == MAX_ANSWERS
    assert len(read_message(dns([question("a")] * (MAX_QUESTIONS + 5)))) == MAX_QUESTIONS


def test_counts_that_promise_more_than_there_is_are_no_harm() -> None:
    message = QUERY[:6] + b"\xff\xff" + QUERY[8:]
    assert asked(message) == "www.example.com"


@given(
    address=st.binary(min_size=16, max_size=16)
    | st.lists(st.sampled_from((0, 0, 1, 0x1000)), min_size=8, max_size=8).map(numbers)
)
def test_an_ipv6_address_is_written_as_rfc_5952_says(address: bytes) -> None:
    if address[:12] == bytes(10) + b"\xff\xff":
        return
    assert read_ipv6(address) == str(ipaddress.IPv6Address(address))


def test_a_mapped_address_ends_in_dots() -> None:
    assert read_ipv6(bytes(10) + b"\xff\xff\xc0\x00\x02\x01") == "::ffff:192.0.2.1"


@pytest.mark.parametrize("port", [53, 1053])
def test_a_query_is_recognised_on_port_53_and_elsewhere(port: int) -> None:
    assert recognises_datagram(QUERY, port, FROM_CLIENT) is True
    assert recognises_datagram(ANSWER, port, FROM_SERVER) is True
    assert recognises_stream(over_tcp(QUERY) + over_tcp(QUERY), port, FROM_CLIENT) is True


@pytest.mark.parametrize(
    "payload",
    [
        QUERY + b"x",
        QUERY[:-1],
        dns([question("a"), question("b")]),
        dns([question("a", 1, 77)]),
        dns([question("a", 9999)]),
        dns([question("a")], flags=0x7900),
        dns([question("a")], flags=0x0140),
        ANSWER[:-3],
        ANSWER[:7] + b"\xff" + ANSWER[8:],
        b"\x80\x60" + bytes(range(200)),
        b"",
    ],
)
def test_elsewhere_only_a_whole_and_plain_message_is_recognised(payload: bytes) -> None:
    assert recognises_datagram(payload, 34_567, FROM_CLIENT) is False


@pytest.mark.parametrize("port", [5353, 5355])
def test_what_is_asked_of_the_neighbours_is_not_asked_of_a_server(port: int) -> None:
    assert recognises_datagram(QUERY, port, FROM_CLIENT) is False


def test_on_port_53_a_message_may_be_cut_but_its_header_must_be_sane() -> None:
    assert recognises_datagram(ANSWER[:30], 53, FROM_SERVER) is True
    assert recognises_datagram(QUERY[:11], 53, FROM_CLIENT) is False
    assert recognises_datagram(dns([question("a")], flags=0x7900), 53, FROM_CLIENT) is False
    assert recognises_stream(over_tcp(b"short"), 53, FROM_CLIENT) is False


def test_video_in_a_stream_is_never_waited_for() -> None:
    for first in (b"\0\0\0\1\x67\x42", b"$\0\5\x78\x80\x60", b"DHIP\0\0", b"\xff\xd8\xff\xe0\0\x10JFIF"):
        assert recognises_stream(first, 34_567, FROM_CLIENT) is False


def test_llmnr_is_recognised_on_its_port_only() -> None:
    message = dns([question("cam.local")], flags=0)
    assert [LLMNR.recognises(message, port, FROM_CLIENT) for port in (5355, 53, 5353)] == [True, False, False]


def test_llmnr_has_a_dataset_of_its_own() -> None:
    assert LLMNR.read_datagram is not None
    (fact,) = LLMNR.read_datagram(dns([question("camera")], flags=0x8000), FROM_SERVER)
    assert (fact.dataset, fact.name, fact.backward) == ("llmnr", "camera", True)


def test_a_message_over_tcp_that_is_too_short_is_malformed() -> None:
    with pytest.raises(Malformed):
        list(DnsDissection().feed(FROM_CLIENT, b"\0\2ab"))


def test_messages_before_a_broken_one_are_kept() -> None:
    facts = []
    with pytest.raises(Malformed):
        for fact in DnsDissection().feed(FROM_CLIENT, over_tcp(QUERY) + over_tcp(b"x")):
            facts.append(fact.name)
    assert facts == ["www.example.com"]


def test_the_largest_message_over_tcp_comes_byte_by_byte() -> None:
    padding = dns([question("a.example")], [answer(b"\0", 10, bytes(60_000))], flags=0x8180)
    dissection = DnsDissection()
    wire = over_tcp(padding)
    facts = [fact for at in range(len(wire)) for fact in dissection.feed(FROM_SERVER, wire[at : at + 1])]
    assert [fact.name for fact in facts] == ["a.example"]


LABELS = st.lists(st.binary(min_size=1, max_size=63), min_size=0, max_size=6)


@given(
    LABELS, st.integers(0, 65_535), st.sampled_from((0, 0x0100, 0x0130, 0x0140, 0x0180, 0x8180, 0x2800)),
    st.integers(0, 2), st.integers(0, 1), st.binary(max_size=12), st.integers(0, 300),
)  # fmt: skip
def test_what_a_glance_says_of_a_question_is_what_reading_it_says(
    labels: list[bytes], identifier: int, flags: int, questions: int, answers: int, rest: bytes, size: int
) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels)
    counts = (identifier, flags, questions, answers, 0, 1)
    payload = (b"".join([each.to_bytes(2, "big") for each in counts]) + wire + b"\0\0\1\0\1" + rest)[: size or None]
    (seen,) = glance(*lying([payload]))
    if seen is None:
        return
    reader = DatagramReader(datagram_candidates(load_dissectors()), 53, 0)
    facts = reader.read(FROM_CLIENT, payload)
    assert reader.dissector is DISSECTOR and reader.broken is None and reader.protocol == "dns"
    assert len(facts) == 1 and not facts[0].backward and facts[0].dns is not None and facts[0].dns.resolved_ip is None
    text = read_labels(seen)
    if text.isascii() and text.replace(".", "").isalnum() and text.count(".") == 1:
        assert (facts[0].name or "").lower().split(".")[-2:] == text.split(".")


def test_a_glance_takes_plain_questions_alone() -> None:
    plain = dns([question("A.Www.Example.com")])
    assert read_labels(b"\7example\3com") == "example.com"
    odd = (ANSWER, dns([question("a.example")] * 2), dns([question("localhost")]), dns([question("")]), b"", QUERY[:-1])
    longest = dns([question(".".join(["l" * 61] * 4 + ["abcde"]))])
    assert glance(*lying([plain, *odd, plain[:-1], longest, plain])) == [
        b"\7example\3com", *[None] * (len(odd) + 1), b"\x3d" + b"l" * 61 + b"\5abcde", b"\7example\3com"
    ]  # fmt: skip
    longer = dns([question(".".join(["l" * 61] * 4 + ["abcdef"]))])
    most, more = (dns([question(".".join("l" * count))]) for count in (MAX_GLANCED_LABELS, MAX_GLANCED_LABELS + 1))
    assert glance(*lying([longer, dns([b"\1a\xc0\x0c\0\1\0\1"]), most, more])) == [None, None, b"\1l\1l", None]
