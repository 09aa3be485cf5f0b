r"""Suricata rules: DNS queries, TLS server names and HTTP hosts; networks; firmware requests.

Format: Suricata user guide, "Suricata Rules": `dotprefix`, `endswith`, `bsize`, `pcre`, the sticky buffers dns.query,
tls.sni, http.host (already lower case, so without `nocase`), http.uri and http.user_agent. Suricata 6 and later.
Each rule alerts, or with `block` drops, which acts only where Suricata is inline.
"""

import collections
import re
from collections.abc import Iterator

from rules.export.export import Export, Written, heading, plain
from rules.indicator import Indicator, Pack

# Signature ids: the range that public rule sets leave to local rules, placed by the indicator's own number.
FIRST_SID, SIDS = 1_000_000, 1_000_000
REVISION = 1
BUFFERS = (("dns", "dns.query", True), ("tls", "tls.sni", True), ("http", "http.host", False))
CONFIDENCE = {"high": "High", "medium": "Medium", "low": "Low", "background": "Low"}


def write(pack: Pack) -> Written:
    """A rule for each indicator and protocol, in the indicators' order."""
    lines, used = heading(pack), set[int]()
    action = "drop" if pack.block else "alert"
    for each in pack.indicators:
        for place, (protocol, sees) in enumerate(_matches(each)):
            sid = _sid(each, place, used)
            parts = (_message(each), sees, _reference(each), f"sid:{sid}; rev:{REVISION};", _about(each))
            lines.append(f"{action} {protocol} ({' '.join(part for part in parts if part)})")
    return Written("\n".join(lines) + "\n", len(pack.indicators), collections.Counter())


def _sid(each: Indicator, place: int, used: set[int]) -> int:
    """The same for the same indicator in every pack, unless two would have the same: then the later one moves on."""
    number = (int(each.uuid[:8], 16) * 64 + place) % SIDS
    while number in used:
        number = (number + 1) % SIDS
    used.add(number)
    return FIRST_SID + number


def _message(each: Indicator) -> str:
    return f'msg:"{_quoted(f"lenswatch {each.company} {each.role} ({each.kind})")}";'


def _quoted(text: str) -> str:
    return plain(text).replace(";", " ").replace(":", " ").replace(",", " ")


def _reference(each: Indicator) -> str:
    scheme, _, address = each.reference.partition("://")
    where = f"reference:url,{_quoted_url(address)}; " if scheme in ("http", "https") else ""
    return f"{where}classtype:misc-activity;"


def _about(each: Indicator) -> str:
    """As metadata: the id, the company, the role, the confidence, the first source and the programmes."""
    words = [f"lenswatch_id {each.id}", f"entity {each.entity}", f"role {each.role}"]
    words += [f"confidence {CONFIDENCE[each.confidence]}", f"source {_quoted(each.sources[0])}"]
    words += [f"programme {programme}" for programme in each.programmes]
    return f"metadata:{', '.join(words)};"


def _quoted_url(address: str) -> str:
    return re.sub(r"[\\\";, ]", lambda match: f"%{ord(match[0]):02X}", plain(address))


def _matches(each: Indicator) -> Iterator[tuple[str, str]]:
    """Protocol with its addresses, and the options that see the indicator."""
    anywhere = "any any -> any any"
    match each.kind:
        case "name" | "zone":
            for protocol, buffer, any_case in BUFFERS:
                yield f"{protocol} {anywhere}", f"{buffer}; {_host(each, any_case)}"
        case "pattern":
            for protocol, buffer, any_case in BUFFERS:
                nocase = " nocase;" if any_case else ""
                for zone in each.hosts:
                    # Without `dotprefix`: the expression is over the bare name.
                    ending = f'content:"{zone}"; endswith;{nocase}'
                    yield f"{protocol} {anywhere}", f"{buffer}; {ending} {_pcre(f'^(?:{each.value})$', 'i')}"
        case "network":
            yield f"ip any any -> {each.value} any", ""
        case "path":
            for host in each.hosts:
                yield f"http {anywhere}", f"http.host; {_below(host, False)} http.uri; {_pcre(each.value)}"
        case "file":
            yield f"http {anywhere}", f"http.uri; {_pcre(file_pattern(each.value))}"
        case "useragent":
            yield f"http {anywhere}", f"http.user_agent; {_pcre(each.value)}"


def _host(each: Indicator, any_case: bool) -> str:
    if each.kind == "name":
        return f'content:"{each.value}"; bsize:{len(each.value)};{" nocase;" if any_case else ""}'
    nocase = " nocase;" if any_case else ""
    holes = "".join(
        f' content:!".{hole.name}"; endswith;{nocase}'
        if hole.below
        else f' content:!".{hole.name}"; startswith; endswith;{nocase}'
        for hole in each.excluded
    )
    return _below(each.value, any_case) + holes


def _below(zone: str, any_case: bool) -> str:
    return f'dotprefix; content:".{zone}"; endswith;{" nocase;" if any_case else ""}'


def _pcre(pattern: str, flags: str = "") -> str:
    escaped = re.sub(r"(?<!\\)/", r"\/", pattern).replace('"', r"\x22").replace(";", r"\x3B")
    return f'pcre:"/{escaped}/{flags}";'


def file_pattern(pattern: str) -> str:
    """A pattern over the last path segment as one over path and query."""
    start, end = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith(r"\$")
    body = pattern[start : len(pattern) - end]
    return f"/{'' if start else '[^/?]*'}(?:{body}){'(?:[?]|$)' if end else '[^/]*$'}"


EXPORT = Export("suricata", "Suricata 6 or later", write, acts=True)
