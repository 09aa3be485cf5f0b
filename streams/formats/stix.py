"""Alerts as STIX 2.1: for each an Observed Data (section 4.13), what was seen, and a Sighting (5.2) of an Indicator.

Every id is made of what the object is, so that a repeat is the same object: the Indicator has the id that `lenswatch
rules export stix` gives the same fact, and its version here is older than any that was exported. A finding is one
Sighting; each revision of it is a version, a millisecond apart at least (section 3.6).
"""

import datetime
import functools
import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from collector.observation import Endpoint
from rules.alert import LISTED_STATUSES, WINDOW_SECONDS, Alert
from rules.export.stix import (
    AUTHOR,
    CONFIDENCE,
    CREATED,
    author_identity,
    company_identity,
    indicator_objects,
    literal,
)
from rules.indicator import NAMESPACE, Indicator, Kind, number_of
from streams.formats.plain import MAX_ITEMS, sound, sound_document, visible

# Section 2.9: what Cyber-observable Objects are named in.
OBSERVABLES: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
FIXED: Final = {"spec_version": "2.1", "created": CREATED, "modified": CREATED}
# A fact of a path needs its hosts, which an alert does not hold; of a dynamic DNS zone only its own names are exported.
KINDS: Final[dict[str, Kind]] = {
    "suffix": "zone",
    "exact": "name",
    "regex": "pattern",
    "network": "network",
    "file": "file",
    "useragent": "useragent",
}
ZONE_ROLES: Final = ("ddns", "ddns_customer")
HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
MAX_COUNT: Final = 999_999_999
MAX_NAME: Final = 250
MAX_NUMBERS: Final = 10_000
Object = dict[str, Any]


def each_once(groups: Iterable[Iterable[Object]]) -> list[Object]:
    """The objects of several alerts, each version of one once, none before one that it names."""
    found: dict[tuple[str, str | None], Object] = {}
    for objects in groups:
        for each in objects:
            found.setdefault((each["id"], each.get("modified")), each)
    return list(found.values())


def write_bundle(objects: Sequence[Object]) -> Object:
    """A bundle (section 8); the same objects have the same id."""
    text = " ".join(f"{each['id']} {each.get('modified', '')}" for each in objects)
    return {"type": "bundle", "id": f"bundle--{uuid.uuid5(NAMESPACE, text)}", "objects": list(objects)}


