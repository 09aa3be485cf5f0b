"""What was put is there after a kill; the bounds hold, the oldest go first; full disks and broken files are told."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import zstandard

from collector.batches import Batch
from collector.errors import LenswatchError
from collector.record import MAX_VALUE_BYTES
from collector.spool import Row, Spool, SpoolSettings, connect

PARTITIONS = 4
ROOM = SpoolSettings()


def batch(number: int, partition: int = 0, size_bytes: int = 100) -> Batch:
    """A batch that does not shrink when it is compressed."""
    return Batch(partition, 10, b"%08d" % number + os.urandom(size_bytes))


def numbers(spool: Spool, partition: int = 0) -> list[int]:
    """The batches of a partition, in order; none stays taken."""
    found: list[Row] = []
    while (row := spool.take(partition, found[-1].id if found else 0)) is not None:
        found.append(row)
    spool.release(found)
    return [int(row.open()[:8]) for row in found]


def fill(spool: Spool, *wanted: int, partition: int = 0, size_bytes: int = 100, at: float = 1000.0) -> None:
    for number in wanted:
        spool.put("sensor", "b0", number, [batch(number, partition, size_bytes)], number, at)


def open_spool(folder: Path, settings: SpoolSettings = ROOM, told: list[str] | None = None) -> Spool:
    return Spool(folder, settings, PARTITIONS, (told if told is not None else []).append)


def test_batches_come_back_by_partition_in_order_with_their_headers(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.put("süd", "b0", 7, [batch(1, 0), batch(2, 1), batch(3, 0)], 5, 1000.0)
    assert numbers(spool, 0) == [1, 3] and numbers(spool, 1) == [2] and numbers(spool, 2) == []
    row = spool.take(1, 0)
    assert row is not None
    assert (row.head.sensor, row.head.boot_id, row.head.seq, row.head.count) == ("süd", "b0", 8, 10)
    assert (spool.batches, spool.observations) == (3, 30)
    spool.close()


def test_what_is_finished_is_gone_and_the_rest_is_there_at_the_next_start(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    fill(spool, 1, 2, 3)
    row = spool.take(0, 0)
    assert row is not None
    spool.finish(row)
    assert (spool.batches, spool.observations) == (2, 20)
    spool.close()
    spool = open_spool(tmp_path)
    assert numbers(spool) == [2, 3]
    assert (spool.batches, spool.observations, spool.last_packet_ns, spool.ended_cleanly) == (2, 20, 3, True)
    spool.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.collector.test_spool import fill, open_spool
spool = open_spool(Path(sys.argv[1]))
for number in range(1, 1000):
    fill(spool, number)
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_that_put_had_returned_from(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.strip() == "25":
                child.send_signal(signal.SIGKILL)
                break
        last = int(([25, *map(int, child.stdout.read().split())])[-1])
    spool = open_spool(tmp_path)
    kept = numbers(spool)
    assert kept[:last] == list(range(1, last + 1)) and len(kept) <= last + 1
    assert spool.last_packet_ns == kept[-1] and not spool.ended_cleanly
    spool.close()


def test_a_full_spool_lets_the_oldest_go_and_counts_them(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, SpoolSettings(max_bytes=1 << 20))
    fill(spool, *range(40), size_bytes=100_000)
    kept = numbers(spool)
    assert kept == list(range(40 - len(kept), 40)) and 8 <= len(kept) <= 10
    assert spool.bytes <= 1 << 20
    assert spool.dropped_batches["full"] + spool.batches == 40
    assert spool.dropped["full"] + spool.observations == 400
    spool.close()


def test_what_is_on_its_way_is_not_let_go(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, SpoolSettings(max_bytes=1 << 20))
    fill(spool, 0, size_bytes=100_000)
    flying = spool.take(0, 0)
    assert flying is not None
    fill(spool, *range(1, 40), size_bytes=100_000)
    assert numbers(spool)[0] == 0
    spool.finish(flying)
    spool.tend(99, 1000.0)
    kept = numbers(spool)
    assert 0 not in kept and 1 + spool.dropped_batches["full"] + len(kept) == 40 and spool.batches == len(kept)
    spool.close()


def test_what_is_too_old_goes_and_is_counted(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, SpoolSettings(max_age_seconds=60))
    fill(spool, 1, 2, at=1000.0)
    fill(spool, 3, at=1050.0)
    spool.tend(9, 1059.0)
    assert numbers(spool) == [1, 2, 3] and spool.oldest == 1000.0
    spool.tend(9, 1061.0)
    assert numbers(spool) == [3] and spool.oldest == 1050.0
    assert (spool.dropped["age"], spool.dropped_batches["age"], spool.batches) == (20, 2, 1)
    spool.close()


def test_the_file_does_not_grow_with_what_passes_through(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, SpoolSettings(max_bytes=1 << 20))
    fill(spool, *range(300), size_bytes=100_000)
    spool.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 4 << 20


def test_a_second_collector_is_refused_the_same_spool(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    with pytest.raises(LenswatchError, match=f"{tmp_path}: another collector uses this spool; name another folder"):
        open_spool(tmp_path)
    first.close()
    open_spool(tmp_path).close()


def test_a_spool_for_other_partitions_is_refused_until_it_is_empty(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    fill(spool, 1)
    spool.close()
    with pytest.raises(LenswatchError, match=r"holds 1 batches for 4 partitions, and kafka\.partitions is 12"):
        Spool(tmp_path, ROOM, 12)
    spool = open_spool(tmp_path)
    row = spool.take(0, 0)
    assert row is not None
    spool.finish(row)
    spool.close()
    Spool(tmp_path, ROOM, 12).close()


def test_a_folder_that_cannot_be_made_is_one_line_of_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LenswatchError, match="the spool cannot be written: Not a directory; name another"):
        open_spool(tmp_path / "file" / "spool")


def damaged(folder: Path, at: float, junk: int = 40_000) -> Path:
    """A spool of 200 batches of which a stretch was overwritten, from a share of the file on."""
    spool = open_spool(folder)
    fill(spool, *range(1, 201), size_bytes=5_000)
    spool.close()
    path = folder / "spool.sqlite"
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * at) // 4096 * 4096)
        file.write(b"\xa5" * junk)
    return path


def test_a_broken_spool_is_read_up_to_the_last_good_row_and_put_aside(tmp_path: Path) -> None:
    damaged(tmp_path, 0.5)
    told: list[str] = []
    spool = open_spool(tmp_path, told=told)
    kept = numbers(spool)
    assert kept == list(range(1, len(kept) + 1)) and 50 < len(kept) < 150
    assert spool.recovered and spool.dropped_batches["corrupt"] == 200 - len(kept)
    assert len(told) == 1 and f"{len(kept)} batches were read up to the last good row" in told[0]
    assert (tmp_path / "spool.broken").is_file()
    fill(spool, 300)
    assert numbers(spool) == [*kept, 300]
    spool.close()
    again: list[str] = []
    spool = open_spool(tmp_path, told=again)
    assert numbers(spool) == [*kept, 300] and not again
    spool.close()


@pytest.mark.parametrize("content", [b"", b"this was never a spool" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_spool_is_put_aside_and_one_begun(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool.sqlite").write_bytes(content)
    told: list[str] = []
    spool = open_spool(tmp_path, told=told)
    fill(spool, 1)
    assert numbers(spool) == [1]
    assert bool(told) == bool(content) == (tmp_path / "spool.broken").exists()
    spool.close()


def test_a_spool_that_breaks_while_it_is_used_is_mended_and_the_capture_goes_on(tmp_path: Path) -> None:
    damaged(tmp_path, 0.5)
    told: list[str] = []
    # Opened without the check at the start, as if the damage came later.
    (tmp_path / "whole").mkdir()
    spool = open_spool(tmp_path / "whole", told=told)
    spool._database.close()
    spool.path, spool._database = tmp_path / "spool.sqlite", connect(tmp_path / "spool.sqlite", checked=False)
    last = 0
    while (row := spool.take(0, last)) is not None:
        last = row.id
        spool.release([row])
    fill(spool, 201)
    kept = numbers(spool)
    assert kept[-1] == 201 and 50 < len(kept) < 152 and spool.batches == len(kept)
    assert len(told) == 1 and "the spool is broken" in told[0]
    spool.close()


def test_a_flipped_bit_in_a_batch_is_noticed(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    fill(spool, 1, size_bytes=3000)
    spool.close()
    with sqlite3.connect(tmp_path / "spool.sqlite") as database:
        value = bytearray(database.execute("SELECT value FROM batches").fetchone()[0])
        value[1500] ^= 1
        database.execute("UPDATE batches SET value = ?", (bytes(value),))
    database.close()
    spool = open_spool(tmp_path)
    row = spool.take(0, 0)
    assert row is not None
    with pytest.raises(zstandard.ZstdError):
        row.open()
    spool.close()


def test_a_batch_that_claims_to_be_huge_is_not_unpacked() -> None:
    huge = zstandard.ZstdCompressor().compress(bytes(MAX_VALUE_BYTES + 1))
    with pytest.raises(zstandard.ZstdError, match="claims more"):
        Row(1, 0, 0.0, "s", "b", 1, 1, len(huge), huge).open()


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.collector.test_spool import fill, numbers, open_spool
told = []
spool = open_spool(Path(sys.argv[1]), told=told)
# No file may grow past this: what a full disk does, for this process alone.
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
for number in range(1, 40):
    fill(spool, number, size_bytes=100_000)
kept = numbers(spool)
assert kept and kept == list(range(1, len(kept) + 1)), kept
assert spool.dropped_batches["disk"] == 39 - len(kept), spool.dropped_batches
assert spool.dropped["disk"] == 10 * (39 - len(kept)) and spool.observations == 10 * len(kept)
assert not spool.is_writable and len(told) == 1 and "cannot be written" in told[0], told
# What was sent makes room again.
last = 0
while (row := spool.take(0, last)) is not None:
    last = row.id
    spool.finish(row)
    spool.tend(0, 1000.0)
fill(spool, 50)
assert numbers(spool) == [50] and spool.is_writable and "can be written again" in told[1], told
assert spool.take(0, last) is not None
spool.close()
"""


def test_a_full_disk_is_told_once_and_counted_and_room_is_used_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_one_thread_may_put_while_another_takes(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    got: list[int] = []

    def drain() -> None:
        last = 0
        while len(got) < 300:
            row = spool.take(0, last)
            if row is not None:
                got.append(int(row.open()[:8]))
                last = row.id
                spool.finish(row)

    thread = threading.Thread(target=drain)
    thread.start()
    fill(spool, *range(300))
    thread.join(60)
    assert got == list(range(300)) and spool.batches == 0 and spool.bytes == 0
    spool.close()


@pytest.mark.parametrize("wrong", [{"max_bytes": 1}, {"max_age_seconds": 0}, {"drain_seconds": -1}])
def test_bounds_that_hold_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"spool\."):
        SpoolSettings(**wrong)  # type: ignore[arg-type]
