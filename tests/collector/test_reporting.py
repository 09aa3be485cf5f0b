"""One place makes observations: what they are called, what they are named by, and what concerns nobody makes none."""

from collections.abc import Callable

import numpy as np
import pytest

from collector.identify.fingerprint import Banner, Fingerprint, read_fingerprints
from collector.observation import (
    CERTIFICATE_DATASET,
    DEVICE_DATASET,
    FAVICON_DATASET,
    FILE_DATASET,
    Observation,
    Url,
)
from collector.pipeline import Pipeline
from collector.reporting import is_address
from collector.settings import CollectorSettings
from tests.collector.conftest import Watch
from tests.collector.dissectors.certificates import certificate
from tests.collector.dissectors.messages import GET, HELLO, QUERY, RESPONSE, shown
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA,
    CAMERA_MAC,
    NS,
    SERVER,
    Packet,
    Talk,
    block_of,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    udp,
    udp_frame,
)

SERVER_AT_HOME = "10.20.0.9"
Run = Callable[..., tuple[Pipeline, list[Observation]]]


@pytest.fixture
def run(fingerprints: tuple[Fingerprint, ...]) -> Run:
    """Packets through a pipeline to its end: the pipeline, and what it observed but for the devices themselves."""

    def through(packets: list[Packet], concerns: object = None) -> tuple[Pipeline, list[Observation]]:
        pipeline = Pipeline(CollectorSettings(), fingerprints, concerns)  # type: ignore[arg-type]
        found = pipeline.process(block_of(packets)) + pipeline.finish()
        return pipeline, [each for each in found if each.event.dataset != DEVICE_DATASET]

    return through


def hello(at_ns: int = BEGIN_NS, port: int = 40_000) -> Talk:
    talk = Talk((CAMERA, port, SERVER, 443), at_ns)
    talk.send(0, HELLO)
    return talk


def state_of(each: Observation) -> str | None:
    return each.lenswatch.flow.state if each.lenswatch is not None and each.lenswatch.flow is not None else None


def test_a_flow_says_opened_once_and_closed_at_its_end(run: Run) -> None:
    talk = hello()
    talk.at_ns += 5 * NS
    talk.send(1, bytes(200))
    talk.at_ns += 5 * NS
    talk.close()
    _, found = run(talk.packets)
    flows = [each for each in found if each.event.dataset == "lenswatch.flow"]
    assert [state_of(each) for each in flows] == ["opened", "closed"]
    opened, closed = flows
    assert opened.event.id != closed.event.id
    assert (closed.source.bytes or 0) > (opened.source.bytes or 0) > 0
    assert opened.destination.domain == closed.destination.domain == "camera.example"
    assert closed.lenswatch is not None and closed.lenswatch.domain_source == "tls_sni"


def test_when_an_open_flow_was_looked_at_is_no_part_of_its_id(run: Run) -> None:
    talk = hello()
    talk.at_ns += 5 * NS
    talk.send(1, bytes(200))
    early = [each for each in run(talk.packets)[1] if state_of(each) == "opened"]
    talk.at_ns += NS
    talk.send(1, bytes(200))
    late = [each for each in run(talk.packets)[1] if state_of(each) == "opened"]
    assert [each.event.id for each in early] == [each.event.id for each in late]
    assert [each.timestamp for each in early] < [each.timestamp for each in late]


def test_the_vlan_and_the_protocol_stand_in_the_network_fields(run: Run) -> None:
    talk = hello()
    tagged = [(at_ns, data[:12] + b"\x81\x00\x00\x14" + data[12:]) for at_ns, data in talk.packets]
    found = run(tagged)[1]
    assert {each.network.vlan.id for each in found if each.network.vlan} == {"20"}
    assert {each.network.protocol for each in found} == {"tls"}


def test_an_http_flow_has_its_host_and_its_answers_have_it_too(run: Run) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 80))
    talk.send(0, GET)
    talk.send(1, RESPONSE)
    http = [each for each in run(talk.packets)[1] if each.event.dataset == "lenswatch.http"]
    assert [each.destination.domain for each in http] == ["other.example"] * 2
    assert {each.lenswatch.domain_source for each in http if each.lenswatch} == {"http_host"}


