"""Writes the office that `lenswatch demo` watches: `streams/demo/office.pcap`, and what was put into it,
`streams/demo/office.expected.json`.

    .venv/bin/python -m tests.captures.make_office [FOLDER]

Nothing here is a recording. The devices, addresses (RFC 5737, RFC 3849), serial numbers and payloads are invented;
the names, ports and message shapes are those that `rules/facts/` gives sources for. The expectations are written from
STORY, never from what lenswatch said.
"""

import dataclasses
import functools
import json
import random
import struct
import sys
from pathlib import Path

from scapy.layers.inet import UDP
from scapy.layers.l2 import ARP, Ether

from tests.captures.wire import (
    GATEWAY_MAC,
    RESOLVER,
    SECOND,
    Contact,
    Conversation,
    Device,
    Wire,
    call_datagrams,
    call_http,
    call_registration,
    call_time,
    call_tls,
    counted,
    request,
    response,
)

# No registry gives Xiongmai a MAC prefix: its camera has a locally administered address, and is known by what it says.
LOBBY = Device("lobby camera", "44:19:b6:5e:11:01", "10.20.8.21", "hikvision", "camera")
YARD = Device("yard camera", "c0:56:e3:5e:22:02", "10.20.8.22", "hikvision", "camera", ipv6="fd20:8::22")
GATE = Device("gate camera", "3c:ef:8c:5e:33:03", "10.20.8.23", "dahua", "camera", vlan=20)
STORE = Device("store camera", "02:12:5e:5e:44:04", "10.20.8.24", "xiongmai", "camera")
RECORDER = Device("recorder", "e0:50:8b:5e:55:05", "10.20.8.10", "dahua", "camera")
LAPTOP = Device("laptop", "00:14:22:5e:66:06", "10.20.16.40", "dell", "other")
RECEPTION = Device("reception computer", "00:06:5b:5e:77:07", "10.20.16.41", "dell", "other")
PRINTER = Device("printer", "00:17:08:5e:88:08", "10.20.16.60", "hp", "not camera")
DEVICES = (LOBBY, YARD, GATE, STORE, RECORDER, LAPTOP, RECEPTION, PRINTER)

BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


def call_meeting_point(wire: Wire, contact: Contact) -> None:
    """Dahua's P2P over UDP 8800: text lines, then the tunnel's own datagrams, which begin with PTCP."""
    chance = contact.random()
    exchange: list[tuple[int, bytes]] = []
    for number, path in enumerate(
        ("/probe/p2psrv", "/online/p2psrv/8K0A5PAZ00017", "/device/8K0A5PAZ00017/p2p-channel"), 1
    ):
        exchange.append((0, f"DHGET {path} HTTP/1.1\r\nCSeq: {number}\r\n\r\n".encode()))
        exchange.append((1, f"HTTP/1.1 200 OK\r\nCSeq: {number}\r\nContent-Length: 0\r\n\r\n".encode()))
    exchange += [(number % 2, b"PTCP" + chance.randbytes(20 + 12 * number)) for number in range(6)]
    call_datagrams(wire, contact, tuple(exchange))


def ask_brokenly(wire: Wire, contact: Contact) -> None:
    """A DNS message whose only label is longer than the message (RFC 1035 section 4.1.2)."""
    message = struct.pack(">HHHHHH", 0x5EED, 0x0100, 1, 0, 0, 0) + b"\x3fupgra"
    layer = UDP(sport=contact.random().randrange(32768, 60999), dport=contact.port) / message
    wire.carry(round(contact.at_seconds * SECOND), contact.device, True, contact.device.ip, contact.address, layer)


IMAGE = "DH_IPC-HX5X3X-Rhea_MultiLang_PN_Stream3_V2.840.0000000.18.R.261012.bin"
PACKAGE = "Firmware__V5.7.21_261002_S3000611234.zip"
STORE_ID = b'{"UUID":"5e5e440400010002","DevID":"000609f2"'
UPGRADE_QUESTION = (
    STORE_ID + b',"DevType":"000609f200001001","CurVersion":"2026-03-11","Expect":0,"Language":"English","Manual":0}'
)


