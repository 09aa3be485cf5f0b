"""Writes `web.pcap`: devices that are known by nothing but what their web servers show, and what is asked of them.

    .venv/bin/python -m tests.captures.make_web [FOLDER]

A computer looks at each page, over TLS or HTTP. Their MACs are nobody's, they announce nothing, and call nobody. Their
certificates have the words that public sources have of makers' own ones (`collector/identify/fingerprints`); icons are
invented, and end in six bytes that give them the number by which scanners know the makers' icons.
`STORY` says who each device is, as far as that can be known; `tests/captures/test_web.py` compares.
"""

import dataclasses
import random
import sys
from pathlib import Path

from tests.captures.wire import (
    SECOND,
    Contact,
    Conversation,
    Device,
    Wire,
    camera_hello,
    counted,
    extension,
    hello_record,
    request,
    response,
    server_hello,
)
from tests.collector.dissectors.certificates import certificate
from tests.collector.dissectors.messages import shown

PC = Device("computer", "02:00:5e:10:00:01", "10.20.16.40", "", "not camera")
ICON_HEAD = b"\0\0\1\0an icon, invented here, 42 by"
HIKVISION_ICON = ICON_HEAD + bytes.fromhex("86f5d87e98e4")
DAHUA_ICON = ICON_HEAD + bytes.fromhex("43e8f5a30ba9")
HIKVISION = (
    ("C", "CN"), ("ST", "ZheJiang"), ("L", "HangZhou"), ("O", "HIKVISION"), ("OU", "DVRNVR"),
    ("CN", "www.hikvision.com"),
)  # fmt: skip
DAHUA_CA = (
    ("CN", "NVR"), ("C", "CN"), ("ST", "Zhejiang"), ("L", "Hangzhou"), ("O", "ZheJiang Dahua Technology CO.,LTD."),
    ("OU", "NVR"),
)  # fmt: skip
UNIVIEW = (("C", "CN"), ("ST", "ZheJiang"), ("O", "uniview"), ("OU", "uniview"), ("CN", "cn.uniview.com"))
REOLINK = (("C", "CN"), ("ST", "GD"), ("L", "SZ"), ("O", "REOLINK"), ("OU", "REOLINK"), ("CN", "REOLINK"))
INTERCOM = (
    ("C", "CZ"), ("ST", "Czech Republic"), ("L", "Prague"), ("O", "2N Telekomunikace a.s."), ("OU", "2N IP Intercoms"),
    ("CN", "02005e100017"),
)  # fmt: skip
REFUSED = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="x"\r\nContent-Length: 0\r\n\r\n'
UNKNOWN_PATH = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Seen:
    """A device; what a computer says to it and it answers, in turn; who it is: kind, maker, model (None: not known)."""

    number: int
    about: str
    port: int
    said: tuple[tuple[bytes, bytes], ...]
    kind: str
    maker: str | None = None
    model: str | None = None

    @property
    def device(self) -> Device:
        return Device(self.about, f"02:00:5e:10:00:{self.number:02x}", f"10.20.8.{self.number}", "", self.kind)


def over_tls(*ders: bytes, seed: int = 0) -> tuple[tuple[bytes, bytes], ...]:
    """A session of TLS 1.2 with these certificates, the device's own first."""
    chance = random.Random(seed)
    sealed = b"\x14\x03\x03\x00\x01\x01\x16\x03\x03" + counted(chance.randbytes(40))
    return (camera_hello("camera.example", chance), shown(*ders)), (sealed, sealed)


def over_tls_1_3() -> tuple[tuple[bytes, bytes], ...]:
    """The same of TLS 1.3: the certificate is in what is sealed."""
    hello = camera_hello("camera.example", random.Random(13))
    return ((hello, server_hello(hello, random.Random(14), browser=True)),)


def page(path: str, answer: bytes, method: str = "GET") -> tuple[bytes, bytes]:
    return request(method, path, "10.20.8.9", "curl/8.5.0"), answer


def icon(body: bytes) -> tuple[bytes, bytes]:
    return page("/favicon.ico", response(body, "image/x-icon"))