def test_a_dns_observation_names_its_question_and_not_its_resolver(run: Run) -> None:
    [query] = [each for each in run([(BEGIN_NS, udp_frame(QUERY))])[1] if each.dns]
    assert query.destination.domain is None and query.dns is not None and query.dns.question is not None
    assert query.dns.question.name == "www.example.com"
    assert query.lenswatch is not None and query.lenswatch.domain_source is None


def test_two_devices_with_one_mac_are_told_apart_by_layer_3_alone(run: Run) -> None:
    packets = [(BEGIN_NS, udp_frame(QUERY, (CAMERA, 1_000, SERVER, 53)))]
    pipeline = Pipeline(CollectorSettings(), ())
    raw = [(BEGIN_NS, ipv4(udp(QUERY, 1_000, 53), 17, f"10.0.0.{number}")) for number in (1, 2)]
    ids = {each.device.id for each in pipeline.process(block_of(raw, 101)) if each.device}
    assert ids == {"default/10.0.0.1", "default/10.0.0.2"}
    assert run(packets)[1][0].source.mac == "00:00:5e:00:53:11"


def test_what_concerns_nobody_makes_no_observation_and_is_counted(run: Run) -> None:
    asked: list[tuple[str, str | None, str, str]] = []
    urls: list[Url | None] = []

    def concerns(
        dataset: str, name: str | None, direction: str, peer: Callable[[], str], url: Url | None, agent: str | None
    ) -> bool:
        asked.append((dataset, name, direction, peer()))
        urls.append(url)
        return dataset == "lenswatch.http"

    web = Talk((CAMERA, 41_000, SERVER, 80), BEGIN_NS + NS)
    web.send(0, GET)
    pipeline, found = run([(BEGIN_NS, udp_frame(QUERY)), *hello().packets, *web.packets], concerns)
    assert [each.event.dataset for each in found] == ["lenswatch.http"]
    assert pipeline.ledger.unasked == {"lenswatch.dns": 1, "lenswatch.tls": 1, "lenswatch.flow": 3}
    assert [each for each in asked if each[0] != "lenswatch.flow"] == [
        ("lenswatch.dns", "www.example.com", "outbound", SERVER),
        ("lenswatch.tls", "camera.example", "outbound", SERVER),
        ("lenswatch.http", "other.example", "outbound", SERVER),
    ]
    assert urls[2] is not None and urls[2].original == "http://other.example/a?b"


def test_what_concerns_nobody_is_still_learned_from(run: Run) -> None:
    web = Talk((CAMERA, 41_000, SERVER, 80), BEGIN_NS + NS)
    web.send(0, b"GET / HTTP/1.0\r\n\r\n")
    _, found = run([*hello().packets, *web.packets], lambda *what: what[0] == "lenswatch.http")
    [request] = [each for each in found if each.http]
    assert request.destination.domain == "camera.example"
    assert request.lenswatch is not None and request.lenswatch.domain_source == "tls_sni"


def test_a_browser_on_our_side_speaks_against_a_camera_and_one_that_calls_us_does_not(watch: Watch) -> None:
    browser = b"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0)\r\n\r\n"
    found = []
    for source, target in ((CAMERA, SERVER), (SERVER, CAMERA)):
        packet = ethernet(ipv4(tcp(browser, 40_000, 80), 6, source, target))
        found += [each for each in watch([(BEGIN_NS, packet)]) if each.http]
    types = [each.lenswatch.device.type for each in found if each.lenswatch and each.lenswatch.device]
    assert types == ["other", "camera"]


@pytest.mark.parametrize("name", ["192.0.2.1", "[2001:db8::1]", "2001:db8::1", "::1", "fe80::1"])
def test_an_address_is_told_from_a_name(name: str) -> None:
    assert is_address(name) is True


@pytest.mark.parametrize("name", ["", "a.example", "192.0.2", "camera1", "1.2.3.4.5", "a:b", "[", "]", "256.1.1.1"])
def test_what_is_no_address_is_a_name(name: str) -> None:
    assert is_address(name) is False


