"""A small set of facts, a rule over it, and observations: what the tests of `rules` share."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.observation import Observation
from rules.check import read_example
from rules.detection import read_detection
from rules.fact import (
    EndpointFile,
    EndpointName,
    Entity,
    FirmwareFact,
    Listing,
    NetworkAddress,
    NotTheCompany,
    Programme,
)
from rules.factbook import Facts
from rules.load import index_endpoints, load_rules
from rules.match import RuleSet

DAY = datetime.date(2026, 11, 2)
CAMERA = {
    "event.dataset": "lenswatch.tls",
    "source": {"ip": "10.0.0.11", "port": 40000},
    "destination": {"ip": "192.0.2.80", "port": 443},
    "network.direction": "outbound",
    "device.id": "site/00:00:5e:00:53:11",
    "lenswatch.device": {"type": "camera", "confidence": 0.9},
}
RULE = """
title: Camera uses a cloud
id: 5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10
status: experimental
level: high
description: A camera called a cloud.
references: ["https://www.rfc-editor.org/rfc/rfc1034"]
logsource: {product: lenswatch, category: contact}
detection:
  camera:
    lenswatch.device.type: camera
    lenswatch.role: cloud
  condition: camera
lenswatch:
  fold: company
  message: "{device} {called} {destination} of {company}; {listings}."
  example:
    event: {dataset: lenswatch.tls}
    destination: {ip: 192.0.2.80, domain: cloud.acme.example}
    lenswatch: {device: {type: camera, confidence: 0.9}}
  cases:
    - {name: a camera, fires: true}
    - {name: a laptop, fires: false, change: {lenswatch.device.type: other}}
"""


def name(text: str, role: str = "cloud", match: str = "suffix", **more: Any) -> EndpointName:
    given = {"confidence": "high", "sources": ("paper",)} | more
    return EndpointName(name=text, match=match, role=role, **given)


def firmware(kind: str, pattern: str, step: str, **more: Any) -> FirmwareFact:
    return FirmwareFact(kind=kind, pattern=pattern, step=step, confidence="high", sources=("paper",), **more)


def make_facts() -> Facts:
    listings = (
        Listing(
            programme="p1", status="listed", citation="1 FR 1", sources=("paper",), confidence="high",
            since=datetime.date(2021, 6, 3),
        ),
        Listing(programme="p2", status="not_listed", citation="none", sources=("paper",), confidence="high"),
    )  # fmt: skip
    acme = Entity(
        id="acme", name="Acme Camera Co.", kind="company", sources=("paper",), confidence="high", country="CN",
        brands=("Acmecam",), listings=listings,
    )  # fmt: skip
    other = Entity(id="other", name="Other Ltd.", kind="company", sources=("paper",), confidence="high")
    endpoints = EndpointFile(
        entity="acme",
        endpoint=(
            name("acmecam.com", "website"),
            name("acme.example"),
            name("log.acme.example", "telemetry", "exact"),
            name("zone.acme.example", "ddns"),
            name(r"^api(-[a-z]{2})?\.acme\.example$", "p2p", "regex", under=("acme.example",)),
            name("up.acme.example", "firmware", "exact"),
            name("rumour.acme.example", "cloud", "exact", confidence="background"),
        ),
        firmware=(
            firmware("path", r"^/fw/\d+/", "download", hosts=("acme.example",)),
            firmware("file", r"^acme\.img$", "download"),
            firmware("useragent", "^AcmeUp/", "check"),
        ),
        network=(NetworkAddress(network="198.51.100.0/24", role="relay", confidence="medium", sources=("paper",)),),
    )  # fmt: skip
    rejected = NotTheCompany(looks_like="acme", reason="a guess", sources=("paper",), names=("bad.acme.example",))
    others = EndpointFile(entity="other", endpoint=(name("other.example", confidence="low"),))
    programme = Programme(
        id="p1", name="Programme One", authority="A", jurisdiction="US", kind="list", what_it_prohibits="x",
        sources=("paper",), confidence="high",
    )  # fmt: skip
    roles = ("website", "cloud", "p2p", "relay", "ddns", "ddns_customer", "telemetry", "push", "time", "storage")
    activities = dict.fromkeys(roles, "cloud_relay") | {
        "telemetry": "telemetry_upload", "firmware": "update_check", "firmware_download": "update_received",
    }  # fmt: skip
    return Facts(
        sources={}, programmes={"p1": programme}, entities={"acme": acme, "other": other}, relabels=(),
        endpoints={"acme": endpoints, "other": others}, bulk=(), as_numbers={},
        not_endpoints=(rejected,),
        activities=activities, digest="0" * 64,
    )  # fmt: skip


@pytest.fixture
def facts() -> Facts:
    return make_facts()


@pytest.fixture(scope="session")
def rule() -> str:
    return RULE


@pytest.fixture(scope="session")
def ruleset() -> RuleSet:
    """The small facts with the one rule."""
    facts = make_facts()
    detection = read_detection(Path("rule.yml"), RULE.encode())
    return RuleSet(facts, index_endpoints(facts), [detection], "d" * 64)


@pytest.fixture
def observe() -> Callable[..., Observation]:
    """An observation of a camera, with dotted changes."""

    def make(change: dict[str, Any] | None = None) -> Observation:
        return read_example(CAMERA, change or {})

    return make


@pytest.fixture(scope="session")
def shipped() -> RuleSet:
    """What is shipped."""
    return load_rules()


@pytest.fixture(scope="session")
def shipped_facts(shipped: RuleSet) -> Facts:
    """The facts that are shipped."""
    return shipped.facts
