"""Sigma rules over a site's own DNS, proxy and firewall logs: one rule for each company, role and kind of log.

Format: Sigma Rules Specification 2, and its taxonomy appendix: category dns with `query`; category proxy with
`c-uri`, `c-useragent` and `cs-host`; category firewall with `dst_ip`. `lenswatch.indicators` names the id of each
value. The detections that lenswatch itself runs are Sigma too, over its own observations: see `rules/detections/`.
"""

import collections
import re
import uuid
from typing import Any

import yaml

from rules.alert import LISTED_STATUSES
from rules.endpoints import is_below
from rules.export.export import Export, Written, heading
from rules.export.suricata import file_pattern
from rules.indicator import NAMESPACE, Indicator, Pack

# Sigma Rules Specification, modifier `re`: no look-around, which many log stores do not have.
LOOK_AROUND = re.compile(r"\(\?<?[=!]")
LOGS = {"name": "dns", "zone": "dns", "pattern": "dns", "network": "firewall"}
NO_ALIASES = type("NoAliases", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})


def write(pack: Pack) -> Written:
    """The rules as one stream of YAML documents."""
    groups: dict[tuple[str, str, str], list[Indicator]] = {}
    kept = [each for each in pack.indicators if not LOOK_AROUND.search(each.value)]
    for each in kept:
        groups.setdefault((each.entity, each.role, LOGS.get(each.kind, "proxy")), []).append(each)
    rules = [_rule(pack, log, members) for (_, _, log), members in groups.items()]
    text = yaml.dump_all(rules, Dumper=NO_ALIASES, sort_keys=False, allow_unicode=True, explicit_start=True, width=110)
    left = collections.Counter(
        {"pattern indicators: Sigma's regular expressions know no look-around": len(pack.indicators) - len(kept)}
    )
    return Written("\n".join(heading(pack)) + "\n" + text, len(kept), +left)


def _rule(pack: Pack, log: str, members: list[Indicator]) -> dict[str, Any]:
    first = members[0]
    own = [each for each in first.listings if each.status in LISTED_STATUSES]
    listed = "; ".join(f"{each.programme} {each.citation}" for each in own) or "no listing of the company is known"
    references = dict.fromkeys(each.reference for each in members if "://" in each.reference)
    return {
        "title": f"Contact with {first.company}, {first.role} ({log})",
        "id": str(uuid.uuid5(NAMESPACE, f"sigma {first.entity} {first.role} {log}")),
        "status": "experimental",
        "description": f"A call to what {first.company} uses as {first.role}. On {pack.day}: {listed}.",
        "references": list(references),
        "author": "lenswatch",
        "date": str(pack.day),
        "logsource": {"category": log},
        "detection": _detection(members),
        "falsepositives": ["A person who visits the company's pages"],
        "level": "medium" if own else "low",
        "lenswatch": {
            "entity": first.entity,
            "role": first.role,
            "programmes": list(first.programmes),
            "sources": sorted({source for each in members for source in each.sources}),
            "indicators": {each.id: each.value for each in members},
        },
    }


def _detection(members: list[Indicator]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    selections: list[dict[str, Any]] = []
    exact = [each.value for each in members if each.kind in ("name", "zone")]
    zones = [f".{each.value}" for each in members if each.kind == "zone"]
    selections += [{"query": exact}] if exact else []
    selections += [{"query|endswith": zones}] if zones else []
    selections += [{"query|re": each.value} for each in members if each.kind == "pattern"]
    networks = [each.value for each in members if each.kind == "network"]
    selections += [{"dst_ip|cidr": networks}] if networks else []
    for each in members:
        if each.kind == "path":
            hosts = "|".join(re.escape(host) for host in each.hosts)
            selections.append({"cs-host|re": rf"^(?:.*\.)?(?:{hosts})$", "c-uri|re": each.value})
        elif each.kind == "file":
            selections.append({"c-uri|re": file_pattern(each.value)})
        elif each.kind == "useragent":
            selections.append({"c-useragent|re": each.value})
    for number, selection in enumerate(selections, 1):
        found[f"selection_{number}"] = selection
    condition = "1 of selection_*"
    names = set(exact)
    holes = sorted({hole for each in members for hole in each.excluded if hole.name not in names})
    if holes:
        found["other_name"] = {"query": [hole.name for hole in holes]}
        # A name that is meant must not fall to the exception above it.
        below = [
            f".{hole.name}" for hole in holes if hole.below and not any(is_below(each, hole.name) for each in names)
        ]
        found |= {"other_zone": {"query|endswith": below}} if below else {}
        condition += " and not 1 of other_*"
    return found | {"condition": condition}


EXPORT = Export("sigma", "Sigma converters (sigma-cli) and SIEMs", write)
