"""A search engine knows the type of every field that an alert can have."""

import hashlib
import json
from typing import Any

import msgspec

from rules.check import read_example
from rules.match import RuleSet
from streams.ecs_mapping import MAPPING_VERSION, mapping_of_alerts
from tests.streams.told import CAMERA, one_alert

# The digest of the mapping of each version. When the mapping changes: raise MAPPING_VERSION, and add its line.
DIGESTS = {1: "a2ce23fccb1112e2"}
# Elastic Common Schema 8.17, field reference.
ECS = {
    "@timestamp": "date", "message": "text", "event.id": "keyword", "event.kind": "keyword", "event.severity": "long",
    "event.risk_score": "float", "event.reason": "keyword", "rule.id": "keyword", "rule.name": "keyword",
    "rule.version": "keyword", "rule.ruleset": "keyword", "rule.reference": "keyword", "observer.name": "keyword",
    "observer.ingress.interface.name": "keyword", "source.ip": "ip", "source.port": "long", "source.mac": "keyword",
    "source.bytes": "long", "source.packets": "long", "destination.ip": "ip", "destination.port": "long",
    "destination.domain": "keyword", "destination.as.number": "long", "destination.as.organization.name": "keyword",
    "destination.geo.country_iso_code": "keyword", "network.transport": "keyword", "network.type": "keyword",
    "network.community_id": "keyword", "network.direction": "keyword", "network.vlan.id": "keyword",
    "related.ip": "ip", "related.hosts": "keyword", "device.id": "keyword", "device.manufacturer": "keyword",
    "device.model.name": "keyword", "device.serial_number": "keyword", "threat.indicator.type": "keyword",
    "threat.indicator.ip": "ip", "threat.indicator.confidence": "keyword", "threat.indicator.url.domain": "keyword",
}  # fmt: skip


def types_of(properties: dict[str, Any], path: str = "") -> dict[str, str]:
    """The type of each field, by its dotted path."""
    found = {}
    for name, field in properties.items():
        if "properties" in field:
            found |= types_of(field["properties"], f"{path}{name}.")
        else:
            found[f"{path}{name}"] = field["type"]
    return found


def leaves(value: Any, path: str = "") -> set[str]:
    """The dotted path of each value of a document, lists left out."""
    if isinstance(value, dict):
        return {leaf for name, each in value.items() for leaf in leaves(each, f"{path}.{name}".lstrip("."))}
    if isinstance(value, list):
        return {leaf for each in value for leaf in leaves(each, path)}
    return {path}


def test_a_field_of_ecs_has_the_type_that_ecs_gives_it() -> None:
    types = types_of(mapping_of_alerts()["properties"])
    assert {path: types.get(path) for path in ECS} == ECS


def test_every_field_of_an_alert_has_a_type(rules: RuleSet) -> None:
    types = types_of(mapping_of_alerts()["properties"])
    seen = read_example(CAMERA, {"destination.domain": "www.easy4ipcloud.com", "event.dataset": "lenswatch.dns"})
    for alert in (one_alert(rules), *rules.match(seen)):
        document = json.loads(msgspec.json.encode(alert))
        assert leaves(document) <= set(types)


def test_no_list_of_keys_that_others_choose_becomes_fields() -> None:
    mapping = mapping_of_alerts()
    assert mapping["dynamic"] is False
    group = mapping["properties"]["lenswatch"]["properties"]["correlation"]["properties"]["group"]
    assert group == {"type": "object", "enabled": False}
    assert len(types_of(mapping["properties"])) < 400, "an index has room for 1,000"


def test_another_mapping_has_another_version() -> None:
    digest = hashlib.sha256(json.dumps(mapping_of_alerts(), sort_keys=True).encode()).hexdigest()[:16]
    assert DIGESTS.get(MAPPING_VERSION) == digest and max(DIGESTS) == MAPPING_VERSION
