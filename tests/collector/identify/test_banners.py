"""What devices say of themselves points to their makers, and only what the sender says of itself counts."""

import datetime

import pytest

from collector.dissectors.dissector import Fact
from collector.identify.banners import BROWSES, MAX_KNOWN_TEXTS, Banners, said_by
from collector.identify.evidence import BANNER_WEIGHTS, PATH_SHARE
from collector.identify.fingerprint import Banner, Fingerprint, read_fingerprints
from collector.observation import X509, Announced, FileHash, TlsHash, TlsServer, Url, X509Name
from collector.texts import MAX_TEXT_CHARACTERS


@pytest.fixture(scope="module")
def banners() -> Banners:
    return Banners(read_fingerprints())


@pytest.mark.parametrize(
    ("dataset", "said", "maker"),
    [
        ("wsd", Announced(scopes=["onvif://www.onvif.org/name/HIKVISION%20DS-X"]), "hikvision"),
        ("rtsp", Announced(realm="Login to 5E5E0001PAZ0001"), "dahua"),
        ("http", Announced(software="App-webs/"), "hikvision"),
    ],
)
def test_a_makers_words_are_evidence_for_the_maker(banners: Banners, dataset: str, said: Announced, maker: str) -> None:
    found = list(banners.signs(Fact(dataset, announced=said)))
    assert found and {each.maker for each in found} == {maker} and all(0 < each.weight < 1 for each in found)
    assert found == list(banners.signs(Fact(dataset, announced=said)))


def test_the_words_of_another_field_are_none(banners: Banners) -> None:
    signs = banners.signs(Fact("dhip", announced=Announced(realm="Login to 5E5E0001PAZ0001")))
    assert [sign.sort for sign in signs] == ["protocol"]
    assert list(banners.signs(Fact("http", announced=Announced(software="nginx")))) == []
    assert list(said_by(Fact("http"))) == []


def test_every_kind_of_word_is_asked_for() -> None:
    said = Announced(
        name="n", software="s", realm="r", type="t", services=["v"], scopes=["o"], location="l", manufacturer="m",
        model="d",
    )  # fmt: skip
    kinds = {
        kind
        for dataset in ("http", "rtsp", "ssdp", "wsd", "mdns", "dhcp")
        for kind, _ in said_by(Fact(dataset, announced=said))
    }
    assert kinds == {
        "http_server", "rtsp_server", "rtsp_realm", "ssdp_server", "ssdp_type", "onvif_scope", "mdns_service",
        "dhcp_hostname", "dhcp_class", "http_realm", "mdns_name", "ssdp_location", "wsd_type", "manufacturer", "brand",
        "model",
    }  # fmt: skip


def test_what_wireshark_reads_is_asked_for_by_its_protocol(banners: Banners) -> None:
    for protocol, text in (("sip", "Hikvision/1.0"), ("telnet", "192.0.0.64 login:")):
        [sign] = banners.signs(Fact("device", action=protocol, announced=Announced(software=text)))
        assert (sign.maker, 0 < sign.weight < 1) == ("hikvision", True)
        assert list(banners.signs(Fact("device", action="ssh", announced=Announced(software=text)))) == []


def test_what_is_remembered_is_bounded(banners: Banners) -> None:
    for number in range(MAX_KNOWN_TEXTS + 10):
        assert list(banners.signs(Fact("http", announced=Announced(software=f"s{number}")))) == []
    assert len(banners._known) <= MAX_KNOWN_TEXTS


def test_who_answers_in_a_makers_own_protocol_has_it_inside_and_who_asks_has_not(banners: Banners) -> None:
    answer = Fact("sadp", announced=Announced(model="DS-2CD2143G2-I", type="DS-2CD2143G2-I"))
    signs = list(banners.signs(answer))
    assert [(sign.sort, sign.maker, sign.kind) for sign in signs] == [
        ("protocol", "hikvision", None), ("model", "hikvision", "camera"),
    ]  # fmt: skip
    asked = Fact("sadp", action="inquiry")
    assert not banners.may_tell(asked) and list(banners.signs(asked)) == []
    assert banners.may_tell(Fact("reolink", backward=True)) and list(banners.signs(Fact("reolink", backward=True)))


def test_a_brand_and_a_model_are_read_out_of_what_is_said(banners: Banners) -> None:
    signs = list(banners.signs(Fact("dhip", announced=Announced(manufacturer="Intelbras", model="MHDX 1004"))))
    assert {sign.brand for sign in signs} == {None, "Intelbras"} and "recorder" in {sign.kind for sign in signs}
    (sign,) = banners.signs(Fact("dhcp", announced=Announced(name="DCS-935L")))
    assert (sign.model, sign.kind, sign.maker) == ("DCS-935L", "camera", "dlink")


