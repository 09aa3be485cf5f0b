"""What devices say of themselves points to their makers, and only what the sender says of itself counts."""

import pytest

from collector.dissectors.dissector import Fact
from collector.identify.banners import MAX_KNOWN_TEXTS, Banners, said_by
from collector.identify.fingerprint import read_fingerprints
from collector.observation import Announced


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
    found = list(banners.evidence(Fact(dataset, announced=said)))
    assert found and {each[2] for each in found} == {maker} and all(0 < each[1] < 1 for each in found)
    assert found == list(banners.evidence(Fact(dataset, announced=said)))


def test_the_words_of_another_field_are_none(banners: Banners) -> None:
    assert list(banners.evidence(Fact("dhip", announced=Announced(realm="Login to 5E5E0001PAZ0001")))) == []
    assert list(banners.evidence(Fact("http", announced=Announced(software="nginx")))) == []
    assert list(said_by(Fact("http"))) == []


def test_every_kind_of_word_is_asked_for() -> None:
    said = Announced(name="n", software="s", realm="r", type="t", services=["v"], scopes=["o"])
    kinds = {
        kind
        for dataset in ("http", "rtsp", "ssdp", "wsd", "mdns", "dhcp")
        for kind, _ in said_by(Fact(dataset, announced=said))
    }
    assert kinds == {
        "http_server", "rtsp_server", "rtsp_realm", "ssdp_server", "ssdp_type", "onvif_scope", "mdns_service",
        "dhcp_hostname",
    }  # fmt: skip


def test_what_wireshark_reads_is_asked_for_by_its_protocol(banners: Banners) -> None:
    for protocol, text in (("sip", "Hikvision/1.0"), ("telnet", "192.0.0.64 login:")):
        [(_, weight, maker)] = banners.evidence(Fact("device", action=protocol, announced=Announced(software=text)))
        assert (maker, 0 < weight < 1) == ("hikvision", True)
        assert list(banners.evidence(Fact("device", action="ssh", announced=Announced(software=text)))) == []


def test_what_is_remembered_is_bounded(banners: Banners) -> None:
    for number in range(MAX_KNOWN_TEXTS + 10):
        assert list(banners.evidence(Fact("http", announced=Announced(software=f"s{number}")))) == []
    assert len(banners._known) <= MAX_KNOWN_TEXTS
