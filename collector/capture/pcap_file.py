"""A capture file, or a capture on standard input: pcap (both byte orders, both resolutions), pcapng, each also gzipped.

A file that nobody writes to is mapped, a window at a time. All else, and the last window, is read into one buffer,
again and again, in pieces that are looked at while they are in the processor's cache: the same for a file, a pipe and
gzip. What is readable is read, then CaptureError says where and why it ends.
"""

import io
import os
import select
import stat
import time
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from collector.errors import CaptureError
from collector.growing import LOOK_SECONDS, GrowingFile
from collector.mapped import leased
from collector.packets import SLACK_BYTES, Block
from collector.pcap import FILE_HEADER_BYTES, PcapWalk, Step, Window
from collector.pcapng import PcapngWalk
from collector.settings import CaptureSettings

MIN_BUFFER_BYTES = 1 << 16
BUFFER_BYTES, PIECE_BYTES = 8 << 20, 1 << 19
ZIP_CHUNK_BYTES = 1 << 18
TICK_SECONDS = 0.25
GZIP_WINDOW = 31
DEFAULTS = CaptureSettings()
NOTHING = np.zeros(SLACK_BYTES, np.uint8)
GZIP_MAGIC = b"\x1f\x8b"


class Walk(Protocol):
    """Finds the packets in a window of the capture."""

    def scan(self, window: Window) -> int:
        """Find the whole records of the window; the offset behind them."""
        ...

    def take(self, window: Window) -> Step:
        """What was found since the last time, over the window's buffer."""
        ...


