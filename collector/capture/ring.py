"""An interface, live: the kernel's ring of packets (AF_PACKET, TPACKET_V3), shared by memory; a block of it is a batch.

Nothing is copied: a block belongs to us until the next one is asked for, and is then given back. Layout and rules:
Documentation/networking/packet_mmap.rst and include/uapi/linux/if_packet.h of the Linux kernel; packet(7).
"""

import ctypes
import dataclasses
import errno
import mmap
import select
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np

from collector.bpf import attach, compile_filter
from collector.errors import InterfaceError, SettingsError
from collector.links import LINK_ETHERNET, LINK_RADIOTAP, LINK_RAW, LINK_WIFI
from collector.packets import SLACK_BYTES, Block, Bytes, Ints, gather, pick
from collector.settings import CaptureSettings

SOL_PACKET = 263
ADD_MEMBERSHIP, RX_RING, STATISTICS, VERSION, RESERVE, FANOUT, FANOUT_DATA = 1, 5, 6, 10, 12, 18, 22
TPACKET_V3, PROMISCUOUS, ALL_PROTOCOLS = 2, 1, 3
STATUS_USER, STATUS_LOSING, STATUS_VLAN_VALID, STATUS_VLAN_TPID_VALID = 1, 4, 1 << 4, 1 << 6
STATUS_AT, COUNT_AT, FIRST_AT = 8, 12, 16
FRAME_BYTES, VLAN_TAG_BYTES = 2_048, 4
RETIRE_SECONDS, GATHER_SECONDS, TICK_SECONDS = 0.03, 0.05, 0.2
"""The kernel hands over a block that is not full after the first; blocks are gathered to a batch for the second."""
NS = 10**9
SO_DETACH_FILTER = 27
NOTHING = struct.pack("=HBBI", 6, 0, 0, 0)
"""The program that lets nothing in: return 0."""
DEFAULTS = CaptureSettings()
LINK_OF_HARDWARE = {1: LINK_ETHERNET, 772: LINK_ETHERNET, 801: LINK_WIFI, 803: LINK_RADIOTAP, 65_534: LINK_RAW,
                    768: LINK_RAW, 769: LINK_RAW, 776: LINK_RAW, 778: LINK_RAW}  # fmt: skip
"""ARP hardware type (linux/if_arp.h) → link type: Ethernet, loopback, 802.11, and devices that carry bare IP."""

