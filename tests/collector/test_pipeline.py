"""Packets in, observations out: what is seen, who is said to have done it; a cut or a replay changes nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.identify.fingerprint import Fingerprint, read_fingerprints
from collector.observation import DEVICE_DATASET, Observation
from collector.packets import SYN, Block
from collector.pcapng import MAX_TIME_NS
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.collector.conftest import Watch, packets_of
from tests.collector.dissectors.messages import (
    GET,
    HELLO,
    QUERY,
    RESPONSE,
    answer,
    chrome_extensions,
    client_hello,
    dns,
    handshake,
    question,
    records,
    server_hello,
)
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA,
    GATEWAY_MAC,
    NS,
    SERVER,
    Packet,
    Talk,
    block_of,
    ipv4,
    mac,
    spaced,
    udp,
    udp_frame,
)

OFFICE = Path(__file__).parents[2] / "streams" / "demo" / "office.pcap"
LAPTOP, LAPTOP_MAC = "10.20.0.50", "02:aa:bb:00:00:50"
NAMELESS_HELLO = records(
    handshake(1, client_hello(extensions=[each for each in chrome_extensions() if each[:2] != b"\0\0"]))
)
UPLOAD = b"POST /upload HTTP/1.1\r\nHost: cloud.example\r\nContent-Length: 4000\r\n\r\n"
VIDEO = b"$\x00\x05\x78" + bytes(1_400)


@pytest.fixture
def start(fingerprints: tuple[Fingerprint, ...]) -> Callable[..., Pipeline]:
    """A pipeline with the two invented makers; settings by name."""
    return lambda **settings: Pipeline(CollectorSettings(**settings), fingerprints)


def of(found: Sequence[Observation], dataset: str) -> list[Observation]:
    return [each for each in found if each.event.dataset == f"lenswatch.{dataset}"]


def server_name(each: Observation) -> str | None:
    assert each.tls is not None and each.tls.client is not None
    return each.tls.client.server_name


def look_up(
    name: str, addresses: Sequence[str], client: str = CAMERA, at_ns: int = BEGIN_NS, port: int = 41_000
) -> list[Packet]:
    """A question and its answer, from a resolver in our own network."""
    ends = (client, port, "10.20.0.1", 53)
    records_of = [answer(b"\xc0\x0c", 1, bytes(map(int, each.split(".")))) for each in addresses]
    reply = dns([question(name)], records_of, flags=0x8180)
    return [
        (at_ns, udp_frame(dns([question(name)]), ends)),
        (at_ns + 1_000_000, udp_frame(reply, ends, back=True)),
    ]


def test_a_client_hello_in_two_segments_out_of_order_and_sent_again_is_one_observation(watch: Watch) -> None:
    talk, half = Talk(), len(HELLO) // 2
    talk.send(0, HELLO[half:], sequence=1_001 + half)
    talk.send(0, HELLO[half:], sequence=1_001 + half)
    talk.send(0, HELLO[:half])
    talk.send(0, HELLO[:half], sequence=1_001)
    [tls] = of(watch(talk.packets), "tls")
    assert (server_name(tls), tls.destination.domain) == ("camera.example", "camera.example")
    assert tls.lenswatch is not None and tls.lenswatch.domain_source == "tls_sni"
    assert (tls.source.ip, tls.destination.port, tls.network.protocol) == (CAMERA, 443, "tls")


def test_data_in_the_syn_is_read(watch: Watch) -> None:
    talk = Talk(handshake=False)
    talk.send(0, HELLO[:100], flags=SYN)
    talk.send(0, HELLO[100:])
    assert len(of(watch(talk.packets), "tls")) == 1


def upload(missing: slice) -> list[Packet]:
    """A POST of 4,000 bytes in segments of 500, and a GET behind it; some of the segments were never seen."""
    talk = Talk((CAMERA, 40_000, SERVER, 80))
    talk.send(0, UPLOAD)
    for _ in range(8):
        talk.send(0, bytes(500))
    talk.send(0, GET)
    talk.close()
    packets = talk.packets
    del packets[missing]
    return packets


def test_a_hole_in_a_body_that_is_skipped_does_no_harm(watch: Watch) -> None:
    urls = [each.url.original for each in of(watch(upload(slice(6, 9))), "http") if each.url]
    assert urls == ["/upload", "http://other.example/a?b"]


def test_a_hole_anywhere_else_stops_the_reading_and_is_counted(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    # The last part of the body and the beginning of the next request are missing: where it begins nobody knows.
    packets = upload(slice(11, 12))
    talk = Talk((CAMERA, 40_000, SERVER, 80), handshake=False)
    talk.sequence[0] = 1_001 + len(UPLOAD) + 4_000 + len(GET) + 10
    talk.send(0, GET)
    found = pipeline.process(block_of([*packets[:10], *talk.packets])) + pipeline.finish()
    assert [each.url.original for each in of(found, "http") if each.url] == ["/upload"]
    assert pipeline.ledger.by_reason("reading") == {"gap": 1}


def test_a_flow_that_was_joined_midstream_is_read_from_there(watch: Watch) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 80), handshake=False)
    talk.send(0, GET)
    assert len(of(watch(talk.packets), "http")) == 1


@pytest.mark.parametrize("message", [GET, HELLO], ids=["http", "tls"])
def test_a_wrong_guess_of_who_began_is_turned_by_what_the_bytes_say(watch: Watch, message: bytes) -> None:
    # By its ports, the server began this flow; but it is the camera that asks.
    talk = Talk((CAMERA, 8_000, SERVER, 50_000), handshake=False)
    talk.send(1, b"")
    talk.send(0, message)
    talk.send(1, RESPONSE)
    found = watch(talk.packets)
    assert len(found) >= 2 and of(found, "flow")
    for each in found:
        assert (each.source.ip, each.source.port, each.destination.ip) == (CAMERA, 8_000, SERVER), each.event.dataset
        assert each.network.direction == "outbound"


def test_a_flow_is_turned_also_when_its_request_ends_in_a_later_segment(watch: Watch) -> None:
    # The request line says HTTP at once; who asks is told only by the whole head.
    talk = Talk((CAMERA, 8_000, SERVER, 50_000), handshake=False)
    line = GET.index(b"\n") + 1
    talk.send(1, b"")
    talk.send(0, GET[:line])
    talk.send(0, GET[line:])
    talk.send(1, RESPONSE)
    found = watch(talk.packets)
    assert of(found, "http") and of(found, "flow")
    assert {(each.source.ip, each.source.port) for each in found} == {(CAMERA, 8_000)}


def test_a_dns_answer_seen_first_is_from_the_server(watch: Watch) -> None:
    [_, reply] = look_up("a.example", [SERVER], port=53)
    [dns_answer, *_] = of(watch([reply]), "dns")
    assert dns_answer.source.ip == CAMERA and dns_answer.dns is not None and dns_answer.dns.type == "answer"


def test_http_is_read_on_port_8086(watch: Watch) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 8_086))
    talk.send(0, GET)
    talk.send(1, RESPONSE)
    request, response = of(watch(talk.packets), "http")
    assert request.url is not None and request.url.domain == "other.example"
    assert response.http is not None and response.http.response is not None
    assert (response.source.ip, response.destination.domain) == (CAMERA, "other.example")


def test_junk_on_port_53_is_one_broken_and_nothing_more(watch: Watch) -> None:
    junk = QUERY[:12] + b"\xff" * 30
    found = watch(spaced([udp_frame(junk), udp_frame(junk), udp_frame(junk)]))
    [broken] = [each for each in found if each.event.dataset != "lenswatch.flow"]
    assert broken.event.dataset == "lenswatch.broken" and broken.lenswatch is not None
    assert broken.lenswatch.broken is not None and broken.lenswatch.broken.protocol == "dns"
    assert 0 < len(broken.lenswatch.broken.reason) <= 200


def test_a_stream_that_breaks_keeps_what_was_read_and_is_left_alone(watch: Watch) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 80))
    talk.send(0, b"PUT / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n")
    talk.send(0, GET)
    found = [each for each in watch(talk.packets) if each.event.dataset != "lenswatch.flow"]
    assert [each.event.dataset for each in found] == ["lenswatch.http", "lenswatch.broken"]


def test_video_is_let_go_and_still_counted(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    talk = Talk((SERVER, 40_000, CAMERA, 554))
    for _ in range(3):
        talk.send(0, b"\x01\x02\x03")
        talk.send(1, VIDEO)
    for number in range(10):
        talk.packets.append(
            (talk.at_ns + number, udp_frame(b"\x80\x60" + bytes(1_000), (CAMERA, 5_004, LAPTOP, 5_004)))
        )
    pipeline.process(block_of(talk.packets))
    assert pipeline.flows.readers == {}
    assert not pipeline.flows.columns["reading"][: pipeline.flows.count].any()
    flows = of(pipeline.finish(), "flow")
    assert pipeline.ledger.packets_decoded == len(talk.packets)
    assert sum((each.source.packets or 0) + (each.destination.packets or 0) for each in flows) >= 10


def test_when_too_many_flows_are_read_the_oldest_are_given_up_and_counted(start: Callable[..., Pipeline]) -> None:
    pipeline = start(max_readers=8)
    first = [Talk((CAMERA, 40_000 + number, SERVER, 443)) for number in range(12)]
    for talk in first:
        talk.send(0, HELLO[:100])
    found = pipeline.process(block_of([packet for talk in first for packet in talk.packets]))
    assert len(pipeline.flows.readers) <= 8
    for talk in first:
        talk.send(0, HELLO[100:])
    found += pipeline.process(block_of([talk.packets[-1] for talk in first])) + pipeline.finish()
    assert [each.source.port for each in of(found, "tls")] == [40_000 + number for number in range(4, 12)]
    assert pipeline.ledger.by_reason("reading") == {"too_many_readers": 4}


def test_a_name_from_dns_is_the_name_of_a_later_tls_flow_without_one(watch: Watch) -> None:
    talk = Talk(at_ns=BEGIN_NS + NS)
    talk.send(0, NAMELESS_HELLO)
    [tls] = of(watch(look_up("hidden.example", [SERVER]) + talk.packets), "tls")
    assert server_name(tls) is None and tls.destination.domain == "hidden.example"
    assert tls.lenswatch is not None and tls.lenswatch.domain_source == "dns_answer"


def test_a_name_from_dns_is_of_the_client_that_was_told_it(watch: Watch) -> None:
    packets = look_up("mine.example", [SERVER]) + look_up("theirs.example", [SERVER], LAPTOP, BEGIN_NS + 1)
    for number, client in enumerate((CAMERA, LAPTOP, "10.20.0.99")):
        talk = Talk((client, 40_000, SERVER, 443), BEGIN_NS + (1 + number) * NS)
        talk.send(0, NAMELESS_HELLO)
        packets += talk.packets
    assert [each.destination.domain for each in of(watch(sorted(packets)), "tls")] == [
        "mine.example", "theirs.example", None,
    ]  # fmt: skip


def test_an_address_in_the_host_field_is_no_name(watch: Watch) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 80))
    talk.send(0, b"GET / HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n")
    [request] = of(watch(talk.packets), "http")
    assert request.destination.domain is None and request.url is not None and request.url.domain == "192.0.2.80"


def test_the_device_is_the_one_on_our_side(watch: Watch) -> None:
    inward = Talk((SERVER, 40_000, CAMERA, 80), own="02:00:00:00:00:01")
    inward.send(0, GET)
    outward = Talk(at_ns=BEGIN_NS + NS)
    outward.send(0, HELLO)
    found = watch(inward.packets + outward.packets)
    [request], [tls] = of(found, "http"), of(found, "tls")
    assert (request.network.direction, tls.network.direction) == ("inbound", "outbound")
    assert request.device is not None and request.device.id == "default/00:00:5e:00:53:01"
    assert tls.device is not None and (tls.device.id, tls.device.manufacturer) == ("default/00:00:5e:00:53:11", "acme")


def test_sensor_and_site_stand_in_every_observation(start: Callable[..., Pipeline]) -> None:
    pipeline = start(sensor="gate", site="north")
    talk = Talk()
    talk.send(0, HELLO)
    found = pipeline.process(block_of(talk.packets)) + pipeline.finish()
    assert {each.observer.name for each in found} == {"gate"}
    assert {each.lenswatch.site for each in found if each.lenswatch} == {"north"}
    assert {each.device.id.partition("/")[0] for each in found if each.device} == {"north"}


def test_two_requests_in_one_segment_have_two_ids(watch: Watch) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 80))
    talk.send(0, GET + GET)
    ids = [each.event.id for each in of(watch(talk.packets), "http")]
    assert len(ids) == len(set(ids)) == 2


def test_a_replay_makes_the_same_ids_and_another_sensor_others(watch: Watch) -> None:
    talk = Talk()
    talk.send(0, HELLO)
    talk.close()
    first, second = watch(talk.packets), watch(talk.packets)
    assert first == second and len(first) >= 2
    other = watch(talk.packets, settings=CollectorSettings(sensor="other"))
    assert {each.event.id for each in first}.isdisjoint(each.event.id for each in other)


def test_a_port_that_is_used_again_within_one_block_has_both_its_connections_read(watch: Watch) -> None:
    packets: list[Packet] = []
    for number in range(3):
        talk = Talk(at_ns=BEGIN_NS + number * NS, first=(1_000 + number * 5_000, 9_000 + number * 5_000))
        talk.send(0, HELLO)
        talk.close()
        packets += talk.packets
    for size in (None, 1, 5):
        found = watch(packets, size)
        assert len(of(found, "tls")) == 3
        states = [each.lenswatch.flow.state for each in of(found, "flow") if each.lenswatch and each.lenswatch.flow]
        assert states.count("closed") == 3


def test_flows_of_cameras_are_observed_with_what_went_each_way_and_others_are_not(watch: Watch) -> None:
    packets = []
    for client, own in ((CAMERA, "00:00:5e:00:53:11"), (LAPTOP, LAPTOP_MAC)):
        talk = Talk((client, 40_000, SERVER, 443), own=own)
        talk.send(0, HELLO)
        talk.send(1, bytes(100))
        talk.close()
        packets += talk.packets
    flows = of(watch(sorted(packets)), "flow")
    assert {each.source.ip for each in flows} == {CAMERA}
    [closed] = [
        each for each in flows if each.lenswatch and each.lenswatch.flow and each.lenswatch.flow.state == "closed"
    ]
    assert closed.source.bytes == 5 * 40 + len(HELLO) - 40 * 0 and closed.source.packets == 5
    assert (closed.destination.bytes, closed.destination.packets) == (3 * 40 + 100, 3)
    assert closed.network.protocol == "tls" and closed.destination.domain == "camera.example"
    assert closed.lenswatch is not None and closed.lenswatch.flow is not None
    assert closed.lenswatch.flow.duration_seconds == 0.007


@pytest.mark.parametrize("size", [None, 1, 4])
def test_a_flow_that_opened_a_moment_before_the_end_is_told_too(watch: Watch, size: int | None) -> None:
    packets: list[Packet] = []
    for number in range(3):
        talk = Talk((CAMERA, 40_000 + number, SERVER, 443), BEGIN_NS + number * 10**8)
        talk.send(0, HELLO)
        talk.send(1, records(handshake(2, server_hello())))
        packets += talk.packets
    found = watch(packets, size)
    assert [each.source.port for each in found if state_of(each) == "opened"] == [40_000, 40_001, 40_002]


def test_a_call_that_nobody_answers_is_an_attempt(watch: Watch) -> None:
    talk = Talk(handshake=False)
    talk.send(0, flags=SYN)
    [flow] = watch(talk.packets)
    assert flow.lenswatch is not None and flow.lenswatch.flow is not None
    assert (flow.lenswatch.flow.state, flow.destination.packets) == ("attempt", 0)


def test_a_camera_behind_a_router_has_its_flows_observed(watch: Watch) -> None:
    """A router's MAC stands before more devices than one; the camera among them is known by what it calls."""
    router, packets = "02:99:00:00:00:01", []
    for number in range(20):
        talk = Talk((f"10.7.0.{number + 1}", 40_000, SERVER, 443), BEGIN_NS + number * 10**8, router)
        hello = client_hello(extensions=[extension_of(b"device.acme.example" if number == 15 else b"www.example")])
        talk.send(0, records(handshake(1, hello)))
        talk.close()
        packets += talk.packets
    flows = of(watch(packets), "flow")
    assert {each.source.ip for each in flows} == {"10.7.0.16"}
    assert any(each.lenswatch and each.lenswatch.flow and each.lenswatch.flow.state == "closed" for each in flows)


