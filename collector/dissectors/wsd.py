"""WS-Discovery: how ONVIF devices say that they are there, and what they are.

OASIS, "Web Services Dynamic Discovery" 1.1, and its draft of April 2005, which ONVIF uses: Hello and Bye 4, Probe and
ProbeMatches 5, Resolve 6. ONVIF Core Specification 7.3.2: scopes `onvif://www.onvif.org/<category>/<value>`, the value
percent-encoded; categories name, hardware, location, type, Profile, and makers' own. SOAP over UDP, port 3702.
"""

from urllib.parse import unquote

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed
from collector.observation import Announced
from collector.texts import clean, find_element, read_element, read_words

PORT = 3702
MAX_BYTES = 16_384
NAMESPACES = (
    b"http://schemas.xmlsoap.org/ws/2005/04/discovery",
    b"http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01",
)
ACTIONS = ("Hello", "Bye", "Probe", "ProbeMatches", "ProbeMatch", "Resolve", "ResolveMatches")
ONVIF_SCOPE = "onvif://www.onvif.org/"
_BLANKS = b" \t\r\n\xef\xbb\xbf"


def recognises(first: bytes, port: int, direction: int) -> bool:
    """An XML document that names a discovery namespace."""
    head = first[:MAX_BYTES]
    return head.lstrip(_BLANKS).startswith(b"<") and any(each in head for each in NAMESPACES)


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One envelope. Malformed when it has no action."""
    text = payload[:MAX_BYTES].decode("utf-8", "replace")
    action = (read_element(text, "Action") or "").rstrip("/").rpartition("/")[2]
    if not action:
        raise Malformed("a WS-Discovery envelope without an action")
    scopes = read_words(find_element(text, "Scopes"))
    said = Announced(
        type=read_scope(scopes, "type"),
        name=read_scope(scopes, "name"),
        manufacturer=read_scope(scopes, "manufacturer") or read_scope(scopes, "mfr"),
        model=read_scope(scopes, "hardware") or read_scope(scopes, "model"),
        mac=read_scope(scopes, "MAC"),
        identifier=read_element(text, "Address") if "EndpointReference" in text else None,
        location=next(iter(read_words(find_element(text, "XAddrs")) or ()), None),
        services=read_words(find_element(text, "Types")),
        scopes=scopes,
    )
    return [
        Fact(
            "wsd",
            backward=direction == FROM_SERVER,
            action=action if action in ACTIONS else clean(action),
            announced=said if said != Announced() else None,
        )
    ]


def read_scope(scopes: list[str] | None, category: str) -> str | None:
    """The value of the first ONVIF scope of a category, percent-decoded."""
    start = (ONVIF_SCOPE + category + "/").lower()
    for scope in scopes or ():
        if scope.lower().startswith(start):
            return clean(unquote(scope[len(start) :]))
    return None


DISSECTOR = Dissector(name="wsd", recognises=recognises, read_datagram=read_datagram, starts=b"<" + _BLANKS)
