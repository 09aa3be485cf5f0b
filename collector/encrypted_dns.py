"""DNS that nobody between can read, recognised as such: over TLS, HTTPS or QUIC. Its names are gone; that it is there
is not.

DNS over TLS: RFC 7858 3.1 (port 853) and the ALPN name "dot" of IANA's registry. DNS over QUIC: RFC 9250 4.1 (port 853,
ALPN "doq"). DNS over HTTPS looks like any other HTTPS (RFC 8484 8.2), so that it is told by whom it is with: the public
resolvers below, each as its operator's own documentation names it (Google Public DNS, Cloudflare 1.1.1.1, Quad9,
OpenDNS, AdGuard DNS, NextDNS, CleanBrowsing, Control D, Mullvad, DNS.SB, dns0.eu, AliDNS, DNSPod, 360), or, where HTTP
is read, by the media type and the path of RFC 8484 4.1 and 6.
"""

import ipaddress

from collector.dissectors.dissector import Fact

PORT = 853
PATH = "/dns-query"
MEDIA_TYPE = "application/dns-message"

RESOLVER_NAMES = frozenset(
    (
        "dns.google", "dns.google.com", "dns64.dns.google", "cloudflare-dns.com", "one.one.one.one",
        "1dot1dot1dot1.com",
        "cloudflare-gateway.com", "dns.quad9.net", "dns9.quad9.net", "dns10.quad9.net", "dns11.quad9.net",
        "dns.opendns.com", "doh.opendns.com", "doh.familyshield.opendns.com", "dns.adguard-dns.com",
        "d.adguard-dns.com", "family.adguard-dns.com", "unfiltered.adguard-dns.com", "dns.adguard.com",
        "dns.nextdns.io", "doh.cleanbrowsing.org", "freedns.controld.com", "dns.controld.com", "dns.mullvad.net",
        "doh.dns.sb", "dot.sb", "dns0.eu", "dns.alidns.com", "doh.pub", "dot.pub", "doh.360.cn", "dot.360.cn",
    )
)  # fmt: skip
"""A name of the list, or one below it: customers of some resolvers have names of their own."""
RESOLVER_ADDRESSES = frozenset(
    ipaddress.ip_address(each).packed
    for each in (
        "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844", "1.1.1.1", "1.0.0.1", "1.1.1.2",
        "1.0.0.2",
        "1.1.1.3", "1.0.0.3", "2606:4700:4700::1111", "2606:4700:4700::1001", "9.9.9.9", "149.112.112.112",
        "2620:fe::fe", "2620:fe::9", "208.67.222.222", "208.67.220.220", "94.140.14.14", "94.140.15.15", "223.5.5.5",
        "223.6.6.6", "1.12.12.12", "120.53.53.53",
    )
)  # fmt: skip


def recognise_encrypted_dns(fact: Fact, port: int, address: bytes) -> str | None:
    """dot, doh or doq for what opens such a connection with the server's port and address; None for anything else."""
    if fact.tls is not None:
        offered = (fact.offer.alpn if fact.offer is not None else None) or ()
        if fact.dataset == "quic" and (port == PORT or any(each.startswith("doq") for each in offered)):
            return "doq"
        if fact.dataset == "tls" and (port == PORT or "dot" in offered):
            return "dot"
        return "doh" if address in RESOLVER_ADDRESSES or _is_resolver(fact.name) else None
    if fact.url is not None and fact.dataset == "http":
        return "doh" if fact.url.path == PATH or _is_resolver(fact.name) else None
    answer = fact.http.response if fact.http is not None else None
    return "doh" if answer is not None and answer.mime_type == MEDIA_TYPE else None


def _is_resolver(name: str | None) -> bool:
    rest = (name or "").lower().rstrip(".")
    while rest:
        if rest in RESOLVER_NAMES:
            return True
        _, _, rest = rest.partition(".")
    return False
