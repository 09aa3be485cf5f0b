"""What is written as pcapng is read back by our own reader and by Wireshark: times, link types, comments."""

import shutil
import subprocess
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.pcapng_writer import MAX_COMMENT_BYTES, MAX_PACKET_BYTES, PacketWriter
from tests.collector.frames import BEGIN_NS, ipv4, udp, udp_frame

ETHERNET, RAW_IP = 1, 101


def written(*packets: tuple[int, int, bytes, int, str]) -> bytes:
    writer = PacketWriter()
    return b"".join(writer.packet(*packet) for packet in packets)


def test_packets_of_two_link_types_come_back_with_their_times(tmp_path: Path) -> None:
    frame, packet = udp_frame(b"one"), ipv4(udp(b"three"), 17)
    data = written(
        (ETHERNET, BEGIN_NS + 1, frame, 900, "first"), (RAW_IP, BEGIN_NS + 2, packet, len(packet), ""),
        (ETHERNET, BEGIN_NS + 3, frame, len(frame), "x" * 13),
    )  # fmt: skip
    path = tmp_path / "a.pcapng"
    path.write_bytes(data)
    rows = [
        (block.link_type, int(at_ns), int(wire), block.data[start : start + size].tobytes())
        for block in CaptureFile(str(path)).blocks()
        for at_ns, wire, start, size in zip(block.time_ns, block.wire, block.start, block.captured, strict=True)
    ]
    assert rows == [
        (ETHERNET, BEGIN_NS + 1, 900, frame), (RAW_IP, BEGIN_NS + 2, len(packet), packet),
        (ETHERNET, BEGIN_NS + 3, len(frame), frame),
    ]  # fmt: skip


def test_a_long_packet_and_a_long_comment_are_cut(tmp_path: Path) -> None:
    data = written(
        (ETHERNET, 0, bytes(MAX_PACKET_BYTES + 9), 0, "y" * 2 * MAX_COMMENT_BYTES), (ETHERNET, 5, b"z", 1, "")
    )
    path = tmp_path / "a.pcapng"
    path.write_bytes(data)
    assert [int(size) for block in CaptureFile(str(path)).blocks() for size in block.captured] == [MAX_PACKET_BYTES, 1]
    assert len(data) < MAX_PACKET_BYTES + MAX_COMMENT_BYTES + 1_000


@pytest.mark.system
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_shows_each_packet_its_comment(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_bytes(
        written((ETHERNET, BEGIN_NS, udp_frame(b"one"), 45, "who → what"), (ETHERNET, 5, b"z" * 60, 60, ""))
    )
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.comment", "-e", "frame.len"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines() == ["who → what\t45", "\t60"]