def extension_of(host: bytes) -> bytes:
    size = len(host)
    return (
        b"\0\0"
        + b"".join(number.to_bytes(2, "big") for number in (size + 5, size + 3))
        + b"\0"
        + size.to_bytes(2, "big")
        + host
    )


def test_a_discovery_port_is_evidence_of_who_serves_on_it(watch: Watch) -> None:
    talk = Talk((LAPTOP, 40_000, "10.20.0.77", 37_777), own=LAPTOP_MAC)
    talk.send(0, b"\xa0\x00")
    talk.send(1, b"\xb0\x00")
    talk.at_ns += 5 * NS
    talk.send(0, b"\xa0\x00")
    [(at_ns, data), _] = look_up("www.example", [SERVER], "10.20.0.77", talk.at_ns + 20 * NS)
    [query] = of(watch([*talk.packets, (at_ns, data[:6] + mac(GATEWAY_MAC) + data[12:])]), "dns")
    assert query.lenswatch is not None and query.lenswatch.device is not None
    assert "speaks acmeproto on tcp port 37777" in (query.lenswatch.device.evidence or [])


def test_packets_that_are_no_flows_are_counted_and_the_sum_closes(start: Callable[..., Pipeline]) -> None:
    pipeline = start()
    pipeline.process(block_of(spaced([b"", b"\0" * 60, ipv4(udp(), 17), Talk().packets[0][1]])))
    pipeline.process(block_of([]))
    assert pipeline.finish() == [] or pipeline.ledger.packets_decoded == 1
    assert (pipeline.ledger.packets_in, pipeline.ledger.open_sums()) == (4, [])