def test_flows_of_a_device_that_somebody_named_are_told_of_though_it_is_no_camera() -> None:
    talk = hello()
    talk.close()
    for watched, states in (((), set()), (("10.20.0.0/24",), {"closed"}), ((CAMERA_MAC,), {"closed"})):
        pipeline = Pipeline(CollectorSettings(watched=watched), ())
        found = pipeline.process(block_of(talk.packets)) + pipeline.finish()
        assert {state_of(each) for each in found if each.event.dataset == "lenswatch.flow"} - {"opened"} == states
        assert any(each.event.dataset == DEVICE_DATASET for each in found) == bool(watched)


def test_a_hello_and_a_path_that_are_known_are_signs_of_the_device() -> None:
    """Who says hello is the client; whom somebody asks for a path is the server."""
    told = {"relevance": "high", "confidence": "low", "sources": ("a",), "matchable": True}
    acme = Fingerprint(
        maker="acme",
        name="Acme",
        banners=(
            Banner(kind="tls_ja4", pattern="^t1", device="camera", **told),  # type: ignore[arg-type]
            Banner(kind="http_path", pattern="^/acme", **told),  # type: ignore[arg-type]
        ),
    )
    web = Talk((SERVER_AT_HOME, 41_000, CAMERA, 80), BEGIN_NS + NS)
    web.send(0, b"GET /acme/login HTTP/1.1\r\nHost: cam\r\n\r\n")
    for packets, evidence in ((hello().packets, "tls ja4"), (web.packets, "is asked for /acme/login")):
        pipeline = Pipeline(CollectorSettings(), (acme,))
        pipeline.process(block_of(packets))
        signs = [sign for known in pipeline.inventory.devices.values() for sign in known.signs]
        assert len(signs) == 1 and evidence in signs[0], signs


HIKVISION = (("C", "CN"), ("ST", "ZheJiang"), ("L", "HangZhou"), ("O", "HIKVISION"), ("OU", "DVRNVR"),
             ("CN", "www.hikvision.com"))  # fmt: skip


def web_talk(client: str, server: str, hello: bytes, answer: bytes, port: int = 443) -> list[Packet]:
    talk = Talk((client, 41_000, server, port))
    talk.send(0, hello)
    talk.send(1, answer)
    return talk.packets


def test_a_certificate_is_told_of_a_device_of_ours_and_of_no_other_server() -> None:
    answer = shown(certificate(HIKVISION))
    for server, told in ((SERVER_AT_HOME, 1), (SERVER, 0)):
        pipeline = Pipeline(CollectorSettings(), read_fingerprints())
        found = pipeline.process(block_of(web_talk(CAMERA, server, HELLO, answer))) + pipeline.finish()
        certificates = [each for each in found if each.event.dataset == CERTIFICATE_DATASET]
        assert len(certificates) == told and pipeline.ledger.unasked[CERTIFICATE_DATASET] == 1 - told
        makers = {known.identity.maker for known in pipeline.inventory.devices.values() if known.identity.maker}
        assert makers == ({"hikvision"} if told else set())
        for each in certificates:
            assert each.tls is not None and each.tls.server is not None and each.tls.client is None
            assert each.tls.server.subject.startswith("CN=www.hikvision.com,OU=DVRNVR,")
            assert (each.network.protocol, each.destination.ip) == ("tls", SERVER_AT_HOME)
            assert each.destination.domain == "camera.example"
            # It is about the device that serves, and not about who looks at it.
            assert each.device is not None and each.device.manufacturer == "hikvision"
            assert each.lenswatch is not None and each.lenswatch.device is not None
            assert each.lenswatch.device.type == "camera"
        assert pipeline.ledger.open_sums() == []


def test_an_icon_is_told_with_its_digests_and_is_no_file() -> None:
    ask = b"GET /favicon.ico HTTP/1.1\r\nHost: cam\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nicon"
    pipeline = Pipeline(CollectorSettings(), read_fingerprints())
    found = pipeline.process(block_of(web_talk(CAMERA, SERVER_AT_HOME, ask, answer, 80))) + pipeline.finish()
    (icon,) = [each for each in found if each.event.dataset == FAVICON_DATASET]
    assert icon.file is not None and icon.file.hash.md5 is not None
    assert icon.lenswatch is not None and icon.lenswatch.file is not None and icon.lenswatch.file.mmh3 is not None
    assert icon.device is not None and icon.device.id.endswith(":01")
    assert icon.network.protocol == "http" and not [each for each in found if each.event.dataset == FILE_DATASET]


