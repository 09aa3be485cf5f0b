"""The files of the ring: records one behind the other, each what a block of packets was evidence of.

A file begins with HEADER. A record is a head (`_HEAD`, little-endian: its mark, the bytes behind the head, how many of
them are used, and the CRC-32 of those) and its entries as MessagePack: for each the ids of some observations, of whose
devices they are, and the packets that they rest on. A file that was cut off is read up to its last whole record. Its
name says when it was begun.
"""

import binascii
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

import msgspec

from collector.errors import LenswatchError

HEADER: Final = b"lenswatch evidence 1\n\0\0\0"
SUFFIX: Final = ".evidence"
MAX_FILE_BYTES: Final = 1 << 30
ID_DIGITS: Final = 32
NS: Final = 10**9

_MARK = b"\xe7LW\n"
_HEAD = Struct("<4sIII")

Kept = tuple[int, int, int, bytes]
"""A packet: time (nanoseconds since 1970), link type, bytes on the wire, and its bytes as far as they are kept."""


class Entry(msgspec.Struct, array_like=True):
    """Some observations of one flow: their ids, their devices, and the packets that they rest on."""

    observations: list[str]
    devices: list[str]
    packets: list[Kept]


class Segment(NamedTuple):
    """A file of the ring: when it was begun (nanoseconds since 1970, the clock's), and its size."""

    path: Path
    begun_ns: int
    size_bytes: int


class Found(NamedTuple):
    """Packets in the order of their times, each with the ids of what it is evidence of; and of which ids none is
    kept."""

    packets: list[tuple[Kept, list[str]]]
    missing: list[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Entry]).decode


def write_record(entries: Sequence[tuple[list[str], list[str], Sequence[Kept]] | Entry], size: int = 0) -> bytes:
    """A record of some entries; of at least `size` bytes behind its head."""
    body = _encode(entries)
    return _HEAD.pack(_MARK, max(size, len(body)), len(body), binascii.crc32(body)) + body.ljust(size, b"\0")


class Record(NamedTuple):
    """A whole record: where it stands in its file, where its entries begin, and how many bytes of how many they
    take."""

    at: int
    begin: int
    size: int
    used: int
    digest: int

    def holds(self, data: bytes, words: Iterable[bytes]) -> bool:
        """Whether any of these words stands in it."""
        return any(data.find(each, self.begin, self.begin + self.used) >= 0 for each in words)

    def entries(self, data: bytes) -> list[Entry]:
        """Its entries; none where its bytes are not what was written."""
        body = memoryview(data)[self.begin : self.begin + self.used]
        if binascii.crc32(body) != self.digest:
            return []
        try:
            return _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []


def read_records(data: bytes) -> Iterator[Record]:
    """The whole records of a file, as far as they follow one another."""
    at, end = len(HEADER), len(data) if data.startswith(HEADER) else 0
    while at + _HEAD.size <= end:
        mark, size, used, digest = _HEAD.unpack_from(data, at)
        begin = at + _HEAD.size
        if mark != _MARK or begin + size > end or used > size:
            return
        yield Record(at, begin, size, used, digest)
        at = begin + size


def list_segments(folder: Path) -> list[Segment]:
    """The files of the ring in a folder, the oldest first. Raises LenswatchError."""
    found = []
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            begun = path.name.partition("-")[0]
            if path.suffix == SUFFIX and begun.isascii() and begun.isdigit():
                try:
                    found.append(Segment(path, int(begun), path.stat().st_size))
                except FileNotFoundError:
                    # Another process let it go meanwhile.
                    continue
    except OSError as error:
        raise LenswatchError(f"{folder}: the evidence cannot be read: {error.strerror or error}") from error
    return sorted(found)


def read_segment(path: Path) -> bytes:
    """A file's bytes; none where it was let go meanwhile. Raises LenswatchError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise LenswatchError(f"{path}: the evidence cannot be read: {error.strerror or error}") from error


def is_id(text: str) -> bool:
    """Whether an observation of this id may have packets: 32 hexadecimal digits."""
    return len(text) == ID_DIGITS and text.isascii() and all(each in "0123456789abcdef" for each in text)


def find_packets(folder: Path, ids: Iterable[str], since_ns: int = 0) -> Found:
    """The packets of these observations, as far as they are kept in files begun at or after `since_ns`. Raises
    LenswatchError."""
    asked = list(dict.fromkeys(ids))
    wanted = {each for each in asked if is_id(each)}
    words = [each.encode() for each in wanted]
    found: dict[Kept, list[str]] = {}
    there: set[str] = set()
    for segment in list_segments(folder):
        if segment.begun_ns < since_ns:
            continue
        data = read_segment(segment.path)
        # A search for bytes is a hundred times faster than reading records.
        if not any(each in data for each in words):
            continue
        for record in read_records(data):
            for entry in record.entries(data) if record.holds(data, words) else ():
                named = [each for each in entry.observations if each in wanted]
                for packet in entry.packets if named else ():
                    of = found.setdefault(packet, [])
                    of += [each for each in named if each not in of]
                    there.update(named)
    in_order = sorted(found.items(), key=lambda pair: pair[0][0])
    return Found(in_order, [each for each in asked if each not in there])


def forget_device(folder: Path, device: str) -> int:
    """Overwrite what is evidence about a device; of how many packets. What is about another device too goes with it.
    Raises LenswatchError."""
    gone, word = 0, device.encode()
    for segment in list_segments(folder):
        data = read_segment(segment.path)
        for record in read_records(data) if word in data else ():
            if not record.holds(data, (word,)):
                continue
            entries = record.entries(data)
            rest = [each for each in entries if device not in each.devices]
            if len(rest) < len(entries):
                gone += sum(len(each.packets) for each in entries if device in each.devices)
                overwrite(segment.path, record.at, write_record(rest, record.size))
    return gone


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Write over what stands in a file, if it is still there. Raises LenswatchError."""
    try:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LenswatchError(f"{path}: cannot be written: {error.strerror or error}") from error