def test_a_path_that_somebody_asks_for_says_half_of_what_it_says_that_the_device_has_it(banners: Banners) -> None:
    [(asked, has)] = banners.of_path("rtsp", Url(original="", path="/Streaming/Channels/101"))
    assert asked.maker == has.maker == "hikvision" and has.weight == BANNER_WEIGHTS["high"]
    assert (asked.weight, asked.sure) == (has.weight * PATH_SHARE, has.sure * PATH_SHARE)
    assert asked.text == "is asked for /Streaming/Channels/101, as devices of Hikvision do"
    assert has.text == "has /Streaming/Channels/101, as devices of Hikvision do"
    assert list(banners.of_path("rtsp", Url(original="", path="/live"))) == []
    assert list(banners.of_path("dns", Url(original="", path="/Streaming/Channels/101"))) == []


def test_of_a_path_or_an_agent_without_end_only_the_beginning_is_kept(banners: Banners) -> None:
    [(asked, _)] = banners.of_path("http", Url(original="", path="/ISAPI/" + "x" * 60_000))
    assert len(asked.text) < 2 * MAX_TEXT_CHARACTERS
    banners.of_agent("y" * 60_000)
    assert max(len(text) for _, text in banners._known) == MAX_TEXT_CHARACTERS


SHARED = X509Name(organization=["HIKVISION"])


def certificate_of(subject: str, issuer: str) -> TlsServer:
    at = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
    more = X509(subject=SHARED, issuer=SHARED, not_before=at, not_after=at, serial_number="1")
    return TlsServer(subject=subject, issuer=issuer, not_before=at, not_after=at, hash=TlsHash(sha256="AA"), x509=more)


@pytest.mark.parametrize(
    ("subject", "issuer", "maker", "kind"),
    [
        ("CN=www.hikvision.com,OU=DVRNVR,O=HIKVISION,L=HangZhou,ST=ZheJiang,C=CN", "CN=x", "hikvision", None),
        ("CN=10.0.0.9,C=CN", "CN=NVR,OU=NVR,O=ZheJiang Dahua Technology CO.\\,LTD.,C=CN", "dahua", "recorder"),
        ("CN=axis-00005e005311,O=Axis Communications AB", "CN=x", "axis", None),
        ("CN=1,OU=2N IP Intercoms,O=2N Telekomunikace a.s.", "CN=x", "2n", "intercom"),
        ("CN=Canon Imaging Product", "CN=Canon Imaging Product", None, "other"),
    ],
)
def test_a_makers_certificate_is_evidence_by_its_subject_or_its_issuer(
    banners: Banners, subject: str, issuer: str, maker: str | None, kind: str | None
) -> None:
    (sign,) = banners.of_certificate(certificate_of(subject, issuer))
    assert (sign.maker, sign.kind, sign.sort) == (maker, kind, "tls_certificate")
    assert "(tls certificate), as " in sign.text


def test_who_names_a_maker_in_another_field_of_a_certificate_is_not_taken_for_it(banners: Banners) -> None:
    dressed = certificate_of("CN=a,O=CN=www.hikvision.com\\,OU=DVRNVR\\,O=HIKVISION", "CN=HIKVISION")
    assert list(banners.of_certificate(dressed)) == []


def test_an_icon_is_known_by_either_of_two_digests(banners: Banners) -> None:
    md5 = "89b932fcc47cf4ca3faadb0cfdef89cf"
    for icon, number in ((FileHash(sha256="", md5=md5), 1), (FileHash(sha256="", md5="0"), 999357577)):
        (sign,) = banners.of_icon(icon, number)
        assert (sign.maker, sign.sort) == ("hikvision", "favicon")
    assert list(banners.of_icon(FileHash(sha256="", md5="0"), 1)) == []


def test_a_user_agent_is_a_browsers_or_a_devices(banners: Banners) -> None:
    assert list(banners.of_agent("Mozilla/5.0 (Windows NT 10.0)")) == [BROWSES]
    assert [sign.maker for sign in banners.of_agent("XAPP")] == ["xiongmai"]


def test_a_hello_is_known_by_its_fingerprint() -> None:
    fact = Banner(
        kind="tls_ja4", pattern="^t12d1209", matchable=True, relevance="medium", confidence="low", sources=("a",)
    )
    banners = Banners((Fingerprint(maker="acme", name="Acme", banners=(fact,)),))
    assert [sign.maker for sign in banners.of_hello(None, "t12d1209h1_0_0")] == ["acme"]
    assert list(banners.of_hello("t12d1209", "t13d")) == []
    assert banners.knows_hellos


def test_fingerprints_of_hellos_are_not_computed_where_nobody_asks_for_them(banners: Banners) -> None:
    assert not banners.knows_hellos