@pytest.mark.parametrize("guess", [True, False])
def test_what_a_server_says_is_its_own_also_where_the_flow_was_first_taken_the_wrong_way_round(guess: bool) -> None:
    # By its ports, the server began this flow; but it is the other who asks.
    ports = (8_000, 50_000) if guess else (50_000, 8_000)
    talk = Talk((CAMERA, ports[0], SERVER_AT_HOME, ports[1]), handshake=False)
    talk.send(1, b"")
    talk.send(0, b"GET /ISAPI/System/deviceInfo HTTP/1.1\r\nHost: x\r\n\r\n")
    talk.send(1, b"HTTP/1.1 401 No\r\nServer: App-webs/\r\nContent-Length: 0\r\n\r\n")
    pipeline = Pipeline(CollectorSettings(), read_fingerprints())
    pipeline.process(block_of(talk.packets))
    said = {known.ends[0][1]: list(known.signs) for known in pipeline.inventory.devices.values() if known.signs}
    assert list(said) == [SERVER_AT_HOME] and len(said[SERVER_AT_HOME]) == 2, said


def test_ends_that_differ_in_what_is_seen_of_layer_2_or_in_their_family_are_met_as_two() -> None:
    def datagram(port: int) -> bytes:
        return ipv4(udp(b"x", port, 9), 17, CAMERA, SERVER)

    later = BEGIN_NS + 3_600 * NS
    six = ipv6(udp(b"x", 3, 9), 17, "a14:b::", "2001:db8::80")
    runs = {
        # The second is of a flow that ended with its MAC address, and goes on in the same row without one.
        "a row used again": [
            block_of([(BEGIN_NS, ethernet(datagram(1)))]), block_of([(later, datagram(1))], 101),
            block_of([(later, ethernet(datagram(2)))]),
        ],
        "a MAC address of zeros": [
            block_of([(BEGIN_NS, datagram(1))], 101),
            block_of([(BEGIN_NS, ethernet(datagram(2), source="00:00:00:00:00:00"))]),
        ],
        "the first bytes of another": [block_of([(BEGIN_NS, ethernet(datagram(1))), (BEGIN_NS, ethernet(six))])],
    }  # fmt: skip
    for name, blocks in runs.items():
        settings = CollectorSettings(networks=("10.0.0.0/8", "a14::/16"))
        pipeline = Pipeline(settings, (), lambda *_: True, lambda *_: False)
        for block in blocks:
            pipeline.process(block)
        pipeline.finish()
        assert sum(len(each.ends) for each in pipeline.inventory.devices.values()) == 2, name


def test_no_end_is_made_to_pass_for_another(fingerprints: tuple[Fingerprint, ...]) -> None:
    # Two of ours in IPv6, the second with an interface identifier that its owner chose after a hash that he knows.
    pipeline, masked = Pipeline(CollectorSettings(), fingerprints), 2**64 - 1
    macs = np.array([[[2, 0, 0, 0, 0, 1], [4] * 6], [[2, 0, 0, 0, 0, 2], [4] * 6]], np.uint8)
    addresses = np.zeros((2, 2, 16), np.uint8)
    addresses[:, 0, :2], addresses[:, 1, :2] = (0xFD, 0), (0x20, 1)
    words = [
        int.from_bytes(bytes(mac) + bytes((1, 6)), "little") * 0xC2B2AE3D27D4EB4F & masked
        for mac in macs[:, 0].tolist()
    ]
    addresses[1, 0, 8:] = list((words[0] ^ words[1]).to_bytes(8, "little"))
    columns = {
        "key": np.zeros(2, np.uint64),
        "macs": macs,
        "addresses": addresses,
        "version": np.full(2, 6),
        "layer2": np.ones(2, bool),
        "last_ns": np.full(2, BEGIN_NS),
        "ingress": np.zeros(2, np.int64),
    }
    pipeline.report.still_there(columns, np.arange(2), [])
    met = {identifier.rpartition("/")[2] for identifier in pipeline.inventory.devices}
    assert met >= {"02:00:00:00:00:01", "02:00:00:00:00:02"}