class CaptureFile:
    """One capture, by path, or "-" for standard input. A block's bytes are good until the next block is asked for."""

    def __init__(self, name: str, settings: CaptureSettings = DEFAULTS) -> None:
        self.name = "standard input" if name == "-" else name
        self.path = None if name == "-" else Path(name)
        self.follows = settings.follow and self.path is not None
        known = self.path is not None and self.path.is_file() and not self.follows
        self.size_bytes = self.path.stat().st_size if known and self.path is not None else None
        # Who wants only the first packets sets a smaller buffer.
        self.buffer_bytes, self.is_mapped = BUFFER_BYTES, self.path is not None
        self._stopped = False
        self._last = (0, 0.0)

    @classmethod
    def opens(cls, name: str) -> bool:
        """Whether `name` is this source's: standard input, or a file that is there."""
        return name == "-" or (Path(name).exists() and not Path(name).is_dir())

    def blocks(self) -> Iterator[Block]:
        """The capture's packets; see `Source.blocks`."""
        if self.follows and self.path is not None:
            yield from self._follow(self.path)
            return
        try:
            with open(0 if self.path is None else self.path, "rb", 0, closefd=self.path is not None) as raw:
                walk, at = (yield from self._map(raw)) if self.is_mapped else (None, 0)
                yield from self._read(Unzipped(raw, self.name, at), walk, at)
        except OSError as error:
            raise CaptureError(self.name, 0, f"cannot be read: {error.strerror or error}") from error

    def stop(self) -> None:
        """Follow the file no longer: what is written by now is read."""
        self._stopped = True

    def _follow(self, path: Path) -> Iterator[Block]:
        """The file as it grows, and the next of its name when it was put aside. What breaks is said and passed over."""
        while not self._stopped:
            try:
                with GrowingFile(path, lambda: self._stopped) as raw:
                    yield from self._read(Unzipped(raw, self.name), None, 0)
            except FileNotFoundError:
                yield self._tick()
                time.sleep(LOOK_SECONDS)
            except OSError as error:
                raise CaptureError(self.name, 0, f"cannot be read: {error.strerror or error}") from error
            except CaptureError as error:
                yield self._tick(f"{error.reason} (byte {error.offset})")
                yield from self._wait_for_another(path)

    def _wait_for_another(self, path: Path) -> Iterator[Block]:
        """What broke would break again, until another file has its name."""
        before = path.stat() if path.exists() else None
        while not self._stopped and path.exists() and before is not None:
            now = path.stat()
            if (now.st_ino, now.st_size) != (before.st_ino, before.st_size):
                return
            yield self._tick()
            time.sleep(LOOK_SECONDS)

    def _tick(self, notice: str | None = None) -> Block:
        """No packet, but time went by: packet time goes on from the last packet as our clock does."""
        last_ns, then = self._last
        return empty_block(last_ns + int((time.monotonic() - then) * 10**9) if last_ns else None, notice)

    def _map(self, raw: io.FileIO) -> Generator[Block, None, tuple[Walk | None, int]]:
        """The whole windows of a file that may be mapped; the walk, and how far it came."""
        walk: Walk | None = None
        at = 0
        with leased(raw) as file:
            while (mapped := file.window(at)) is not None:
                base, window = mapped
                if walk is None:
                    head = bytes(window.array[:FILE_HEADER_BYTES])
                    if head.startswith(GZIP_MAGIC):
                        break
                    walk, window.start = self._begin(head)
                    at = window.start
                walk.scan(window)
                step = walk.take(window)
                yield from self._placed(step.blocks, base + step.at)
                if step.problem is not None:
                    raise CaptureError(self.name, base + step.at, step.problem)
                if step.at == window.start:
                    break
                at = base + step.at
        return walk, at

    def _placed(self, blocks: list[Block], position: int) -> Iterator[Block]:
        for block in blocks:
            block.position = position
            self._last = int(block.time_ns[-1]), time.monotonic()
            yield block

    def _read(self, stream: "Unzipped", walk: Walk | None, base: int) -> Iterator[Block]:
        """The capture from `base` on, a buffer at a time; `base` is the (unzipped) place of the buffer's first byte."""
        # A small file needs a small buffer; what grows meanwhile, or unzips to more, makes it grow.
        left = self.buffer_bytes if self.size_bytes is None else max(self.size_bytes - base, MIN_BUFFER_BYTES)
        buffer, start, have = bytearray(min(self.buffer_bytes, left) + SLACK_BYTES), 0, 0
        more = True
        while more:
            while not stream.ready(TICK_SECONDS):
                yield self._tick()
            buffer[: have - start] = buffer[start:have]
            base, have, start = base + start, have - start, 0
            room = len(buffer) - SLACK_BYTES
            if have == room:
                buffer, room = buffer + bytes(have), room + have
            array = np.frombuffer(buffer, np.uint8)
            while True:
                piece = min(PIECE_BYTES, room - have)
                read = stream.fill(memoryview(buffer)[have : have + piece])
                more, have = read > 0, have + read
                if walk is None and (not more or have >= FILE_HEADER_BYTES):
                    if stream.problem is not None and have < FILE_HEADER_BYTES:
                        raise CaptureError(self.name, base + have, stream.problem)
                    walk, start = self._begin(bytes(buffer[: min(have, FILE_HEADER_BYTES)]))
                if walk is not None:
                    start = walk.scan(Window(buffer, array, start, have))
                if not read or have == room or (read < piece and not stream.ready(0)):
                    break
            if walk is None:
                continue
            step = walk.take(Window(buffer, array, start, have))
            start = step.at
            yield from self._placed(step.blocks, stream.position)
            if step.problem is not None:
                raise CaptureError(self.name, base + start, step.problem)
        if stream.problem is not None:
            raise CaptureError(self.name, base + have, stream.problem)
        if start < have:
            raise CaptureError(
                self.name, base + start, f"cut off: {have - start} bytes of an unfinished record are left"
            )

    def _begin(self, head: bytes) -> tuple[Walk, int]:
        """The walk for a capture that begins with `head`, and the offset of its first record."""
        if not head:
            raise CaptureError(self.name, 0, "the file is empty; a capture begins with a file header")
        found = PcapWalk.begin(head) or PcapngWalk.begin(head)
        if found is None and len(head) < FILE_HEADER_BYTES:
            raise CaptureError(
                self.name, 0, f"cut off after {len(head)} bytes; a file header takes {FILE_HEADER_BYTES}"
            )
        if found is None:
            raise CaptureError(self.name, 0, f"neither pcap nor pcapng: it begins with the bytes {head[:4].hex(' ')}")
        return found


