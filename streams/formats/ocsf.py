"""An alert as a Detection Finding (class 2004) of the Open Cybersecurity Schema Framework 1.8.0, with the profile
`osint` for what was called.

Listings, verdicts and the company are enrichments of the endpoint that was called. What the class has no attribute for
stands under `unmapped.lenswatch`, in its ECS names.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from collector.observation import Endpoint
from rules.alert import LEVELS, Alert, Indicator, Step
from streams.formats.ecs import cut
from streams.formats.plain import MAX_ITEMS, MAX_TEXT, milliseconds, sound_document

SCHEMA: Final = "1.8.0"
CLASS: Final = 2004
NAME: Final = "lenswatch"
ACTIVITIES: Final = {"new": (1, "Create"), "ended": (3, "Close")}
UPDATE: Final = (2, "Update")
SEVERITIES: Final = ("Informational", "Low", "Medium", "High", "Critical")
RISKS: Final = ("Info", "Low", "Medium", "High", "Critical")
CONFIDENCES: Final = {"Low": 1, "Medium": 2, "High": 3}
DIRECTIONS: Final = {"inbound": (1, "Inbound"), "outbound": (2, "Outbound"), "internal": (3, "Lateral")}
IP_VERSIONS: Final = {"ipv4": 4, "ipv6": 6}
BULKY: Final = ("enrichments", "observables", "unmapped")
REQUIRED: Final = frozenset(
    {
        "metadata", "category_uid", "class_uid", "activity_id", "type_uid", "time", "severity_id", "osint",
        "finding_info",
    }
)  # fmt: skip
ADDRESS, HOSTNAME, MAC = (2, "IP Address"), (1, "Hostname"), (3, "MAC Address")
# What of `lenswatch.*` has a place of its own.
MAPPED: Final = frozenset(
    {
        "revision", "level", "count", "first_seen", "last_seen", "evidence", "state", "activity", "entity", "listings",
        "verdicts", "site",
    }
)  # fmt: skip


def versions(alert: Alert, version: str) -> Iterator[dict[str, Any]]:
    """The alert as a document, whole, and then shorter and shorter, which `metadata` says. `version` is lenswatch's."""
    whole = write_ocsf(alert, version)
    yield whole
    kilobytes = len(msgspec.json.encode(whole)) // 1_000 + 1
    said = {"metadata": whole["metadata"] | {"is_truncated": True, "untruncated_size": kilobytes}}
    short = {key: value for key, value in whole.items() if key not in BULKY} | said
    for most in (MAX_TEXT, 400, 100, 40):
        yield cut(short, most)
    yield cut({key: value for key, value in short.items() if key in REQUIRED or key == "message"}, 40) | {
        "finding_info": {"uid": alert.event.id}
    }


def write_ocsf(alert: Alert, version: str) -> dict[str, Any]:
    """The alert as a document of plain values."""
    detail = alert.lenswatch
    activity, activity_name = ACTIVITIES.get(detail.state, UPDATE)
    level = LEVELS.index(detail.level)
    document = {
        "metadata": metadata_of(alert, version),
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {activity_name}",
        "time": milliseconds(alert.timestamp),
        "start_time": milliseconds(detail.first_seen),
        "end_time": milliseconds(detail.last_seen),
        "count": detail.count,
        "is_alert": True,
        "message": alert.message,
        "severity_id": alert.event.severity,
        "severity": SEVERITIES[level],
        "risk_score": alert.event.risk_score,
        "risk_level_id": level,
        "risk_level": RISKS[level],
        "finding_info": finding_of(alert),
        "device": device_of(alert),
        "evidences": [traffic_of(alert), *(file_of(step) for step in detail.steps or () if step.sha256 is not None)],
        "enrichments": enrichments_of(alert),
        "observables": observables_of(alert),
        "unmapped": unmapped_of(alert),
    }
    if alert.threat is not None:
        indicator = alert.threat.indicator
        document["osint"] = [indicator_of(indicator)]
        document |= confidence_of(indicator)
    return sound_document(document)  # type: ignore[no-any-return]


def metadata_of(alert: Alert, version: str) -> dict[str, Any]:
    """Who says it. `uid` names this revision, and a repeat of it has the same."""
    return {
        "version": SCHEMA,
        "profiles": ["osint"] if alert.threat is not None else [],
        "product": {"name": NAME, "vendor_name": NAME, "version": version},
        "log_name": alert.event.kind,
        "uid": alert.news_id,
        "correlation_uid": alert.event.id,
        "sequence": alert.lenswatch.revision,
        "reporter": {"name": alert.observer.name},
    }


def finding_of(alert: Alert) -> dict[str, Any]:
    """The finding, and the detection that made it."""
    detail, rule = alert.lenswatch, alert.rule
    return {
        "uid": alert.event.id,
        "title": rule.name,
        "desc": alert.event.reason,
        "types": [detail.activity] if detail.activity is not None else None,
        "src_url": rule.reference,
        "first_seen_time": milliseconds(detail.first_seen),
        "last_seen_time": milliseconds(detail.last_seen),
        "analytic": {"uid": rule.id, "name": rule.name, "version": rule.version, "type_id": 1, "type": "Rule"},
        "related_events": [{"uid": each} for each in detail.evidence],
    }