def test_what_was_let_go_for_want_of_room_stands_in_the_ledger(start: Callable[..., Pipeline]) -> None:
    pipeline = start(max_flows=64, max_names=4, max_devices=16)
    for turn in range(20):
        at_ns = BEGIN_NS + turn * 10**8
        packets = [
            packet
            for number in range(20)
            for packet in look_up("a.example", [f"192.0.2.{number}"], f"10.{turn}.0.{number}", at_ns + number)
        ]
        pipeline.process(block_of(sorted(packets)))
    pipeline.finish()
    assert pipeline.ledger.flows == 400
    assert all(pipeline.ledger.by_reason(stage)["evicted"] > 0 for stage in ("flows", "names", "devices"))


def cut(packets: Sequence[Packet], sizes: Sequence[int]) -> list[Block]:
    """The packets in blocks of these sizes, again and again."""
    blocks, at, turn = [], 0, 0
    while at < len(packets):
        size = sizes[turn % len(sizes)]
        blocks.append(block_of(packets[at : at + size]))
        at, turn = at + size, turn + 1
    return blocks


def state_of(each: Observation) -> str | None:
    return each.lenswatch.flow.state if each.lenswatch is not None and each.lenswatch.flow is not None else None


CUTS = ([10_000], [1], [7], [100, 3, 1, 50])


