"""Cameras are told of, when something of them is new and once an hour while they are there; others never are."""

import itertools

import pytest

from collector.identify.evidence import Opinions, Sign
from collector.identify.known import KnownDevice
from collector.observation import DEVICE_DATASET, Announced, Observation, Observer
from collector.telling import IDENTIFIED, MAX_TOLD_ADDRESSES, NO_ADDRESS, SEEN, concerns_us, tell_of
from tests.collector.conftest import Watch
from tests.collector.dissectors.messages import HELLO
from tests.collector.frames import BEGIN_NS, CAMERA, NS, SERVER, Talk

HOUR_NS = 3_600 * NS
CAMERAS_SIGN = Sign("p", "protocol", 0.85, "acme", 0.85)


@pytest.fixture
def known() -> KnownDevice:
    return KnownDevice("office/a", {}, Opinions({}))


def tell(known: KnownDevice, at_ns: int = BEGIN_NS) -> Observation:
    return tell_of(known, IDENTIFIED, at_ns, "s", "office", Observer(name="s"))


def test_what_was_never_taken_for_a_camera_is_not_told_of(known: KnownDevice) -> None:
    assert not concerns_us(known)
    known.add(CAMERAS_SIGN)
    assert concerns_us(known)
    known.add(Sign("browses", "browser", 0.8, kind="other"))
    assert not known.is_camera and concerns_us(known), "that it is none after all is news"


def test_a_device_is_told_of_whole(known: KnownDevice) -> None:
    known.add(CAMERAS_SIGN)
    known.tell(Announced(model="X1", firmware="1.0"))
    known.ends = [(b"", f"10.0.0.{number}") for number in range(20)]
    known.hardware = ("00:00:5e:00:11:22",)
    said = tell(known)
    assert (said.event.dataset, said.event.action, said.source.ip) == (DEVICE_DATASET, IDENTIFIED, "10.0.0.19")
    assert said.lenswatch is not None and said.lenswatch.device is not None and said.device is not None
    assert len(said.lenswatch.device.addresses or []) == MAX_TOLD_ADDRESSES
    assert (said.lenswatch.device.firmware, said.device.manufacturer) == ("1.0", "acme")
    assert known.identity.addresses is None, "other observations do not carry them"


def test_the_same_news_has_the_same_id_and_other_news_another(known: KnownDevice) -> None:
    first, again, later = tell(known), tell(known), tell(known, BEGIN_NS + 1)
    known.add(CAMERAS_SIGN)
    assert len({each.event.id for each in (first, again, later, tell(known))}) == 3
    assert first.source.ip == NO_ADDRESS
    known.ends = [(b"", "10.0.0.1"), (b"", "fd20::1"), (b"", NO_ADDRESS)]
    now = tell(known)
    assert now.lenswatch is not None and now.lenswatch.device is not None
    assert (now.source.ip, now.lenswatch.device.addresses) == ("10.0.0.1", ["10.0.0.1", "fd20::1"])


def test_a_camera_that_holds_one_flow_is_seen_every_hour(watch: Watch) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 443), BEGIN_NS)
    talk.send(0, HELLO)
    for _ in range(18):
        talk.at_ns += 10 * 60 * NS
        talk.send(1, bytes(100))
    told = [each for each in watch(talk.packets, devices=True) if each.event.dataset == DEVICE_DATASET]
    assert [each.event.action for each in told] == [IDENTIFIED, SEEN, SEEN, SEEN]
    assert {each.device.id for each in told if each.device} == {told[0].device.id if told[0].device else ""}
    hours = [
        round((after.timestamp - before.timestamp).total_seconds() / 3_600)
        for before, after in itertools.pairwise(told[1:])
    ]
    assert hours == [1, 1]