RECORD = np.dtype(
    {
        "names": ["next", "seconds", "nanoseconds", "captured", "wire", "status", "mac", "vlan", "tpid"],
        "formats": ["u4", "u4", "u4", "u4", "u4", "u4", "u2", "u4", "u2"],
        "offsets": [0, 4, 8, 12, 16, 20, 24, 32, 36],
        "itemsize": 40,
    }
)
"""`struct tpacket3_hdr`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """A worker's part of an interface: the fanout group's number, and the program that says whose a packet is."""

    group: int
    program: bytes


class Ring:
    """One interface. Opens its socket at once, so that privileges can be given up before anything is read.

    A block's bytes are good until the next block is asked for. `stop` ends the reading: what the kernel had then is
    still handed over.
    """

    size_bytes: int | None = None

    def __init__(self, name: str, settings: CaptureSettings = DEFAULTS, share: Share | None = None) -> None:
        self.name = name
        self._settings = settings
        self._stopped = self._is_down = False
        self._is_shared = share is not None
        self._block_bytes = settings.block_bytes
        self._blocks = max(2, settings.ring_bytes // settings.block_bytes)
        # As much as is read faster together than apart, and leaves the kernel the larger part to write to.
        self._enough = max(1, self._blocks // 4)
        program = compile_filter(settings.filter, name) if settings.filter else None
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise InterfaceError(
                name, "only root, or a program with CAP_NET_RAW, may listen: sudo lenswatch …, or "
                "setcap cap_net_raw=ep on the Python that runs it"
            ) from error  # fmt: skip
        try:
            self._open(program, share)
        except OSError as error:
            self._socket.close()
            raise InterfaceError(name, f"cannot be listened to: {error.strerror or error}") from error
        except Exception:
            self._socket.close()
            raise

    @classmethod
    def opens(cls, name: str) -> bool:
        """Whether `name` is that of an interface."""
        return any(name == each for _, each in socket.if_nameindex())

    def _open(self, program: bytes | None, share: Share | None) -> None:
        """The ring first, the interface last, so that nothing comes before the filter is there."""
        packets = self._socket
        packets.setsockopt(SOL_PACKET, VERSION, TPACKET_V3)
        # Room before each packet to put back the VLAN tag that the hardware took off.
        packets.setsockopt(SOL_PACKET, RESERVE, VLAN_TAG_BYTES)
        size, count = self._block_bytes, self._blocks
        request = (size, count, FRAME_BYTES, size * count // FRAME_BYTES, int(RETIRE_SECONDS * 1000), 0, 0)
        try:
            packets.setsockopt(SOL_PACKET, RX_RING, struct.pack("=7I", *request))
        except OSError as error:
            raise SettingsError(
                f"capture.ring_bytes: the kernel gives no ring of {size * count} bytes in blocks of {size} "
                f"({error.strerror}): ask for less, or blocks of another size"
            ) from error
        # Nothing is let in before all is set: a socket that has not joined its group yet would get every packet.
        attach(packets, NOTHING)
        self._program = program
        self._bind()
        if share is None:
            self.start()
        else:
            # The fanout's type 6 is a classic BPF program of our own.
            packets.setsockopt(SOL_PACKET, FANOUT, share.group | (6 << 16))
            attach_fanout(packets, share.program)

    def start(self) -> None:
        """Let packets in. A ring of a group is started when all of them are open."""
        if self._program is None:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        else:
            attach(self._socket, self._program)

    def _bind(self) -> None:
        self._index = socket.if_nametoindex(self.name)
        self._socket.bind((self.name, ALL_PROTOCOLS))
        hardware = self._socket.getsockname()[3]
        if hardware not in LINK_OF_HARDWARE:
            raise InterfaceError(self.name, f"is of a kind that is not read (ARP hardware type {hardware})")
        self._link_type = LINK_OF_HARDWARE[hardware]
        if self._settings.promiscuous:
            request = struct.pack("=IHH8s", self._index, PROMISCUOUS, 0, b"")
            self._socket.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, request)

    def stop(self) -> None:
        """Read what the kernel has by now, and then no more."""
        self._stopped = True

    def blocks(self) -> Iterator[Block]:
        """The blocks of the ring as they fill, at the latest after RETIRE_SECONDS; an empty one each TICK_SECONDS in
        which nothing came. See `Source.blocks`."""
        self._map = mmap.mmap(self._socket.fileno(), self._block_bytes * self._blocks)
        self._array: Bytes = np.frombuffer(self._map, np.uint8)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLERR)
        number, told, ends = 0, time.monotonic(), float("inf")
        try:
            while True:
                ready, now = self._ready(number), time.monotonic()
                if ready and (ready >= self._enough or number + ready >= self._blocks - 1 or self._stopped
                              or now - told >= GATHER_SECONDS):  # fmt: skip
                    yield self._block(number, ready)
                    for each in range(number, number + ready):
                        struct.pack_into("=I", self._map, each * self._block_bytes + STATUS_AT, 0)
                    number = (number + ready) % self._blocks
                    told = time.monotonic()
                elif ready:
                    time.sleep(GATHER_SECONDS / 8)
                elif self._stopped and now >= (ends := min(ends, now + 2 * RETIRE_SECONDS)):
                    return
                else:
                    notice = self._wait(poll)
                    if notice or time.monotonic() - told >= TICK_SECONDS:
                        told = time.monotonic()
                        yield self._tick(notice)
        finally:
            self.close()

    def close(self) -> None:
        """Give the socket back; its ring goes with it when nobody looks at it any more."""
        self._socket.close()

    def _ready(self, number: int) -> int:
        """How many blocks from this one on are ours, without a gap. The ring's last stands alone: it must be copied."""
        stop = min(self._blocks, number + self._enough)
        for each in range(number, stop):
            alone = each == self._blocks - 1 and each > number
            if alone or not self._word(each * self._block_bytes + STATUS_AT) & STATUS_USER:
                return each - number
        return stop - number

    def _wait(self, poll: select.poll) -> str | None:
        """Wait for packets; what happened to the interface meanwhile, in words."""
        events = poll.poll(RETIRE_SECONDS * 1000)
        if events and events[0][1] & select.POLLERR:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number not in (0, errno.ENETDOWN):
                raise InterfaceError(self.name, f"cannot be read: {errno.errorcode.get(number, number)}")
            if not self._is_down:
                self._is_down = True
                return "the interface went down; waiting for it"
        if self._is_down:
            time.sleep(RETIRE_SECONDS)
            return self._try_again()
        return None

    def _try_again(self) -> str | None:
        """Whether an interface that went down is back; one that was made anew has another number."""
        try:
            if socket.if_nametoindex(self.name) != self._index or self._socket.getsockname()[0] != self.name:
                if self._is_shared:
                    # The kernel binds no socket of a fanout group anew (packet_do_bind).
                    raise InterfaceError(
                        self.name, "was made anew, to which several workers cannot go over: start again"
                    )
                self._bind()
            if not is_up(self._socket, self.name):
                return None
        except OSError:
            return None
        self._is_down = False
        return "the interface is up again"

    def _word(self, at: int) -> int:
        word: int = struct.unpack_from("=I", self._map, at)[0]
        return word

    def _lost(self) -> tuple[tuple[str, int], ...]:
        """What the kernel dropped since it was asked last, and how often it found the ring full (it counts both)."""
        _, drops, freezes = struct.unpack("=III", self._socket.getsockopt(SOL_PACKET, STATISTICS, 12))
        return tuple((reason, count) for reason, count in (("kernel_drop", drops), ("ring_full", freezes)) if count)

    def _tick(self, notice: str | None) -> Block:
        """No packet, but time went by: all that is older than two retirings has been handed over."""
        none = np.zeros(0, np.int64)
        at_ns = time.time_ns() - int(2 * RETIRE_SECONDS * NS)
        lost = self._lost()
        if notice and self._is_down:
            lost += (("interface_down", 1),)
        return Block(self._array, none, none, none, none, self._link_type, None, 0, self.name, at_ns, lost, notice)

    def _block(self, number: int, ready: int) -> Block:
        """Some blocks of the ring, one behind the other, as columns."""
        next_at, memory = struct.Struct("=I").unpack_from, self._map
        offsets: list[int] = []
        keep = offsets.append
        for at in range(number * self._block_bytes, (number + ready) * self._block_bytes, self._block_bytes):
            offset = at + self._word(at + FIRST_AT)
            # Every packet passes through these three lines.
            for _ in range(self._word(at + COUNT_AT)):
                keep(offset)
                offset += next_at(memory, offset)[0]
        at = number * self._block_bytes
        records = np.ndarray((len(offsets),), RECORD, pick(self._array, np.array(offsets, np.int64), RECORD.itemsize))
        start = np.array(offsets, np.int64) + records["mac"]
        captured, wire = records["captured"].astype(np.int64), records["wire"].astype(np.int64)
        times = records["seconds"].astype(np.int64) * NS + records["nanoseconds"]
        tagged = np.flatnonzero(records["status"] & STATUS_VLAN_VALID)
        if len(tagged) and self._link_type == LINK_ETHERNET:
            has_type = (records["status"][tagged] & STATUS_VLAN_TPID_VALID) != 0
            types = np.where(has_type, records["tpid"][tagged], 0x8100)
            put_tags_back(self._array, start[tagged], types, records["vlan"][tagged].astype(np.int64))
            for column, step in ((start, -VLAN_TAG_BYTES), (captured, VLAN_TAG_BYTES), (wire, VLAN_TAG_BYTES)):
                column[tagged] += step
        data = self._array
        if (number + ready) * self._block_bytes + SLACK_BYTES > len(data):
            # Behind the last block is no slack.
            data = np.concatenate((data[at:], np.zeros(SLACK_BYTES, np.uint8)))
            start = start - at
        lost = self._lost()
        return Block(data, start, captured, wire, times, self._link_type, None, 0, self.name, None, lost)


def put_tags_back(data: Bytes, start: Ints, types: Ints, tags: Ints) -> None:
    """Before each frame is room for four bytes: move its addresses there, and write the tag behind them."""
    addresses = gather(data, start, 12).copy()
    for column in range(12):
        data[start - VLAN_TAG_BYTES + column] = addresses[:, column]
    for column, value in enumerate((types >> 8, types & 0xFF, tags >> 8, tags & 0xFF), 12 - VLAN_TAG_BYTES):
        data[start + column] = value.astype(np.uint8)


def attach_fanout(packets: socket.socket, program: bytes) -> None:
    """Let a program say which socket of the fanout group takes a packet (PACKET_FANOUT_DATA)."""
    instructions = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    packets.setsockopt(SOL_PACKET, FANOUT_DATA, pointer)


def is_up(packets: socket.socket, name: str) -> bool:
    """Whether an interface is up and running (netdevice(7), SIOCGIFFLAGS)."""
    import fcntl

    answer = fcntl.ioctl(packets, 0x8913, struct.pack("16sH14s", name.encode(), 0, b""))
    return bool(struct.unpack_from("H", answer, 16)[0] & 1)