class Unzipped:
    """The bytes of a file or pipe, unzipped when they are gzip's. `position` counts the bytes taken from the file."""

    def __init__(self, raw: io.FileIO | GrowingFile, name: str, at: int = 0) -> None:
        self._raw, self.name = raw, name
        self._is_file = isinstance(raw, io.FileIO) and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        self._head = b""
        if at:
            raw.seek(at)
        else:
            self._head = raw.read(2) or b""
            if len(self._head) == 1:
                self._head += raw.read(1) or b""
        self.position = at + len(self._head)
        self.problem: str | None = None
        self._is_zipped = self._head == GZIP_MAGIC
        self._zip = zlib.decompressobj(GZIP_WINDOW) if self._is_zipped else None
        self._packed = b""

    def ready(self, seconds: float) -> bool:
        """Whether `fill` has something, or the end, within so many seconds. A file always has."""
        if self._head or self._packed:
            return True
        if isinstance(self._raw, GrowingFile):
            return self._raw.ready(seconds)
        return self._is_file or bool(select.select([self._raw], [], [], seconds)[0])

    def fill(self, room: memoryview) -> int:
        """Put what there is now into `room`, at least one byte; 0 at the end, or at a `problem`."""
        if self._is_zipped:
            return self._unzip(room)
        if self._head:
            size = len(self._head)
            room[:size], self._head = self._head, b""
            return size
        size = self._raw.readinto(room) or 0
        self.position += size
        return size

    def _pull(self) -> bytes:
        """The next bytes of the file, none at its end."""
        if self._head:
            head, self._head = self._head, b""
            return head
        packed = self._raw.read(ZIP_CHUNK_BYTES) or b""
        self.position += len(packed)
        return packed

    def _unzip(self, room: memoryview) -> int:
        """Unzip into `room`; a file of several gzip members is one stream (RFC 1952 2.2)."""
        done = 0
        while not done and self._zip is not None:
            self._packed = self._packed or self._pull()
            if not self._packed:
                self.problem, self._zip = "the gzip data is cut off (unzipped offset)", None
                break
            before = self._zip.copy()
            try:
                plain = self._zip.decompress(self._packed, len(room))
            except zlib.error as error:
                self.problem, self._zip = f"the gzip data is broken (unzipped offset): {error}", None
                return self._salvage(room, before)
            room[: len(plain)] = plain
            done, self._packed = len(plain), self._zip.unconsumed_tail
            if self._zip.eof:
                self._next_member(self._zip.unused_data)
        return done

    def _salvage(self, room: memoryview, unzip: "zlib._Decompress") -> int:
        """Unzip what lies before the broken place, byte by byte: zlib gives nothing of a call that fails."""
        done = 0
        for at in range(len(self._packed)):
            try:
                plain = unzip.decompress(self._packed[at : at + 1], max(1, len(room) - done))
            except zlib.error:
                break
            if done + len(plain) > len(room):
                break
            room[done : done + len(plain)] = plain
            done += len(plain)
        return done

    def _next_member(self, rest: bytes) -> None:
        """After the end of a gzip member: the next one, or the end of the file. Zeros behind the last are padding."""
        while len(rest) < len(GZIP_MAGIC) and (more := self._pull()):
            rest += more
        self._packed, self._zip = rest, None
        if rest.startswith(GZIP_MAGIC):
            self._zip = zlib.decompressobj(GZIP_WINDOW)
        elif rest.strip(b"\0"):
            self.problem = "what follows the gzip data is no gzip data (unzipped offset)"


def empty_block(at_ns: int | None = None, notice: str | None = None) -> Block:
    """No packet; it says that the source is still there."""
    none = np.zeros(0, np.int64)
    return Block(NOTHING, none, none, none, none, 1, at_ns=at_ns, notice=notice)
