"""Packets of the ring → a small pcapng, each with a comment that says what was observed of it."""

from typing import Final

import numpy as np

from collector.errors import LenswatchError
from collector.evidence.segments import Found
from collector.packets import SLACK_BYTES
from collector.pcap import Window
from collector.pcapng import PcapngWalk
from collector.pcapng_writer import PacketWriter

MAX_EXHIBIT_BYTES: Final = 1 << 20
MAX_SHOWN: Final = 1_000
COMMENT: Final = "lenswatch observation "


def write_exhibit(found: Found, max_bytes: int = MAX_EXHIBIT_BYTES) -> tuple[bytes, int]:
    """A pcapng of at most `max_bytes`, and how many packets had no room in it. The comment of a packet is a line for
    each observation: COMMENT and its id."""
    writer, parts, size, left = PacketWriter(), list[bytes](), 0, 0
    for (at_ns, link_type, wire, data), ids in found.packets:
        comment = "\n".join(COMMENT + each for each in ids)
        blocks = writer.packet(link_type, at_ns, data, wire, comment)
        # Once one had no room, none has: its interface may be described in what is left out.
        if left or size + len(blocks) > max_bytes:
            left += 1
            continue
        parts.append(blocks)
        size += len(blocks)
    return b"".join(parts), left


def read_exhibit(exhibit: bytes) -> list[tuple[int, int, bytes]]:
    """The first MAX_SHOWN packets of a pcapng: time, bytes on the wire, bytes. Raises LenswatchError."""
    started = PcapngWalk.begin(exhibit)
    if started is None:
        raise LenswatchError("the packets are no pcapng")
    walk, begin = started
    data = bytearray(exhibit) + bytes(SLACK_BYTES)
    window = Window(data, np.frombuffer(data, np.uint8), begin, len(exhibit))
    walk.scan(window)
    step = walk.take(window)
    if step.problem is not None:
        raise LenswatchError(f"the packets cannot be read: byte {step.at}: {step.problem}")
    found = []
    for block in step.blocks:
        columns = zip(
            block.time_ns.tolist(), block.wire.tolist(), block.start.tolist(), block.captured.tolist(), strict=True
        )
        found += [(at_ns, wire, exhibit[start : start + size]) for at_ns, wire, start, size in columns]
    return found[:MAX_SHOWN]
