"""NTP: whom a device asks for the time, and what the answer says of its source.

RFC 5905 7.3 (header, modes, reference id), 14 (SNTP). Control and private messages (modes 6 and 7) are recognised on
the port only.
"""

import numpy as np

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Truncated
from collector.observation import Announced
from collector.packets import Bytes, Ints, Mask, gather
from collector.texts import read_text

PORT = 123
MODES = ("reserved", "active", "passive", "client", "server", "broadcast", "control", "private")
_HEADER_BYTES = 48
_CONTROL, _PRIVATE = 6, 7
_ASKS = np.isin(np.arange(256), list(b"\x1b\x23\xdb\xe3"))
_CLIENT, _SERVER, _BROADCAST = 3, 4, 5


def recognises(first: bytes, port: int, direction: int) -> bool:
    """On port 123 a lawful version, mode and length; elsewhere only a simple client's request, nearly all zeros."""
    if not first:
        return False
    version, mode = first[0] >> 3 & 7, first[0] & 7
    if not 1 <= version <= 4 or not mode:
        return False
    if port == PORT:
        return len(first) >= (8 if mode in (_CONTROL, _PRIVATE) else _HEADER_BYTES)
    return mode == _CLIENT and version >= 3 and len(first) == _HEADER_BYTES and not any(first[16:40])


def glance(data: Bytes, starts: Ints, stops: Ints) -> Mask:
    """Which messages are a simple client's plain request, of version 3 or 4: zeros but for its first byte and its time.

    They stand in `data` from `starts` to `stops`; behind the last of them it goes on for SLACK_BYTES.
    """
    headers = gather(data, starts, 40)
    plain: Mask = (stops - starts == _HEADER_BYTES) & _ASKS[headers[:, 0]] & ~headers[:, 1:].any(axis=1)
    return plain


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One message. Truncated when the header is not whole."""
    mode = payload[0] & 7 if payload else 0
    if len(payload) < (8 if mode in (_CONTROL, _PRIVATE) else _HEADER_BYTES):
        raise Truncated(f"an NTP header has {_HEADER_BYTES} bytes, here are {len(payload)}")
    source = None
    if mode in (_SERVER, _BROADCAST):
        # Above stratum 1 the reference id of an IPv4 source is its address (RFC 5905 7.3).
        source = read_text(payload[12:16]) if payload[1] < 2 else ".".join(map(str, payload[12:16]))
    return [
        Fact(
            "ntp",
            backward=direction == FROM_SERVER,
            action=MODES[mode],
            announced=Announced(identifier=source) if source else None,
        )
    ]


_STARTS = bytes(first for first in range(256) if 1 <= first >> 3 & 7 <= 4 and first & 7)
DISSECTOR = Dissector(name="ntp", recognises=recognises, read_datagram=read_datagram, starts=_STARTS)