STORY = (
    Seen(16, "a certificate of one maker, on all of its devices", 443, over_tls(certificate(HIKVISION)), "camera",
         "hikvision"),
    Seen(17, "a recorder whose maker signs for it, the maker's own certificate behind", 443,
         over_tls(certificate((("CN", "10.20.8.17"), ("C", "CN")), DAHUA_CA), certificate(DAHUA_CA)), "recorder",
         "dahua"),
    Seen(18, "on another port", 8_443, over_tls(certificate(UNIVIEW)), "camera", "uniview"),
    Seen(19, "its maker's above it alone is known", 443,
         over_tls(certificate((("CN", "lobby"),), REOLINK), certificate(REOLINK)), "camera", "reolink"),
    Seen(20, "the model stands in the name", 443,
         over_tls(certificate((("CN", "AVIGILON-CAMERA-5.0-H3-DP1-1000001"), ("OU", "Certification Manager"),
                               ("O", "Avigilon Corporation"), ("L", "Vancouver"), ("ST", "British Columbia"),
                               ("C", "CA")))), "camera", "avigilon", "5.0-H3-DP1"),
    Seen(21, "an intercom", 443, over_tls(certificate(INTERCOM)), "intercom", "2n"),
    Seen(22, "a printer", 443, over_tls(certificate((("CN", "Canon Imaging Product"),))), "other"),
    Seen(23, "a certificate that its owner made", 443, over_tls(certificate((("CN", "cam.example"),))), "unknown"),
    Seen(24, "what TLS 1.3 seals", 443, over_tls_1_3(), "unknown"),
    Seen(32, "an icon", 80, (icon(HIKVISION_ICON),), "camera", "hikvision"),
    Seen(33, "an icon, and paths that it has", 80,
         (page("/RPC2_Login", REFUSED, "POST"), page("/cgi-bin/magicBox.cgi?action=getSystemInfo", REFUSED),
          icon(DAHUA_ICON)), "camera", "dahua"),
    Seen(34, "paths that it has: the maker, and no more", 80,
         (page("/doc/page/login.asp", response(b"<html></html>", "text/html")),
          page("/ISAPI/System/deviceInfo", REFUSED)),
         "unknown", "hikvision"),
    Seen(35, "asked for one maker's path, and it has no such", 80,
         (page("/ISAPI/System/deviceInfo", UNKNOWN_PATH),), "unknown"),
    Seen(36, "an icon that nobody knows", 80, (icon(ICON_HEAD),), "unknown"),
    Seen(37, "a page in the icon's place", 80, (page("/favicon.ico", response(HIKVISION_ICON, "text/html")),),
         "unknown"),
)  # fmt: skip


def browser_hello_of_chromium(name: str) -> bytes:
    """A ClientHello whose JA4 is that of Chromium (FoxIO-LLC/ja4: ja4plus-mapping.csv)."""
    bodies = {
        0: counted(b"\0" + counted(name.encode())), 16: counted(b"\x02h2\x08http/1.1"),
        13: counted(bytes.fromhex("04030804040105030805050108060601")), 43: counted(bytes.fromhex("03040303"), 1),
        10: counted(bytes.fromhex("001d00170018")), 11: b"\x01\x00",
    }  # fmt: skip
    kinds = (0, 5, 10, 11, 13, 16, 18, 23, 27, 35, 43, 45, 51, 0x4469, 0xFE0D, 0xFF01)
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035")
    body = b"".join(extension(kind, bodies.get(kind, b"\0")) for kind in kinds)
    return hello_record(random.Random(4), ciphers, body)


BROWSER = Device("a computer whose browser is Chromium", "02:00:5e:10:00:02", "10.20.16.41", "", "not camera")
CALLED = "dev.hik-connect.com"
"""A name that devices call."""


def main(folder: Path) -> None:
    """Write the capture into `folder`."""
    wire = Wire()
    for number, seen in enumerate(STORY):
        device = seen.device
        contact = Contact(float(number), PC, None, device.ip, seen.port, lambda *_: None, ())
        talk = Conversation(wire, PC, contact, number * SECOND, device.mac)
        for asked, answered in seen.said:
            talk.say(0, asked)
            talk.say(1, answered)
        talk.close()
    contact = Contact(60.0, BROWSER, None, "203.0.113.9", 443, lambda *_: None, ())
    talk = Conversation(wire, BROWSER, contact, 60 * SECOND)
    hello = browser_hello_of_chromium(CALLED)
    talk.say(0, hello)
    talk.say(1, server_hello(hello, random.Random(5), browser=True))
    talk.close()
    wire.write_pcap(folder / "web.pcap")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
