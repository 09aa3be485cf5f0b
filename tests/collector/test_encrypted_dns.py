"""Look-ups that nobody between can read are recognised by port, protocol, name, address, media type or path."""

import ipaddress

import pytest

from collector.dissectors.dissector import Fact
from collector.encrypted_dns import recognise_encrypted_dns
from collector.observation import Http, HttpResponse, Tls, TlsOffer, Url

ELSEWHERE = "192.0.2.80"


def hello(name: str | None = None, *alpn: str, dataset: str = "tls") -> Fact:
    return Fact(dataset, name, tls=Tls(), offer=TlsOffer(alpn=list(alpn) or None))


@pytest.mark.parametrize(
    ("fact", "port", "address", "word"),
    [
        (hello("cam.example"), 443, ELSEWHERE, None),
        (hello("cam.example"), 853, ELSEWHERE, "dot"),
        (hello(None, "dot"), 8_853, ELSEWHERE, "dot"),
        (hello(None, "doq", dataset="quic"), 8_853, ELSEWHERE, "doq"),
        (hello(None, "doq-i00", dataset="quic"), 784, ELSEWHERE, "doq"),
        (hello(None, "h3", dataset="quic"), 853, ELSEWHERE, "doq"),
        (hello("Cloudflare-DNS.com.", "h2"), 443, ELSEWHERE, "doh"),
        (hello("5e5e.dns.nextdns.io", "h3", dataset="quic"), 443, ELSEWHERE, "doh"),
        (hello(None, "h2"), 443, "1.1.1.1", "doh"),
        (hello("notdns.google"), 443, ELSEWHERE, None),
        (hello("dns.google.example"), 443, ELSEWHERE, None),
        (Fact("http", "a.example", url=Url(original="/dns-query?dns=AAAB", path="/dns-query")), 80, ELSEWHERE, "doh"),
        (Fact("http", "doh.pub", url=Url(original="/", path="/")), 80, ELSEWHERE, "doh"),
        (Fact("http", "a.example", url=Url(original="/", path="/")), 80, ELSEWHERE, None),
        (Fact("rtsp", "a.example", url=Url(original="*", path="/dns-query")), 554, ELSEWHERE, None),
        (
            Fact("http", http=Http(response=HttpResponse(status_code=200, mime_type="application/dns-message"))),
            80, ELSEWHERE, "doh",
        ),
        (Fact("http", http=Http(response=HttpResponse(status_code=200, mime_type="text/html"))), 80, "1.1.1.1", None),
    ],
)  # fmt: skip
def test_it_is_told_by_what_says_so(fact: Fact, port: int, address: str, word: str | None) -> None:
    assert recognise_encrypted_dns(fact, port, ipaddress.ip_address(address).packed) == word
