"""Several workers on one interface make what one would: the same observations, devices and sums."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.capture.ring import Ring
from collector.errors import CaptureError
from collector.identify.fingerprint import read_fingerprints
from collector.identify.inventory import Inventory
from collector.observation import DEVICE_DATASET, Observation
from collector.pipeline import Pipeline
from collector.settings import CaptureSettings, CollectorSettings
from collector.workers import Crew
from tests.captures.tunnels import MIRRORS
from tests.collector.frames import Packet, Talk, spaced, udp_frame
from tests.house.tree import ROOT
from tests.veth import Wire, needs_a_wire, run, wire

pytestmark = [pytest.mark.root, needs_a_wire]
OFFICE = ROOT / "streams" / "demo" / "office.pcap"
TWO = CaptureSettings(workers=2)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Wire]:
    with wire(tmp_path) as made:
        yield made


def heard(source: Any, pipeline: Any, act: Any) -> list[Observation]:
    """The observations of what comes while `act` runs."""

    def work() -> None:
        time.sleep(0.3)
        act()
        time.sleep(0.4)
        source.stop()

    worker = threading.Thread(target=work)
    found: list[Observation] = []
    worker.start()
    for block in source.blocks():
        found += pipeline.process(block)
    worker.join()
    return found + pipeline.finish()


def with_one(line: Wire, act: Any) -> tuple[list[Observation], Pipeline]:
    pipeline = Pipeline(CollectorSettings(), read_fingerprints())
    return heard(Ring(line.near), pipeline, act), pipeline


def with_two(line: Wire, act: Any) -> tuple[list[Observation], Crew]:
    crew = Crew([line.near], TWO)
    crew.prepare(CollectorSettings(), read_fingerprints(), None)
    return heard(crew, crew, act), crew


def known(inventory: Inventory) -> dict[str, Any]:
    """What is known of each device in the end."""
    return {
        each.device.id: (each.device, each.identity.type, each.identity.maker) for each in inventory.devices.values()
    }


def told(found: list[Observation]) -> list[tuple[Any, ...]]:
    """What observations say, without what differs from run to run: the times, and the ids that are made of them."""
    rows = []
    for each in found:
        assert each.lenswatch is not None
        flow = each.lenswatch.flow.state if each.lenswatch.flow is not None else None
        counts = each.source.bytes if flow in ("closed", "attempt") else None
        if each.event.dataset == DEVICE_DATASET:
            # How many signs came in at once is chance; what they come to stands in the inventory.
            continue
        if flow == "opened":
            # When it was looked at, and so what was known by then, is chance.
            rows.append((each.event.dataset, each.network.community_id, flow))
            continue
        rows.append((
            each.event.dataset, each.network.community_id, flow, counts, each.destination.domain, each.device,
            each.lenswatch.device, each.lenswatch.domain_source, each.dns, each.tls, each.url, each.http, each.observer,
        ))  # fmt: skip
    return sorted(rows, key=repr)


def test_two_workers_make_the_observations_of_one(line: Wire) -> None:
    def act() -> None:
        line.replay(OFFICE, "--pps=1500")

    one, pipeline = with_one(line, act)
    two, crew = with_two(line, act)
    assert told(two) == told(one) and len(one) > 80
    assert crew.ledger.packets_in == pipeline.ledger.packets_in == 478
    del crew.ledger.observations[DEVICE_DATASET], pipeline.ledger.observations[DEVICE_DATASET]
    assert (crew.ledger.open_sums(), crew.ledger.observations) == ([], pipeline.ledger.observations)
    assert known(crew.inventory) == known(pipeline.inventory)
    assert (crew.ledger.flows, len(crew.inventory)) == (pipeline.ledger.flows, len(pipeline.inventory))
    assert min(each.packets_in for each in crew._ledgers) > 20


def both_ways(count: int) -> list[Packet]:
    frames = []
    for number in range(count):
        ends = (f"10.20.{number % 7}.{number % 250}", 20_000 + number, f"198.51.100.{number % 99}", 443 + number % 3)
        frames += [udp_frame(b"there", ends), udp_frame(b"back", ends, back=True)]
    return spaced(frames)


def test_both_directions_of_a_flow_and_all_of_a_mirror_go_to_one_worker(line: Wire) -> None:
    talks = [Talk(("10.20.0.1", 20_000 + number, "192.0.2.8", 443)) for number in range(40)]
    six = [Talk(("fd20::11", 20_000 + number, "2001:db8::80", 443)) for number in range(40)]
    packets = both_ways(100) + [packet for talk in talks + six for packet in talk.packets]
    crew = Crew([line.near], TWO)
    crew.prepare(CollectorSettings(), (), None)
    heard(crew, crew, lambda: line.replay(packets))
    # A flow whose directions were parted would be two flows.
    assert (crew.ledger.packets_in, crew.ledger.flows) == (len(packets), 180)
    shares = [each.packets_in for each in crew._ledgers]
    assert min(shares) > len(packets) / 5
    wrapped = spaced([MIRRORS["VXLAN"][1](data[14:]) for _, data in both_ways(30)])
    crew = Crew([line.near], TWO)
    crew.prepare(CollectorSettings(), (), None)
    heard(crew, crew, lambda: line.replay(wrapped))
    assert sorted(each.packets_in for each in crew._ledgers) == [0, len(wrapped)]
    assert crew.ledger.flows == 30


def test_workers_on_an_interface_that_is_made_anew_say_so_and_end(line: Wire) -> None:
    crew = Crew([line.near], TWO)
    crew.prepare(CollectorSettings(), (), None)

    def act() -> None:
        time.sleep(0.5)
        run("ip", "link", "del", line.near)
        time.sleep(0.3)
        line.make_pair()

    worker = threading.Thread(target=act)
    worker.start()
    ends = time.monotonic() + 30
    with pytest.raises(CaptureError, match=f"{line.near}: was made anew, .*: start again"):
        for block in crew.blocks():
            crew.process(block)
            if time.monotonic() > ends:
                crew.stop()
    worker.join()


def test_a_worker_that_dies_is_told_of_and_ends_the_watching(line: Wire) -> None:
    crew = Crew([line.near], TWO)
    crew.prepare(CollectorSettings(), (), None)
    blocks = crew.blocks()
    next(blocks)
    crew._processes[1].kill()
    with pytest.raises(CaptureError, match="worker 2 ended by itself"):
        for block in blocks:
            crew.process(block)
    assert not any(process.is_alive() for process in crew._processes)


def test_workers_survive_an_interface_that_goes_down_and_comes_back_and_it_is_told_once(line: Wire) -> None:
    crew = Crew([line.near], TWO)
    crew.prepare(CollectorSettings(), (), None)
    notices: list[str] = []

    def act() -> None:
        time.sleep(0.3)
        line.replay(both_ways(20))
        time.sleep(0.3)
        line.near_is("down")
        time.sleep(0.5)
        line.near_is("up")
        time.sleep(0.5)
        line.replay(both_ways(20))
        time.sleep(0.4)
        crew.stop()

    worker = threading.Thread(target=act)
    worker.start()
    for block in crew.blocks():
        notices += [block.notice] if block.notice else []
        crew.process(block)
    worker.join()
    crew.finish()
    assert notices == ["the interface went down; waiting for it", "the interface is up again"]
    assert crew.ledger.packets_in == 80 and crew.ledger.open_sums() == []
