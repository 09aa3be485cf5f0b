"""The newer protocols through the whole pipeline: names, devices, and video that is not read."""

from collections.abc import Callable, Sequence

import pytest

from collector.identify.fingerprint import Fingerprint
from collector.observation import Observation
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.collector.conftest import Watch
from tests.collector.dissectors.documents import NTP_ANSWER, NTP_ASK, SADP_MATCH
from tests.collector.dissectors.messages import ANSWER, HELLO, QUERY, QUIC_FIRST, QUIC_SECOND
from tests.collector.frames import BEGIN_NS, CAMERA, NS, SERVER, Talk, block_of, spaced, udp_frame


@pytest.fixture
def start(fingerprints: tuple[Fingerprint, ...]) -> Callable[..., Pipeline]:
    """A pipeline with the two invented makers; settings by name."""
    return lambda **settings: Pipeline(CollectorSettings(**settings), fingerprints)


def of(found: Sequence[Observation], dataset: str) -> list[Observation]:
    return [each for each in found if each.event.dataset == f"lenswatch.{dataset}"]


def test_a_quic_flow_is_named_by_its_hello_and_its_video_is_not_read(start: Callable[..., Pipeline]) -> None:
    ends = (CAMERA, 40_000, SERVER, 443)
    pipeline = start()
    packets = spaced([udp_frame(QUIC_FIRST, ends), udp_frame(QUIC_SECOND, ends)])
    packets += spaced(
        [udp_frame(b"\x40" + bytes(1_200), ends, side == 1) for side in (0, 1) * 40], at_ns=packets[-1][0]
    )
    found = pipeline.process(block_of(packets))
    assert not pipeline.flows.readers
    [hello] = of(found + pipeline.finish(), "quic")
    assert (hello.destination.domain, hello.network.protocol, hello.network.transport) == (
        "camera.example",
        "quic",
        "udp",
    )
    assert hello.tls is not None and hello.tls.client is not None and (hello.tls.client.ja4 or "").startswith("q13d")


def test_a_flow_of_a_protocol_that_two_dissectors_read_is_called_by_its_own_name(watch: Watch) -> None:
    # The camera is known by the port that it serves on, so that its flows are told.
    talk = Talk(("10.20.0.12", 40_000, CAMERA, 37_777))
    talk.send(0, b"\xa0\x05" + bytes(30))
    talk.send(1, b"\xb0\x00" + bytes(30))
    talk.close()
    ends = (CAMERA, 40_001, SERVER, 123)
    later = spaced([udp_frame(NTP_ASK, ends), udp_frame(NTP_ANSWER, ends, True)], at_ns=BEGIN_NS + NS)
    flows = {each.destination.port: each.network.protocol for each in of(watch(talk.packets + later), "flow")}
    assert flows == {37_777: "dhip", 123: "ntp"}


def test_a_device_that_hides_its_look_ups_is_told(watch: Watch) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 853))
    talk.send(0, HELLO)
    [hello] = of(watch(talk.packets), "encrypted_dns")
    assert (hello.event.action, hello.network.protocol, hello.destination.domain) == ("dot", "tls", "camera.example")


def test_who_asks_for_the_time_is_told_with_the_name_that_it_looked_up(watch: Watch) -> None:
    ends = (CAMERA, 40_001, "93.184.216.34", 123)
    asked = [udp_frame(QUERY), udp_frame(ANSWER, back=True), udp_frame(NTP_ASK, ends)]
    [time] = of(watch(spaced(asked)), "ntp")
    assert (time.destination.domain, time.event.action) == ("www.example.com", "client")


def test_a_device_that_says_what_it_is_is_called_so_from_then_on(watch: Watch) -> None:
    asked = (CAMERA, 40_001, SERVER, 123)
    told = [udp_frame(SADP_MATCH, (CAMERA, 37_020, "239.255.255.250", 37_020)), udp_frame(NTP_ASK, asked)]
    [time] = of(watch(spaced(told)), "ntp")
    assert time.device is not None and time.device.model is not None and time.lenswatch is not None
    assert (time.device.model.name, time.device.serial_number) == ("DS-2CD0000-X", "DS-2CD0000-X20260101AAWR5E5E0001")
    assert time.lenswatch.device is not None and time.lenswatch.device.firmware == "V5.3.0build 150513"
