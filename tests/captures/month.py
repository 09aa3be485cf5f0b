"""A month in an office of sixty devices, in packets: what each does is invented, and the same each time.

10.30.0.0/16, from 1 to 30 November 2026; a sensor that sees layer 2. Forty Hikvision cameras, twelve of Dahua, two of
Amcrest and one that answers under another brand, a router before twelve addresses, and four computers. PLOT says what
happens beside the daily round. Addresses outside are of the documentation ranges; MAC prefixes are the makers'.
"""

import dataclasses
import json
import struct
from collections.abc import Iterator
from typing import Final

from collector.packets import Block
from tests.collector.dissectors.documents import NTP_ANSWER, NTP_ASK, dhip, option
from tests.collector.dissectors.messages import (
    answer,
    chrome_extensions,
    client_hello,
    dns,
    handshake,
    question,
    records,
)
from tests.collector.frames import GATEWAY_MAC, NS, Packet, Talk, block_of, frame, mac, ports, udp

DAY_NS: Final = 86_400 * NS
FIRST_NS: Final = 1_793_491_200 * NS
"""1 November 2026, 00:00 UTC."""
DAYS: Final = 30
HIKVISION, DAHUA, AMCREST = "44:19:b6:00:00", "9c:14:63:00:00", "9c:8e:cd:00:00"
ROUTER, PC = "02:30:00:00:00:01", "02:30:00:00:01"
RESOLVER, CLOCK, ADMIN = "10.30.0.1", "192.0.2.123", "10.30.9.5"
CHECKS, FILES, FILE = "download.dahuatech.com", "materialfile.dahuasecurity.com", "/uploads/soft/20261012/DH_IPC.bin"
DAHUA_IMAGE = b"DH\x03\x04" + bytes(range(256)) * 256
HIKVISION_IMAGE = b"\xe9\x9a\xf7\xb6" + bytes(range(255, -1, -1)) * 256


@dataclasses.dataclass
class Camera:
    """One of the cameras. `brand` is what it answers as, where that is not its maker's; `beats` its calls a day."""

    number: int
    mac: str
    address: str
    version: str
    brand: str | None = None
    beats: int = 4


def cameras() -> list[Camera]:
    """The fifty-five."""
    made = [Camera(n, f"{HIKVISION}:{n:02x}", f"10.30.1.{n + 10}", "V5.5.0build 180101") for n in range(40)]
    made += [Camera(n, f"{DAHUA}:{n:02x}", f"10.30.2.{n + 10}", "2.800.0.1") for n in range(40, 52)]
    made += [Camera(n, f"{AMCREST}:{n:02x}", f"10.30.2.{n + 10}", "2.800.0.1", "Amcrest") for n in range(52, 54)]
    made.append(Camera(54, f"{DAHUA}:36", "10.30.2.64", "2.800.0.1", "Intelbras"))
    made[42].beats = 24
    return made


