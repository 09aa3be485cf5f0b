"""Wireshark's layers → the facts that our own dissectors make of the same bytes.

A protocol is here when Wireshark has a dissector for it and we have one too. The camera makers' own and WS-Discovery
are not: Wireshark has none for them. Each reader takes a layer and the direction of its packet. Names of fields:
Wireshark's display filter reference.
"""

from collections.abc import Callable, Iterator

from collector.dissectors.dhcp import MESSAGES as DHCP_MESSAGES
from collector.dissectors.dissector import FROM_SERVER, Fact
from collector.dissectors.dns import MAX_QUESTIONS, RESPONSE_CODES
from collector.dissectors.http import read_description, read_server
from collector.dissectors.mdns import read_announcement
from collector.dissectors.ntp import MODES
from collector.dissectors.rtsp import read_url as read_rtsp_url
from collector.dissectors.ssdp import read_datagram as read_ssdp
from collector.dissectors.stun import CLASSES, METHODS
from collector.dissectors.tls import ClientHello, tell_hello
from collector.errors import Malformed
from collector.http_head import escape, read_field, read_length, read_url
from collector.observation import (
    Announced,
    Dns,
    DnsQuestion,
    Http,
    HttpBody,
    HttpRequest,
    HttpResponse,
    UserAgent,
)
from collector.texts import read_text
from collector.wireshark.layers import Layer, bytes_of, number_of
from collector.wireshark.names import name_of, records_of, type_of

Reader = Callable[[Layer, int], Iterator[Fact]]
_CLIENT_HELLO, _HOST_NAME, _REPLY = 1, 0, 2
_XML = ("text/xml", "application/xml")
_NOWHERE = "0.0.0.0"


def read_hello(layer: Layer, direction: int, dataset: str = "tls", transport: str = "t") -> Iterator[Fact]:
    """A ClientHello, in a layer of TLS or of QUIC; one in the form of SSL 2 has no cipher suites, and we read none."""
    if _CLIENT_HELLO not in layer.numbers("tls.handshake.type") or not layer.fields("tls.handshake.ciphersuite"):
        return
    version = layer.number("tls.handshake.version")
    kinds, sizes = layer.fields("tls.handshake.extension.type"), layer.numbers("tls.handshake.extension.len")
    spans = {number_of(kind.show): (int(kind.pos), size + 4) for kind, size in zip(kinds, sizes, strict=False)}
    begin, size = spans.get(13, (0, 0))
    signatures = [
        number_of(each.show)
        for each in layer.fields("tls.handshake.sig_hash_alg")
        if begin < int(each.pos) < begin + size
    ]
    names = zip(
        layer.numbers("tls.handshake.extensions_server_name_type"),
        layer.fields("tls.handshake.extensions_server_name"),
        strict=False,
    )
    hello = ClientHello(
        version=version or 0,
        ciphers=layer.numbers("tls.handshake.ciphersuite"),
        extensions=list(layer.numbers("tls.handshake.extension.type")),
        groups=layer.numbers("tls.handshake.extensions_supported_group"),
        point_formats=bytes(each & 0xFF for each in layer.numbers("tls.handshake.extensions_ec_point_format")),
        signatures=tuple(each for each in signatures if each is not None),
        versions=layer.numbers("tls.handshake.extensions.supported_version"),
        alpn=[bytes_of(each) for each in layer.fields("tls.handshake.extensions_alpn_str")],
        server_name=next((bytes_of(field) for kind, field in names if kind == _HOST_NAME), None),
    )
    yield tell_hello(hello, direction == FROM_SERVER, dataset, transport)


def read_quic(layer: Layer, direction: int) -> Iterator[Fact]:
    """The ClientHello in QUIC's Initial packets, decrypted by Wireshark."""
    yield from read_hello(layer, direction, "quic", "q")


