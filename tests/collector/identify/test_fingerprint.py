"""What is seen on a device of a maker: the files, and what is refused in them."""

import re
import time
from pathlib import Path

import pytest

from collector.errors import LenswatchError
from collector.identify.evidence import BANNER_WEIGHTS, MIN_CONFIDENCE
from collector.identify.fingerprint import MAC_PREFIX, SHIPPED, Fingerprint, FingerprintError, read_fingerprints

SOURCES = '[sources.book]\ntitle = "A book"\nkind = "repository"\n'
ACME = """
maker = "acme"
name = "Acme"
[[prefixes]]
organization = "Acme Ltd."
relevance = "high"
confidence = "high"
sources = ["book"]
macs = ["02:00:5e"]
[[calls]]
name = "dev.acme.example"
match = "exact"
relevance = "high"
confidence = "medium"
sources = ["book"]
[[ports]]
transport = "udp"
port = 37020
side = "broadcasts"
protocol = "acme-discovery"
relevance = "high"
confidence = "high"
sources = ["book"]
[[banners]]
kind = "http_server"
pattern = '^Acme/\\d'
matchable = true
relevance = "high"
confidence = "low"
sources = ["book"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sources.toml").write_text(SOURCES)
    (tmp_path / "acme.toml").write_text(ACME)
    return tmp_path


@pytest.fixture(scope="module")
def shipped() -> dict[str, Fingerprint]:
    return {fingerprint.maker: fingerprint for fingerprint in read_fingerprints()}


def test_a_makers_file_is_read(folder: Path) -> None:
    (acme,) = read_fingerprints(folder)
    assert (acme.maker, acme.prefixes[0].macs, acme.calls[0].name) == ("acme", ("02:00:5e",), "dev.acme.example")
    assert (acme.ports[0].port, acme.banners[0].pattern) == (37020, r"^Acme/\d")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "Acme"', 'name = "Acme"\nmodel = "1"', "acme.toml: .*unknown field `model`"),
        ('side = "broadcasts"', 'side = "shouts"', r"acme.toml: ports\[0\].side: .*shouts"),
        ('relevance = "high"', 'relevance = "sure"', r"prefixes\[0\].relevance: .*sure"),
        (
            'sources = ["book"]',
            'sources = ["lost"]',
            r"prefixes\[0\].sources: no source 'lost'; add it to sources.toml",
        ),
        ('sources = ["book"]', "sources = []", r"prefixes\[0\].sources: is empty"),
        ('"02:00:5e"', '"02:00:5E"', r"prefixes\[0\].macs: '02:00:5E' is no prefix"),
        ('"02:00:5e"', '"02:00:5e:1"', "is no prefix"),
        ('"02:00:5e"', '"02:00:5e", "02:00:5e"', "02:00:5e stands twice, first in acme.toml"),
        ('"dev.acme.example"', '"Dev.acme.example"', r"calls\[0\].name: 'Dev.acme.example' is no host name"),
        ("port = 37020", "port = 70000", r"ports\[0\].port: 70000 is no port"),
        (r"'^Acme/\d'", "'^Acme(/'", r"banners\[0\].pattern: is no regular expression"),
        ('maker = "acme"', 'maker = "acne"', "maker: is 'acne'; make it and the file's name the same"),
        ('maker = "acme"', "maker = acme", "acme.toml: is not TOML: .*line 2"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(folder: Path, old: str, new: str, reason: str) -> None:
    assert old in ACME
    (folder / "acme.toml").write_text(ACME.replace(old, new, 1))
    with pytest.raises(FingerprintError, match=reason) as caught:
        read_fingerprints(folder)
    assert isinstance(caught.value, LenswatchError)
    assert "\n" not in str(caught.value)


def test_a_pattern_that_is_not_matched_may_be_prose(folder: Path) -> None:
    text = ACME.replace(r"'^Acme/\d'", '"the Acme (TM page"').replace("matchable = true", "matchable = false")
    (folder / "acme.toml").write_text(text)
    assert read_fingerprints(folder)[0].banners[0].pattern == "the Acme (TM page"


def test_a_prefix_that_two_makers_claim_is_refused(folder: Path) -> None:
    (folder / "zeta.toml").write_text(ACME.replace('maker = "acme"', 'maker = "zeta"'))
    with pytest.raises(FingerprintError, match=r"zeta.toml: .*02:00:5e stands twice, first in acme.toml"):
        read_fingerprints(folder)


def test_a_folder_without_fingerprints_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FingerprintError, match="no fingerprints"):
        read_fingerprints(tmp_path)


def test_a_folder_without_sources_is_an_error(folder: Path) -> None:
    (folder / "sources.toml").unlink()
    with pytest.raises(FingerprintError, match=r"sources.toml: cannot be read: No such file"):
        read_fingerprints(folder)


def test_a_file_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (folder / "acme.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(FingerprintError, match=r"acme.toml: byte 5: is not UTF-8"):
        read_fingerprints(folder)


@pytest.mark.parametrize("prefix", ["00:18:ae", "34:46:63:2/28", "70:b3:d5:1a:2/36"])
def test_prefixes_of_all_three_block_sizes_are_known(prefix: str) -> None:
    assert MAC_PREFIX.fullmatch(prefix)


@pytest.mark.parametrize(
    ("mac", "maker"),
    [
        ("44:19:b6", "hikvision"),
        ("3c:ef:8c", "dahua"),
        ("9c:8e:cd", "amcrest"),
        ("34:46:63:2/28", "amcrest"),
        ("00:1f:54", "lorex"),
        ("1c:4d:89", "imou"),
        ("50:4c:7e", "cetc"),
        ("fc:c2:e5", "huawei"),
        ("84:8a:59", "hisilicon"),
        ("04:0f:66", "tplink-systems"),
        ("00:0a:eb", "tplink-technologies"),
    ],
)
def test_a_prefix_is_the_makers_that_registered_it(shipped: dict[str, Fingerprint], mac: str, maker: str) -> None:
    owners = [name for name, maker in shipped.items() if any(mac in prefix.macs for prefix in maker.prefixes)]
    assert owners == [maker]


def test_a_prefix_of_phones_and_routers_is_no_sign_of_a_camera(shipped: dict[str, Fingerprint]) -> None:
    for maker in ("zte", "tuya", "xiaomi", "tplink-systems", "tplink-technologies"):
        relevances = {mac: prefix.relevance for prefix in shipped[maker].prefixes for mac in prefix.macs}
        assert "high" not in relevances.values(), maker
    assert {prefix.organization for prefix in shipped["huawei"].prefixes if prefix.relevance == "high"} == {
        "HOLOWITS TECHNOLOGIES CO.,LTD"
    }


def test_xiongmai_has_no_prefix(shipped: dict[str, Fingerprint]) -> None:
    assert shipped["xiongmai"].prefixes == ()


@pytest.mark.parametrize(
    ("maker", "transport", "port", "side"),
    [
        ("hikvision", "udp", 37020, "broadcasts"),
        ("hikvision", "tcp", 8666, "calls"),
        ("dahua", "udp", 37810, "broadcasts"),
        ("dahua", "tcp", 37777, "serves"),
        ("dahua", "udp", 8800, "calls"),
        ("xiongmai", "tcp", 34567, "serves"),
        ("xiongmai", "udp", 34569, "broadcasts"),
        ("reolink", "tcp", 9000, "serves"),
    ],
)
def test_the_makers_own_ports_are_there(
    shipped: dict[str, Fingerprint], maker: str, transport: str, port: int, side: str
) -> None:
    assert (transport, port, side) in {(fact.transport, fact.port, fact.side) for fact in shipped[maker].ports}


def test_a_port_that_many_devices_serve_is_no_sign_of_a_maker(shipped: dict[str, Fingerprint]) -> None:
    for maker in shipped.values():
        for fact in maker.ports:
            if fact.port in (69, 80, 443, 554, 1900, 1935, 3702, 5000, 8000, 8080):
                assert fact.relevance == "low", (maker.maker, fact.port)


def test_a_path_alone_makes_no_camera_of_a_server_that_answers_whatever_it_is_asked(
    shipped: dict[str, Fingerprint],
) -> None:
    paths = [banner for maker in shipped.values() for banner in maker.banners if banner.kind == "http_path"]
    assert len(paths) >= 5 and all(BANNER_WEIGHTS[banner.relevance] < MIN_CONFIDENCE for banner in paths)


@pytest.mark.parametrize(
    ("kind", "text", "maker"),
    [
        ("http_server", "App-webs/", "hikvision"),
        ("http_server", "DNVRS-Webs", "hikvision"),
        ("http_server", "uc-httpd 1.0.0", "xiongmai"),
        ("http_user_agent", "XAPP", "xiongmai"),
        ("rtsp_realm", "IP Camera(C2875)", "hikvision"),
        ("rtsp_realm", "Login to 3A02B9BPAG00123", "dahua"),
        ("rtsp_server", "Dahua Rtsp Server", "dahua"),
        ("rtsp_server", "H264DVR 1.0", "xiongmai"),
        ("rtsp_path", "/cam/realmonitor?channel=1&subtype=0", "dahua"),
        ("rtsp_path", "/Streaming/Channels/101", "hikvision"),
        ("onvif_scope", "onvif://www.onvif.org/name/HIKVISION%20DS-2CD2143G0-I", "hikvision"),
        ("onvif_scope", "onvif://www.onvif.org/name/Dahua", "dahua"),
        ("udp_payload", "PTCP\x00\x00\x00\x00", "dahua"),
        ("udp_payload", "DHGET /probe/p2psrv HTTP/1.1\r\n", "dahua"),
        ("udp_payload", " \x00\x00\x00DHIP" + "\x00" * 24 + '{"method":"client.notifyDevInfo"}', "dahua"),
        ("udp_payload", "\xff\x00\x00\x00" + "\x00" * 10 + "\xfb\x05" + "\x00" * 4 + "{}", "xiongmai"),
        ("udp_payload", '<?xml version="1.0"?><ProbeMatch><Uuid>1</Uuid><DeviceSN>DS</DeviceSN>', "hikvision"),
        ("udp_payload", "\x3a\xcf\x87\x2a\x00", "reolink"),
        ("tcp_payload", "\xff\x01\x00\x00" + "\x00" * 16 + '{"Name":""}', "xiongmai"),
        ("http_path", "/RPC2_Login", "dahua"),
        ("http_path", "/ISAPI/System/deviceInfo", "hikvision"),
        ("favicon", "mmh3 999357577", "hikvision"),
        ("favicon", "mmh3 999357578", None),
        ("tls_certificate", "subject CN=TPRI-DEVICE,O=TPRI,C=US", "tplink-systems"),
        ("tls_certificate", "subject CN=cam.example,O=HIKVISION", None),
        ("http_server", "nginx", None),
        ("http_server", "web", None),
        ("rtsp_realm", "Realm", None),
        ("rtsp_server", "GStreamer RTSP server", None),
        ("udp_payload", "\x80\x60\x00\x01" + "\x00" * 40, None),
    ],
)
def test_a_banner_is_of_its_maker_and_of_nobody_else(
    shipped: dict[str, Fingerprint], kind: str, text: str, maker: str | None
) -> None:
    found = {
        name
        for name, fingerprint in shipped.items()
        for banner in fingerprint.banners
        if banner.matchable and banner.kind == kind and re.search(banner.pattern, text)
    }
    assert found == ({maker} if maker else set())


def test_only_names_that_devices_call_are_calls(shipped: dict[str, Fingerprint]) -> None:
    calls = {call.name for fingerprint in shipped.values() for call in fingerprint.calls}
    assert {"litedev.hik-connect.com", "devaccess.easy4ipcloud.com", "access-dss.secu100.net", "time.ys7.com"} <= calls
    apps_call_too = {"api.hik-connect.com", "www.easy4ipcloud.com", "www.star4live.com", "www.hikvision.com"}
    assert not calls & apps_call_too


def test_every_matched_pattern_answers_within_10_ms_on_a_hostile_packet(shipped: dict[str, Fingerprint]) -> None:
    hostile = ("<Probe>" * 200, " \x00\x00\x00DHIP" + "{" * 1400, "\xff" * 1400, "\x00\x00\x55\xaa" * 350, "/" * 1400)
    for fingerprint in shipped.values():
        for banner in fingerprint.banners:
            if banner.matchable:
                pattern = re.compile(banner.pattern)
                for text in hostile:
                    start = time.process_time()
                    pattern.search(text)
                    assert time.process_time() - start < 0.01, (fingerprint.maker, banner.pattern)


def test_the_shipped_folder_is_beside_the_code() -> None:
    assert (SHIPPED / "sources.toml").is_file()


def test_every_banner_that_is_asked_for_has_a_case_that_matches_and_one_that_is_silent(
    shipped: dict[str, Fingerprint],
) -> None:
    never_asked = {"http_header", "http_body", "rtsp_public", "telnet", "sip_user_agent",
                   "tcp_payload", "udp_payload", "ethernet", "resolver", "default_address"}  # fmt: skip
    bare = [
        f"{maker}: {banner.pattern}"
        for maker, fingerprint in shipped.items()
        for banner in fingerprint.banners
        if banner.matchable and banner.kind not in never_asked and not (banner.cases and banner.silent)
    ]
    assert bare == []
    named = [each for fingerprint in shipped.values() for each in (*fingerprint.models, *fingerprint.brands)]
    assert named and all(each.cases and each.silent for each in named)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cases = ['Acmes']", r"banners\[0\].cases: 'Acmes' does not match"),
        ("silent = ['Acme/1']", r"banners\[0\].silent: 'Acme/1' matches"),
        ("device = 'toaster'", r"banners\[0\].device: .*toaster"),
    ],
)
def test_a_fingerprint_that_its_own_cases_contradict_is_refused(folder: Path, line: str, reason: str) -> None:
    (folder / "acme.toml").write_text(ACME + line + "\n")
    with pytest.raises(FingerprintError, match=reason):
        read_fingerprints(folder)


def test_the_maker_behind_a_brand_has_a_file_of_its_own(folder: Path) -> None:
    (folder / "acme.toml").write_text(ACME.replace('name = "Acme"', 'name = "Acme"\noem = "zeta"'))
    with pytest.raises(FingerprintError, match="oem: no maker 'zeta' has a file here"):
        read_fingerprints(folder)


def test_models_brands_and_protocols_of_the_makers_are_read(shipped: dict[str, Fingerprint]) -> None:
    assert {"dahua", "hikvision", "xiongmai", "tvt", "tuya", "reolink"} == {
        maker for maker, fingerprint in shipped.items() if fingerprint.protocols
    }
    assert {maker: each.oem for maker, each in shipped.items() if each.oem} == {
        "amcrest": "dahua", "imou": "dahua", "lorex": "dahua", "ezviz": "hikvision",
    }  # fmt: skip
