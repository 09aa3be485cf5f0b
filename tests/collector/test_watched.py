"""The setting says whose traffic is watched, and the rules are asked for only where they count."""

import pytest

from collector.observation import DEVICE_DATASET
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings, Traffic
from collector.watched import nothing, watched_by
from tests.collector.dissectors.messages import GET, QUERY, RESPONSE
from tests.collector.frames import BEGIN_NS, CAMERA, NS, SERVER, Packet, Talk, block_of, udp_frame

LAPTOP, LAPTOP_MAC = "10.20.0.99", "02:aa:bb:00:00:99"
CAMERAS_PLACE = (CAMERA,)


def web(client: str, server: str, mac: str, port: int) -> list[Packet]:
    talk = Talk((client, port, server, 80), BEGIN_NS + port * NS, mac)
    talk.send(0, GET)
    talk.send(1, RESPONSE)
    talk.close()
    return talk.packets


def told(packets: list[Packet], touches: object, **settings: object) -> tuple[Pipeline, set[tuple[str, str]]]:
    """Who began what was told of, and as what."""
    pipeline = Pipeline(CollectorSettings(**settings), (), None, touches)  # type: ignore[arg-type]
    found = pipeline.process(block_of(packets)) + pipeline.finish()
    return pipeline, {(each.source.ip, each.event.dataset) for each in found if each.event.dataset != DEVICE_DATASET}


@pytest.mark.parametrize(("traffic", "asked"), [("cameras", 0), ("touched", 1), ("all", 0)])
def test_the_rules_are_read_only_where_what_touches_them_is_watched(traffic: Traffic, asked: int) -> None:
    loaded = []

    def load() -> object:
        loaded.append(1)
        return nothing

    touches = watched_by(CollectorSettings(traffic=traffic), load)  # type: ignore[arg-type]
    assert len(loaded) == asked and (touches is None) == (traffic == "all")


def test_only_the_traffic_of_cameras_and_of_what_somebody_named_is_told_of() -> None:
    packets = [*web(CAMERA, SERVER, "00:00:5e:00:53:11", 1), *web(LAPTOP, SERVER, LAPTOP_MAC, 2)]
    pipeline, seen = told(packets, nothing, watched=CAMERAS_PLACE)
    assert seen == {(CAMERA, "lenswatch.http"), (CAMERA, "lenswatch.flow")}
    assert pipeline.ledger.unasked == {"lenswatch.http": 2}
    assert (LAPTOP, "lenswatch.http") in told(packets, None, watched=CAMERAS_PLACE)[1]


def test_who_looks_at_a_camera_is_a_part_of_the_cameras_traffic() -> None:
    seen = told(web(LAPTOP, CAMERA, LAPTOP_MAC, 1), nothing, watched=CAMERAS_PLACE)[1]
    assert (LAPTOP, "lenswatch.http") in seen
    assert told(web(LAPTOP, "10.20.0.12", LAPTOP_MAC, 1), nothing, watched=CAMERAS_PLACE)[1] == set()


def test_of_another_device_only_the_contact_with_a_known_endpoint_is_told_of() -> None:
    asked = []

    def touches(dataset: str, name: str | None, direction: str, *_: object) -> bool:
        asked.append((dataset, name, direction))
        return name == "www.example.com"

    query = udp_frame(QUERY, (LAPTOP, 1_000, "10.20.0.1", 53))
    seen = told([(BEGIN_NS, query), *web(LAPTOP, SERVER, LAPTOP_MAC, 2)], touches)[1]
    assert seen == {(LAPTOP, "lenswatch.dns")}
    assert asked[0] == ("lenswatch.dns", "www.example.com", "internal")
    assert ("lenswatch.http", "other.example", "outbound") in asked


def test_broken_traffic_of_others_is_not_told_of_either() -> None:
    packets = [(BEGIN_NS, udp_frame(QUERY[:12] + b"\xff" * 30, (LAPTOP, 1_000, SERVER, 53)))]
    assert (LAPTOP, "lenswatch.broken") in told(packets, None)[1]
    pipeline, seen = told(packets, nothing)
    assert seen == set() and pipeline.ledger.unasked == {"lenswatch.broken": 1}


def test_traffic_between_addresses_that_are_none_of_ours_is_never_watched_and_is_counted() -> None:
    packets = web("198.51.100.9", SERVER, LAPTOP_MAC, 1)
    pipeline, seen = told(packets, lambda *_: True)
    assert seen == set()
    assert pipeline.ledger.by_reason("networks") == {"between_addresses_that_are_none_of_ours": 2}
    assert told(packets, lambda *_: True, networks=("198.51.100.0/24",))[1] == {("198.51.100.9", "lenswatch.http")}
