"""Packets of the ring → a small pcapng, each with a comment that says what was observed of it."""

from typing import Final

from collector.evidence.segments import Found
from collector.pcapng_writer import PacketWriter

MAX_EXHIBIT_BYTES: Final = 1 << 20
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
