"""HTTP requests and responses one after the other, bodies of every kind between, and where the reading stops."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.dissectors.http import (
    MAX_DESCRIPTION_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_LINE_BYTES,
    MAX_OUTSTANDING,
    METHODS,
    HttpDissection,
    glance_fields,
    glance_lines,
    read_description,
    read_realm,
    recognises,
)
from collector.errors import Malformed
from collector.observation import (
    Announced,
    Http,
    HttpBody,
    HttpRequest,
    HttpResponse,
    Url,
    UserAgent,
)
from collector.reading import StreamReader, load_dissectors, stream_candidates
from tests.collector.dissectors.documents import DESCRIPTION, DESCRIPTION_ANSWER
from tests.collector.dissectors.messages import CHUNKED, GET, POST, RESPONSE

PLAIN = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


def glance(payload: bytes) -> tuple[str, str, str | None] | None:
    """Host, path and user agent of a plain request."""
    line, _, fields = payload.partition(b"\r\n")
    (path,), said = glance_lines([line]), glance_fields(fields)
    return (said[0], path, said[1]) if path and said is not None else None


def feed(dissection: HttpDissection, direction: int, data: bytes) -> list[Fact]:
    return list(dissection.feed(direction, data))


def requests(*parts: bytes) -> list[str]:
    """The targets of all requests in what the client sends."""
    facts = feed(HttpDissection(), FROM_CLIENT, b"".join(parts))
    return [fact.url.original for fact in facts if fact.url]


def asked(*lines: bytes) -> Fact:
    (fact,) = feed(HttpDissection(), FROM_CLIENT, b"\r\n".join([*lines, b"", b""]))
    return fact


def answered(*lines: bytes) -> HttpResponse:
    (fact,) = feed(HttpDissection(), FROM_SERVER, b"\r\n".join([*lines, b"", b""]))
    assert fact.http is not None
    assert fact.http.response is not None
    return fact.http.response


def test_a_request_is_its_line_and_four_fields() -> None:
    (fact,) = feed(HttpDissection(), FROM_CLIENT, POST)
    assert fact == Fact(
        "http",
        name="cloud.example.com",
        named_by="http_host",
        url=Url(original="/upload?camera=7", domain="cloud.example.com", port=8080, path="/upload", query="camera=7"),
        http=Http(request=HttpRequest(method="POST", body=HttpBody(bytes=5)), version="1.1"),
        user_agent=UserAgent(original="cam/2.1"),
    )


def test_a_response_is_its_status_and_what_it_carries() -> None:
    (fact,) = feed(HttpDissection(), FROM_SERVER, RESPONSE)
    assert fact == Fact(
        "http",
        backward=True,
        http=Http(response=HttpResponse(status_code=200, mime_type="text/html", body=HttpBody(bytes=4)), version="1.1"),
    )


def test_requests_follow_each_other_and_bodies_say_nothing() -> None:
    assert requests(POST, CHUNKED, GET, PLAIN) == ["/upload?camera=7", "/clip", "http://other.example/a?b", "/"]


def test_the_host_of_an_absolute_target_wins() -> None:
    fact = asked(b"GET http://other.example:81/a?b HTTP/1.1", b"Host: cloud.example")
    assert fact.name == "other.example"
    assert fact.url == Url(
        original="http://other.example:81/a?b", domain="other.example", port=81, path="/a", query="b"
    )


def test_a_request_without_a_host_has_no_name() -> None:
    fact = asked(b"GET /x HTTP/1.0", b"User-Agent:")
    assert (fact.name, fact.named_by) == (None, None)
    assert fact.user_agent == UserAgent(original="")


def test_field_names_have_no_case_and_values_no_blanks_around() -> None:
    fact = asked(b"GET /x HTTP/1.1", b"hOST: \t a.example \t", b"USER-AGENT:cam")
    assert fact.name == "a.example"
    assert fact.user_agent == UserAgent(original="cam")


def test_a_folded_field_is_one_line() -> None:
    fact = asked(b"GET /x HTTP/1.1", b"User-Agent: cam", b"  of the ", b"\tdoor", b"Host: a.example")
    assert fact.user_agent == UserAgent(original="cam of the door")
    assert fact.name == "a.example"


def test_bare_line_feeds_end_lines_too() -> None:
    assert requests(b"GET /a HTTP/1.1\nHost: a\n\nGET /b HTTP/1.1\nHost: a\n\r\nGET /c HTTP/1.1\r\n\n") == [
        "/a",
        "/b",
        "/c",
    ]


def test_empty_lines_before_a_request_are_passed_over() -> None:
    assert requests(b"\r\n\r\n", PLAIN, b"\n", PLAIN) == ["/", "/"]


def test_bytes_that_are_not_printable_are_hexadecimal() -> None:
    fact = asked(b"GET /\xc3\xa4?\x01 HTTP/1.1", b"User-Agent: c\xffm")
    assert fact.url == Url(original="/\\xc3\\xa4?\\x01", path="/\\xc3\\xa4", query="\\x01")
    assert fact.user_agent == UserAgent(original="c\\xffm")


def test_a_field_that_ends_another_fields_name_is_not_it() -> None:
    fact = asked(b"GET /x HTTP/1.1", b"X-Host: wrong", b"Y: host: wrong", b"Host: right")
    assert fact.name == "right"


@pytest.mark.parametrize(
    "line",
    [
        b"GET /",
        b"GET / HTTP/2.0",
        b"GET / HTTP/1.",
        b"GET / HTTP/1.10",
        b"GET  HTTP/1.1",
        b"get / HTTP/1.1",
        b"G" * 33 + b" / HTTP/1.1",
        b"DESCRIBE rtsp://a/ RTSP/1.0",
        b"\0\1\2",
        b"HTTP/1.1",
        b"HTTP/1.1 20",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.x 200 OK",
    ],
)
def test_what_is_no_start_line_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        feed(HttpDissection(), FROM_CLIENT, line + b"\r\n\r\n")


def test_the_end_of_a_body_that_is_not_where_it_should_be_invents_no_request() -> None:
    lying = POST.replace(b"Content-Length: 5", b"Content-Length: 3")
    facts = []
    with pytest.raises(Malformed):
        for fact in HttpDissection().feed(FROM_CLIENT, lying + b"\0\1" + PLAIN):
            facts.append(fact.name)
    assert facts == ["cloud.example.com"]


@pytest.mark.parametrize("value", [b"x", b"-1", b"1,2", b"", b"\xb2", b"1" * 19, b"0x10", b"5\r\nContent-Length: 6"])
def test_a_length_that_is_no_number_or_two_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed, match="Content-Length"):
        asked(b"POST / HTTP/1.1", b"Content-Length: " + value)


@pytest.mark.parametrize("fields", [b"Content-Length: x\r\n", b"a: b\r\n" * (MAX_HEADERS + 1)])
def test_a_request_is_told_before_its_fields_break_the_connection(fields: bytes) -> None:
    told = HttpDissection().feed(FROM_CLIENT, b"GET /told HTTP/1.1\r\nHost: a.example\r\n" + fields + b"\r\n" + PLAIN)
    fact = next(told)
    assert fact.url is not None and (fact.name, fact.url.original) == ("a.example", "/told")
    with pytest.raises(Malformed):
        next(told)


@pytest.mark.parametrize("value", [b"5, 5", b"5\r\nContent-Length: 5", b" 5 "])
def test_the_same_length_twice_is_that_length(value: bytes) -> None:
    assert requests(b"POST / HTTP/1.1\r\nContent-Length: " + value + b"\r\n\r\nGET /", PLAIN) == ["/", "/"]


def test_chunks_overrule_a_length() -> None:
    head = b"POST /a HTTP/1.1\r\nContent-Length: 500\r\nTransfer-Encoding: Chunked\r\n\r\n"
    assert requests(head, b"2\r\nab\r\n0\r\n\r\n", PLAIN) == ["/a", "/"]


@pytest.mark.parametrize(
    "body", [b"x\r\n", b"\r\n", b"-1\r\n", b"1" * 16 + b"\r\n", b"2\r\nabc\r\n", b"2;" + bytes(9000)]
)
def test_chunks_that_break_their_coding_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        requests(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", body)


def test_too_many_trailers_are_malformed() -> None:
    head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    largest = head + b"a: b\r\n" * MAX_HEADERS + b"\r\n"
    assert requests(largest, largest, PLAIN) == ["/a", "/a", "/"]
    with pytest.raises(Malformed, match="trailers"):
        requests(head, b"a: b\r\n" * (MAX_HEADERS + 1))


def test_a_request_in_an_unknown_coding_ends_the_reading_of_its_side() -> None:
    dissection = HttpDissection()
    assert len(feed(dissection, FROM_CLIENT, b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n" + PLAIN)) == 1
    assert dissection.wants == [False, True]


def test_a_body_is_skipped_not_held() -> None:
    dissection = HttpDissection()
    feed(dissection, FROM_CLIENT, b"PUT /v HTTP/1.1\r\nContent-Length: 5000000000\r\n\r\n" + bytes(1000))
    assert dissection.skip == [5_000_000_000 - 1000, 0]
    dissection.skip[FROM_CLIENT] -= 4_999_999_000 - 10
    assert [fact.name for fact in feed(dissection, FROM_CLIENT, bytes(10) + PLAIN)] == ["a.example"]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified", b"100 Continue", b"199 x"])
def test_some_responses_have_no_body_whatever_they_say(status: bytes) -> None:
    dissection = HttpDissection()
    wire = b"HTTP/1.1 " + status + b"\r\nContent-Length: 100\r\n\r\n"
    assert len(feed(dissection, FROM_SERVER, wire + wire)) == 2


def test_the_response_to_head_has_no_body() -> None:
    dissection = HttpDissection()
    feed(dissection, FROM_CLIENT, b"GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n")
    bare = RESPONSE[:-4]
    assert len(feed(dissection, FROM_SERVER, b"HTTP/1.1 100 Continue\r\n\r\n" + RESPONSE + bare + RESPONSE)) == 4


def test_a_response_that_runs_to_the_end_is_not_wanted_further() -> None:
    dissection = HttpDissection()
    wire = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x\r\n\r\n" + RESPONSE
    (fact,) = feed(dissection, FROM_SERVER, wire)
    assert fact.http is not None
    assert fact.http.response == HttpResponse(status_code=200, mime_type="multipart/x-mixed-replace")
    assert dissection.wants == [True, False]


@pytest.mark.parametrize(
    ("line", "status"), [(b"HTTP/1.0 404", 404), (b"HTTP/1.1 301 Moved  Permanently", 301), (b"HTTP/1.1  200", 200)]
)
def test_a_status_line_may_be_without_a_reason(line: bytes, status: int) -> None:
    assert answered(line).status_code == status


def test_connect_is_the_last_that_is_read() -> None:
    dissection = HttpDissection()
    wire = b"CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n\r\n\x16\3\1"
    assert [fact.name for fact in feed(dissection, FROM_CLIENT, wire)] == ["relay.example"]
    assert dissection.wants == [False, True]
    assert len(feed(dissection, FROM_SERVER, b"HTTP/1.1 200 Connected\r\n\r\n\x16\3\3")) == 1
    assert dissection.wants == [False, False]


def test_a_switch_of_protocols_ends_the_reading() -> None:
    dissection = HttpDissection()
    feed(dissection, FROM_CLIENT, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    assert len(feed(dissection, FROM_SERVER, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\5hello")) == 1
    assert dissection.wants == [False, False]


def test_an_upgrade_that_is_declined_changes_nothing() -> None:
    dissection = HttpDissection()
    feed(dissection, FROM_CLIENT, b"GET /a HTTP/1.1\r\nUpgrade: h2c\r\n\r\n")
    feed(dissection, FROM_SERVER, RESPONSE)
    assert [fact.name for fact in feed(dissection, FROM_CLIENT, PLAIN)] == ["a.example"]


@pytest.mark.parametrize("frame", [b"\x81\x85\1\2\3\4", b"\x81\x85\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"])
def test_another_protocol_after_an_upgrade_is_no_broken_request(frame: bytes) -> None:
    dissection = HttpDissection()
    feed(dissection, FROM_CLIENT, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    assert feed(dissection, FROM_CLIENT, frame) == []
    assert dissection.wants == [False, False]


def test_too_many_requests_without_a_response_end_the_reading_of_responses() -> None:
    dissection = HttpDissection()
    assert len(feed(dissection, FROM_CLIENT, PLAIN * MAX_OUTSTANDING)) == MAX_OUTSTANDING
    assert dissection.wants == [True, True]
    assert len(feed(dissection, FROM_CLIENT, PLAIN * 2)) == 2
    assert dissection.wants == [True, False]


def test_who_asks_is_the_client_whatever_the_flow_thinks() -> None:
    dissection = HttpDissection()
    (fact,) = feed(dissection, FROM_SERVER, PLAIN)
    assert (fact.name, fact.backward) == ("a.example", True)
    (fact,) = feed(dissection, FROM_CLIENT, RESPONSE)
    assert fact.backward is False


def test_a_head_of_the_largest_size_is_read_and_a_larger_one_is_malformed() -> None:
    start, end = b"GET / HTTP/1.1\r\nX: ", b"\r\n\r\n"
    largest = start + b"x" * (MAX_HEAD_BYTES - len(start) - len(end)) + end
    assert requests(largest) == ["/"]
    for data in (start + b"x" + largest[len(start) :], start + b"x" * MAX_HEAD_BYTES):
        with pytest.raises(Malformed, match="longer than 65536"):
            requests(data)


def test_a_large_head_comes_byte_by_byte() -> None:
    wire = b"GET / HTTP/1.1\r\nX: " + b" " * 60_000 + b"\r\n\r\n"
    dissection = HttpDissection()
    facts = [fact for at in range(len(wire)) for fact in dissection.feed(FROM_CLIENT, wire[at : at + 1])]
    assert len(facts) == 1


def test_too_many_header_lines_are_malformed() -> None:
    lines = b"A: b\r\n" * MAX_HEADERS
    assert requests(b"GET / HTTP/1.1\r\n" + lines + b"\r\n") == ["/"]
    with pytest.raises(Malformed, match="200 lines"):
        requests(b"GET / HTTP/1.1\r\n" + lines + b"A: b\r\n\r\n")


def test_a_chunk_size_line_without_end_is_malformed() -> None:
    head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(Malformed, match=str(MAX_LINE_BYTES)):
        requests(head, b"1" * (MAX_LINE_BYTES + 1))


def test_junk_where_a_request_should_begin_is_not_waited_for() -> None:
    dissection = HttpDissection()
    feed(dissection, FROM_CLIENT, PLAIN)
    with pytest.raises(Malformed):
        feed(dissection, FROM_CLIENT, b"\x17\3\3")


@pytest.mark.parametrize("method", METHODS)
def test_every_known_method_is_recognised(method: str) -> None:
    assert recognises(f"{method} /a HTTP/1.1\r\n".encode(), 8080, FROM_CLIENT) is True
    assert recognises(f"{method} /".encode() + b"a" * 300, 8080, FROM_CLIENT) is True
    assert recognises(f"{method} /".encode(), 8080, FROM_CLIENT) is None


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"BREW /pot HTTP/1.1\r\n", True),
        (b"GET /a HTTP/1.1 \n", True),
        (b"\r\nGET / HTTP/1.0\r\n", True),
        (b"HTTP/1.1 200", True),
        (b"HTTP/1", None),
        (b"", None),
        (b"\r\n", None),
        (b"GET", None),
        (b"BREW " + b"a" * 300, False),
        (b"DESCRIBE rtsp://a.example/1 RTSP/1.0\r\n", False),
        (b"OPTIONS * RTSP/1.0\r\n", False),
        (b"OPTIONS rtsp://a.example/" + b"1" * 300, False),
        (b"NOTIFY sip:a@b.example SIP/2.0\r\n", False),
        (b"RTSP/1.0 200 OK\r\n", False),
        (b"SIP/2.0 200 OK\r\n", False),
        (b"PRI * HTTP/2.0\r\n", False),
        (b"HTTP/2", False),
        (b"get / HTTP/1.1\r\n", False),
        (b"USER anonymous\r\n", False),
        (b"DHIP\0\0", False),
        (b"\xff\xd8\xff\xe0", False),
    ],
)
def test_only_http_is_recognised(first: bytes, answer: bool | None) -> None:
    assert recognises(first, 80, FROM_CLIENT) is answer


def test_a_response_says_its_server_and_the_realm_of_its_first_challenge() -> None:
    (fact,) = feed(
        HttpDissection(),
        FROM_SERVER,
        b"HTTP/1.1 401 Unauthorized\r\nServer: App-webs/\x1b\r\n"
        b'WWW-Authenticate: Digest qop="auth", realm="IP \\"Camera"\r\n'
        b"WWW-Authenticate: Basic realm=second\r\nContent-Length: 0\r\n\r\n",
    )
    assert fact.announced == Announced(software="App-webs/\\x1b", realm='IP \\"Camera')
    assert read_realm("Basic realm=plain") == "plain" and read_realm("Negotiate") is None


def test_a_device_description_that_passes_by_is_read_and_the_next_response_too() -> None:
    facts = feed(HttpDissection(), FROM_SERVER, DESCRIPTION_ANSWER + RESPONSE)
    assert [fact.dataset for fact in facts] == ["http", "ssdp", "http"]
    assert facts[1].action == "description" and facts[1].announced == Announced(
        type="urn:schemas-upnp-org:device:Basic:1", name="Gate & yard", manufacturer="Acme Vision", model="AV-2000",
        serial_number="AV20005E5E0001", firmware="V5.1.2", identifier="uuid:5e5e0001",
    )  # fmt: skip


def test_other_xml_and_a_description_that_is_too_long_are_skipped() -> None:
    for body in (b"<a>b</a>", DESCRIPTION.ljust(MAX_DESCRIPTION_BYTES + 1)):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert [fact.dataset for fact in feed(HttpDissection(), FROM_SERVER, head + body + RESPONSE)] == [
            "http",
            "http",
        ]


def test_what_a_camera_tells_of_itself_on_request_is_a_description_too() -> None:
    body = b'<DeviceInfo version="2.0"><deviceName>Gate</deviceName><model>DS-X</model><serialNumber>5e</serialNumber>'
    body += b"<macAddress>00-00-5E-00-53-11</macAddress><firmwareVersion>V5.5</firmwareVersion></DeviceInfo>"
    assert read_description(body) == Announced(
        name="Gate", model="DS-X", serial_number="5e", mac="00:00:5e:00:53:11", firmware="V5.5"
    )


TARGETS = (b"/", b"/a?b?c", b"/?", b"*", b"/ x", b"/\xe4", b"http://c.d/")
HOSTS = (
    b"www.example.com",
    b"WWW.Example.com:8080",
    b" a.b ",
    b"[::1]",
    b"192.0.2.1",
    b"u@a.b",
    b"",
    b"a b",
    b"x.\xff",
)
FIRST_LINES = (
    "GET /a HTTP/1.1", "HEAD /b?c HTTP/1.0", "GET /a HTTP/1.1 ", "GET /a HTTP/1.1\r", "GET /a HTTP/1.12",
    "GET /(HTTP/1.1", "\rGET /a HTTP/1.1", "GET /a HTTP/1.1\nHEAD / HTTP/1.1", "GET / HTTP/1.1\rHEAD /b HTTP/1.1",
    "POST / HTTP/1.1", "GET  /a HTTP/1.1", "",
)  # fmt: skip
LINES = st.sampled_from(
    (b"Host: a.example", b"host:b.example", b"User-Agent: one/1 (two)", b"USER-AGENT:", b"Accept: */*", b" folded",
     b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Upgrade: h2c", b"odd", b"A : b", b"X: \xe4", b"Y: \t", b"")
)  # fmt: skip


@given(
    st.sampled_from((b"GET", b"HEAD", b"POST", b"CONNECT", b"get")), st.sampled_from(TARGETS),
    st.sampled_from((b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"RTSP/1.0")), st.sampled_from(HOSTS),
    st.lists(LINES, max_size=6), st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n")),
    st.sampled_from((b"", b"", b"", b"x", b"GET / HTTP/1.1\r\n\r\n")),
)  # fmt: skip
def test_what_a_glance_says_of_a_request_is_what_reading_it_says(
    method: bytes, target: bytes, version: bytes, host: bytes, lines: list[bytes], end: bytes, behind: bytes
) -> None:
    payload = end.join([method + b" " + target + b" " + version, *lines, b"Host: " + host, b"", b""]) + behind
    seen = glance(payload)
    if seen is None:
        return
    reader = StreamReader(stream_candidates(load_dissectors()), 80, 0)
    facts = reader.feed(FROM_CLIENT, 1, payload, -1)
    assert reader.protocol == "http" and reader.broken is None and list(reader.wants) == [True, True]
    (fact,) = facts
    name, path, agent = seen
    assert fact.url is not None and (fact.name, fact.named_by) == (name, "http_host") and not fact.backward
    assert fact.url.path == path
    assert (fact.user_agent.original if fact.user_agent is not None else None) == agent


@given(st.lists(st.text("GET /a?~.1HTP\r\n@x\xe4", max_size=9) | st.sampled_from(FIRST_LINES), max_size=6))
def test_of_many_first_lines_each_is_looked_at_for_itself(lines: list[str]) -> None:
    given = [line.encode("latin-1").partition(b"\r\n")[0] for line in lines]
    alone = [path for line in given for path in glance_lines([line])]
    assert glance_lines(given) == alone and len(alone) == len(given)
    plain = [re.fullmatch(rb"(?:GET|HEAD) (/[!->@-~]*)(?:\?[!-~]*)? HTTP/1\.[0-9]", line) for line in given]
    assert alone == [found[1].decode() if found else "" for found in plain]


def test_a_glance_takes_plain_requests_alone() -> None:
    plain = b"GET /a?b HTTP/1.1\r\nHost: A.example:81\r\nUser-Agent: x/1\r\n\r\n"
    assert glance(plain) == ("a.example", "/a", "x/1")
    assert glance(b"HEAD / HTTP/1.0\r\nhost: a\r\n\r\n") == ("a", "/", None)
    many = b"GET / HTTP/1.1\r\nHost: a.b\r\n" + b"A:\r\n" * MAX_HEADERS + b"\r\n"
    odd = (
        b"",
        POST,
        GET,
        RESPONSE,
        CHUNKED,
        plain + b"x",
        plain[:-1],
        b"\r\n" + plain,
        many,
        plain.replace(b"Host", b"Hosts"),
    )
    assert [glance(each) for each in odd] == [None] * len(odd)
