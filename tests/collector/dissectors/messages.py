"""Messages as they lie on the wire, built from their parts, and one conversation of each dissector for the laws."""

import dataclasses
from collections.abc import Sequence

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from tests.collector.dissectors import documents as d
from tests.collector.dissectors.certificates import certificate
from tests.collector.dissectors.quic_packets import crypto, initial

GREASE = 0x2A2A
CHROME_CIPHERS = (
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F,
    0x0035,
)  # fmt: skip
CHROME_EXTENSIONS = (
    0x001B, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002D, 0x000D, 0x0005, 0x0023, 0x0012, 0x002B, 0xFF01, 0x000B,
    0x000A, 0x0015,
)  # fmt: skip
CHROME_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)


def name(text: str) -> bytes:
    """A domain name without compression."""
    labels = [label.encode("latin-1") for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(text: str, number: int = 1, kind: int = 1) -> bytes:
    return name(text) + number.to_bytes(2, "big") + kind.to_bytes(2, "big")


def answer(owner: bytes, number: int, data: bytes, ttl: int = 300, kind: int = 1) -> bytes:
    head = number.to_bytes(2, "big") + kind.to_bytes(2, "big") + ttl.to_bytes(4, "big") + len(data).to_bytes(2, "big")
    return owner + head + data


def dns(
    questions: Sequence[bytes] = (),
    answers: Sequence[bytes] = (),
    additional: Sequence[bytes] = (),
    flags: int = 0x0100,
    identifier: int = 0x1234,
) -> bytes:
    counts = (identifier, flags, len(questions), len(answers), 0, len(additional))
    return b"".join([number.to_bytes(2, "big") for number in counts] + [*questions, *answers, *additional])


def over_tcp(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def numbers(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def extension(kind: int, body: bytes = b"") -> bytes:
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def block(body: bytes, prefix: int = 2) -> bytes:
    return len(body).to_bytes(prefix, "big") + body


def server_name(host: bytes) -> bytes:
    return extension(0, block(b"\0" + block(host)))


def alpn(*protocols: bytes) -> bytes:
    return extension(16, block(b"".join(block(protocol, 1) for protocol in protocols)))


def chrome_extensions(host: bytes = b"camera.example") -> list[bytes]:
    """The extensions of FoxIO's worked example, with bodies."""
    known = {
        0: server_name(host),
        10: extension(10, block(numbers((GREASE, 29, 23, 24)))),
        11: extension(11, block(b"\0", 1)),
        13: extension(13, block(numbers(CHROME_SIGNATURES))),
        16: alpn(b"h2", b"http/1.1"),
        43: extension(43, block(numbers((GREASE, 0x0304, 0x0303)), 1)),
        51: extension(51, block(numbers((GREASE, 1)) + b"\0" + numbers((29, 32)) + bytes(32))),
    }
    return [extension(GREASE), *[known.get(kind) or extension(kind, b"\0") for kind in CHROME_EXTENSIONS]]


def client_hello(
    ciphers: Sequence[int] = (GREASE, *CHROME_CIPHERS), extensions: Sequence[bytes] | None = None, version: int = 0x0303
) -> bytes:
    """The body of a ClientHello; FoxIO's worked example when nothing else is asked."""
    tail = block(b"".join(chrome_extensions() if extensions is None else extensions))
    return version.to_bytes(2, "big") + bytes(32) + block(bytes(32), 1) + block(numbers(ciphers)) + b"\1\0" + tail


def server_hello(random: bytes = bytes(32)) -> bytes:
    return b"\3\3" + random + b"\0" + b"\x13\x01\0" + block(extension(43, b"\3\4"))


def old_server_hello(version: int = 0x0303, extensions: bytes = extension(0xFF01, b"\0")) -> bytes:
    """The ServerHello of TLS 1.2 or below."""
    return version.to_bytes(2, "big") + bytes(32) + b"\0" + numbers((0xC02F,)) + b"\0" + block(extensions)


def certificates(*ders: bytes) -> bytes:
    """The body of a Certificate message (RFC 5246 7.4.2)."""
    return block(b"".join(block(der, 3) for der in ders), 3)


def shown(*ders: bytes, size: int = 16_384) -> bytes:
    """What a server of TLS 1.2 says first: its hello, its certificates, that it is done."""
    said = handshake(2, old_server_hello()) + handshake(11, certificates(*ders)) + handshake(14, b"")
    return records(said, size)


def handshake(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def records(message: bytes, size: int = 16_384, kind: int = 22) -> bytes:
    """A handshake message in TLS records of at most `size` bytes."""
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(bytes([kind, 3, 1]) + block(part) for part in parts)


QUERY = dns([question("www.example.com")])
ANSWER = dns(
    [question("www.example.com")],
    [
        answer(b"\xc0\x0c", 5, b"\3web\xc0\x10"),
        answer(b"\xc0\x2d", 1, bytes((93, 184, 216, 34))),
        answer(b"\xc0\x2d", 28, bytes.fromhex("20010db8000000000000000000000001")),
    ],
    [answer(b"\0", 41, b"", kind=1232)],
    flags=0x8180,
)
HELLO = records(handshake(1, client_hello()))
POST = (
    b"POST /upload?camera=7 HTTP/1.1\r\nHost: Cloud.Example.com:8080\r\nUser-Agent: cam/2.1\r\n"
    b"Content-Length: 5\r\n\r\nGET /"
)
CHUNKED = (
    b"PUT /clip HTTP/1.1\r\nHost: cloud.example.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"1b;why=not\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n3\r\nabc\r\n0\r\nDigest: x\r\n\r\n"
)
GET = b"GET http://other.example/a?b HTTP/1.0\r\nHost: cloud.example.com\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\nContent-Length: 4\r\n\r\nHTTP"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED_RESPONSE = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n4\r\nHTTP\r\n0\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Sample:
    """A dissector (dotted name), the server's port, what is sent in each direction, and how many facts that makes."""

    dissector: str
    port: int
    parts: tuple[tuple[int, bytes], ...]
    facts: int


QUIC_HELLO = handshake(1, client_hello())
QUIC_FIRST = initial(crypto(300, QUIC_HELLO[300:]) + b"\1" + crypto(0, QUIC_HELLO[:100]))
QUIC_SECOND = initial(crypto(100, QUIC_HELLO[100:300]), packet_number=1)

DATAGRAMS = (
    Sample("collector.dissectors.dns.DISSECTOR", 53, ((FROM_CLIENT, QUERY), (FROM_SERVER, ANSWER)), 2),
    Sample(
        "collector.dissectors.mdns.DISSECTOR",
        5353,
        (
            (FROM_CLIENT, dns([question("_rtsp._tcp.local", 12, 0x8001), question("cam.local", 255)], flags=0)),
            (FROM_CLIENT, dns([], [answer(name("cam.local"), 16, b"\5a=b c", kind=0x8001)], flags=0x8400)),
        ),
        3,
    ),
    Sample("collector.dissectors.dns.LLMNR", 5355, ((FROM_CLIENT, dns([question("camera")], flags=0)),), 1),
    Sample("collector.dissectors.dhcp.DISSECTOR", 67, ((FROM_CLIENT, d.DHCP_DISCOVER), (FROM_SERVER, d.DHCP_ACK)), 2),
    Sample(
        "collector.dissectors.ssdp.DISSECTOR",
        1900,
        ((FROM_CLIENT, d.SSDP_NOTIFY), (FROM_CLIENT, d.SSDP_SEARCH), (FROM_SERVER, d.SSDP_ANSWER)),
        3,
    ),
    Sample("collector.dissectors.wsd.DISSECTOR", 3702, ((FROM_CLIENT, d.WSD_PROBE), (FROM_SERVER, d.WSD_MATCH)), 2),
    Sample(
        "collector.dissectors.sadp.DISSECTOR", 37_020, ((FROM_CLIENT, d.SADP_PROBE), (FROM_SERVER, d.SADP_MATCH)), 2
    ),
    Sample(
        "collector.dissectors.dhip.DISSECTOR", 37_810, ((FROM_CLIENT, d.DHIP_SEARCH), (FROM_SERVER, d.DHIP_ANSWER)), 2
    ),
    Sample("collector.dissectors.dhip.DISSECTOR", 5_050, ((FROM_CLIENT, d.OLD_SEARCH), (FROM_SERVER, d.OLD_ANSWER)), 2),
    Sample(
        "collector.dissectors.dvrip.DISSECTOR", 34_569, ((FROM_CLIENT, d.DVRIP_SEARCH), (FROM_SERVER, d.DVRIP_FOUND)), 2
    ),
    Sample(
        "collector.dissectors.tvt.DISSECTOR",
        23_456,
        ((FROM_CLIENT, d.TVT_SEARCH), (FROM_SERVER, d.TVT_ANSWER), (FROM_SERVER, d.TVT_RESULT)),
        3,
    ),
    Sample(
        "collector.dissectors.tuya.DISSECTOR",
        6_667,
        ((FROM_CLIENT, d.TUYA_ENCRYPTED), (FROM_CLIENT, d.TUYA_PLAIN), (FROM_CLIENT, d.TUYA_NEW)),
        3,
    ),
    Sample("collector.dissectors.tftp.DISSECTOR", 69, ((FROM_CLIENT, d.TFTP_ASK),), 1),
    Sample("collector.dissectors.ntp.DISSECTOR", 123, ((FROM_CLIENT, d.NTP_ASK), (FROM_SERVER, d.NTP_ANSWER)), 2),
)
CONVERSATIONS = (
    Sample("collector.dissectors.quic.DISSECTOR", 443, ((FROM_CLIENT, QUIC_FIRST), (FROM_CLIENT, QUIC_SECOND)), 1),
    Sample(
        "collector.dissectors.dahua_p2p.DISSECTOR",
        8_800,
        (
            (FROM_CLIENT, d.P2P_PROBE),
            (FROM_SERVER, d.P2P_ANSWER),
            (FROM_CLIENT, d.P2P_CHANNEL),
            (FROM_CLIENT, d.P2P_TUNNEL),
        ),
        4,
    ),
    Sample("collector.dissectors.ezviz.DISSECTOR", 6_002, ((FROM_CLIENT, d.CAS_ASK), (FROM_SERVER, d.CAS_ANSWER)), 2),
    Sample(
        "collector.dissectors.reolink.DISSECTOR",
        2_018,
        ((FROM_CLIENT, d.REOLINK_SEARCH), (FROM_SERVER, d.REOLINK_FOUND)),
        2,
    ),
    Sample(
        "collector.dissectors.stun.DISSECTOR",
        3_478,
        ((FROM_CLIENT, d.STUN_ASK), (FROM_SERVER, d.STUN_ANSWER), (FROM_SERVER, d.TURN_REFUSED)),
        3,
    ),
)
STREAMS = (
    Sample(
        "collector.dissectors.dns.OVER_TCP",
        53,
        ((FROM_CLIENT, over_tcp(QUERY) + over_tcp(QUERY)), (FROM_SERVER, over_tcp(ANSWER))),
        3,
    ),
    Sample(
        "collector.dissectors.tls.DISSECTOR",
        443,
        (
            (FROM_CLIENT, records(handshake(1, client_hello()), 100)),
            (FROM_SERVER, records(handshake(2, server_hello()))),
        ),
        1,
    ),
    Sample(
        "collector.dissectors.tls.DISSECTOR",
        443,
        (
            (FROM_CLIENT, records(handshake(1, client_hello()), 100)),
            (FROM_SERVER, shown(certificate([("CN", "camera.example")]), certificate([("CN", "above")]), size=64)),
        ),
        2,
    ),
    Sample(
        "collector.dissectors.http.DISSECTOR",
        80,
        ((FROM_CLIENT, POST + CHUNKED + GET), (FROM_SERVER, CONTINUE + RESPONSE + CHUNKED_RESPONSE + RESPONSE)),
        7,
    ),
    Sample(
        "collector.dissectors.http.DISSECTOR",
        80,
        ((FROM_CLIENT, GET), (FROM_SERVER, d.DESCRIPTION_ANSWER + RESPONSE)),
        4,
    ),
    Sample(
        "collector.dissectors.rtsp.DISSECTOR",
        554,
        (
            (FROM_CLIENT, d.RTSP_DESCRIBE + d.RTSP_PARAMETER),
            (FROM_SERVER, d.RTSP_REFUSED + d.RTSP_ANSWER + d.RTSP_MEDIA + d.RTSP_REFUSED),
        ),
        5,
    ),
    Sample("collector.dissectors.dhip.OVER_TCP", 5_000, ((FROM_CLIENT, d.DHIP_LOGIN), (FROM_SERVER, d.DHIP_REALM)), 2),
    Sample(
        "collector.dissectors.dhip.OVER_TCP",
        37_777,
        ((FROM_CLIENT, d.OLD_REALM + d.OLD_LOGIN), (FROM_SERVER, d.OLD_REALM_ANSWER + d.OLD_LOGIN_ANSWER)),
        4,
    ),
    Sample(
        "collector.dissectors.dvrip.OVER_TCP",
        34_567,
        (
            (FROM_CLIENT, d.DVRIP_LOGIN + d.DVRIP_UPDATE),
            (FROM_SERVER, d.DVRIP_LOGGED_IN + d.DVRIP_MEDIA + d.DVRIP_LOGGED_IN),
        ),
        4,
    ),
    Sample(
        "collector.dissectors.ezviz.CAS_OVER_TCP", 9_010, ((FROM_CLIENT, d.CAS_SECRET), (FROM_SERVER, d.CAS_ANSWER)), 2
    ),
    Sample(
        "collector.dissectors.ezviz.REGISTRATION_OVER_TCP",
        8_666,
        ((FROM_CLIENT, d.REGISTRATION_1 + d.REGISTRATION_4),),
        2,
    ),
    Sample(
        "collector.dissectors.reolink.OVER_TCP",
        9_000,
        ((FROM_CLIENT, d.REOLINK_LOGIN), (FROM_SERVER, d.REOLINK_LOGIN_ANSWER)),
        2,
    ),
    Sample(
        "collector.dissectors.stun.OVER_TCP",
        3_478,
        ((FROM_CLIENT, d.STUN_ASK + d.STUN_ASK), (FROM_SERVER, d.TURN_REFUSED)),
        3,
    ),
)
