"""SSDP: who searches for devices on the link, and which devices say that they are there.

UPnP Device Architecture 2.0: advertisement 1.2 (NOTIFY), search 1.3 (M-SEARCH and its answer). The fields are HTTP's,
and their order is free. An answer comes back to the port that asked, so that its content and not its port is what
tells it. The description that LOCATION leads to is read where it passes by, by `http.py`.
"""

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed
from collector.http_head import escape, read_field
from collector.observation import Announced, UserAgent
from collector.texts import clean

PORT = 1900
MAX_BYTES = 8_192
_REQUESTS = {b"NOTIFY * HTTP/1.": "notify", b"M-SEARCH * HTTP/1.": "search"}
_ANSWER = b"HTTP/1."
_STATES = {"ssdp:alive": "alive", "ssdp:byebye": "byebye", "ssdp:update": "update"}


def recognises(first: bytes, port: int, direction: int) -> bool:
    """A NOTIFY or M-SEARCH, on another port with a target; an HTTP answer over UDP with a target and a unique name."""
    lower = first[:MAX_BYTES].lower()
    if first.startswith(tuple(_REQUESTS)):
        return port == PORT or b"\nst:" in lower or b"\nnt:" in lower
    return first.startswith(_ANSWER) and b"\nst:" in lower and (b"\nusn:" in lower or port == PORT)


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One message. Malformed when it has no line of fields."""
    head = payload[:MAX_BYTES].decode("latin-1").partition("\r\n\r\n")[0] + "\n"
    if head.count("\n") < 2:
        raise Malformed("an SSDP message without fields")
    lower = head.lower()

    def field(name: str) -> str | None:
        value = read_field(head, lower, f"\n{name}:")
        return clean(escape(value)) if value else None

    kind = next((word for start, word in _REQUESTS.items() if payload.startswith(start)), "response")
    if kind == "notify":
        kind = _STATES.get((field("nts") or "").lower(), kind)
    target, agent = field("nt") or field("st"), field("user-agent")
    return [
        Fact(
            "ssdp",
            backward=direction == FROM_SERVER,
            action=kind,
            announced=Announced(
                software=field("server"),
                identifier=field("usn"),
                location=field("location"),
                services=[target] if target else None,
            ),
            user_agent=UserAgent(original=agent) if agent else None,
        )
    ]


DISSECTOR = Dissector(name="ssdp", recognises=recognises, read_datagram=read_datagram, starts=b"NMH")
