r"""A STIX 2.1 bundle: an Indicator for each fact, an Identity for each company, a Relationship between the two.

Format: OASIS STIX Version 2.1, sections 3.2 (common properties), 4.5 (Identity), 4.7 (Indicator), 5.1 (Relationship),
8.1 (bundle), 9 (patterning). The pack's day stands for modified and valid_from, so that the same facts and day make the
same bytes. The objects are plain JSON of constant shape; the library that reads them proves them in the tests.
"""

import collections
import datetime
import ipaddress
import re
import uuid
from typing import Any

import msgspec

from rules.alert import LISTED_STATUSES
from rules.export.export import Export, Written
from rules.indicator import NAMESPACE, Indicator, Pack

# STIX 2.1 section 3.2, "confidence", with the None/Low/Med/High scale of appendix A.
CONFIDENCE = {"high": 85, "medium": 50, "low": 15, "background": 0}
# Section 3.6: a later version of an object keeps its `created`, and no fact says when it was first written down.
CREATED = "2026-01-01T00:00:00.000Z"
AUTHOR = f"identity--{uuid.uuid5(NAMESPACE, 'identity lenswatch')}"
REQUEST = "network-traffic:extensions.'http-request-ext'"


def write(pack: Pack) -> Written:
    """The bundle, indented, a trailing newline."""
    stamp = datetime.datetime.combine(pack.day, datetime.time(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    shared = {"spec_version": "2.1", "created": min(CREATED, stamp), "modified": stamp}
    objects: list[dict[str, Any]] = [author_identity(shared)]
    companies: dict[str, str] = {}
    for each in pack.indicators:
        if each.entity not in companies:
            identity = company_identity(each.entity, each.company, shared)
            companies[each.entity] = identity["id"]
            objects.append(identity)
        objects += indicator_objects(each, shared, companies[each.entity])
    text = f"{pack.digest} {pack.day} " + " ".join(each.id for each in pack.indicators)
    bundle = {"type": "bundle", "id": f"bundle--{uuid.uuid5(NAMESPACE, text)}", "objects": objects}
    encoded = msgspec.json.format(msgspec.json.encode(bundle), indent=1).decode()
    return Written(encoded + "\n", len(pack.indicators), collections.Counter())


def author_identity(shared: dict[str, str]) -> dict[str, Any]:
    """Lenswatch itself, which says all of it; `shared` are the version and times that go into each object."""
    return {"type": "identity", "id": AUTHOR, **shared, "name": "lenswatch", "identity_class": "system"}


def company_identity(entity: str, name: str, shared: dict[str, str]) -> dict[str, Any]:
    """A company, by its id."""
    number = uuid.uuid5(NAMESPACE, f"identity {entity}")
    whose = {"type": "identity", "id": f"identity--{number}", **shared, "created_by_ref": AUTHOR}
    return whose | {"name": name, "identity_class": "organization"}


def indicator_objects(each: Indicator, shared: dict[str, str], company: str) -> list[dict[str, Any]]:
    """The Indicator of a fact, and its Relationship to the identity of the company."""
    own = [listing for listing in each.listings if listing.status in LISTED_STATUSES]
    references = [{"source_name": "lenswatch", "external_id": each.id}]
    where = {"url": each.reference} if "://" in each.reference else {"description": "a source without an address"}
    references.append({"source_name": each.sources[0], **where})
    references += [{"source_name": listing.programme, "description": listing.citation} for listing in own]
    indicator = {
        "type": "indicator",
        "id": f"indicator--{each.uuid}",
        **shared,
        "created_by_ref": AUTHOR,
        "name": f"{each.company}: {each.role} {each.kind}",
        "description": each.note or f"{each.kind} of {each.company} in the role {each.role}",
        "pattern": pattern(each),
        "pattern_type": "stix",
        "valid_from": shared["modified"],
        "confidence": CONFIDENCE[each.confidence],
        "labels": [f"role:{each.role}", *(f"programme:{programme}" for programme in each.programmes)],
        "external_references": references,
    }
    relationship = {
        "type": "relationship",
        "id": f"relationship--{uuid.uuid5(NAMESPACE, f'related {each.uuid}')}",
        **shared,
        "created_by_ref": AUTHOR,
        "relationship_type": "related-to",
        "source_ref": f"indicator--{each.uuid}",
        "target_ref": company,
    }
    return [indicator, relationship]


def pattern(each: Indicator) -> str:
    """The STIX pattern of an indicator."""
    match each.kind:
        case "name":
            return f"[domain-name:value = {literal(each.value)}]"
        case "zone":
            return _zone(each)
        case "pattern":
            return f"[domain-name:value MATCHES {literal(each.value)}]"
        case "network":
            kind = f"ipv{ipaddress.ip_network(each.value).version}-addr"
            return f"[{kind}:value ISSUBSET {literal(each.value)}]"
        case "path":
            hosts = "|".join(re.escape(host) for host in each.hosts)
            start = each.value.startswith("^")
            url = rf"^https?://(?:[^/]+\.)?(?:{hosts})(?::\d+)?{'' if start else '/.*'}(?:{each.value[start:]})"
            return f"[url:value MATCHES {literal(url)}]"
        case "file":
            return f"[file:name MATCHES {literal(each.value)}]"
        case "useragent":
            return f"[{REQUEST}.request_header.'User-Agent' MATCHES {literal(each.value)}]"


def _zone(each: Indicator) -> str:
    found = f"domain-name:value MATCHES {literal(_at_or_below(each.value))}"
    holes = "".join(
        f" AND domain-name:value NOT MATCHES {literal(_at_or_below(hole.name))}"
        if hole.below
        else f" AND domain-name:value != {literal(hole.name)}"
        for hole in each.excluded
    )
    return f"[{found}{holes}]"


def _at_or_below(zone: str) -> str:
    return rf"(^|\.){re.escape(zone)}$"


def literal(text: str) -> str:
    """Section 9.2: a string literal escapes the quote and the backslash."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


EXPORT = Export("stix", "STIX 2.1 (OpenCTI, TAXII servers, threat intelligence platforms)", write)
