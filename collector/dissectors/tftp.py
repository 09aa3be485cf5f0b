"""TFTP requests, and the handshake of Hikvision's boot loader before one: which file a device fetches, or is given.

RFC 1350 5 (RRQ, WRQ: opcode, file name, mode, each text ending in a zero), RFC 2347 (options behind them, not read).
The data passes between other ports, and is not read. The handshake has no public specification: as
scottlamb/hikvision-tftpd serves it, twenty bytes that begin with SWKH, from UDP port 9979 to 9978, and the same back.
"""

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Url
from collector.texts import clean

PORT, HANDSHAKE_PORT = 69, 9_978
REQUESTS = {b"\0\1": "read", b"\0\2": "write"}
HANDSHAKE = b"SWKH" + bytes(16)
MODES = (b"netascii", b"octet", b"mail")
MAX_NAME_BYTES = 512


def recognises(first: bytes, port: int, direction: int) -> bool:
    """A request on TFTP's port, or the handshake on its own."""
    if port == HANDSHAKE_PORT:
        return first == HANDSHAKE
    return port == PORT and first[:2] in REQUESTS


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """A request or a handshake. Malformed when it is neither."""
    backward = direction == FROM_SERVER
    if payload == HANDSHAKE:
        return [Fact("tftp", backward=backward, action="handshake")]
    action = REQUESTS.get(payload[:2])
    if action is None:
        raise Malformed("neither a TFTP request nor a handshake")
    name, end, rest = payload[2 : 2 + MAX_NAME_BYTES].partition(b"\0")
    if not end:
        raise Truncated("a TFTP request whose file name does not end")
    mode = rest.partition(b"\0")[0]
    if not name or mode.lower() not in MODES:
        raise Malformed("a TFTP request without a file name or a mode")
    text = clean(name.decode("utf-8", "replace")) or "?"
    return [Fact("tftp", backward=backward, action=action, url=Url(original=text, path=f"/{text.lstrip('/')}"))]


DISSECTOR = Dissector(name="tftp", recognises=recognises, read_datagram=read_datagram, starts=b"\0S")
