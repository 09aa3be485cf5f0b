"""A MISP event: an attribute for each fact, with tags for role, confidence and programme.

Format: MISP core format (draft-dulaunoy-misp-core-format), sections 2.2 (Event), 2.3 (Attribute) and 2.6 (Tag). The
pack's day stands for the times. Correlation is off: that one company has many names is no finding.
"""

import collections
import datetime
import ipaddress
import uuid
from typing import Any

import msgspec

from rules.export.export import Export, Written
from rules.indicator import NAMESPACE, Indicator, Pack

TYPES = {
    "name": "hostname",
    "zone": "domain",
    "pattern": "pattern-in-traffic",
    "network": "ip-dst",
    "path": "pattern-in-traffic",
    "file": "pattern-in-traffic",
    "useragent": "pattern-in-traffic",
}


def write(pack: Pack) -> Written:
    """The event, as MISP's import of JSON takes it."""
    stamp = str(int(datetime.datetime.combine(pack.day, datetime.time(), datetime.UTC).timestamp()))
    text = f"{pack.digest} {pack.day} " + " ".join(each.id for each in pack.indicators)
    event = {
        "uuid": str(uuid.uuid5(NAMESPACE, f"event {text}")),
        "info": f"lenswatch: endpoints of camera makers and listed companies, facts {pack.digest[:12]}",
        "date": str(pack.day),
        "timestamp": stamp,
        "threat_level_id": "4",
        "analysis": "2",
        "distribution": "0",
        "published": False,
        "Attribute": [_attribute(each, stamp) for each in pack.indicators],
    }
    encoded = msgspec.json.format(msgspec.json.encode({"Event": event}), indent=1).decode()
    zones = sum(bool(each.excluded) for each in pack.indicators)
    notes = (f"{zones} domains have exceptions below them, which their comments name",) if zones else ()
    return Written(encoded + "\n", len(pack.indicators), collections.Counter(), notes)


def _attribute(each: Indicator, stamp: str) -> dict[str, Any]:
    words = [each.id, each.company, each.citations, each.reference]
    words += [f"at {' '.join(each.hosts)}"] if each.hosts else []
    words += [f"but not {' '.join(hole.name for hole in each.excluded)}"] if each.excluded else []
    tags = [("role", each.role), ("confidence", each.confidence), ("company", each.entity), ("kind", each.kind)]
    tags += [("programme", programme) for programme in each.programmes]
    return {
        "uuid": each.uuid,
        "type": TYPES[each.kind],
        "category": "Network activity",
        "value": _value(each),
        "to_ids": True,
        "disable_correlation": True,
        "distribution": "5",
        "timestamp": stamp,
        "comment": " | ".join(word for word in words if word),
        "Tag": [{"name": f'lenswatch:{predicate}="{value}"'} for predicate, value in tags],
    }


def _value(each: Indicator) -> str:
    if each.kind == "network" and ipaddress.ip_network(each.value).num_addresses == 1:
        return str(ipaddress.ip_network(each.value).network_address)
    return each.value


EXPORT = Export("misp", "MISP", write)
