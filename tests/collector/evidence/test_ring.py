"""The ring stays inside its bounds, outlives a restart and a kill, and a disk that takes nothing stops nobody."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.traffic import write_capture
from collector.capture.source import open_source
from collector.errors import LenswatchError
from collector.evidence import ring as ring_module
from collector.evidence.ring import MIN_BYTES, SHARES, EvidenceRing, EvidenceSettings, keeping
from collector.evidence.segments import NS, Kept, find_packets, list_segments
from collector.evidence.witness import Witness
from collector.observation import Observation
from collector.pipeline import Pipeline
from collector.settings import ALL, CollectorSettings
from tests.collector.seen import seen
from tests.house.tree import ROOT

SMALL = EvidenceSettings(max_bytes=MIN_BYTES, max_age_seconds=1_600)


def observation(number: int) -> Observation:
    made = seen(number)
    made.event.id = f"{number:032x}"
    return made


def packet(number: int, size: int = 900) -> Kept:
    return (number, 1, size, number.to_bytes(4, "big") * (size // 4))


def quiet(words: str) -> None:
    raise AssertionError(words)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def ids(numbers: range) -> list[str]:
    return [f"{number:032x}" for number in numbers]


def test_what_is_kept_is_found_after_a_flush_and_after_a_restart(tmp_path: Path) -> None:
    ring = EvidenceRing(tmp_path / "deep" / "er", SMALL, quiet)
    ring.keep([observation(1), observation(2)], [packet(1), packet(2)])
    assert find_packets(ring.folder, ids(range(1, 3))).packets == []
    ring.flush()
    found = find_packets(ring.folder, ids(range(1, 4)))
    assert [each for each, _ in found.packets] == [packet(1), packet(2)] and found.missing == ids(range(3, 4))
    ring.close()
    again = EvidenceRing(ring.folder, SMALL, quiet)
    again.keep([observation(3)], [packet(3)])
    again.close()
    assert find_packets(ring.folder, ids(range(1, 4))).missing == []
    assert again.bytes == on_disk(ring.folder)


def test_what_waits_is_on_disk_a_fifth_of_a_second_later(tmp_path: Path) -> None:
    clock = Clock()
    ring = EvidenceRing(tmp_path, SMALL, quiet, clock)
    for number in range(4):
        ring.keep([observation(number)], [packet(number)])
        ring.tick()
        clock.now += 0.11
    assert find_packets(tmp_path, ids(range(4))).missing == ids(range(3, 4))
    ring.tick()
    assert find_packets(tmp_path, ids(range(4))).missing == []


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    ring = EvidenceRing(tmp_path / "evidence", SMALL, quiet)
    ring.keep([observation(1)], [packet(1)])
    ring.close()
    assert ring.folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o177 == 0 for path in ring.folder.iterdir())


def test_it_never_holds_more_than_it_may_and_the_oldest_go_first(tmp_path: Path) -> None:
    ring = EvidenceRing(tmp_path, SMALL, quiet)
    for number in range(12_000):
        ring.keep([observation(number)], [packet(number)])
        if number % 50 == 0:
            ring.flush()
            assert on_disk(tmp_path) == ring.bytes <= SMALL.max_bytes
    ring.close()
    assert ring.bytes > SMALL.max_bytes * (1 - 2 / SHARES)
    missing = find_packets(tmp_path, ids(range(12_000))).missing
    assert missing == ids(range(len(missing))) and 0 < len(missing) < 12_000
    assert set(ring.dropped) == {"full"} and ring.packets == 12_000


def test_nothing_is_older_than_it_may_be(tmp_path: Path) -> None:
    clock = Clock()
    ring = EvidenceRing(tmp_path, SMALL, quiet, clock)
    began = clock.now
    for number in range(200):
        ring.keep([observation(number)], [packet(number)])
        ring.flush()
        oldest = min(each.begun_ns for each in list_segments(tmp_path)) / NS
        assert clock.now - oldest <= SMALL.max_age_seconds + 1
        clock.now += 20
    kept = [int(each, 16) for each in ids(range(200)) if each not in find_packets(tmp_path, ids(range(200))).missing]
    ages = [clock.now - 20 - (began + 20 * number) for number in kept]
    assert max(ages) <= SMALL.max_age_seconds and max(ages) >= SMALL.max_age_seconds * (1 - 2 / SHARES) - 40
    assert ring.dropped["age"] > 0 and "full" not in ring.dropped


def test_time_goes_by_where_nothing_is_kept_any_more(tmp_path: Path) -> None:
    clock = Clock()
    ring = EvidenceRing(tmp_path, SMALL, quiet, clock)
    ring.keep([observation(1)], [packet(1)])
    ring.flush()
    for _ in range(200):
        clock.now += 20
        ring.flush()
    assert list_segments(tmp_path) == [] and ring.bytes == 0


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path) -> None:
    clock = Clock()
    ring = EvidenceRing(tmp_path, SMALL, quiet, clock)
    for number in range(3):
        ring.keep([observation(number)], [packet(number)])
        ring.flush()
        clock.now -= 500
    ring.close()
    assert find_packets(tmp_path, ids(range(3))).missing == []


def test_two_processes_may_share_a_folder(tmp_path: Path) -> None:
    one, other = (EvidenceRing(tmp_path, SMALL, quiet, Clock()) for _ in range(2))
    for number in range(40):
        (one, other)[number % 2].keep([observation(number)], [packet(number)])
        one.flush()
        other.flush()
    assert find_packets(tmp_path, ids(range(40))).missing == []
    assert len(list_segments(tmp_path)) == 2


def test_a_disk_that_takes_nothing_is_said_once_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    clock = Clock()
    ring = EvidenceRing(tmp_path, SMALL, told.append, clock)
    ring.keep([observation(1)], [packet(1)])
    ring.flush()
    real, half = os.write, itertools.count()

    def full(file: int, data: memoryview) -> int:
        if next(half) % 2 == 0:
            return real(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ring_module.os, "write", full)
    for number in (2, 3, 4):
        ring.keep([observation(number)], [packet(number)])
        ring.flush()
        clock.now += 4 * (number == 3)
    monkeypatch.undo()
    assert len(told) == 1 and "No space left on device" in told[0] and ring.dropped["disk"] > 2_000
    clock.now += 10
    ring.keep([observation(5)], [packet(5)])
    ring.close()
    assert find_packets(tmp_path, ids(range(1, 6))).missing == ids(range(2, 5))


def test_a_folder_that_cannot_be_made_is_one_line_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LenswatchError, match=r"evidence cannot be written: .*\[evidence\] folder, or set keep = false"):
        EvidenceRing(tmp_path / "file" / "evidence", SMALL, quiet)


def test_where_nothing_is_to_be_kept_nothing_is_and_what_is_too_old_goes(tmp_path: Path) -> None:
    off = EvidenceSettings(keep=False, max_age_seconds=100)
    with keeping(off, tmp_path / "none", quiet) as witness:
        assert witness is None
    assert not (tmp_path / "none").exists()
    clock = Clock()
    clock.now = 1_000.0
    old = EvidenceRing(tmp_path, SMALL, quiet, clock)
    old.keep([observation(1)], [packet(1)])
    old.flush()
    with keeping(off, tmp_path, quiet) as witness:
        assert witness is None
    assert list_segments(tmp_path) == []


def test_a_record_is_bounded_whatever_its_packets(tmp_path: Path) -> None:
    ring = EvidenceRing(tmp_path, SMALL, quiet)
    ring.keep([observation(1)], [packet(number, 16_384) for number in range(60)])
    ring.close()
    assert ring.bytes < 150_000 and find_packets(tmp_path, ids(range(1, 2))).missing == []


@pytest.mark.parametrize("wrong", [{"max_bytes": 1}, {"max_bytes": 1 << 40}, {"max_age_seconds": 0}])
def test_bounds_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"evidence.{next(iter(wrong))} is not"):
        EvidenceSettings(**wrong)  # type: ignore[arg-type]


def test_under_the_hard_mix_it_stays_inside_its_bound(tmp_path: Path) -> None:
    capture, folder = tmp_path / "hard.pcap", tmp_path / "evidence"
    write_capture(capture, "hard", 40_000)
    most = 0
    with keeping(SMALL, folder, quiet) as witness:
        for _ in range(3):
            pipeline = Pipeline(CollectorSettings(traffic=ALL), ())
            pipeline.keep_with(witness)
            for block in open_source(str(capture)).blocks():
                pipeline.process(block)
                most = max(most, on_disk(folder))
            pipeline.finish()
    assert witness is not None and isinstance(witness.keeper, EvidenceRing)
    assert witness.keeper.dropped["full"] > 0, "it was never full"
    assert SMALL.max_bytes / 2 < most <= SMALL.max_bytes and witness.keeper.bytes == on_disk(folder)


CHILD = """
import sys
from pathlib import Path
from collector.evidence.ring import EvidenceRing, EvidenceSettings
from tests.collector.evidence.test_ring import observation, packet
ring = EvidenceRing(Path(sys.argv[1]), EvidenceSettings(), print)
for number in range(10**9):
    ring.keep([observation(number)], [packet(number)])
    ring.flush()
    print(number, flush=True)
"""


def test_after_a_kill_everything_that_was_flushed_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) > 200:
            break
    child.send_signal(signal.SIGKILL)
    last = max(int(each) for each in (line, *child.stdout.read().split()))
    child.stdout.close()
    child.wait()
    assert find_packets(tmp_path, ids(range(last + 1))).missing == []
    again = EvidenceRing(tmp_path, EvidenceSettings(), quiet)
    again.keep([observation(last + 100)], [packet(1)])
    again.close()
    assert find_packets(tmp_path, [*ids(range(last + 1)), f"{last + 100:032x}"]).missing == []


def test_a_witness_hands_on_to_the_ring(tmp_path: Path, watch_one: Callable[[Witness], None]) -> None:
    with keeping(SMALL, tmp_path, quiet) as witness:
        assert witness is not None
        watch_one(witness)
    assert len(list_segments(tmp_path)) == 1


@pytest.fixture
def watch_one() -> Callable[[Witness], None]:
    """One packet is seen, and observed."""

    def run(witness: Witness) -> None:
        values = (0, 17, 4, 0, True, [1, 53], bytes(32), bytes(12), [True, False], [False, False], 0)
        witness.testify(values, [observation(1)], packet=packet(1))

    return run
