"""What a mirror port carries, made by hand: packets with right sequence numbers, and the messages inside them.

For captures that tests need and nobody has recorded. Every byte follows from the arguments: times are given, randomness
is seeded by the contact, so the same call writes the same bytes each time.
"""

import dataclasses
import datetime
import random
import struct
from collections.abc import Callable
from pathlib import Path

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

BEGIN = datetime.datetime(2026, 11, 2, 8, 0, 0, tzinfo=datetime.UTC)
SECOND = 1_000_000
SEGMENT_BYTES = 1440
GATEWAY_MAC = "00:1b:21:0a:14:01"
RESOLVER = "10.20.0.1"


@dataclasses.dataclass(frozen=True)
class Device:
    """A device of the office. `kind` is what the story says that it is: camera (recorders too), other or not camera."""

    name: str
    mac: str
    ip: str
    maker: str
    kind: str
    ipv6: str | None = None
    vlan: int | None = None


@dataclasses.dataclass
class Wire:
    """The mirror port: frames with their time in microseconds since BEGIN."""

    frames: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)
    packet_ids: int = 0

    def carry(
        self, at: int, device: Device, outward: bool, source: str, destination: str, layer: object, mac: str = ""
    ) -> None:
        """One IP packet between `device` and the gateway (or the neighbour with `mac`)."""
        peer = mac or GATEWAY_MAC
        frame = Ether(src=device.mac, dst=peer) if outward else Ether(src=peer, dst=device.mac)
        if device.vlan is not None:
            frame = frame / Dot1Q(vlan=device.vlan)
        self.packet_ids += 1
        if ":" in source:
            packet = IPv6(src=source, dst=destination, hlim=64, fl=0) / layer
        else:
            packet = IP(src=source, dst=destination, ttl=64, id=self.packet_ids & 0xFFFF, flags="DF") / layer
        self.frames.append((at, bytes(frame / packet)))

    def write_pcap(self, path: Path) -> None:
        """The frames in time order, as a little-endian microsecond pcap of Ethernet (LINKTYPE 1)."""
        begin = int(BEGIN.timestamp())
        chunks = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
        for at, frame in sorted(self.frames, key=lambda item: item[0]):
            chunks.append(struct.pack("<IIII", begin + at // SECOND, at % SECOND, len(frame), len(frame)) + frame)
        path.write_bytes(b"".join(chunks))


@dataclasses.dataclass(frozen=True)
class Contact:
    """One line of the story: at this second, this device calls this name, and what should be said of it.

    `entity` and `role` are those of the facts (None: nobody's); `rule` is the file stem of the detection that must
    fire, None when none may. `names_finding` is true where the finding is of the name or address, not of a company.
    """

    at_seconds: float
    device: Device
    name: str | None
    address: str
    port: int
    act: Callable[["Wire", "Contact"], None]
    seen_in: tuple[str, ...]
    entity: str | None = None
    role: str | None = None
    rule: str | None = None
    steps: tuple[str, ...] = ()
    names_finding: bool = False

    def random(self) -> random.Random:
        """The seeded randomness of this contact's ports, numbers and payloads."""
        return random.Random(f"{self.device.name}|{self.name}|{self.address}|{self.port}|{self.at_seconds}")


class Conversation:
    """One TCP connection, packet by packet, with right sequence numbers and an acknowledgement for what was said."""

    def __init__(self, wire: Wire, device: Device, contact: Contact, at: int, peer_mac: str = "") -> None:
        chance = contact.random()
        self.wire, self.device, self.contact, self.at, self.mac = wire, device, contact, at, peer_mac
        self.ours = device.ipv6 if ":" in contact.address and device.ipv6 else device.ip
        self.port = chance.randrange(32768, 60999)
        self.sequence = [chance.getrandbits(32), chance.getrandbits(32)]
        self.send(0, "S", options=[("MSS", SEGMENT_BYTES), ("SAckOK", b""), ("NOP", None), ("WScale", 7)])
        self.send(1, "SA", options=[("MSS", SEGMENT_BYTES), ("SAckOK", b""), ("NOP", None), ("WScale", 7)])
        self.send(0, "A")

    def send(
        self, side: int, flags: str, data: bytes = b"", options: list[tuple] | None = None, again: bool = False
    ) -> None:
        """One segment from side 0 (the device) or 1 (its peer); `again` repeats the last bytes of that side."""
        ports = (self.port, self.contact.port)
        addresses = (self.ours, self.contact.address)
        sequence = (self.sequence[side] - len(data) if again else self.sequence[side]) & 0xFFFFFFFF
        layer = TCP(
            sport=ports[side],
            dport=ports[1 - side],
            seq=sequence,
            ack=self.sequence[1 - side] if "A" in flags else 0,
            flags=flags,
            window=29200,
            options=options or [],
        )
        self.at += 9_000 if side else 2_000
        self.wire.carry(self.at, self.device, side == 0, addresses[side], addresses[1 - side], layer / data, self.mac)
        if not again:
            self.sequence[side] = (sequence + len(data) + ("S" in flags) + ("F" in flags)) & 0xFFFFFFFF

    def say(self, side: int, data: bytes, first_twice: bool = False) -> None:
        """Bytes in segments; the other side acknowledges every second one. `first_twice` retransmits the first."""
        pieces = [data[start : start + SEGMENT_BYTES] for start in range(0, len(data), SEGMENT_BYTES)]
        for number, piece in enumerate(pieces):
            self.send(side, "PA" if number == len(pieces) - 1 else "A", piece)
            if number == 0 and first_twice:
                self.at += 200_000
                self.send(side, "A", piece, again=True)
            if number % 2 or number == len(pieces) - 1:
                self.send(1 - side, "A")

    def close(self) -> None:
        """An orderly end from the device's side."""
        self.send(0, "FA")
        self.send(1, "FA")
        self.send(0, "A")


def look_up(wire: Wire, contact: Contact, alias: str | None = None) -> int:
    """The name asked and answered (A, or AAAA for an IPv6 address); returns the time at which the answer was there."""
    chance = contact.random()
    at, device = round(contact.at_seconds * SECOND), contact.device
    number, port = chance.getrandbits(16), chance.randrange(32768, 60999)
    kind = "AAAA" if ":" in contact.address else "A"
    question = DNSQR(qname=contact.name, qtype=kind)
    answers = [DNSRR(rrname=alias or contact.name, type=kind, ttl=300, rdata=contact.address)]
    if alias:
        answers.insert(0, DNSRR(rrname=contact.name, type="CNAME", ttl=300, rdata=alias))
    query = UDP(sport=port, dport=53) / DNS(id=number, rd=1, qd=[question])
    answer = UDP(sport=53, dport=port) / DNS(id=number, qr=1, rd=1, ra=1, qd=[question], an=answers)
    wire.carry(at, device, True, device.ip, RESOLVER, query)
    wire.carry(at + 14_000, device, False, RESOLVER, device.ip, answer)
    return at + 20_000


def extension(number: int, body: bytes) -> bytes:
    """One TLS extension (RFC 8446 section 4.2)."""
    return struct.pack(">HH", number, len(body)) + body


def counted(body: bytes, size: int = 2) -> bytes:
    """Bytes after their length in `size` bytes."""
    return len(body).to_bytes(size, "big") + body


def hello_record(chance: random.Random, ciphers: bytes, extensions: bytes) -> bytes:
    """A ClientHello in one TLS record (RFC 8446 sections 4.1.2 and 5.1)."""
    body = b"\x03\x03" + chance.randbytes(32) + counted(chance.randbytes(32), 1)
    body += counted(ciphers) + b"\x01\x00" + counted(extensions)
    return b"\x16\x03\x01" + counted(b"\x01" + counted(body, 3))


def camera_hello(name: str, chance: random.Random) -> bytes:
    """What a small embedded TLS 1.2 client offers: seven suites, no ALPN."""
    extensions = extension(0, counted(b"\x00" + counted(name.encode())))
    extensions += extension(11, b"\x01\x00") + extension(10, counted(bytes.fromhex("001700180019")))
    extensions += extension(35, b"") + extension(13, counted(bytes.fromhex("0401050106010403050302010203")))
    return hello_record(chance, bytes.fromhex("c02fc030009c009d003c002f0035"), extensions)


def browser_hello(name: str, chance: random.Random) -> bytes:
    """What a browser offers: TLS 1.3, GREASE (RFC 8701), h2, and a post-quantum key share that fills a segment."""
    shares = (
        b"\x2a\x2a\x00\x01\x00"
        + b"\x11\xec"
        + counted(chance.randbytes(1216))
        + b"\x00\x1d"
        + counted(chance.randbytes(32))
    )
    extensions = extension(0x1A1A, b"") + extension(0, counted(b"\x00" + counted(name.encode())))
    extensions += (
        extension(23, b"") + extension(0xFF01, b"\x00") + extension(10, counted(bytes.fromhex("2a2a11ec001d00170018")))
    )
    extensions += extension(11, b"\x01\x00") + extension(35, chance.randbytes(176))
    extensions += extension(16, counted(b"\x02h2\x08http/1.1")) + extension(5, b"\x01\x00\x00\x00\x00")
    extensions += extension(13, counted(bytes.fromhex("0403080404010503080505010806" + "0601"))) + extension(18, b"")
    extensions += extension(51, counted(shares)) + extension(45, b"\x01\x01")
    extensions += extension(43, counted(bytes.fromhex("3a3a03040303"), 1)) + extension(0x4A4A, b"\x00")
    ciphers = bytes.fromhex("5a5a130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035")
    return hello_record(chance, ciphers, extensions)


def server_hello(hello: bytes, chance: random.Random, browser: bool) -> bytes:
    """The answer: TLS 1.3 for a browser, a resumed TLS 1.2 session for a camera, then what is encrypted."""
    suite, version = (b"\x13\x01", extension(43, b"\x03\x04")) if browser else (b"\xc0\x2f", b"")
    share = extension(51, b"\x00\x1d" + counted(chance.randbytes(32))) if browser else extension(0xFF01, b"\x00")
    session = hello[44:76]
    body = b"\x03\x03" + chance.randbytes(32) + counted(session, 1) + suite + b"\x00" + counted(version + share)
    sealed = (
        b"\x17\x03\x03" + counted(chance.randbytes(900)) if browser else b"\x16\x03\x03" + counted(chance.randbytes(40))
    )
    return b"\x16\x03\x03" + counted(b"\x02" + counted(body, 3)) + b"\x14\x03\x03\x00\x01\x01" + sealed


def call_tls(wire: Wire, contact: Contact, browser: bool = False, alias: str | None = None) -> None:
    """DNS, then TLS: hello, answer, a few sealed records."""
    chance = contact.random()
    talk = Conversation(wire, contact.device, contact, look_up(wire, contact, alias))
    hello = browser_hello(contact.name, chance) if browser else camera_hello(contact.name, chance)
    talk.say(0, hello, first_twice=browser)
    talk.say(1, server_hello(hello, chance, browser))
    talk.say(0, b"\x14\x03\x03\x00\x01\x01\x16\x03\x03" + counted(chance.randbytes(40)))
    for side, size in ((0, 310), (1, 720), (0, 190), (1, 260)):
        talk.say(side, b"\x17\x03\x03" + counted(chance.randbytes(size)))
    talk.close()


def request(
    method: str, target: str, host: str, agent: str | None, body: bytes = b"", kind: str = "application/json"
) -> bytes:
    """An HTTP/1.1 request (RFC 9112)."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"User-Agent: {agent}"] if agent else []
    lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"] if body else []
    return ("\r\n".join([*lines, "Connection: keep-alive"]) + "\r\n\r\n").encode() + body


def response(body: bytes, kind: str = "application/json", server: str = "nginx") -> bytes:
    """A 200 answer with its body."""
    head = f"HTTP/1.1 200 OK\r\nServer: {server}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def call_http(wire: Wire, contact: Contact, exchanges: tuple[tuple[bytes, bytes], ...]) -> None:
    """DNS, then one connection with these requests and answers."""
    talk = Conversation(wire, contact.device, contact, look_up(wire, contact))
    for asked, answered in exchanges:
        talk.say(0, asked)
        talk.say(1, answered)
        talk.at += 400_000
    talk.close()


def call_registration(wire: Wire, contact: Contact) -> None:
    """A binary registration without TLS: a header with a length, then what only the maker reads."""
    chance = contact.random()
    named = contact.name is not None
    talk = Conversation(
        wire, contact.device, contact, look_up(wire, contact) if named else round(contact.at_seconds * SECOND)
    )
    for side, size in ((0, 148), (1, 60), (0, 312), (1, 96), (0, 44), (1, 44)):
        talk.say(side, b"\x9e\x01\x00\x00" + struct.pack(">I", size) + chance.randbytes(size))
        talk.at += 700_000
    talk.close()


def call_datagrams(wire: Wire, contact: Contact, exchange: tuple[tuple[int, bytes], ...]) -> None:
    """DNS, then datagrams between one pair of ports; side 0 is the device."""
    port = 123 if contact.port == 123 else contact.random().randrange(32768, 60999)
    at = look_up(wire, contact)
    device, ports, addresses = contact.device, (port, contact.port), (contact.device.ip, contact.address)
    for side, payload in exchange:
        at += 25_000
        layer = UDP(sport=ports[side], dport=ports[1 - side]) / payload
        wire.carry(at, device, side == 0, addresses[side], addresses[1 - side], layer)


def call_time(wire: Wire, contact: Contact) -> None:
    """One NTP question and answer (RFC 5905 section 7.3)."""
    seconds = int(BEGIN.timestamp()) + 2_208_988_800 + int(contact.at_seconds)
    stamp = struct.pack(">II", seconds, 0x40000000)
    asked = b"\x23\x00\x06\xec" + bytes(36) + stamp
    answered = b"\x24\x02\x06\xec" + struct.pack(">II", 0x200, 0x300) + b"\xc0\x00\x02\x01" + stamp * 4
    call_datagrams(wire, contact, ((0, asked), (1, answered)))
