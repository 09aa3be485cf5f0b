"""RTSP: messages are told, media is passed by and soon left alone, and nobody's password is kept."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.dissectors.rtsp import MAX_HEAD_BYTES, MAX_MEDIA_BYTES, RtspDissection, read_url, recognises
from collector.errors import Malformed
from tests.collector.dissectors.documents import (
    RTSP_ANSWER,
    RTSP_DESCRIBE,
    RTSP_MEDIA,
    RTSP_PARAMETER,
    RTSP_REFUSED,
    lines,
)


def hear(data: bytes, direction: int = FROM_CLIENT) -> list[Fact]:
    return list(RtspDissection().feed(direction, data))


def test_a_request_says_method_address_and_agent_but_no_password() -> None:
    (fact,) = hear(RTSP_DESCRIBE)
    assert fact.url is not None and fact.http is not None and fact.http.request is not None
    assert (fact.dataset, fact.name, fact.named_by) == ("rtsp", "10.20.0.11", "rtsp_url")
    assert fact.url.original == "rtsp://10.20.0.11:554/Streaming/Channels/101?a=b"
    assert (fact.url.port, fact.url.path, fact.url.query) == (554, "/Streaming/Channels/101", "a=b")
    assert (fact.http.request.method, fact.http.version) == ("DESCRIBE", "1.0")
    assert fact.user_agent is not None and fact.user_agent.original == "Lavf60.3.100"
    assert "secret" not in repr(fact)


def test_an_answer_says_code_server_and_realm() -> None:
    (fact,) = hear(RTSP_REFUSED, FROM_SERVER)
    assert fact.backward and fact.http is not None and fact.http.response is not None and fact.announced is not None
    assert fact.http.response.status_code == 401
    assert (fact.announced.software, fact.announced.realm) == ("Rtsp Server", "IP Camera(K5117)")


def test_bodies_and_media_between_messages_are_passed_by() -> None:
    codes = [
        fact.http.response.status_code
        for fact in hear(RTSP_ANSWER + RTSP_MEDIA * 3 + RTSP_REFUSED, FROM_SERVER)
        if fact.http is not None and fact.http.response is not None
    ]
    assert codes == [200, 401]


def test_video_is_soon_not_read_any_more_and_the_other_side_is() -> None:
    dissection = RtspDissection()
    packet = b"$\0\5\xa8" + bytes(1_448)
    for _ in range(MAX_MEDIA_BYTES // len(packet) + 1):
        assert dissection.wants[FROM_SERVER]
        list(dissection.feed(FROM_SERVER, packet))
    assert dissection.wants == [True, False]
    assert len(list(dissection.feed(FROM_CLIENT, RTSP_PARAMETER))) == 1


def test_a_device_that_asks_is_told_backward() -> None:
    (fact,) = hear(lines("ANNOUNCE rtsp://10.20.0.9/live RTSP/1.0", "CSeq: 1"), FROM_SERVER)
    assert fact.backward is True


@pytest.mark.parametrize(
    "data",
    [
        lines("DESCRIBE rtsp://a RTSP/1.0", "Content-Length: x"),
        lines("DESCRIBE rtsp://a RTSP/1.0", "Content-Length: 99999999"),
        lines("DESCRIBE RTSP/1.0", "CSeq: 1"),
        lines("RTSP/1.0 2 OK", "CSeq: 1"),
        b"\x00\x01\x02\x03",
        b"PLAY rtsp://a RTSP/1.0\r\n" + b"X: y\r\n" * (MAX_HEAD_BYTES // 6 + 1),
    ],
    ids=["no length", "a length too long", "no address", "no code", "no message", "a head without end"],
)
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        hear(data)


def test_it_is_told_from_http_and_sip_by_the_end_of_its_line() -> None:
    assert recognises(b"OPTIONS rtsp://a RTSP/1.0\r\n", 80, FROM_CLIENT) is True
    assert recognises(b"OPTIONS / HTTP/1.1\r\n", 554, FROM_CLIENT) is False
    assert recognises(b"OPTIONS sip:a SIP/2.0\r\n", 554, FROM_CLIENT) is False
    assert recognises(b"OPTI", 554, FROM_CLIENT) is None
    assert recognises(b"RTSP/1.0 200", 9, FROM_SERVER) is True
    assert recognises(b"$\0\5\x78\x80\x60", 554, FROM_SERVER) is False
    assert recognises(b"DESCRIBE " + b"a" * 600, 554, FROM_CLIENT) is False


def test_a_target_of_all_and_one_of_another_scheme_are_kept_as_they_are() -> None:
    assert read_url("*").original == "*" and read_url("trackID=1").path == "trackID=1"
