"""A file is mapped only while the kernel keeps others from cutting it short."""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.errors import CaptureError
from collector.mapped import WINDOW_BYTES, MappedFile, leased
from tests.collector.conftest import packets_of
from tests.collector.frames import BEGIN_NS, pcap, pcap_header, pcap_record

PACKET_BYTES = 250_000
PACKETS = [
    (BEGIN_NS + number * 1_000, number.to_bytes(4, "big") * (PACKET_BYTES // 4))
    for number in range(5 * WINDOW_BYTES // 2 // PACKET_BYTES)
]
HOLD_OPEN = "import sys, time\nstream = open(sys.argv[1], 'ab')\nprint('open', flush=True)\ntime.sleep(60)"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two and a half windows of packets; some of them straddle two windows."""
    path = tmp_path_factory.mktemp("mapped") / "long.pcap"
    path.write_bytes(pcap(PACKETS))
    return path


@pytest.fixture
def raw(capture: Path) -> Iterator[io.FileIO]:
    with io.FileIO(str(capture)) as stream:
        yield stream


def test_every_packet_is_there_whichever_window_it_lies_in(capture: Path) -> None:
    found = [packet for block in CaptureFile(str(capture)).blocks() for packet in packets_of(block)]
    assert found == PACKETS


def test_most_of_a_long_file_is_not_copied(raw: io.FileIO) -> None:
    with leased(raw) as file:
        for at in (0, WINDOW_BYTES - 5_000):
            mapped = file.window(at)
            assert mapped is not None
            base, window = mapped
            raw.seek(at)
            assert base + window.start == at
            assert bytes(window.array[window.start : window.start + 100]) == raw.read(100)
        assert file.window(2 * WINDOW_BYTES) is None


def test_a_file_that_is_being_written_to_is_read_and_not_mapped(capture: Path, raw: io.FileIO) -> None:
    writer = subprocess.Popen([sys.executable, "-c", HOLD_OPEN, str(capture)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        with leased(raw) as file:
            assert file.window(0) is None
        found = [at_ns for block in CaptureFile(str(capture)).blocks() for at_ns in block.time_ns.tolist()]
        assert len(found) == len(PACKETS)
    finally:
        writer.kill()
        writer.communicate()


def test_whoever_cuts_the_file_short_waits_for_the_window_and_what_is_left_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(PACKETS))
    left = 24 + 170 * (16 + PACKET_BYTES) + 1_000
    cutter = threading.Thread(target=os.truncate, args=(path, left))
    blocks = CaptureFile(str(path)).blocks()
    found = packets_of(next(blocks))
    cutter.start()
    time.sleep(0.2)
    assert cutter.is_alive() and path.stat().st_size > left
    with pytest.raises(CaptureError, match="cut off") as caught:
        for block in blocks:
            found += packets_of(block)
    cutter.join()
    assert found == PACKETS[:170]
    assert caught.value.offset == left - 1_000


def test_a_broken_record_in_a_mapped_window_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "broken.pcap"
    body = pcap_header() + b"".join(pcap_record(packet) for packet in PACKETS[:3])
    path.write_bytes(body + pcap_record((BEGIN_NS, b"lies"), captured=0xFFFF_FFFF) + bytes(2 * WINDOW_BYTES))
    found = []
    with pytest.raises(CaptureError, match="4294967295 bytes") as caught:
        for block in CaptureFile(str(path)).blocks():
            found += packets_of(block)
    assert found == PACKETS[:3]
    assert caught.value.offset == len(body)


def test_a_file_without_a_lease_gives_no_window(raw: io.FileIO) -> None:
    assert MappedFile(raw).window(0) is None
