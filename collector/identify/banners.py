"""What a device says of itself, against what is known of makers' devices: banners, protocols, models and brands of the
fingerprints.

What software says is software, and software is sold on: a sign as others are, weighed by its relevance.
"""

import re
from collections.abc import Iterable, Iterator

from collector.dissectors.dissector import Fact
from collector.identify.evidence import (
    ANY_MAKER,
    BANNER_SURE,
    BANNER_WEIGHTS,
    BROWSER,
    BROWSER_SORT,
    BROWSER_WEIGHT,
    OTHER,
    PATH_SHARE,
    PROTOCOL_SURE,
    PROTOCOL_WEIGHTS,
    Sign,
)
from collector.identify.fingerprint import Fingerprint
from collector.observation import FileHash, TlsServer, Url
from collector.texts import MAX_TEXT_CHARACTERS

MAX_KNOWN_TEXTS = 4_096
"""Texts whose signs are remembered: devices say the same again and again."""
SELF_DATASETS = frozenset(("ssdp", "wsd", "sadp", "dhip", "dvrip", "tvt", "tuya", "mdns", "dhcp", "http", "device"))
"""Those in which the sender speaks of itself."""
MODEL, BRAND, PROTOCOL = "model", "brand", "protocol"
PATHS = {"http": "http_path", "rtsp": "rtsp_path"}
HELLOS = ("tls_ja3", "tls_ja4")
DEEP_KINDS = {"sip": "sip_user_agent", "telnet": "telnet"}
"""Of what Wireshark reads, by protocol: the kind of banner that its text is."""

Pattern = tuple[re.Pattern[str], Sign]


class Banners:
    """Patterns by kind of banner. `knows_hellos`: some are of TLS ClientHellos, whose fingerprints are dear to compute.
    Not for several threads."""

    def __init__(self, fingerprints: Iterable[Fingerprint]) -> None:
        self._patterns: dict[str, list[Pattern]] = {}
        self._protocols: dict[str, Sign] = {}
        for fingerprint in fingerprints:
            self._learn(fingerprint)
        self._known: dict[tuple[str, str], tuple[Sign, ...]] = {}
        self.knows_hellos = any(kind in self._patterns for kind in HELLOS)

    def _learn(self, fingerprint: Fingerprint) -> None:
        maker = None if fingerprint.maker == ANY_MAKER else fingerprint.maker
        devices = f"devices of {fingerprint.name}" if maker else "such devices"
        for banner in fingerprint.banners:
            if banner.matchable:
                weight = BANNER_WEIGHTS[banner.relevance]
                sure = BANNER_SURE[banner.relevance] if maker else 0.0
                sign = Sign(f"as {devices} do", banner.kind, weight, maker, sure, banner.device)
                self._add(banner.kind, banner.pattern, sign)
        for model in fingerprint.models:
            sign = Sign(f"a name for a {model.device.replace('_', ' ')}", MODEL, 0.7, maker, 0.7, model.device)
            self._add(MODEL, model.pattern, sign)
        for brand in fingerprint.brands:
            self._add(BRAND, brand.pattern, Sign(f"sold as {brand.name}", BRAND, 0.1, maker, 0.4, None, brand.name))
        for speech in fingerprint.protocols:
            weight = PROTOCOL_WEIGHTS[speech.relevance]
            text = f"answers in {speech.dataset}, as {devices} do"
            self._protocols[speech.dataset] = Sign(text, PROTOCOL, weight, maker, PROTOCOL_SURE)

    def _add(self, kind: str, pattern: str, sign: Sign) -> None:
        self._patterns.setdefault(kind, []).append((re.compile(pattern), sign))

    def signs(self, fact: Fact) -> Iterator[Sign]:
        """What the sender of a fact says of itself, weighed."""
        if fact.dataset in self._protocols and (fact.announced is not None or fact.backward):
            yield self._protocols[fact.dataset]
        for kind, text in said_by(fact):
            yield from self._find(kind, text)

    def may_tell(self, fact: Fact) -> bool:
        """Whether the sender of a fact may say anything of itself."""
        return fact.announced is not None or (fact.backward and fact.dataset in self._protocols)

    def of_path(self, dataset: str, url: Url) -> Iterator[tuple[Sign, Sign]]:
        """What it says of a device that somebody asks it for this path, and that it answers as one that has it."""
        kind = PATHS.get(dataset)
        if kind is not None and kind in self._patterns:
            path = (url.path or "") + (f"?{url.query}" if url.query and dataset == "rtsp" else "")
            path = path[:MAX_TEXT_CHARACTERS]
            for sign in self._find(kind, path):
                whose = sign.text.removeprefix(_says(kind, path))
                yield (
                    sign._replace(
                        text=f"is asked for {path}{whose}", weight=sign.weight * PATH_SHARE, sure=sign.sure * PATH_SHARE
                    ),
                    sign._replace(text=f"has {path}{whose}"),
                )

    def of_certificate(self, shown: TlsServer) -> Iterator[Sign]:
        """What the certificate that a device shows says of it."""
        for text in (f"subject {shown.subject}", f"issuer {shown.issuer}"):
            yield from self._find("tls_certificate", text)

    def of_icon(self, icon: FileHash, mmh3: int | None) -> Iterator[Sign]:
        """What the icon of a device's web pages says of it."""
        for text in (f"mmh3 {mmh3}", f"md5 {icon.md5}"):
            yield from self._find("favicon", text)

    def of_agent(self, agent: str) -> tuple[Sign, ...]:
        """What a device's own HTTP user agent says of it."""
        return self._find("http_user_agent", agent[:MAX_TEXT_CHARACTERS])

    def of_hello(self, ja3: str | None, ja4: str | None) -> Iterator[Sign]:
        """What the fingerprints of a device's TLS ClientHello say of it."""
        for kind, text in zip(HELLOS, (ja3, ja4), strict=True):
            if text and kind in self._patterns:
                yield from self._find(kind, text)

    def _find(self, kind: str, text: str) -> tuple[Sign, ...]:
        known = self._known.get((kind, text))
        if known is None:
            if len(self._known) >= MAX_KNOWN_TEXTS:
                self._known.clear()
            known = self._known[kind, text] = tuple(
                sign._replace(text=f"{_says(kind, text)}, {sign.text}", model=match.groupdict().get("model"))
                for pattern, sign in self._patterns.get(kind, ())
                if (match := pattern.search(text)) is not None
            )
            if kind == "http_user_agent" and BROWSER.match(text):
                known = self._known[kind, text] = (*known, BROWSES)
        return known


