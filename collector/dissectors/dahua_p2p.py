"""Dahua's P2P service: a device and its viewers meet through a server on UDP port 8800, then tunnel TCP through UDP.

No public specification: the forms are those of khoanguyen-3fc/dh-p2p (README, helpers.py, dh-p2p.lua), which several
independent clients share. Requests look like HTTP with methods of their own (DHGET, DHPOST; NFGET and NFPOST of the
DMSS app), answers are HTTP with a CSeq and XML; each is one datagram. STUN messages follow with all bits turned over,
and the tunnel, PTCP: "PTCP", five numbers of four bytes, and a body whose first byte is its type. The tunnel carries
video, so that only its beginning is read.
"""

import re

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed
from collector.http_head import escape
from collector.observation import Announced, Http, HttpRequest, HttpResponse, Url
from collector.texts import clean, read_element

PORT = 8_800
MAX_BYTES = 8_192
MAX_DATAGRAMS = 32
"""Of a side: the meeting takes a dozen."""
MAX_TUNNEL_DATAGRAMS = 2
TUNNEL_TYPES = {
    0x00: "open", 0x10: "data", 0x11: "bind", 0x12: "status", 0x13: "heartbeat", 0x17: "sign", 0x19: "authentication",
    0x1A: "authentication answer", 0x1B: "authentication end",
}  # fmt: skip
_REQUEST = re.compile(rb"(DHGET|DHPOST|NFGET|NFPOST) (/[!-~]{0,512}) HTTP/1\.[01]\r?\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ -~]{0,64}\r?\n")
_SERIAL = re.compile(r"/(?:device|p2psrv)/([0-9A-Za-z]{8,32})(?:/|\Z)")
_TUNNEL = b"PTCP"
_TUNNEL_HEADER_BYTES = 24
_TURNED_COOKIE = bytes(byte ^ 0xFF for byte in b"\x21\x12\xa4\x42")


def recognises(first: bytes, port: int, direction: int) -> bool:
    """One of its requests, an HTTP answer with a CSeq over UDP on the port, or the tunnel's four letters and header."""
    if first.startswith(_TUNNEL):
        return len(first) >= _TUNNEL_HEADER_BYTES
    if first.startswith(b"HTTP/1."):
        return port == PORT and _ANSWER.match(first) is not None and b"\ncseq:" in first[:MAX_BYTES].lower()
    return _REQUEST.match(first) is not None


class P2pConversation:
    """One UDP flow up to the first packets of its tunnel."""

    __slots__ = ("_left", "_tunnel", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self._left = [MAX_DATAGRAMS, MAX_DATAGRAMS]
        self._tunnel = [0, 0]

    def read(self, direction: int, payload: bytes) -> list[Fact]:
        """A fact of a request, an answer, or a tunnel's first packets. Malformed when it is none that this flow has."""
        self._left[direction] -= 1
        backward = direction == FROM_SERVER
        if payload.startswith(_TUNNEL):
            self._tunnel[direction] += 1
            if self._tunnel[direction] >= MAX_TUNNEL_DATAGRAMS:
                self._left[direction] = 0
        self.wants[direction] = self._left[direction] > 0
        if payload.startswith(_TUNNEL):
            kind = payload[_TUNNEL_HEADER_BYTES] if len(payload) > _TUNNEL_HEADER_BYTES else None
            word = "empty" if kind is None else TUNNEL_TYPES.get(kind) or f"type {kind}"
            return [Fact("dahua_p2p", backward=backward, action=f"tunnel {word}")]
        if payload[4:8] == _TURNED_COOKIE or payload[:1] in (b"\xff", b"\xfe"):
            return [Fact("dahua_p2p", backward=backward, action="turned STUN")]
        return [read_message(payload[:MAX_BYTES], backward)]


def read_message(data: bytes, backward: bool) -> Fact:
    """A request or an answer. Malformed when it is neither."""
    answer = _ANSWER.match(data)
    if answer is not None:
        text = data.decode("utf-8", "replace")
        said = Announced(
            location=read_element(text, "US") or read_element(text, "Address") or read_element(text, "Agent"),
            ip=(read_element(text, "PubAddr") or "").partition(":")[0] or None,
        )
        return Fact(
            "dahua_p2p",
            backward=backward,
            action="answer",
            http=Http(response=HttpResponse(status_code=int(answer[1]))),
            announced=said if said != Announced() else None,
        )
    asked = _REQUEST.match(data)
    if asked is None:
        raise Malformed("neither a request nor an answer of Dahua's P2P service")
    method, path = asked[1].decode("ascii"), asked[2].decode("ascii")
    serial = _SERIAL.search(path)
    return Fact(
        "dahua_p2p",
        backward=backward,
        action=method,
        url=Url(original=escape(path), path=escape(path)),
        http=Http(request=HttpRequest(method=method)),
        announced=Announced(serial_number=clean(serial[1])) if serial is not None else None,
    )


DISSECTOR = Dissector(name="dahua_p2p", recognises=recognises, converse=P2pConversation, starts=b"DNHP")