def read_http(layer: Layer, direction: int) -> Iterator[Fact]:
    """A request or a response of HTTP/1; Malformed as our own dissector has it."""
    backward, method, code = (
        direction == FROM_SERVER,
        layer.raw("http.request.method"),
        layer.number("http.response.code"),
    )
    version = layer.text("http.request.version" if method is not None else "http.response.version") or ""
    if not version.startswith("HTTP/1.") or (method is None and code is None):
        return
    head = layer.head()[0].decode("latin-1")
    lower = head.lower()
    if method is not None:
        word, target = method.decode("latin-1"), (layer.raw("http.request.uri") or b"").decode("latin-1")
        agent = read_field(head, lower, "\nuser-agent:")
        if target:
            url = read_url(word, escape(target), read_field(head, lower, "\nhost:"))
            request = HttpRequest(method=word, body=_body(head, lower))
            yield Fact(
                "http", url.domain, "http_host" if url.domain else None, backward, url=url,
                http=Http(request=request, version=version[5:]),
                user_agent=None if agent is None else UserAgent(original=escape(agent)),
            )  # fmt: skip
        read_length(head, lower)
        return
    kind = read_field(head, lower, "\ncontent-type:")
    mime_type = escape(kind.partition(";")[0].rstrip(" \t").lower()) if kind else None
    read_length(head, lower)
    response = HttpResponse(status_code=code or 0, mime_type=mime_type or None, body=_body(head, lower))
    yield Fact(
        "http", backward=backward, announced=read_server(head, lower), http=Http(response=response, version=version[5:])
    )
    body = layer.raw("http.file_data")
    if mime_type in _XML and body and (said := read_description(body)) is not None:
        yield Fact("ssdp", backward=backward, action="description", announced=said)


def _body(head: str, lower: str) -> HttpBody | None:
    try:
        length = read_length(head, lower)
    except Malformed:
        return None
    return None if length is None else HttpBody(bytes=length)


def read_rtsp(layer: Layer, direction: int) -> Iterator[Fact]:
    """A request or a response."""
    backward, method, code = direction == FROM_SERVER, layer.text("rtsp.method"), layer.number("rtsp.status")
    head = layer.head()[0].decode("latin-1")
    lower = head.lower()
    line = head.partition("\n")[0].strip()
    if method is not None:
        agent = read_field(head, lower, "\nuser-agent:")
        url = read_rtsp_url((layer.raw("rtsp.url") or b"").decode("latin-1"))
        yield Fact(
            "rtsp", url.domain, "rtsp_url" if url.domain else None, backward, url=url,
            http=Http(request=HttpRequest(method=method), version=line.rpartition("RTSP/")[2]),
            user_agent=UserAgent(original=escape(agent)) if agent else None,
        )  # fmt: skip
    elif code is not None:
        http = Http(response=HttpResponse(status_code=code), version=line[5:8])
        yield Fact("rtsp", backward=backward, http=http, announced=read_server(head, lower))


def read_ssdp_lines(layer: Layer, direction: int) -> Iterator[Fact]:
    """A message; to Wireshark most of its fields are unknown lines of HTTP, which we read."""
    yield from read_ssdp(layer.head()[0] + b"\r\n", direction)


def read_dhcp(layer: Layer, direction: int) -> Iterator[Fact]:
    """A message with a type."""
    kind = layer.number("dhcp.option.dhcp") or 0
    if not 0 < kind < len(DHCP_MESSAGES):
        return
    addresses = [layer.text(f"dhcp.{name}") for name in ("ip.your", "ip.client", "option.requested_ip_address")]
    full = layer.text("dhcp.fqdn.name")
    is_ethernet = (layer.number("dhcp.hw.type"), layer.number("dhcp.hw.len")) == (1, 6)
    parameters = layer.numbers("dhcp.option.request_list_item")
    yield Fact(
        "dhcp",
        backward=layer.number("dhcp.type") == _REPLY,
        action=DHCP_MESSAGES[kind],
        announced=Announced(
            name=read_text((full or "").encode()) or read_text(layer.raw("dhcp.option.hostname") or b""),
            software=read_text(layer.raw("dhcp.option.vendor_class_id") or b""),
            mac=layer.text("dhcp.hw.mac_addr") if is_ethernet else None,
            ip=next((each for each in addresses if each and each != _NOWHERE), None),
            parameters=",".join(map(str, parameters)) or None,
        ),
    )