class Month:
    """A source of the month's packets, a day a block."""

    name = "the month"
    size_bytes = None

    def __init__(self) -> None:
        self.cameras = cameras()
        self._packets: list[Packet] = []
        self._port = 20_000

    def blocks(self) -> Iterator[Block]:
        """One block a day."""
        for day in range(DAYS):
            self._packets = []
            begin = FIRST_NS + day * DAY_NS
            for camera in self.cameras:
                self._round(camera, begin, silent=(camera.number, day) == (42, 17))
            self._others(begin)
            PLOT.get(day, lambda *_: None)(self, begin)
            self._packets.sort(key=lambda packet: packet[0])
            yield block_of(self._packets)

    def _next_port(self) -> int:
        self._port = 20_000 + (self._port - 19_999) % 40_000
        return self._port

    def say(self, payload: bytes, mac: str, ends: tuple[str, int, str, int], at_ns: int, back: bool = False) -> None:
        """A datagram."""
        self._packets.append((at_ns, frame(udp(payload, *ports(ends, back)), 17, ends, back, mac)))

    def ask(self, mac: str, client: str, name: str, address: str, at_ns: int) -> None:
        """A look-up and its answer."""
        ends = (client, self._next_port(), RESOLVER, 53)
        told = answer(b"\xc0\x0c", 1, bytes(map(int, address.split("."))))
        self.say(dns([question(name)]), mac, ends, at_ns)
        self.say(dns([question(name)], [told], flags=0x8180), mac, ends, at_ns + NS // 1000, back=True)

    def talk(self, mac: str, ends: tuple[str, int], server: tuple[str, int], at_ns: int) -> Talk:
        """A connection; its packets are the month's when it is closed (`end`)."""
        return Talk((*ends, *server), at_ns, mac)

    def end(self, talk: Talk) -> None:
        """The connection is over."""
        talk.close()
        self._packets += talk.packets

    def fetch(self, camera: Camera, host: str, server: str, path: str, body: bytes, at_ns: int) -> None:
        """An HTTP request and what it brings."""
        talk = self.talk(camera.mac, (camera.address, self._next_port()), (server, 80), at_ns)
        talk.send(0, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
        for at in range(0, len(head + body), 1400):
            talk.send(1, (head + body)[at : at + 1400])
        self.end(talk)

    def announce(self, camera: Camera, at_ns: int) -> None:
        """Who it is, to everybody on the link, in its maker's protocol."""
        if camera.mac.startswith(HIKVISION):
            told = (
                f'<?xml version="1.0" encoding="UTF-8" ?>\r\n<ProbeMatch>\r\n<Uuid>5E5E0001-{camera.number}</Uuid>\r\n'
                "<Types>inquiry</Types>\r\n<DeviceType>DS-2CD0000-X</DeviceType>\r\n"
                "<DeviceDescription>IPCamera</DeviceDescription>\r\n"
                f"<MAC>{camera.mac.replace(':', '-')}</MAC>\r\n<IPv4Address>{camera.address}</IPv4Address>\r\n"
                f"<SoftwareVersion>{camera.version}</SoftwareVersion>\r\n</ProbeMatch>\r\n"
            ).encode()
            self.say(told, camera.mac, (camera.address, 37_020, "239.255.255.250", 37_020), at_ns)
            return
        document = {
            "mac": camera.mac, "method": "client.notifyDevInfo",
            "params": {"deviceInfo": {
                "DeviceClass": "IPC", "DeviceType": "IPC-HX0000", "Vendor": camera.brand or "Dahua",
                "IPv4Address": {"IPAddress": camera.address}, "Version": camera.version,
            }},
        }  # fmt: skip
        self.say(dhip(document), camera.mac, (camera.address, 37_810, ADMIN, 37_810), at_ns)

    def boot(self, camera: Camera, at_ns: int) -> None:
        """It begins anew (RFC 2131 4.4.1), and is given its address."""
        hardware = bytes.fromhex(camera.mac.replace(":", "")).ljust(16, b"\0")
        given = bytes(map(int, camera.address.split(".")))
        for kind, operation, own in ((b"\1", 1, bytes(4)), (b"\5", 2, given)):
            head = struct.pack(">BBBBIHH", operation, 1, 6, 0, camera.number, 0, 0x8000) + bytes(4) + own + bytes(8)
            message = head + hardware + bytes(192) + b"\x63\x82\x53\x63" + option(53, kind) + b"\xff"
            ends = ("0.0.0.0", 68, "255.255.255.255", 67)
            self.say(message, camera.mac, ends, at_ns + (operation - 1) * NS, back=operation == 2)

    def _round(self, camera: Camera, begin: int, silent: bool) -> None:
        """What a camera does each day: it says who it is, and asks for the time."""
        self.announce(camera, begin + 300 * NS + camera.number * NS)
        for beat in range(camera.beats):
            # The hours from 12 to 17 of the day on which it is gone.
            if silent and 12 <= beat <= 17:
                continue
            at_ns = begin + beat * DAY_NS // camera.beats + 600 * NS + camera.number * NS
            ends = (camera.address, self._next_port(), CLOCK, 123)
            self.say(NTP_ASK, camera.mac, ends, at_ns)
            self.say(NTP_ANSWER, camera.mac, ends, at_ns + NS // 100, back=True)

    def _others(self, begin: int) -> None:
        """The router before twelve addresses, and four computers, call a site that is nobody's."""
        own = [(ROUTER, f"10.40.0.{n}") for n in range(1, 13)] + [
            (f"{PC}:{n:02x}", f"10.30.8.{n}") for n in range(1, 5)
        ]
        for number, (hardware, address) in enumerate(own):
            at_ns = begin + (3_600 * 9 + number * 60) * NS
            self.ask(hardware, address, "www.example.org", "192.0.2.200", at_ns)
            self.hello(hardware, address, "www.example.org", ("192.0.2.200", 443), at_ns + NS, 0)

    def hello(self, mac: str, client: str, name: str, server: tuple[str, int], at_ns: int, size: int) -> None:
        """A TLS connection by which so many bytes come."""
        talk = self.talk(mac, (client, self._next_port()), server, at_ns)
        talk.send(0, records(handshake(1, client_hello(extensions=named(name)))))
        for at in range(0, size, 1400):
            talk.send(1, b"\x17\x03\x03\x05\x73" + bytes(min(1395, size - at)))
        self.end(talk)


def named(name: str) -> list[bytes]:
    """The extensions of a hello to this name."""
    text = name.encode()
    entry = b"\0" + len(text).to_bytes(2, "big") + text
    body = len(entry).to_bytes(2, "big") + entry
    server = b"\0\0" + len(body).to_bytes(2, "big") + body
    return [server, *(each for each in chrome_extensions() if each[:2] != b"\0\0")]


def hour(begin: int, hours: float) -> int:
    """A time of a day."""
    return begin + int(hours * 3_600) * NS


def only_asks(month: Month, begin: int) -> None:
    """Camera 41 asks whether there is an update, and there is none."""
    month.ask(month.cameras[41].mac, month.cameras[41].address, CHECKS, "192.0.2.81", hour(begin, 10))
    month.fetch(month.cameras[41], CHECKS, "192.0.2.81", "/kit_det.php?cid=4083", b"", hour(begin, 10) + NS)


def is_given(month: Month, begin: int) -> None:
    """Somebody gives camera 5 an image by ISAPI; it begins anew with another version."""
    camera, at_ns = month.cameras[5], hour(begin, 14)
    talk = month.talk(f"{PC}:55", (ADMIN, 51_000), (camera.address, 80), at_ns)
    head = f"PUT /ISAPI/System/updateFirmware HTTP/1.1\r\nHost: {camera.address}\r\nContent-Length: "
    whole = head.encode() + b"%d\r\n\r\n" % len(HIKVISION_IMAGE) + HIKVISION_IMAGE
    for at in range(0, len(whole), 1400):
        talk.send(0, whole[at : at + 1400])
    # The two are on one link, so that the camera's own MAC is at its end.
    there, here = mac(GATEWAY_MAC), mac(camera.mac)
    talk.packets = [(each, data[:12].replace(there, here) + data[12:]) for each, data in talk.packets]
    month.end(talk)
    camera.version = "V5.7.3build 220101"
    month.boot(camera, at_ns + 240 * NS)
    month.announce(camera, at_ns + 250 * NS)


def four_steps(month: Month, begin: int) -> None:
    """Camera 40 asks, fetches in the clear, begins anew, and says another version."""
    camera, at_ns = month.cameras[40], hour(begin, 10)
    month.ask(camera.mac, camera.address, CHECKS, "192.0.2.81", at_ns)
    month.fetch(camera, CHECKS, "192.0.2.81", "/kit_det.php?cid=4083", b"", at_ns + NS)
    month.ask(camera.mac, camera.address, FILES, "192.0.2.82", at_ns + 30 * NS)
    month.fetch(camera, FILES, "192.0.2.82", FILE, DAHUA_IMAGE, at_ns + 31 * NS)
    camera.version = "2.840.0.7"
    month.boot(camera, at_ns + 211 * NS)
    month.announce(camera, at_ns + 221 * NS)


def moves(month: Month, begin: int) -> None:
    """Camera 7 is given another address."""
    camera = month.cameras[7]
    camera.address = "10.30.1.207"
    month.boot(camera, hour(begin, 0.01))


def fetches_and_is_gone(month: Month, begin: int) -> None:
    """Camera 42 fetches an image, is gone for six hours, and is back as it was."""
    month.ask(month.cameras[42].mac, month.cameras[42].address, FILES, "192.0.2.82", hour(begin, 11.4))
    month.fetch(month.cameras[42], FILES, "192.0.2.82", FILE, DAHUA_IMAGE, hour(begin, 11.5))


def fetches_in_secret(month: Month, begin: int) -> None:
    """Camera 6 calls its maker's update host over TLS, then brings three megabytes from nobody known, and is anew."""
    camera, at_ns = month.cameras[6], hour(begin, 3)
    month.ask(camera.mac, camera.address, "dev.ys7.com", "192.0.2.91", at_ns)
    month.hello(camera.mac, camera.address, "dev.ys7.com", ("192.0.2.91", 443), at_ns + NS, 2_000)
    month.ask(camera.mac, camera.address, "cdn.example.net", "192.0.2.92", at_ns + 60 * NS)
    month.hello(camera.mac, camera.address, "cdn.example.net", ("192.0.2.92", 443), at_ns + 61 * NS, 3_000_000)
    camera.version = "V5.7.18build 240101"
    month.boot(camera, at_ns + 400 * NS)
    month.announce(camera, at_ns + 410 * NS)


def is_another(month: Month, begin: int) -> None:
    """Camera 8 says another version, and nothing was seen of how it came to it."""
    month.cameras[8].version = "V5.6.0build 200101"


PLOT = {
    2: only_asks, 7: is_given, 11: four_steps, 14: moves, 17: fetches_and_is_gone, 19: fetches_in_secret,
    24: is_another,
}  # fmt: skip


def dumped(document: object) -> str:
    """A document as it is committed."""
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
