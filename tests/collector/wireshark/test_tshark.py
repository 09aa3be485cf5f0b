"""A tshark at the end of a pipe: each packet is answered in order, and what ends it is said."""

import os
import signal
import time
from pathlib import Path

import pytest

from collector.errors import LenswatchError
from collector.pcapng_writer import MAX_PACKET_BYTES, PacketWriter
from collector.wireshark.layers import protocols_of
from collector.wireshark.tshark import Tshark, find_tshark
from tests.collector.dissectors.messages import QUERY
from tests.collector.frames import CAMERA, SERVER, ipv4, udp, udp_frame
from tests.collector.wireshark.answering import needs_tshark

pytestmark = [
    pytest.mark.system,
    needs_tshark,
]
ETHERNET, RAW_IP = 1, 101
FRAME = udp_frame(QUERY, (CAMERA, 40_000, SERVER, 53))


def test_packets_of_two_link_types_are_answered_in_their_order() -> None:
    writer, tshark = PacketWriter(), Tshark()
    data = writer.packet(ETHERNET, 10**18, FRAME, len(FRAME))
    data += writer.packet(RAW_IP, 2 * 10**18 + 5, ipv4(udp(QUERY), 17, CAMERA, SERVER), 9_000)
    assert tshark.send(data, 5) == len(data)
    first, second = (tshark.answers.get(timeout=10) for _ in range(2))
    assert first is not None and protocols_of(first)[2:] == ["eth", "ip", "udp", "dns"]
    assert second is not None and protocols_of(second)[2:] == ["raw", "ip", "udp", "dns"]
    assert b"2000000000.000000005" in second and b"9000 bytes on wire" in second
    tshark.close()


def test_a_packet_longer_than_wireshark_reads_is_cut() -> None:
    writer, tshark = PacketWriter(), Tshark()
    data = writer.packet(ETHERNET, 0, FRAME + bytes(MAX_PACKET_BYTES), 1 << 40)
    data += writer.packet(ETHERNET, 0, FRAME, len(FRAME))
    while data:
        data = data[tshark.send(data, 5) :]
    assert tshark.answers.get(timeout=10) and tshark.answers.get(timeout=10)
    tshark.close()


def test_what_is_no_packet_ends_it_and_it_says_why() -> None:
    tshark = Tshark()
    data = PacketWriter().packet(ETHERNET, 0, FRAME, len(FRAME))
    tshark.send(data + b"\6\0\0\0\4\0\0\0" + bytes(64), 5)
    assert tshark.answers.get(timeout=10)
    assert tshark.answers.get(timeout=10) is None
    assert tshark.why().startswith("tshark ended by itself: ") and "block" in tshark.why()
    assert tshark.send(bytes(1 << 20), 1) == -1
    tshark.close()


def test_one_that_is_stopped_takes_nothing_once_its_pipe_is_full() -> None:
    tshark = Tshark()
    os.kill(tshark.pid, signal.SIGSTOP)
    began = time.monotonic()
    while tshark.send(bytes(1 << 16), 0.2) > 0:
        assert time.monotonic() - began < 10
    assert tshark.send(b"more", 0.2) == 0
    tshark.close()
    assert not Path(f"/proc/{tshark.pid}").exists()


def test_one_that_takes_more_memory_than_it_may_ends() -> None:
    tshark = Tshark(memory_bytes=32 << 20)
    assert tshark.answers.get(timeout=10) is None
    assert "ended" in tshark.why()
    tshark.close()


def test_its_processor_time_is_known_and_that_of_a_dead_one_is_none() -> None:
    tshark, writer = Tshark(), PacketWriter()
    tshark.send(writer.packet(ETHERNET, 0, FRAME, len(FRAME)), 5)
    assert tshark.answers.get(timeout=10)
    assert 0 < tshark.cpu_seconds() < 60
    tshark.close()
    assert tshark.cpu_seconds() == 0


def test_where_there_is_none_the_mend_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LenswatchError, match="install it"):
        find_tshark()
