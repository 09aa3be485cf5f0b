"""One text for each message of the discovery and streaming protocols, as tshark's layers and as our observations say
it.

rtsp     method, address and User-Agent of a request; code, Server and realm of a response
dhcp     message type, name, vendor class and parameter list
ssdp     method or code, target (NT or ST) and USN
ntp      mode
stun     kind of message, SOFTWARE and REALM; each once a capture, for of a flow only the first messages are read
server   the Server field of an HTTP/1 response
realm    the realm of the first WWW-Authenticate field of an HTTP/1 response
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from collector.observation import Observation

TITLES = {
    "rtsp": "RTSP messages",
    "dhcp": "DHCP messages",
    "ssdp": "SSDP messages",
    "ntp": "NTP messages",
    "stun": "STUN messages",
    "server": "HTTP Server fields",
    "realm": "HTTP realms",
}
DISTINCT = ("stun",)
FILTER = "rtsp or dhcp.option.dhcp or ssdp or ntp or stun or http.server or http.www_authenticate"
PROTOCOLS = "rtsp dhcp ssdp ntp stun"
DHCP_TYPES = (
    "", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM", "FORCERENEW", "LEASEQUERY",
    "LEASEUNASSIGNED", "LEASEUNKNOWN", "LEASEACTIVE",
)  # fmt: skip
NTP_MODES = ("reserved", "active", "passive", "client", "server", "broadcast", "control", "private")
STUN_METHODS = {
    1: "binding", 2: "shared secret", 3: "allocate", 4: "refresh", 6: "send", 7: "data", 8: "create permission",
    9: "channel bind", 10: "connect", 11: "connection bind", 12: "connection attempt",
}  # fmt: skip
STUN_CLASSES = {0: "request", 0x10: "indication", 0x100: "success", 0x110: "error", 1: "indication", 0x11: "error"}

GREASE = re.compile(b"|".join(re.escape(bytes((number, number))) for number in range(0x0A, 0x100, 0x10)))
"""RFC 8701 2."""
ENCRYPTED_HELLO = ("65037", "65486")
"""encrypted_client_hello (RFC 9849), and the encrypted_server_name of its drafts."""
REALM = re.compile(r'(?:^|[\s,])realm\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.IGNORECASE)
"""RFC 9110 11.5."""
Pairs = list[tuple[str, Any]]
MAX_CHARACTERS = 256
"""An observation's texts are cut there."""


def bytes_of(value: Any) -> bytes:
    """The bytes behind a raw field: [hex, position, length, mask, type]."""
    return bytes.fromhex(value[0]) if isinstance(value[0], str) else bytes.fromhex(value[0][0])


def plain(data: bytes | str) -> str:
    """A field's text: UTF-8 or Latin-1, no blanks at its ends, what cannot be printed escaped; as long as ours are."""
    if isinstance(data, bytes):
        data = data.partition(b"\0")[0]
        try:
            data = data.decode()
        except UnicodeDecodeError:
            data = data.decode("latin-1")
    text = data.strip()[:MAX_CHARACTERS]
    return "".join(each if " " <= each <= "~" or each >= "\xa0" else f"\\x{ord(each):02x}" for each in text)


def latin(data: bytes) -> str:
    """A field of a text protocol: printable ASCII, the rest as \\xNN."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data.strip())[:MAX_CHARACTERS]


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of a tree, in document order."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, tuple):
                yield item
                yield from walk(item[1])


def offer_text(alpn: Sequence[str], hides: bool) -> str:
    """What a ClientHello offers: its ALPN list, and whether an encrypted ClientHello is in it."""
    return f"{','.join(alpn)} {'ech' if hides else '-'}"


def texts_of(protocol: str, layer: Pairs, raw: bytes) -> Iterator[tuple[str, str]]:
    """Kind and text of each message in a layer of tshark's; `raw` are the layer's bytes."""
    fields: dict[str, Any] = {}
    requested = []
    for key, value in walk(layer):
        fields.setdefault(key, value)
        if key == "dhcp.option.request_list_item":
            requested.append(str(value))
    if protocol == "rtsp":
        if "rtsp.method_raw" in fields:
            address = bytes_of(fields["rtsp.url_raw"]) if "rtsp.url_raw" in fields else b""
            yield "rtsp", f"{fields['rtsp.method']} {latin(address)} {heads_of(raw).get(b'user-agent', '')}"
        elif "rtsp.status" in fields:
            heads = heads_of(raw)
            yield "rtsp", f"{fields['rtsp.status']} {heads.get(b'server', '')} {realm_of(heads)}"
    elif protocol == "dhcp" and "dhcp.option.dhcp" in fields:
        name = fields.get("dhcp.fqdn.name") or named(fields, "dhcp.option.hostname_raw")
        vendor = named(fields, "dhcp.option.vendor_class_id_raw")
        number = int(fields["dhcp.option.dhcp"])
        kind = DHCP_TYPES[number] if number < len(DHCP_TYPES) else str(number)
        yield "dhcp", f"{kind} {name} {vendor} {','.join(requested)}"
    elif protocol == "ssdp":
        yield "ssdp", ssdp_text(raw)
    elif protocol == "ntp" and "ntp.flags.mode" in fields:
        yield "ntp", NTP_MODES[int(fields["ntp.flags.mode"])]
    elif protocol == "stun" and "stun.type" in fields:
        kind = int(str(fields["stun.type"]), 16)
        method = kind & 0xF | (kind & 0xE0) >> 1 | (kind & 0x3E00) >> 2
        word = STUN_METHODS.get(method) or f"method {method}"
        software, realm = named(fields, "stun.att.software_raw"), named(fields, "stun.att.realm_raw")
        yield "stun", f"{word} {STUN_CLASSES[kind & 0x110]} {software} {realm}"


def named(fields: dict[str, Any], key: str) -> str:
    """A raw field's text, empty where it is not there."""
    return plain(bytes_of(fields[key])) if key in fields else ""


