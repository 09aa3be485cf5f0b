"""What a device says of itself, against what is known of makers' devices: `[[banners]]` of the fingerprints.

A banner is what software says, and software is sold on: a piece of evidence as others are, weighed by its relevance.
"""

import re
from collections.abc import Iterable, Iterator

from collector.dissectors.dissector import Fact
from collector.identify.evidence import BANNER_WEIGHTS
from collector.identify.fingerprint import Fingerprint

MAX_KNOWN_TEXTS = 4_096
"""Texts whose makers are remembered: devices say the same again and again."""
SELF_DATASETS = frozenset(("ssdp", "wsd", "sadp", "dhip", "dvrip", "tvt", "tuya", "mdns", "dhcp", "http", "device"))
"""Those in which the sender speaks of itself."""
DEEP_KINDS = {"sip": "sip_user_agent", "telnet": "telnet"}
"""Of what Wireshark reads, by protocol: the kind of banner that its text is."""

Evidence = tuple[str, float, str]
"""What was said and how, its weight, the maker."""


class Banners:
    """Patterns by kind of banner. Not for several threads."""

    def __init__(self, fingerprints: Iterable[Fingerprint]) -> None:
        self._patterns: dict[str, list[tuple[re.Pattern[str], str, float]]] = {}
        for fingerprint in fingerprints:
            for banner in fingerprint.banners:
                if banner.matchable:
                    found = re.compile(banner.pattern), fingerprint.maker, BANNER_WEIGHTS[banner.relevance]
                    self._patterns.setdefault(banner.kind, []).append(found)
        self._known: dict[tuple[str, str], tuple[Evidence, ...]] = {}

    def evidence(self, fact: Fact) -> Iterator[Evidence]:
        """The makers whose devices say what the sender of a fact says."""
        for kind, text in said_by(fact):
            known = self._known.get((kind, text))
            if known is None:
                if len(self._known) >= MAX_KNOWN_TEXTS:
                    self._known.clear()
                known = self._known[kind, text] = tuple(self._match(kind, text))
            yield from known

    def _match(self, kind: str, text: str) -> Iterator[Evidence]:
        for pattern, maker, weight in self._patterns.get(kind, ()):
            if pattern.search(text):
                yield f"says {text} ({kind.replace('_', ' ')}), as devices of {maker} do", weight, maker


def said_by(fact: Fact) -> Iterator[tuple[str, str]]:
    """Kind of banner and text of everything that the sender of a fact says of itself."""
    said = fact.announced
    if said is None:
        return
    if fact.dataset in ("http", "rtsp", "ssdp") and said.software:
        yield f"{fact.dataset}_server", said.software
    if fact.dataset == "device" and said.software:
        yield DEEP_KINDS.get(fact.action or "", ""), said.software
    if fact.dataset == "rtsp" and said.realm:
        yield "rtsp_realm", said.realm
    elif fact.dataset == "wsd":
        yield from (("onvif_scope", scope) for scope in said.scopes or ())
    elif fact.dataset == "mdns":
        yield from (("mdns_service", service) for service in said.services or ())
    elif fact.dataset == "dhcp" and said.name:
        yield "dhcp_hostname", said.name
    elif fact.dataset == "ssdp":
        yield from (("ssdp_type", kind) for kind in (*(said.services or ()), said.type) if kind)