def read_ntp(layer: Layer, direction: int) -> Iterator[Fact]:
    """A message; an answer's source of time."""
    mode, stratum, source = layer.number("ntp.flags.mode"), layer.number("ntp.stratum"), layer.raw("ntp.refid")
    if mode is None:
        return
    name = None
    if source is not None and MODES[mode] in ("server", "broadcast"):
        name = read_text(source) if (stratum or 0) < 2 else ".".join(map(str, source))
    yield Fact(
        "ntp",
        backward=direction == FROM_SERVER,
        action=MODES[mode],
        announced=Announced(identifier=name) if name else None,
    )


def read_stun(layer: Layer, direction: int) -> Iterator[Fact]:
    """A message: what it is, and who answers."""
    kind = layer.number("stun.type")
    if kind is None or kind >> 14:
        return
    said = Announced(
        software=read_text(layer.raw("stun.att.software") or b""), realm=read_text(layer.raw("stun.att.realm") or b"")
    )
    own = [field for field in layer.fields("stun.attribute") if bytes_of(field)[:2] in (b"\0\1", b"\0\x20")]
    for field in (*layer.fields("stun.att.ipv4"), *layer.fields("stun.att.ipv6")):
        if any(int(each.pos) < int(field.pos) < int(each.pos) + int(each.size) for each in own):
            said.ip = field.show
    method = kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    group = (kind & 0x0010) >> 4 | (kind & 0x0100) >> 7
    word = METHODS.get(method) or f"method {method}"
    announced = said if said != Announced() else None
    yield Fact("stun", backward=direction == FROM_SERVER, action=f"{word} {CLASSES[group]}", announced=announced)


def read_dns(layer: Layer, direction: int, dataset: str = "dns", whole: bool = False) -> Iterator[Fact]:
    """A message of DNS, LLMNR or multicast DNS: a fact for each question, the first of them with the answers.

    Malformed when there should be a question, and none can be read.
    """
    response = layer.number("dns.flags.response") == 1
    questions = [
        DnsQuestion(name=name_of(name), type=type_of(kind))
        for name, kind in zip(layer.fields("dns.qry.name"), layer.fields("dns.qry.type"), strict=False)
    ][:MAX_QUESTIONS]
    if not questions and layer.number("dns.count.queries"):
        raise Malformed("the first question of a DNS message cannot be read")
    count = layer.number("dns.count.answers") or 0
    if whole and response:
        count += (layer.number("dns.count.auth_rr") or 0) + (layer.number("dns.count.add_rr") or 0)
    addresses: list[str] = []
    answers = records_of(layer, count, addresses)
    kind, number = ("answer" if response else "query"), str(layer.number("dns.id"))
    code = RESPONSE_CODES[(layer.number("dns.flags.rcode") or 0) & 15] if response else None
    first = Dns(
        type=kind, id=number, question=questions[0] if questions else None, response_code=code,
        answers=answers or None, resolved_ip=addresses or None,
    )  # fmt: skip
    backward = response if dataset != "mdns" else direction == FROM_SERVER
    announced = read_announcement(answers) if dataset == "mdns" and response and answers else None
    if not questions:
        yield Fact(dataset, None, None, backward, first, announced=announced)
        return
    yield Fact(dataset, questions[0].name, "dns_question", backward, first, announced=announced)
    for question in questions[1:]:
        more = Dns(type=kind, id=number, question=question, response_code=code)
        yield Fact(dataset, question.name, "dns_question", backward, more)


def read_mdns(layer: Layer, direction: int) -> Iterator[Fact]:
    """A message of multicast DNS, all of its sections."""
    yield from read_dns(layer, direction, "mdns", whole=True)


def read_llmnr(layer: Layer, direction: int) -> Iterator[Fact]:
    """A message of LLMNR."""
    yield from read_dns(layer, direction, "llmnr")


READERS: dict[str, Reader] = {
    "dns": read_dns, "mdns": read_mdns, "llmnr": read_llmnr, "tls": read_hello, "quic": read_quic, "http": read_http,
    "rtsp": read_rtsp, "ssdp": read_ssdp_lines, "dhcp": read_dhcp, "ntp": read_ntp, "stun": read_stun,
}  # fmt: skip
"""By Wireshark's name of a protocol, which is ours too."""
HEADED = frozenset(("http", "rtsp"))
"""Those whose message is told when its head is there, although Wireshark waits for its body."""