def sighting_objects(alert: Alert) -> list[Object]:
    """All that one alert needs to be understood."""
    sensor, seen = sensor_identity(alert), observables_of(alert)
    about = indicator_of(alert)
    indicator = next(each for each in about if each["type"] == "indicator")
    detail = alert.lenswatch
    # Its id fixes the window, and nothing else of a finding stays as it is from its first revision to its last.
    window = detail.first_seen.timestamp() // WINDOW_SECONDS * WINDOW_SECONDS
    news = datetime.timedelta(milliseconds=detail.revision)
    shared = {
        "spec_version": "2.1",
        "created": stamp(datetime.datetime.fromtimestamp(window, datetime.UTC)),
        "modified": stamp(detail.last_seen.replace(microsecond=detail.last_seen.microsecond // 1000 * 1000) + news),
        "created_by_ref": AUTHOR,
    }
    first, last = stamp(detail.first_seen), stamp(detail.last_seen)
    observed = {
        "type": "observed-data",
        "id": f"observed-data--{uuid.uuid5(NAMESPACE, f'observed {alert.event.id}')}",
        **shared,
        "first_observed": first,
        "last_observed": last,
        "number_observed": min(detail.count, MAX_COUNT),
        "object_refs": [each["id"] for each in seen],
    }
    sighting = {
        "type": "sighting",
        "id": f"sighting--{uuid.uuid5(NAMESPACE, f'sighting {alert.event.id}')}",
        **shared,
        "first_seen": first,
        "last_seen": last,
        "count": min(detail.count, MAX_COUNT),
        "sighting_of_ref": indicator["id"],
        "observed_data_refs": [observed["id"]],
        "where_sighted_refs": [sensor["id"]],
        "description": f"{alert.message} {alert.event.reason}".strip(),
        "confidence": indicator["confidence"],
        "labels": labels_of(alert),
        "external_references": references_of(alert),
    }
    objects = [author_identity(FIXED), sensor, *about, *seen, observed, sighting]
    return [sound_document(each) for each in objects]


def stamp(at: datetime.datetime) -> str:
    """A time to the millisecond (section 3.2)."""
    return f"{at.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def sensor_identity(alert: Alert) -> Object:
    """Where it was seen: the sensor at its site."""
    sensor, site = alert.observer.name, alert.lenswatch.site
    number = uuid.uuid5(NAMESPACE, sound(f"sensor {site or ''} {sensor}"))
    name = f"{sensor} ({site})" if site else sensor
    identity = {"type": "identity", "id": f"identity--{number}", **FIXED, "created_by_ref": AUTHOR}
    return identity | {"name": sound(name, MAX_NAME), "identity_class": "system", "labels": ["sensor"]}


def indicator_of(alert: Alert) -> list[Object]:
    """The indicator that was sighted, and the company behind it: that of the fact, else one of what was called."""
    detail = alert.lenswatch
    company = detail.entity
    if company is None:
        return [called_indicator(alert)]
    identity = company_identity(company.id, company.name, FIXED)
    fact = fact_of(alert)
    if fact is not None:
        return [identity, *indicator_objects(fact, FIXED, identity["id"])]
    indicator = called_indicator(alert)
    related = {
        "type": "relationship",
        "id": f"relationship--{uuid.uuid5(NAMESPACE, 'related ' + indicator['id'] + company.id)}",
        **FIXED,
        "created_by_ref": AUTHOR,
        "relationship_type": "related-to",
        "source_ref": indicator["id"],
        "target_ref": identity["id"],
    }
    return [identity, indicator, related]


def fact_of(alert: Alert) -> Indicator | None:
    """The fact behind the alert as it is exported, without listings, which change while this version must not; None
    where the alert does not hold all of it."""
    detail = alert.lenswatch
    basis, company, role = detail.endpoint, detail.entity, detail.role
    if basis is None or company is None or role is None or role in ZONE_ROLES or basis.match not in KINDS:
        return None
    kind = KINDS[basis.match]
    number = number_of(company.id, role, kind, basis.pattern)
    return Indicator(
        id=f"lenswatch-{company.id}-{role}-{number.hex[:8]}",
        uuid=str(number),
        kind=kind,
        value=basis.pattern,
        entity=company.id,
        company=company.name,
        role=role,
        confidence=basis.confidence,
        reference=f"source:{basis.sources[0]}" if basis.sources else "source:none",
        sources=tuple(basis.sources) or ("none",),
        note=basis.note,
    )


def called_indicator(alert: Alert) -> Object:
    """The name or address that was called, for which there is no fact."""
    threat = alert.threat.indicator if alert.threat is not None else None
    name = threat.url.domain if threat is not None and threat.url is not None else None
    address = (threat.ip if threat is not None else None) or alert.destination.ip
    kind = "domain-name" if name is not None else f"ipv{6 if ':' in address else 4}-addr"
    value = visible(sound(name if name is not None else address, MAX_NAME))
    words = threat.description if threat is not None else None
    sure = threat.confidence if threat is not None else None
    return {
        "type": "indicator",
        "id": f"indicator--{uuid.uuid5(NAMESPACE, f'called {kind} {value}')}",
        **FIXED,
        "created_by_ref": AUTHOR,
        "name": value,
        "description": words or f"{value}, which a watched device called",
        "pattern": f"[{kind}:value = {literal(value)}]",
        "pattern_type": "stix",
        "valid_from": CREATED,
        "confidence": CONFIDENCE.get((sure or "").lower(), 0),
    }


def observables_of(alert: Alert) -> list[Object]:
    """Who spoke with whom, as Cyber-observable Objects (section 6)."""
    source, destination, network = alert.source, alert.destination, alert.network
    ends = [address_of(source), address_of(destination)]
    names = [*(alert.related.hosts or ()), source.domain, destination.domain]
    found = [*ends, *(observable("mac-addr", value=side.mac) for side in (source, destination) if side.mac)]
    found += [observable("domain-name", value=name) for name in names if name is not None and HOST_NAME.fullmatch(name)]
    found += [address_of(Endpoint(ip=ip)) for ip in alert.related.ip]
    flow: Object = {"src_ref": ends[0]["id"], "dst_ref": ends[1]["id"]}
    for key, port in (("src_port", source.port), ("dst_port", destination.port)):
        if port is not None:
            flow[key] = port
    flow["protocols"] = [word for word in (network.type, network.transport, network.protocol) if word]
    traffic = observable("network-traffic", **flow)
    counts = {"src": source, "dst": destination}
    for key, side in counts.items():
        for word, number in (("byte_count", side.bytes), ("packets", side.packets)):
            if number is not None:
                traffic[f"{key}_{word}"] = number
    return list({each["id"]: each for each in [*found[:MAX_ITEMS], traffic]}.values())


def address_of(side: Endpoint) -> Object:
    """The address of an end."""
    return observable(f"ipv{6 if ':' in side.ip else 4}-addr", value=side.ip)


def observable(kind: str, **contributing: Any) -> Object:
    """An object whose id is made of these properties, as canonical JSON (section 2.9)."""
    text = msgspec.json.encode(contributing, order="sorted").decode()
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{observable_number(text)}", **contributing}


@functools.lru_cache(MAX_NUMBERS)
def observable_number(text: str) -> uuid.UUID:
    """Of the same address, name or flow it is asked again and again."""
    return uuid.uuid5(OBSERVABLES, text)


def labels_of(alert: Alert) -> list[str]:
    """What a platform filters by."""
    detail = alert.lenswatch
    words = {"level": detail.level, "state": detail.state, "activity": detail.activity, "outcome": detail.outcome}
    labels = [f"{key}:{value}" for key, value in words.items() if value is not None]
    if alert.device is not None:
        labels.append(f"device:{alert.device.id}")
    own = [each for each in detail.listings or () if each.status in LISTED_STATUSES]
    return labels + [f"programme:{programme}" for programme in dict.fromkeys(each.programme for each in own)]


def references_of(alert: Alert) -> list[Object]:
    """The alert, the rule that fired, and the citations of the company's listings."""
    rule, detail = alert.rule, alert.lenswatch
    references: list[Object] = [
        {"source_name": "lenswatch", "external_id": alert.news_id},
        {"source_name": "lenswatch rule", "external_id": rule.id, "description": rule.name},
    ]
    if rule.reference is not None and "://" in rule.reference:
        references[1]["url"] = rule.reference
    own = [each for each in detail.listings or () if each.status in LISTED_STATUSES]
    return references + [{"source_name": each.programme, "description": each.citation} for each in own]
