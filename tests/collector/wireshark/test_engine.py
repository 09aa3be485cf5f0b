"""Wireshark's engine makes the observations that ours makes; what differs is on the list. A tshark that dies or hangs
ends the run in one clear line, and what was read by then is told."""

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from collector.capture.ring import Ring
from collector.capture.source import open_source
from collector.errors import EngineError
from collector.observation import Observation
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from collector.wireshark.engine import WiresharkPipeline
from tests.captures import make_protocols
from tests.collector.dissectors.messages import HELLO, QUERY
from tests.collector.frames import CAMERA, Talk, block_of, pcap, spaced, udp_frame
from tests.collector.wireshark.answering import needs_tshark
from tests.collector.wireshark.engines import differences, load_list, read_with, samples
from tests.house.tree import ROOT
from tests.truth.test_compare import SAME, write
from tests.veth import needs_a_wire, wire

pytestmark = [
    pytest.mark.system,
    needs_tshark,
]
CAPTURES = {
    "office.pcap": ROOT / "streams" / "demo" / "office.pcap",
    "protocols.pcap": Path(make_protocols.__file__).with_name("protocols.pcap"),
}
CAMERA_BYTES = bytes(map(int, CAMERA.split(".")))


def explained(capture: str) -> Counter[tuple[str, str, str]]:
    # Alerts are compared elsewhere, through the commands (tests/system/test_engines.py).
    listed = [each for each in load_list() if each.capture == capture and each.dataset != "alert"]
    return Counter({(each.dataset, each.what, each.field): each.count for each in listed})


@pytest.mark.parametrize("name", CAPTURES)
def test_both_engines_make_the_same_observations_of_a_committed_capture(name: str) -> None:
    assert differences(CAPTURES[name]) == explained(name)


def test_both_engines_make_the_same_observations_of_every_dissector_s_sample(tmp_path: Path) -> None:
    capture = tmp_path / "samples.pcap"
    capture.write_bytes(pcap(samples()))
    assert differences(capture) == explained("samples.pcap")


@pytest.mark.parametrize("name", SAME)
def test_both_engines_make_the_same_observations_of_segments_cut_anywhere(tmp_path: Path, name: str) -> None:
    assert differences(write(tmp_path, "made", SAME[name][2])) == explained(name)


def test_every_difference_on_the_list_is_of_a_capture_that_is_compared() -> None:
    assert {each.capture for each in load_list()} <= {*CAPTURES, "samples.pcap", *SAME}


def question(number: int) -> tuple[int, bytes]:
    return spaced([udp_frame(QUERY, (CAMERA, 40_000 + number, "192.0.2.53", 53))], at_ns=(1 + number) * 10**9)[0]


@pytest.fixture
def pipeline() -> WiresharkPipeline:
    return WiresharkPipeline(CollectorSettings(), (), answer_seconds=1.0)


def of_dns(found: list[Observation]) -> int:
    return sum(each.event.dataset == "lenswatch.dns" for each in found)


def test_a_tshark_that_was_killed_ends_the_run_in_one_line(pipeline: WiresharkPipeline) -> None:
    assert of_dns(pipeline.process(block_of([question(0)]))) == 1
    assert pipeline.tshark is not None
    os.kill(pipeline.tshark.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"^--engine pyshark: tshark was ended by SIGKILL; what was read by then is"):
        pipeline.process(block_of([question(1)]))
    pipeline.finish()
    assert pipeline.ledger.observations["lenswatch.dns"] == 1


def test_a_tshark_that_hangs_is_stopped(pipeline: WiresharkPipeline) -> None:
    pipeline.process(block_of([question(0)]))
    assert pipeline.tshark is not None
    os.kill(pipeline.tshark.pid, signal.SIGSTOP)
    with pytest.raises(EngineError, match=r"^--engine pyshark: tshark has not answered for 1 s, and was stopped$"):
        pipeline.process(block_of([question(1)]))
    assert not Path(f"/proc/{pipeline.tshark.pid}").exists()
    pipeline.finish()


def test_without_tshark_the_engine_says_what_to_install(
    pipeline: WiresharkPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match="tshark is not installed: install it"):
        pipeline.process(block_of([question(0)]))
    pipeline.finish()


def test_an_observation_comes_with_the_block_of_its_packet(pipeline: WiresharkPipeline) -> None:
    talk = Talk()
    talk.send(0, HELLO[:200])
    assert pipeline.process(block_of(talk.packets)) == []
    before = len(talk.packets)
    talk.send(0, HELLO[200:])
    [hello] = pipeline.process(block_of(talk.packets[before:]))
    assert hello.event.dataset == "lenswatch.tls"
    assert pipeline.finish() == []


def test_of_a_link_type_that_is_unknown_nothing_is_asked(pipeline: WiresharkPipeline) -> None:
    assert pipeline.process(block_of([question(0)], link_type=200)) == []
    assert pipeline.tshark is None and pipeline.ledger.let_go["decode", "unknown_link_type"] == 1


@pytest.mark.parametrize("seed", range(2))
def test_bytes_that_are_wrong_never_raise(seed: int) -> None:
    chance, packets = random.Random(seed), []
    for at_ns, data in samples():
        for copy in range(6):
            mutant = bytearray(data)
            # Behind the headers, and each from a port of its own, so that no copy is taken for sent again.
            for _ in range(chance.choice((1, 1, 2, 8))):
                mutant[chance.randrange(min(54, len(mutant) - 1), len(mutant))] = chance.choice(
                    (0, 255, chance.randrange(256))
                )
            side = 34 if mutant[26:30] == CAMERA_BYTES else 36
            mutant[side : side + 2] = (1_024 + len(packets)).to_bytes(2, "big")
            packets.append((at_ns + copy, bytes(mutant)))
    pipeline = WiresharkPipeline(CollectorSettings(), ())
    found = pipeline.process(block_of(packets)) + pipeline.finish()
    assert len(found) > 100 and pipeline.ledger.open_sums() == []


@pytest.mark.root
@needs_a_wire
def test_an_interface_is_read_as_a_file_is(tmp_path: Path) -> None:
    office = CAPTURES["office.pcap"]
    ours = read_with(Pipeline(CollectorSettings(), ()), office)
    # Wireshark is not asked for bodies, of which the digests are made.
    by_file = sum(each.event.dataset not in ("lenswatch.flow", "lenswatch.file") for each in ours)
    pipeline = WiresharkPipeline(CollectorSettings(), ())
    with wire(tmp_path) as line:
        ring = Ring(line.near)

        def act() -> None:
            time.sleep(0.3)
            line.replay(office, "--pps=500")
            time.sleep(0.5)
            ring.stop()

        worker = threading.Thread(target=act)
        worker.start()
        found = [each for block in ring.blocks() for each in pipeline.process(block)]
        worker.join()
    found += pipeline.finish()
    assert sum(each.event.dataset != "lenswatch.flow" for each in found) == by_file > 80
    assert pipeline.ledger.open_sums() == []


def test_the_file_s_observations_before_a_kill_are_told(pipeline: WiresharkPipeline, tmp_path: Path) -> None:
    capture = tmp_path / "questions.pcap"
    capture.write_bytes(pcap([question(number) for number in range(50)]))
    found = [each for block in open_source(str(capture)).blocks() for each in pipeline.process(block)]
    assert of_dns(found + pipeline.finish()) == 50