def device_of(alert: Alert) -> dict[str, Any]:
    """Our side of the flow."""
    device, detail = alert.device, alert.lenswatch
    inward = alert.network.direction == "inbound"
    side = alert.destination if inward else alert.source
    return {
        "uid": device.id if device is not None else None,
        "type_id": 7,
        "type": "IOT",
        "ip": side.ip,
        "mac": side.mac,
        "vendor_name": device.manufacturer if device is not None else None,
        "model": device.model.name if device is not None and device.model is not None else None,
        "hw_info": {"serial_number": device.serial_number} if device is not None and device.serial_number else None,
        "zone": detail.site,
        "vlan_uid": alert.network.vlan.id if alert.network.vlan is not None else None,
    }


def traffic_of(alert: Alert) -> dict[str, Any]:
    """The flow."""
    network = alert.network
    direction, direction_name = DIRECTIONS.get(network.direction or "", (0, "Unknown"))
    return {
        "name": "traffic",
        "src_endpoint": endpoint_of(alert.source),
        "dst_endpoint": endpoint_of(alert.destination) | {"svc_name": network.protocol},
        "connection_info": {
            "direction_id": direction,
            "direction": direction_name,
            "protocol_name": network.transport,
            "protocol_ver_id": IP_VERSIONS.get(network.type, 0),
            "community_uid": network.community_id or None,
        },
    }


def endpoint_of(side: Endpoint) -> dict[str, Any]:
    """One end of the flow."""
    system = side.as_
    organisation = system.organization if system is not None else None
    return {
        "ip": side.ip,
        "port": side.port,
        "mac": side.mac,
        "hostname": side.domain,
        "autonomous_system": {"number": system.number, "name": organisation.name if organisation is not None else None}
        if system is not None
        else None,
        "location": {"country": side.geo.country_iso_code} if side.geo is not None else None,
    }


def file_of(step: Step) -> dict[str, Any]:
    """A file of a firmware transaction that passed in the clear."""
    return {
        "name": step.step,
        "uid": step.observation,
        "file": {
            "name": step.detail.partition("?")[0].rpartition("/")[2] or step.detail,
            "type_id": 1,
            "type": "Regular File",
            "size": step.size_bytes,
            "mime_type": step.mime_type,
            "hashes": [{"algorithm_id": 3, "algorithm": "SHA-256", "value": step.sha256}],
        },
    }


def indicator_of(indicator: Indicator) -> dict[str, Any]:
    """What was called, as open-source intelligence has it."""
    name = indicator.url.domain if indicator.url is not None else None
    kind, kind_name = (2, "Domain") if name is not None else (1, "IP Address")
    return {
        "type_id": kind,
        "type": kind_name,
        "value": name or indicator.ip or "",
        "desc": indicator.description,
        **confidence_of(indicator),
    }


def confidence_of(indicator: Indicator) -> dict[str, Any]:
    """How sure it is whose name or address it is."""
    return {"confidence_id": CONFIDENCES.get(indicator.confidence or "", 0), "confidence": indicator.confidence}


def enrichments_of(alert: Alert) -> list[dict[str, Any]]:
    """What is known of what was called: the company behind it, its listings, and what each programme says of it."""
    detail = alert.lenswatch
    place, called = "evidences[0].dst_endpoint", alert.destination.domain or alert.destination.ip
    if alert.threat is not None:
        place, called = "osint[0].value", indicator_of(alert.threat.indicator)["value"]
    found: list[tuple[str, str, Any, str | None]] = []
    if detail.entity is not None:
        found.append(("company", detail.entity.id, detail.entity, detail.entity.name))
    found += [("listing", each.programme, each, each.citation) for each in detail.listings or ()]
    found += [("verdict", each.outcome, each, each.says) for each in detail.verdicts or ()]
    return [
        {
            "name": place,
            "value": called,
            "type": kind,
            "short_desc": short,
            "desc": words,
            "provider": NAME,
            "data": msgspec.to_builtins(data),
        }
        for kind, short, data, words in found[:MAX_ITEMS]
    ]


def observables_of(alert: Alert) -> list[dict[str, Any]]:
    """What a SIEM looks for in other events."""
    found = [("evidences[0].src_endpoint.ip", ADDRESS, alert.source.ip)]
    found.append(("evidences[0].dst_endpoint.ip", ADDRESS, alert.destination.ip))
    if alert.source.mac is not None:
        found.append(("evidences[0].src_endpoint.mac", MAC, alert.source.mac))
    known = {value for _, _, value in found}
    found += [("unmapped.related.hosts", HOSTNAME, name) for name in alert.related.hosts or ()]
    found += [("unmapped.related.ip", ADDRESS, address) for address in alert.related.ip if address not in known]
    return [{"name": name, "type_id": kind, "type": words, "value": value} for name, (kind, words), value in found]


def unmapped_of(alert: Alert) -> dict[str, Any]:
    """The rest, in ECS names."""
    document = msgspec.to_builtins(alert)
    detail = {key: value for key, value in document["lenswatch"].items() if key not in MAPPED}
    rest = {"lenswatch": detail, "related": document["related"], "rule": {"ruleset": alert.rule.ruleset}}
    ends = {
        side: {key: document[side][key] for key in ("bytes", "packets") if key in document[side]}
        for side in ("source", "destination")
    }
    if "ingress" in document["observer"]:
        rest["observer"] = {"ingress": document["observer"]["ingress"]}
    return rest | {side: counted for side, counted in ends.items() if counted}
