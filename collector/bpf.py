"""Filter programs for packet sockets: pcap's filter language compiled, by libpcap or by `tcpdump -ddd`.

A program is the bytes of the kernel's `struct sock_filter`, eight an instruction (linux/filter.h). libpcap opens the
interface to compile for it, so that a filter finds VLAN tags that the hardware took off (pcap-filter(7), `vlan`).
"""

import contextlib
import ctypes
import ctypes.util
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator

from collector.errors import SettingsError

INSTRUCTION_BYTES, MAX_INSTRUCTIONS = 8, 4_096
SNAP_BYTES = 262_144
SO_ATTACH_FILTER = 26
ERROR_BYTES, TCPDUMP_SECONDS = 256, 30
ANY_NETMASK = 0xFFFF_FFFF


class Program(ctypes.Structure):
    """`struct bpf_program`, and the kernel's `struct sock_fprog`: count and address of the instructions."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


def compile_filter(text: str, interface: str) -> bytes:
    """The program of a filter for an interface. Raises SettingsError that says what is wrong with the filter."""
    name = ctypes.util.find_library("pcap")
    if name is not None:
        return compile_with_libpcap(ctypes.CDLL(name), text, interface)
    if shutil.which("tcpdump") is not None:
        return compile_with_tcpdump(text, interface)
    raise SettingsError(
        f"capture.filter: {text!r} cannot be compiled without libpcap or tcpdump: install one of them "
        "(Debian, Ubuntu: apt-get install tcpdump)"
    )


@contextlib.contextmanager
def opened(pcap: ctypes.CDLL, interface: str) -> Iterator[ctypes.c_void_p]:
    """A libpcap handle of the interface. Raises SettingsError."""
    pcap.pcap_open_live.restype = ctypes.c_void_p
    pcap.pcap_geterr.restype = ctypes.c_char_p
    words = ctypes.create_string_buffer(ERROR_BYTES)
    handle = ctypes.c_void_p(pcap.pcap_open_live(interface.encode(), SNAP_BYTES, 0, 100, words))
    if not handle:
        raise SettingsError(f"capture.filter: libpcap cannot open {interface}: {words.value.decode(errors='replace')}")
    try:
        yield handle
    finally:
        pcap.pcap_close(handle)


def compile_with_libpcap(pcap: ctypes.CDLL, text: str, interface: str) -> bytes:
    """See `compile_filter`."""
    program = Program()
    with opened(pcap, interface) as handle:
        if pcap.pcap_compile(handle, ctypes.byref(program), text.encode(), 1, ctypes.c_uint(ANY_NETMASK)):
            reason = pcap.pcap_geterr(handle).decode(errors="replace")
            raise SettingsError(f"capture.filter: {text!r}: {reason}")
        try:
            return checked(ctypes.string_at(program.instructions or 0, program.length * INSTRUCTION_BYTES), text)
        finally:
            pcap.pcap_freecode(ctypes.byref(program))


def compile_with_tcpdump(text: str, interface: str) -> bytes:
    """See `compile_filter`."""
    command = ["tcpdump", "-i", interface, "-s", str(SNAP_BYTES), "-ddd", "--", text]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=TCPDUMP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError(f"capture.filter: tcpdump cannot be run: {error}") from error
    if ran.returncode:
        words = [line for line in ran.stderr.splitlines() if line.startswith("tcpdump:")] or [ran.stderr.strip()]
        raise SettingsError(f"capture.filter: {text!r}: {words[-1].removeprefix('tcpdump: ')}")
    _, *lines = ran.stdout.splitlines()
    return checked(b"".join(struct.pack("=HBBI", *map(int, line.split())) for line in lines), text)


def checked(program: bytes, text: str) -> bytes:
    """The program, if the kernel takes one so long."""
    if not program or len(program) > MAX_INSTRUCTIONS * INSTRUCTION_BYTES:
        raise SettingsError(
            f"capture.filter: {text!r} is too long: at most {MAX_INSTRUCTIONS} instructions are possible"
        )
    return program


def attach(packets: socket.socket, program: bytes) -> None:
    """Let the kernel drop what a program does not want. Raises OSError."""
    instructions = ctypes.create_string_buffer(program, len(program))
    described = Program(len(program) // INSTRUCTION_BYTES, ctypes.addressof(instructions))
    packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(described))
