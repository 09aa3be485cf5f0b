"""Where flows came in: the mirror's address is in the observation, and no flood of mirrors fills the memory."""

import dataclasses

import numpy as np

from collector.decode import decode
from collector.ingress import UNKNOWN, Ingresses
from collector.ledger import Ledger
from collector.observation import Observer
from collector.packets import PacketBatch
from tests.captures.tunnels import MIRROR, MIRROR_6, MIRRORS, SENSOR
from tests.collector.conftest import Watch
from tests.collector.dissectors.messages import HELLO
from tests.collector.frames import Talk, block_of, spaced, tcp_frame, udp_frame


def decoded(*frames: bytes, interface: str | None = None) -> PacketBatch:
    return decode(dataclasses.replace(block_of(spaced(frames)), interface=interface), Ledger())


def ingress(observer: Observer) -> tuple[str | None, str | None, str | None]:
    assert observer.ingress is not None and observer.ingress.interface is not None
    return observer.ingress.interface.name, observer.ingress.interface.alias, observer.ingress.interface.id


def mirrored(by: str, number: int = 0) -> bytes:
    return MIRRORS[by][1](tcp_frame(HELLO, ("10.20.0.11", 40_000 + number, "192.0.2.80", 443))[14:])


def test_a_mirror_has_one_number_and_is_named_by_kind_address_and_id() -> None:
    ingresses = Ingresses()
    frames = udp_frame(b""), mirrored("VXLAN"), mirrored("VXLAN", 1), mirrored("GRE over IPv6")
    batch = decoded(*frames, interface="eth1")
    plain, first, second, other = ingresses.numbers(batch, np.arange(4)).tolist()
    assert first == second and len({plain, first, other, UNKNOWN}) == 4
    assert ingress(ingresses.observer(plain, "tap")) == ("eth1", None, None)
    assert ingress(ingresses.observer(first, "tap")) == ("eth1", f"vxlan {MIRROR}", "77")
    assert ingress(ingresses.observer(other, "tap")) == ("eth1", f"gre {MIRROR_6}", "42")
    assert ingresses.observer(UNKNOWN, "tap") == Observer(name="tap")


def test_a_flood_of_mirrors_is_bounded_and_counted() -> None:
    ingresses = Ingresses(max_ingresses=3)
    frame = bytearray(mirrored("VXLAN"))
    frames = []
    for number in range(10):
        frame[29] = number
        frames.append(bytes(frame))
    numbers = ingresses.numbers(decoded(*frames), np.arange(10)).tolist()
    assert numbers == [1, 2, *[UNKNOWN] * 8] and (len(ingresses), ingresses.overflow) == (3, 8)


def test_an_observation_from_a_mirror_names_the_mirror_and_the_camera(watch: Watch) -> None:
    talk = Talk()
    talk.send(0, HELLO)
    wrap = MIRRORS["VXLAN"][1]
    [plain] = [each for each in watch(talk.packets) if each.tls]
    [found] = [each for each in watch([(at_ns, wrap(data[14:])) for at_ns, data in talk.packets]) if each.tls]
    assert found.source.ip == "10.20.0.11" and SENSOR not in (found.source.ip, found.destination.ip)
    assert ingress(found.observer) == (None, f"vxlan {MIRROR}", "77") and plain.observer.ingress is None
    assert (found.event.id, found.network.community_id) == (plain.event.id, plain.network.community_id)