def heads_of(raw: bytes) -> dict[bytes, str]:
    """The fields of a message by their names in lower case, from its bytes; of several the first."""
    found: dict[bytes, str] = {}
    for line in raw.partition(b"\r\n\r\n")[0].split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        found.setdefault(name.strip().lower(), latin(value))
    return found


def realm_of(heads: dict[bytes, str]) -> str:
    """The realm of the first challenge; empty where there is none."""
    found = REALM.search(heads.get(b"www-authenticate", ""))
    return (found[1] if found[1] is not None else found[2]) if found is not None else ""


def ssdp_text(raw: bytes) -> str:
    """Method or code, target and name of an SSDP message, from its bytes: to tshark its fields are unknown ones."""
    head, fields = raw.partition(b"\n")[0], heads_of(raw)
    first = head.split(b" ")[1 if head.startswith(b"HTTP/") else 0].decode("latin-1")
    return f"{first} {fields.get(b'nt') or fields.get(b'st') or ''} {fields.get(b'usn', '')}"


def server_of(layer: Pairs) -> Iterator[tuple[str, str]]:
    """The Server field and the realm of an HTTP response."""
    fields: dict[str, Any] = {}
    for key, value in walk(layer):
        fields.setdefault(key, value)
    if "http.response" not in fields:
        return
    if "http.server_raw" in fields:
        yield "server", latin(bytes_of(fields["http.server_raw"]).partition(b":")[2])
    if "http.www_authenticate_raw" in fields:
        value = latin(bytes_of(fields["http.www_authenticate_raw"]).partition(b":")[2])
        if realm := realm_of({b"www-authenticate": value}):
            yield "realm", realm


def texts_in(dataset: str, each: Observation) -> Iterator[tuple[str, str]]:
    """Kind and text of what an observation says; nothing for one of other kinds."""
    said = each.lenswatch.announced if each.lenswatch is not None else None
    if (text := text_in(dataset, each)) is not None:
        yield text
    if dataset == "http" and said is not None and said.realm:
        yield "realm", said.realm


def text_in(dataset: str, each: Observation) -> tuple[str, str] | None:
    """Kind and text of an observation; None for one of other kinds."""
    said = each.lenswatch.announced if each.lenswatch is not None else None
    action = each.event.action or ""
    if dataset == "rtsp" and each.http is not None:
        if each.http.request is not None and each.url is not None:
            agent = each.user_agent.original[:MAX_CHARACTERS] if each.user_agent is not None else ""
            return "rtsp", f"{each.http.request.method} {each.url.original} {agent}"
        code = each.http.response.status_code if each.http.response is not None else ""
        software, realm = (said.software or "", said.realm or "") if said is not None else ("", "")
        return "rtsp", f"{code} {software} {realm}"
    if dataset == "dhcp" and said is not None:
        return "dhcp", f"{action} {said.name or ''} {said.software or ''} {said.parameters or ''}"
    if dataset == "ssdp" and said is not None and action != "description":
        first = {"search": "M-SEARCH", "response": "200"}.get(action, "NOTIFY")
        return "ssdp", f"{first} {(said.services or [''])[0]} {said.identifier or ''}"
    if dataset == "ntp":
        return "ntp", action
    if dataset == "stun":
        software, realm = (said.software or "", said.realm or "") if said is not None else ("", "")
        return "stun", f"{action} {software} {realm}"
    if dataset == "http" and said is not None and said.software:
        return "server", said.software
    return None
