"""What a web server shows is evidence about the device that serves it."""

import pytest

from collector.dissectors.dissector import Fact
from collector.identify.banners import Banners
from collector.identify.evidence import Opinions
from collector.identify.fingerprint import read_fingerprints
from collector.identify.known import KnownDevice
from collector.identify.served import note_path, note_shown
from collector.observation import File, FileFormat, FileHash, Url
from tests.collector.dissectors.certificates import certificate

HIKVISION = (
    ("C", "CN"),
    ("ST", "ZheJiang"),
    ("L", "HangZhou"),
    ("O", "HIKVISION"),
    ("OU", "DVRNVR"),
    ("CN", "www.hikvision.com"),
)
PATH = Url(original="/ISAPI/System/deviceInfo", path="/ISAPI/System/deviceInfo")


@pytest.fixture(scope="module")
def banners() -> Banners:
    return Banners(read_fingerprints())


@pytest.fixture
def device() -> KnownDevice:
    return KnownDevice("here/10.0.0.9", {}, Opinions({}))


def test_a_certificate_that_is_known_makes_a_camera_of_who_shows_it(banners: Banners, device: KnownDevice) -> None:
    fact = Fact("certificate", backward=True, certificate=certificate(HIKVISION))
    assert note_shown(banners, device, fact)
    assert (device.identity.type, device.identity.maker) == ("camera", "hikvision")
    assert fact.tls is not None and fact.tls.server is not None
    assert fact.tls.server.x509.subject.organization == ["HIKVISION"]


def test_one_that_nobody_knows_says_nothing_of_it_and_is_told_nevertheless(
    banners: Banners, device: KnownDevice
) -> None:
    assert note_shown(banners, device, Fact("certificate", certificate=certificate((("CN", "printer"),))))
    assert device.signs == {}


def test_bytes_that_are_no_certificate_are_not_told(banners: Banners, device: KnownDevice) -> None:
    assert not note_shown(banners, device, Fact("certificate", certificate=b"\x30\x82"))
    assert not note_shown(banners, device, Fact("favicon"))


def test_an_icon_that_is_known_is_a_sign(banners: Banners, device: KnownDevice) -> None:
    icon = File(size=1, hash=FileHash(sha256="", md5="a3fd8705f010b90e37d42128000f620b"))
    assert note_shown(banners, device, Fact("favicon", file=icon, format=FileFormat(mmh3=1)))
    assert device.identity.maker == "axis"


def test_whoever_answers_for_a_path_counts_more_than_who_is_only_asked(banners: Banners, device: KnownDevice) -> None:
    note_path(banners, device, Fact("http", url=PATH))
    (asked,) = device.signs.values()
    note_path(banners, device, Fact("http", answered=PATH))
    (has,) = device.signs.values()
    assert (asked.text[:12], has.text[:4]) == ("is asked for", "has ") and has.weight > asked.weight > 0
    note_path(banners, device, Fact("http", url=PATH))
    assert list(device.signs.values()) == [has]
    note_path(banners, device, Fact("http"))
    assert list(device.signs.values()) == [has]
