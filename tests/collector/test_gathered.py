"""Several sources without end are read at once: whole, without waiting for each other, and whatever one breaks at."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.capture.ring import Ring
from collector.capture.source import Source, is_endless
from collector.errors import CaptureError
from collector.gathered import Gathered
from collector.packets import Block
from collector.pipeline import Pipeline
from collector.settings import CaptureSettings, CollectorSettings
from collector.workers import Crew
from tests.collector.frames import Talk, pcap, pcap_header, pcap_record, spaced
from tests.veth import Wire, needs_a_wire, wire

FOLLOW = CaptureSettings(follow=True)
SECONDS = 20


def packets_of(block: Block) -> list[bytes]:
    """The bytes, copied: they are lent until the next block."""
    return [
        block.data[start : start + size].tobytes()
        for start, size in zip(block.start.tolist(), block.captured.tolist(), strict=True)
    ]


def growing(folder: Path, name: str, count: int, stop: threading.Event) -> threading.Thread:
    """A capture that somebody writes to, packet by packet."""
    path = folder / name
    path.write_bytes(pcap_header())

    def write() -> None:
        with path.open("ab") as file:
            for number in range(count):
                file.write(pcap_record((number * 10**9, f"{name} {number}".encode() * 50)))
                file.flush()
                time.sleep(0.002)
        stop.wait(SECONDS)

    return threading.Thread(target=write)


def test_two_growing_files_are_read_at_once_and_no_byte_is_lent_twice(tmp_path: Path) -> None:
    over = threading.Event()
    writers = [growing(tmp_path, name, 100, over) for name in ("a", "b")]
    gathered = Gathered([CaptureFile(str(tmp_path / name), FOLLOW) for name in ("a", "b")])
    assert is_endless(gathered) and gathered.name == f"{tmp_path / 'a'}, {tmp_path / 'b'}"
    for writer in writers:
        writer.start()
    seen: Counter[bytes] = Counter()
    order = ""
    for block in gathered.blocks():
        # Time for the other one, and for whoever reads on too early.
        time.sleep(0.005)
        found = packets_of(block)
        seen.update(found)
        order += "".join(each[:1].decode() for each in found)
        if seen.total() == 200:
            gathered.stop()
    over.set()
    for writer in writers:
        writer.join()
    assert seen == Counter(f"{name} {number}".encode() * 50 for name in "ab" for number in range(100))
    assert "ab" in order and "ba" in order


class Broken:
    """A source that hands over so many blocks, and then ends as it is told to."""

    size_bytes = None

    def __init__(self, name: str, blocks: list[Block], end: Exception | None = None) -> None:
        self.name, self._blocks, self._end = name, blocks, end

    def stop(self) -> None:
        """Nothing goes on."""

    def blocks(self) -> Iterator[Block]:
        yield from self._blocks
        if self._end is not None:
            raise self._end


def blocks_of(folder: Path, name: str) -> list[Block]:
    path = folder / name
    path.write_bytes(pcap(spaced([name.encode() * 20])))
    return list(CaptureFile(str(path)).blocks())


def test_one_that_breaks_is_told_at_once_and_the_other_is_read_on(tmp_path: Path) -> None:
    broken = Broken("eth0", blocks_of(tmp_path, "a"), CaptureError("eth0", 7, "is gone"))
    whole = Broken("eth1", [block for _ in range(5) for block in blocks_of(tmp_path, "b")])
    found: list[Block] = []
    with pytest.raises(CaptureError, match="eth0: byte 7: is gone"):
        found.extend(Gathered([broken, whole]).blocks())
    assert sum(len(block.time_ns) for block in found) == 6
    notices = [block.notice for block in found if block.notice]
    assert notices in ([], ["eth0: byte 7: is gone; the others are read on"])


def test_a_mistake_of_ours_in_one_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        list(Gathered([Broken("a", blocks_of(tmp_path, "a"), ZeroDivisionError()), Broken("b", [])]).blocks())


def test_who_reads_no_further_ends_them_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(pcap(spaced([b"x" * 60])))
    before = threading.active_count()
    blocks = Gathered([CaptureFile(str(tmp_path / name), FOLLOW) for name in ("a", "b")]).blocks()
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    until = time.monotonic() + SECONDS
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.05)
    assert threading.active_count() == before


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[tuple[Wire, Wire]]:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with wire(tmp_path / "one") as first, wire(tmp_path / "two") as second:
        yield first, second


def replay_ways(lines: tuple[Wire, Wire]) -> int:
    """A connection to each of 20 servers, the camera's segments on one line, the servers' on the other."""
    sides: tuple[list[tuple[int, bytes]], ...] = ([], [])
    for number in range(20):
        talk = Talk(("10.20.0.11", 40_000 + number, "192.0.2.80", 80))
        talk.send(0, f"GET /{number} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        talk.send(1, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        for place, packet in enumerate(talk.packets):
            sides[place in (1, 4)].append(packet)
    for line, packets in zip(lines, sides, strict=True):
        line.replay(packets)
    return sum(map(len, sides))


def listen(source: Source, pipeline: Pipeline | Crew, lines: tuple[Wire, Wire]) -> tuple[list[object], int]:
    sent: list[int] = []

    def act() -> None:
        time.sleep(0.3)
        try:
            sent.append(replay_ways(lines))
            time.sleep(0.4)
        finally:
            source.stop()  # type: ignore[attr-defined]

    worker = threading.Thread(target=act)
    worker.start()
    found: list[object] = [each for block in source.blocks() for each in pipeline.process(block)]
    worker.join()
    return found + list(pipeline.finish()), sent[0]


@pytest.mark.root
@needs_a_wire
def test_the_two_directions_of_a_tap_are_one_flow(lines: tuple[Wire, Wire]) -> None:
    pipeline = Pipeline(CollectorSettings(), ())
    found, sent = listen(Gathered([Ring(line.near) for line in lines]), pipeline, lines)
    assert (pipeline.ledger.packets_in, pipeline.ledger.flows, pipeline.ledger.open_sums()) == (sent, 20, [])
    assert pipeline.ledger.observations["lenswatch.http"] == 40
    names = {each.observer.ingress.interface.name for each in found}  # type: ignore[attr-defined]
    assert names <= {line.near for line in lines}


@pytest.mark.root
@needs_a_wire
def test_workers_of_two_interfaces_see_all_of_both(lines: tuple[Wire, Wire]) -> None:
    crew = Crew([line.near for line in lines], CaptureSettings(workers=2))
    crew.prepare(CollectorSettings(), (), None)
    _, sent = listen(crew, crew, lines)
    assert (crew.count, crew.ledger.packets_in, crew.ledger.open_sums()) == (4, sent, [])
    assert crew.ledger.observations["lenswatch.http"] == 40