def test_the_office_gives_the_same_observations_however_it_is_cut() -> None:
    """But for the early notice that a flow opened, and what it teaches of a device: when we look is chance. In the end
    the same is known of each device."""
    fingerprints = read_fingerprints()
    packets = [packet for block in CaptureFile(str(OFFICE)).blocks() for packet in packets_of(block)]
    expected: set[tuple[str, str]] = set()
    known: dict[str, object] = {}
    for sizes in CUTS:
        pipeline = Pipeline(CollectorSettings(), fingerprints)
        found = [each for block in cut(packets, sizes) for each in pipeline.process(block)] + pipeline.finish()
        assert len({each.event.id for each in found}) == len(found) > 100, "an id came twice"
        chance = [each for each in found if state_of(each) == "opened" or each.event.dataset == DEVICE_DATASET]
        ids = {(each.event.dataset, each.event.id) for each in found if each not in chance}
        expected = expected or ids
        assert ids == expected
        told = {each.device.id: each for each in found if each.event.dataset == DEVICE_DATASET and each.device}
        last = {id: (each.device, each.lenswatch.device) for id, each in told.items() if each.lenswatch}
        known = known or last
        assert last == known and len(known) >= 3


def test_a_camera_that_is_known_gives_the_same_observations_however_its_capture_is_cut(watch: Watch) -> None:
    packets: list[Packet] = []
    for number in range(12):
        talk = Talk((CAMERA, 40_000 + number % 5, SERVER, (443, 80)[number % 2]), BEGIN_NS + number * 7 * NS)
        talk.sequence = [1_000_000 * number, 7_000_000 * number]
        talk.send(0, (HELLO, UPLOAD)[number % 2])
        talk.at_ns += number * NS
        talk.send(1, b"\x16\x03\x03" + bytes(100))
        if number % 3:
            talk.close()
        packets += talk.packets + look_up("a.example", [SERVER], at_ns=talk.at_ns, port=41_000 + number % 2)
    packets.sort()
    expected = {each.event.id for each in watch(packets)}
    assert len(expected) > 50
    for sizes in CUTS:
        assert {each.event.id for each in watch(packets, sizes[0])} == expected


def test_packets_at_both_ends_of_time_are_read(watch: Watch) -> None:
    query = udp_frame(QUERY)
    found = watch([(MAX_TIME_NS - NS, query), (MAX_TIME_NS, query), (0, query), (MAX_TIME_NS, query)])
    assert [each.event.dataset for each in found].count("lenswatch.dns") == 4