def package_bytes(seed: str, size: int) -> bytes:
    """The head of a ZIP archive and what only looks like its content."""
    return b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + random.Random(seed).randbytes(size)


GATE_UPDATE = (
    (
        request(
            "GET",
            "/cloudupgrade/check?model=IPC-HX5X3X-Rhea&version=2.840.0000000.16.R.260402",
            "materialfile.dahuasecurity.com",
            None,
        ),
        response(f'{{"version":"2.840.0000000.18.R.261012","file":"/uploads/soft/20261012/{IMAGE}"}}'.encode()),
    ),
    (
        request("GET", f"/uploads/soft/20261012/{IMAGE}", "materialfile.dahuasecurity.com", None),
        response(package_bytes("gate image", 24_000), "application/octet-stream"),
    ),
)
STORE_CONFIGURATION = (
    (request("POST", "/config", "pub-cfg.secu100.net:8086", "XAPP", STORE_ID + b"}"), response(b'{"Ret":100}')),
)
STORE_UPDATE = (
    (
        request("POST", "/list", "upgrade.secu100.net:8083", "XAPP", UPGRADE_QUESTION),
        response(b'{"Ret":200,"List":[]}'),
    ),
)
RECORDER_NAME = (
    (request("GET", "/register?host=frontdesk-17", "dahuaddns.com", None), response(b"good", "text/plain")),
)
REMOTE_VIEW = (
    (
        request("GET", "/", "frontdesk-17.quickddns.com", BROWSER),
        response(b"<html><title>WEB</title></html>", "text/html"),
    ),
)
LAPTOP_PACKAGE = (
    (
        request("GET", f"/prd/public/all/files/202610/{PACKAGE}", "assets.hikvision.com", BROWSER),
        response(package_bytes("laptop package", 8_000), "application/zip"),
    ),
)

browse = functools.partial(call_tls, browser=True)
# fmt: off
STORY = (
    Contact(10, LOBBY, "litedev.hik-connect.com", "198.51.100.21", 8666, call_registration, ("dns", "flow"),
            "hikvision", "p2p", "listed-company-cloud-call"),
    Contact(25, LOBBY, "dev.hik-connect.com", "198.51.100.22", 8555, call_tls, ("dns", "tls"),
            "hikvision", "p2p", "listed-company-cloud-call"),
    Contact(32, LOBBY, "0.pool.ntp.org", "192.0.2.12", 123, call_time, ("dns", "flow")),
    Contact(40, YARD, "time.ys7.com", "198.51.100.31", 123, call_time, ("dns", "flow"),
            "ezviz", "time", "maker-time-sync"),
    Contact(55, YARD, "devlog.ys7.com", "2001:db8:31::22", 443, call_tls, ("dns", "tls"),
            "ezviz", "telemetry", "telemetry-upload"),
    Contact(80, GATE, "www.easy4ipcloud.com", "203.0.113.41", 8800, call_meeting_point, ("dns", "flow"),
            "dahua", "p2p", "listed-company-cloud-call"),
    Contact(120, GATE, "materialfile.dahuasecurity.com", "203.0.113.42", 80,
            functools.partial(call_http, exchanges=GATE_UPDATE), ("dns", "http"),
            "dahua", "firmware", "listed-company-firmware-call", steps=("check", "download")),
    Contact(180, STORE, "pub-cfg.secu100.net", "203.0.113.51", 8086,
            functools.partial(call_http, exchanges=STORE_CONFIGURATION), ("dns", "http"),
            "xiongmai", "cloud", "maker-cloud-call"),
    Contact(195, STORE, "upgrade.secu100.net", "203.0.113.52", 8083,
            functools.partial(call_http, exchanges=STORE_UPDATE), ("dns", "http"),
            "xiongmai", "firmware", "maker-firmware-call", steps=("check",)),
    Contact(210, STORE, None, "192.0.2.66", 9302, call_registration, ("flow",),
            rule="direct-to-address", names_finding=True),
    Contact(222, STORE, None, RESOLVER, 53, ask_brokenly, ("broken",),
            rule="broken-protocol", names_finding=True),
    Contact(240, RECORDER, "dahuaddns.com", "203.0.113.61", 80,
            functools.partial(call_http, exchanges=RECORDER_NAME), ("dns", "http"),
            "dahua", "ddns", "maker-ddns"),
    Contact(290, LAPTOP, "www.example.com", "192.0.2.80", 443, browse, ("dns", "tls")),
    Contact(300, LAPTOP, "frontdesk-17.quickddns.com", "198.51.100.77", 80,
            functools.partial(call_http, exchanges=REMOTE_VIEW), ("dns", "http"),
            "dahua", "ddns_customer"),
    Contact(320, LAPTOP, "www.hikvision.com", "198.51.100.81", 443,
            functools.partial(browse, alias="www-hikvision-com.cdn.example"), ("dns", "tls"),
            "hikvision", "website", "other-device-contact"),
    Contact(345, LAPTOP, "assets.hikvision.com", "198.51.100.82", 80,
            functools.partial(call_http, exchanges=LAPTOP_PACKAGE), ("dns", "http"),
            "hikvision", "firmware", "other-device-contact"),
    Contact(390, RECEPTION, "dahuatec.xyz", "192.0.2.99", 443, browse, ("dns", "tls"),
            rule="lookalike-name", names_finding=True),
    Contact(420, PRINTER, "www.hpsmart.com", "192.0.2.140", 443, call_tls, ("dns", "tls")),
    Contact(430, PRINTER, "2.pool.ntp.org", "192.0.2.13", 123, call_time, ("dns", "flow")),
)
# fmt: on

