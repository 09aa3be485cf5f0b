"""Where names stand in packets, as Wireshark says it; and bytes of anybody raise nothing but one line."""

import pytest

from collector.evidence.exhibit import write_exhibit
from collector.evidence.segments import Found
from streams.evidence.fields import PAYLOAD, dissect, is_named
from tests.collector.dissectors.messages import GET, HELLO, QUERY
from tests.collector.frames import BEGIN_NS, CAMERA, SERVER, Talk, tcp_frame, udp_frame
from tests.collector.wireshark.answering import needs_tshark

ID = "0123456789abcdef" * 2


def exhibit_of(*frames: bytes) -> bytes:
    packets = [((BEGIN_NS + number, 1, len(data), data), [ID]) for number, data in enumerate(frames)]
    return write_exhibit(Found(packets, []))[0]


@pytest.mark.system
@needs_tshark
def test_the_name_of_a_question_stands_where_its_field_says() -> None:
    frame = udp_frame(QUERY)
    (shown,) = dissect(exhibit_of(frame), {"www.example.com"})
    (field,) = shown.fields
    assert (field.packet, field.layer, field.field, field.value) == (1, "dns", "dns.qry.name", "www.example.com")
    assert field.named and field.offset is not None
    assert frame[field.offset : field.offset + field.size] == b"\x03www\x07example\x03com\x00"
    assert shown.observations == [ID] and shown.ends == f"{CAMERA} port 40000 → {SERVER} port 53"


@pytest.mark.system
@needs_tshark
def test_host_and_path_of_a_request_are_told_apart() -> None:
    (shown,) = dissect(exhibit_of(tcp_frame(GET, (CAMERA, 40_000, SERVER, 80))), set())
    fields = {field.field: field.value for field in shown.fields}
    assert fields["http.request.method"] == "GET" and fields["http.request.uri"] == "http://other.example/a?b"
    assert fields["http.host"] == "cloud.example.com" and not any(field.named for field in shown.fields)


@pytest.mark.system
@needs_tshark
def test_a_hello_in_pieces_is_put_together_and_no_offset_is_claimed_for_it() -> None:
    talk = Talk(handshake=False)
    talk.send(0, HELLO[:100])
    talk.send(0, HELLO[100:])
    shown = dissect(exhibit_of(*(frame for _, frame in talk.packets)), set())
    (name,) = [each for packet in shown for each in packet.fields if each.field.endswith("server_name")]
    assert name.packet == 2 and name.offset is None and name.value


@pytest.mark.system
@needs_tshark
def test_a_name_in_a_protocol_that_wireshark_does_not_know_is_found_in_its_bytes() -> None:
    frame = udp_frame(b"\x01\x02\x03 Litedev.Example.com\0", (CAMERA, 40_000, SERVER, 9_999))
    (shown,) = dissect(exhibit_of(frame), {"litedev.example.com", "ab"})
    (field,) = shown.fields
    assert (field.layer, field.value, field.named) == (PAYLOAD, "Litedev.Example.com", True)
    assert field.offset == frame.find(b"Litedev")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a.example", True), ("A.Example.", True), ("a.example:8086", True), ("/x?y=1", True), ("b.a.example", False)],
)
def test_a_value_is_compared_as_names_and_paths_are(value: str, expected: bool) -> None:
    assert is_named(value, {"a.example", "/x"}) is expected
