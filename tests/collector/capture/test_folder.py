"""A folder of captures: in the order of their packets, each to its end, and followed when that is asked for."""

import gzip
import threading
import time
from pathlib import Path

import pytest

from collector.capture.folder import CaptureFolder, in_order
from collector.errors import CaptureError
from collector.settings import CaptureSettings
from tests.collector.conftest import packets_of
from tests.collector.frames import BEGIN_NS, NS, pcap, spaced


def capture(second: int, *frames: bytes) -> bytes:
    return pcap(spaced(frames, BEGIN_NS + second * NS))


def read(source: CaptureFolder) -> list[bytes]:
    return [data for block in source.blocks() for _, data in packets_of(block)]


def test_captures_are_read_in_the_order_of_their_first_packets(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(capture(30, b"third"))
    (tmp_path / "b.pcap.gz").write_bytes(gzip.compress(capture(10, b"first")))
    (tmp_path / "c.cap").write_bytes(capture(20, b"second", b"and more"))
    (tmp_path / "notes.txt").write_text("no capture")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "d.pcap").write_bytes(capture(0, b"not this"))
    assert CaptureFolder.opens(str(tmp_path)) and not CaptureFolder.opens(str(tmp_path / "a.pcap"))
    assert read(CaptureFolder(str(tmp_path))) == [b"first", b"second", b"and more", b"third"]


def test_one_broken_capture_is_told_of_when_the_others_have_been_read(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(capture(0, b"one", b"two")[:-1])
    (tmp_path / "b.pcap").write_bytes(b"junk and more junk, but no capture")
    (tmp_path / "c.pcap").write_bytes(capture(9, b"three"))
    found: list[bytes] = []
    with pytest.raises(CaptureError, match=r"a\.pcap"):
        for block in CaptureFolder(str(tmp_path)).blocks():
            found += [data for _, data in packets_of(block)]
    assert found == [b"one", b"three"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no capture is in it"):
        read(CaptureFolder(str(tmp_path)))


def test_a_capture_without_packets_comes_last(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(capture(0))
    (tmp_path / "b.pcap").write_bytes(capture(1, b"x"))
    assert [path.name for path in in_order(sorted(tmp_path.iterdir()))] == ["b.pcap", "a.pcap"]


def test_a_folder_that_is_followed_goes_on_with_what_comes_into_it(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(capture(0, b"one"))
    source = CaptureFolder(str(tmp_path), CaptureSettings(follow=True))

    def write() -> None:
        time.sleep(0.4)
        with (tmp_path / "a.pcap").open("ab") as stream:
            stream.write(capture(1, b"two")[24:])
        time.sleep(0.6)
        (tmp_path / "b.pcap").write_bytes(capture(2, b"three"))
        time.sleep(1.0)
        source.stop()

    worker = threading.Thread(target=write)
    worker.start()
    assert read(source) == [b"one", b"two", b"three"]
    worker.join()