# What each camera's own server says to the recorder, which is one more way to know it.
BANNERS = {
    LOBBY: 'WWW-Authenticate: Digest realm="IP Camera(K5117)", nonce="5e5e1101", stale="FALSE"',
    YARD: 'WWW-Authenticate: Digest realm="IP Camera(K5118)", nonce="5e5e2202", stale="FALSE"',
    STORE: "Server: H264DVR 1.0\r\nWWW-Authenticate: Basic",
}
STREAMS = {
    LOBBY: "/Streaming/Channels/101",
    YARD: "/Streaming/Channels/101",
    STORE: "/user=view_password=_channel=1_stream=0.sdp",
}
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Media\r\nt=0 0\r\n"
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n"
)


def play_video(wire: Wire, camera: Device, at_seconds: float, frames: int = 14) -> None:
    """The recorder pulls a camera's stream: RTSP (RFC 2326), then RTP between the `$` frames of section 10.12."""
    contact = Contact(at_seconds, RECORDER, None, camera.ip, 554, play_video, ())
    chance = contact.random()
    talk = Conversation(wire, RECORDER, contact, round(at_seconds * SECOND), peer_mac=camera.mac)
    url = f"rtsp://{camera.ip}:554{STREAMS[camera]}"
    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
    steps = (
        ("DESCRIBE", url, "", "401 Unauthorized", BANNERS[camera], b""),
        ("DESCRIBE", url, "Authorization: Digest username=view", "200 OK", "Content-Type: application/sdp", SDP),
        ("SETUP", f"{url}/trackID=1", transport, "200 OK", f"{transport}\r\nSession: 5e5e", b""),
        ("PLAY", url, "Session: 5e5e", "200 OK", "Session: 5e5e", b""),
    )
    for number, (method, target, asked, status, answered, body) in enumerate(steps, 1):
        headers = f"{asked}\r\n" if asked else ""
        talk.say(0, f"{method} {target} RTSP/1.0\r\nCSeq: {number}\r\n{headers}\r\n".encode())
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        talk.say(1, f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{answered}\r\n{length}\r\n".encode() + body)
    for number in range(frames):
        rtp = struct.pack(">BBHII", 0x80, 96, number, 3600 * number, 0x5E5E) + chance.randbytes(1200)
        talk.say(1, b"$\x00" + counted(rtp))
        talk.at += 2 * SECOND


def show_login_page(wire: Wire, camera: Device, at_seconds: float) -> None:
    """The recorder asks a camera's web server for its first page."""
    contact = Contact(at_seconds, RECORDER, None, camera.ip, 80, show_login_page, ())
    talk = Conversation(wire, RECORDER, contact, round(at_seconds * SECOND), peer_mac=camera.mac)
    talk.say(0, request("GET", "/", camera.ip, None))
    talk.say(1, response(b"<html><title>NETSurveillance WEB</title></html>", "text/html", "uc-httpd 1.0.0"))
    talk.close()


def announce(wire: Wire, camera: Device, at_seconds: float) -> None:
    """A camera of Xiongmai's kind tells the network who it is: DVRIP message 1531 to everybody's UDP port 34569."""
    common = {
        "MAC": camera.mac,
        "HostName": "LocalHost",
        "HostIP": camera.ip,
        "TCPPort": 34567,
        "SN": "5e5e440400010002",
    }
    told = json.dumps({"NetWork.NetCommon": common, "Ret": 100, "SessionID": "0x0"}).encode()
    message = struct.pack("<BBHIIBBHI", 0xFF, 1, 0, 0, 0, 0, 0, 1531, len(told)) + told
    layer = UDP(sport=34569, dport=34569) / message
    everybody = ("255.255.255.255", "ff:ff:ff:ff:ff:ff")
    wire.carry(round(at_seconds * SECOND), camera, True, camera.ip, everybody[0], layer, everybody[1])


def greet_gateway(wire: Wire) -> None:
    """Each device asks by ARP who the gateway is."""
    for number, device in enumerate(DEVICES):
        at = number * 40_000
        asked = ARP(op=1, hwsrc=device.mac, psrc=device.ip, pdst=RESOLVER)
        answered = ARP(op=2, hwsrc=GATEWAY_MAC, psrc=RESOLVER, hwdst=device.mac, pdst=device.ip)
        for when, layers in (
            (at, Ether(src=device.mac, dst="ff:ff:ff:ff:ff:ff") / asked),
            (at + 3_000, Ether(src=GATEWAY_MAC, dst=device.mac) / answered),
        ):
            wire.frames.append((when, bytes(layers)))


def record_office() -> Wire:
    """All that passed the mirror port between 08:00 and 08:08."""
    wire = Wire()
    greet_gateway(wire)
    announce(wire, STORE, 1)
    show_login_page(wire, STORE, 2)
    for camera, at_seconds in ((LOBBY, 3), (YARD, 4), (STORE, 5)):
        play_video(wire, camera, at_seconds)
    for contact in STORY:
        contact.act(wire, contact)
    return wire


def expectations() -> dict[str, list[dict]]:
    """What the story says: its devices, its contacts, and each finding once."""
    contacts, alerts = [], {}
    for contact in STORY:
        called = contact.name or contact.address
        contacts.append(
            {
                "device": contact.device.ip,
                "name": contact.name,
                "address": contact.address,
                "port": contact.port,
                "entity": contact.entity,
                "role": contact.role,
                "seen_in": list(contact.seen_in),
            }
        )
        if contact.rule is None:
            continue
        about = {"name": called} if contact.names_finding else {"company": contact.entity}
        steps = {"steps": list(contact.steps)} if contact.steps else {}
        finding = {"device": contact.device.ip, "rule": contact.rule} | about | steps
        alerts[json.dumps(finding)] = finding
    devices = [
        {key: value for key, value in dataclasses.asdict(device).items() if value is not None} for device in DEVICES
    ]
    return {"devices": devices, "contacts": contacts, "alerts": list(alerts.values())}


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    record_office().write_pcap(folder / "office.pcap")
    (folder / "office.expected.json").write_text(json.dumps(expectations(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "streams" / "demo")
