"""Alerts as tests tell them."""

from collections.abc import Iterable

import msgspec

from collector.observation import Device
from rules.alert import Alert
from rules.check import read_example
from rules.match import RuleSet
from streams.formats.stix import Object, each_once, sighting_objects

CAMERA = {
    "@timestamp": "2026-11-02T08:00:00Z",
    "event.dataset": "lenswatch.http",
    "observer.name": "sensor",
    "source": {"ip": "10.0.0.11", "port": 40000},
    "destination": {"ip": "192.0.2.82", "port": 80},
    "network.direction": "outbound",
    "device.id": "site/3c:ef:8c:00:53:11",
    "lenswatch.device": {"type": "camera", "confidence": 0.9},
}


def one_alert(rules: RuleSet) -> Alert:
    """An alert: a camera calls the cloud of a listed company."""
    seen = read_example(CAMERA, {"destination.domain": "www.easy4ipcloud.com", "event.dataset": "lenswatch.tls"})
    (alert,) = rules.match(seen)
    return alert


def many_alerts(alert: Alert, count: int, devices: int = 1, revision: int = 1, first: int = 0) -> list[Alert]:
    """So many alerts of so many devices, each a finding of its own, in turn."""
    return [
        msgspec.structs.replace(
            alert,
            event=msgspec.structs.replace(alert.event, id=f"{number:032x}"),
            device=Device(id=f"site/{number % devices}"),
            lenswatch=msgspec.structs.replace(alert.lenswatch, revision=revision),
        )
        for number in range(first, first + count)
    ]


def write_sightings(alerts: Iterable[Alert]) -> list[Object]:
    """What the sinks of STIX make of some alerts."""
    return each_once(map(sighting_objects, alerts))
