"""The files of the ring: records one behind the other, each some observations and the packets that they rest on.

A file begins with HEADER. A record is a head (`_HEAD`: its mark, the bytes behind the head and their CRC-32, how many
observations and packets), for each observation its id (16 bytes) and a digest of its device (8 bytes, so that a device
can be forgotten), and for each packet its time (nanoseconds since 1970), bytes on the wire, bytes here and link type
(`_PACKET`, little-endian), then its bytes. A file that was cut off is read up to its last whole record. Its name says
when it was begun.
"""

import binascii
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from collector.errors import LenswatchError

HEADER: Final = b"lenswatch evidence 1\n\0\0\0"
SUFFIX: Final = ".evidence"
MAX_FILE_BYTES: Final = 1 << 30
MAX_PACKETS, MAX_IDS = 64, 1_000
ID_BYTES, DEVICE_BYTES = 16, 8
NS: Final = 10**9

_MARK = b"\xe7LW\n"
_HEAD = Struct("<4sIIHH")
_PACKET = Struct("<qIIH")
_NAMED = ID_BYTES + DEVICE_BYTES

Kept = tuple[int, int, int, bytes]
"""A packet: time (nanoseconds since 1970), link type, bytes on the wire, and its bytes as far as they are kept."""


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


def digest_of(device: str) -> bytes:
    """What stands for a device's id."""
    return hashlib.blake2b(device.encode(), digest_size=DEVICE_BYTES).digest()


def write_record(named: Sequence[tuple[bytes, bytes]], packets: Sequence[Kept]) -> bytes:
    """A record of observations (id, digest of the device) and their packets, MAX_IDS and MAX_PACKETS at most."""
    named, packets = named[:MAX_IDS], packets[:MAX_PACKETS]
    parts = [part for pair in named for part in pair]
    for at_ns, link_type, wire, data in packets:
        parts += (_PACKET.pack(at_ns, wire, len(data), link_type), data)
    body = b"".join(parts)
    return _HEAD.pack(_MARK, len(body), binascii.crc32(body), len(named), len(packets)) + body


class Record(NamedTuple):
    """A whole record: where it stands in its file, and what it holds; `packets` are read when they are asked for."""

    at: int
    body: memoryview
    digest: int
    observation_count: int
    packet_count: int

    def named(self) -> list[tuple[bytes, bytes]]:
        """The ids of its observations, with the digests of their devices."""
        pairs = (bytes(self.body[at : at + _NAMED]) for at in range(0, self.observation_count * _NAMED, _NAMED))
        return [(pair[:ID_BYTES], pair[ID_BYTES:]) for pair in pairs]

    def packets(self) -> list[Kept] | None:
        """Its packets; None where its bytes are not what was written."""
        body, at, found = self.body, self.observation_count * _NAMED, list[Kept]()
        if binascii.crc32(body) != self.digest:
            return None
        for _ in range(self.packet_count):
            if at + _PACKET.size > len(body):
                return None
            at_ns, wire, size, link_type = _PACKET.unpack_from(body, at)
            at += _PACKET.size
            if at + size > len(body):
                return None
            found.append((at_ns, link_type, wire, bytes(body[at : at + size])))
            at += size
        return found


def read_records(data: bytes) -> Iterator[Record]:
    """The whole records of a file, as far as they follow one another."""
    if not data.startswith(HEADER):
        return
    view, at, end = memoryview(data), len(HEADER), len(data)
    while at + _HEAD.size <= end:
        mark, size, digest, ids, count = _HEAD.unpack_from(data, at)
        begin = at + _HEAD.size
        if mark != _MARK or begin + size > end or ids * _NAMED > size:
            return
        yield Record(at, view[begin : begin + size], digest, ids, count)
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
    return len(text) == 2 * ID_BYTES and text.isascii() and all(each in "0123456789abcdef" for each in text)


def find_packets(folder: Path, ids: Iterable[str], since_ns: int = 0) -> Found:
    """The packets of these observations, as far as they are kept in files begun at or after `since_ns`. Raises
    LenswatchError."""
    asked = list(dict.fromkeys(ids))
    wanted = {bytes.fromhex(each): each for each in asked if is_id(each)}
    found: dict[Kept, list[str]] = {}
    there: set[str] = set()
    for segment in list_segments(folder):
        if segment.begun_ns < since_ns:
            continue
        data = read_segment(segment.path)
        # A search for the bytes of an id is a hundred times faster than a walk over records.
        if not any(each in data for each in wanted):
            continue
        for record in read_records(data):
            named = [wanted[id] for id, _ in record.named() if id in wanted]
            for packet in (record.packets() or ()) if named else ():
                of = found.setdefault(packet, [])
                of += [each for each in named if each not in of]
                there.update(named)
    in_order = sorted(found.items(), key=lambda pair: pair[0][0])
    return Found(in_order, [each for each in asked if each not in there])


def forget_device(folder: Path, device: str) -> int:
    """Overwrite the packets of a device; how many records there were. A record that is of another device too goes with
    it. Raises LenswatchError."""
    digest, gone = digest_of(device), 0
    for segment in list_segments(folder):
        data = read_segment(segment.path)
        if digest not in data:
            continue
        records = [each for each in read_records(data) if any(digest == of for _, of in each.named())]
        try:
            with segment.path.open("r+b") as file:
                for record in records:
                    size = len(record.body)
                    file.seek(record.at)
                    file.write(_HEAD.pack(_MARK, size, binascii.crc32(bytes(size)), 0, 0) + bytes(size))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LenswatchError(f"{segment.path}: cannot be written: {error.strerror or error}") from error
        gone += len(records)
    return gone