def _says(kind: str, text: str) -> str:
    return f"says {text} ({kind.replace('_', ' ')})"


BROWSES = Sign("a browser's user agent", BROWSER_SORT, BROWSER_WEIGHT, kind=OTHER)


def said_by(fact: Fact) -> Iterator[tuple[str, str]]:
    """Kind of banner and text of everything that the sender of a fact says of itself."""
    said = fact.announced
    if said is None:
        return
    dataset = fact.dataset
    if dataset in ("http", "rtsp", "ssdp") and said.software:
        yield f"{dataset}_server", said.software
    if dataset == "device" and said.software:
        yield DEEP_KINDS.get(fact.action or "", ""), said.software
    if dataset in ("http", "rtsp") and said.realm:
        yield f"{dataset}_realm", said.realm
    elif dataset == "wsd":
        yield from (("onvif_scope", scope) for scope in said.scopes or ())
        yield from (("wsd_type", service) for service in said.services or ())
    elif dataset == "mdns":
        yield from (("mdns_service", service) for service in said.services or ())
        if said.name:
            yield "mdns_name", said.name
    elif dataset == "dhcp":
        if said.name:
            yield "dhcp_hostname", said.name
        if said.software:
            yield "dhcp_class", said.software
    elif dataset == "ssdp":
        yield from (("ssdp_type", kind) for kind in (*(said.services or ()), said.type) if kind)
        if said.location:
            yield "ssdp_location", said.location
    if dataset in SELF_DATASETS:
        yield from ((MODEL, text) for text in dict.fromkeys((said.model, said.type)) if text)
        if said.manufacturer:
            yield "manufacturer", said.manufacturer
            yield BRAND, said.manufacturer
