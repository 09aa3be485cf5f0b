"""The entries of the table in which what is known of devices is kept: a head that tells enough to begin, and a body."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import zstandard

MIN_COMPRESSED_BYTES: Final = 512
ZSTD_LEVEL: Final = 1
DEVICE, SENSOR, GROUNDS = "d/", "s/", "g/"
"""How a key begins: a device and its id, a sensor and grounds each with the number of their partition and a name."""


class Head(msgspec.Struct, array_like=True):
    """What one must know of an entry without its body: its partition, when it was last seen (packet time) and last
    written to, when it is due to be looked at by a tick (record time; None never), how many findings are open, and the
    names of the grounds that its alerts stand on; before there were any the body stood there."""

    partition: int
    seen: float
    touched: float
    due: float | None
    open: int
    grounds: list[str] | bytes = []

    @property
    def names(self) -> list[str]:
        """The names of the grounds."""
        return [] if isinstance(self.grounds, bytes) else self.grounds


class Entry(Head, array_like=True):
    """What is kept of a device, of a sensor or of grounds: the head, and a body in MessagePack, as a zstd frame (RFC
    8878) where that is worth it."""

    body: bytes = b""


class Packing:
    """Entries as bytes, and back."""

    def __init__(self) -> None:
        self._encoder, self._entry = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Entry)
        self._compress = zstandard.ZstdCompressor(ZSTD_LEVEL).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    def pack(self, entry: Entry, body: Any) -> bytes:
        """An entry with this body, which it does not keep."""
        packed = self._encoder.encode(body)
        entry.body = self._compress(packed) if len(packed) > MIN_COMPRESSED_BYTES else packed
        data = self._encoder.encode(entry)
        entry.body = b""
        return data

    def unpack(self, data: bytes) -> tuple[Entry, bytes]:
        """An entry, and its body in MessagePack."""
        entry = self._entry.decode(data)
        body, entry.body = entry.body, b""
        if isinstance(entry.grounds, bytes):
            body, entry.grounds = entry.grounds, []
        return entry, self._decompress(body) if body.startswith(zstandard.FRAME_HEADER) else body


def heads_of(table: Iterable[tuple[str, bytes]]) -> dict[int, list[tuple[str, Head]]]:
    """The entries of a table by partition, as far as a partition must know them to begin."""
    heads: dict[int, list[tuple[str, Head]]] = {}
    decoder = msgspec.msgpack.Decoder(Head)
    for key, data in table:
        head = decoder.decode(data)
        heads.setdefault(head.partition, []).append((key, head))
    return heads
