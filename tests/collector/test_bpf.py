"""Filters: libpcap and tcpdump compile the same language, and a wrong filter is one clear line."""

import ctypes
import ctypes.util
import os
import shutil
import socket

import pytest

from collector.bpf import INSTRUCTION_BYTES, attach, checked, compile_filter, compile_with_libpcap, compile_with_tcpdump
from collector.errors import SettingsError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(ctypes.util.find_library("pcap") is None, reason="needs: apt-get install libpcap0.8"),
]
needs_tcpdump = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs: apt-get install tcpdump")


def passed(program: bytes, *ports: int) -> list[int]:
    """Which of these UDP ports' datagrams a packet socket on the loopback gets through the program."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
        attach(packets, program)
        packets.bind(("lo", 3))
        packets.settimeout(0.3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for port in ports:
                sender.sendto(b"x", ("127.0.0.1", port))
        found = set()
        try:
            while True:
                data = packets.recv(2_000)
                found.add(int.from_bytes(data[36:38], "big"))
        except TimeoutError:
            return sorted(found)


def test_a_filter_lets_through_what_it_says_and_nothing_else() -> None:
    assert passed(compile_filter("udp dst port 40001", "lo"), 40_001, 40_002) == [40_001]


@needs_tcpdump
def test_tcpdump_compiles_a_filter_to_the_same_effect() -> None:
    assert passed(compile_with_tcpdump("udp dst port 40001", "lo"), 40_001, 40_002) == [40_001]


@needs_tcpdump
def test_a_wrong_filter_is_one_line_that_names_setting_filter_and_reason() -> None:
    libpcap = ctypes.CDLL(ctypes.util.find_library("pcap"))
    for compiled in (
        lambda text: compile_with_libpcap(libpcap, text, "lo"),
        lambda text: compile_with_tcpdump(text, "lo"),
    ):
        with pytest.raises(SettingsError) as raised:
            compiled("host and and")
        assert str(raised.value).startswith("capture.filter: 'host and and': ") and "\n" not in str(raised.value)
        assert "syntax error" in str(raised.value) or "parse" in str(raised.value)


def test_without_libpcap_and_tcpdump_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SettingsError, match="apt-get install tcpdump"):
        compile_filter("udp", "lo")


def test_a_program_that_the_kernel_would_not_take_is_refused() -> None:
    with pytest.raises(SettingsError, match="too long"):
        checked(bytes(4_097 * INSTRUCTION_BYTES), "a")
