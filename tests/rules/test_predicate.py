"""Sigma conditions as functions: each modifier does what the specification says, and nothing else is let in."""

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sigma.rule import SigmaRule
from sigma.types import SigmaString

from collector.observation import Observation
from rules.predicate import (
    CONTEXT_FIELDS,
    ConditionError,
    Predicate,
    cidr_test,
    compile_condition,
    fields,
    observation_fields,
    text_test,
)
from rules.sighting import Sighting

Observe = Callable[..., Observation]
HEAD = {
    "title": "t",
    "id": "5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b11",
    "level": "low",
    "logsource": {"product": "lenswatch"},
}


def compiled(detection: str | dict[str, Any]) -> Predicate:
    read = yaml.safe_load(detection) if isinstance(detection, str) else detection
    detections = read if "condition" in read else {"selection": read, "condition": "selection"}
    rule = SigmaRule.from_dict({**HEAD, "detection": detections})
    return compile_condition(rule.detection.parsed_condition[0].parsed, set())


DNS = {
    "event.dataset": "lenswatch.dns",
    "destination.port": 53,
    "network.vlan.id": "5",
    "dns": {
        "type": "answer",
        "question": {"name": "Cloud.Example.COM", "type": "A"},
        "answers": [
            {"name": "cloud.example.com", "type": "CNAME", "data": "cdn.example.net", "ttl": 60},
            {"name": "cdn.example.net", "type": "A", "data": "192.0.2.7", "ttl": 300},
        ],
        "resolved_ip": ["192.0.2.7", "2001:db8::7"],
    },
    "user_agent": {"original": "curl -f /x"},
    "lenswatch.tls": {"ech": True},
}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("dns.question.name: cloud.example.com", True),
        ("dns.question.name: example.com", False),
        ("dns.question.name|cased: cloud.example.com", False),
        ("dns.question.name|cased: Cloud.Example.COM", True),
        ("dns.question.name: cloud.*.com", True),
        ("dns.question.name: clou?.example.com", True),
        ("dns.question.name: clo?.example.com", False),
        ("dns.question.name|cased: cloud.*", False),
        ("dns.question.name: '*'", True),
        ("dns.question.name|contains: EXAMPLE", True),
        ("dns.question.name|contains|cased: EXAMPLE", False),
        ("dns.question.name|contains|all: [cloud, com]", True),
        ("dns.question.name|contains|all: [cloud, net]", False),
        ("dns.question.name|startswith: cloud.", True),
        ("dns.question.name|startswith: loud", False),
        ("dns.question.name|startswith|cased: Cloud", True),
        ("dns.question.name|endswith: .com", True),
        ("dns.question.name|endswith: .co", False),
        ("dns.question.name|endswith|cased: .com", False),
        ("dns.question.name: [a, b, cloud.example.com]", True),
        ("dns.question.name|neq: cloud.example.com", False),
        ("dns.question.name|neq: other", True),
        ("dns.question.name|re: '^Cloud'", True),
        ("dns.question.name|re: '^cloud'", False),
        ("dns.question.name|re|i: '^cloud'", True),
        ("dns.question.name|re|s|m: 'e.*$'", True),
        ("destination.port: 53", True),
        ("destination.port: [80, 53]", True),
        ("destination.port: 54", False),
        ("destination.port|gt: 52", True),
        ("destination.port|gt: 53", False),
        ("destination.port|gte: 53", True),
        ("destination.port|lt: 53", False),
        ("destination.port|lte: 53", True),
        ("network.vlan.id: 5", True),
        ("network.vlan.id: '5'", True),
        ("destination.domain: null", True),
        ("dns.question.name: null", False),
        ("destination.domain|exists: true", False),
        ("destination.domain|exists: false", True),
        ("dns.answers.data|exists: true", True),
        ("tls.client.server_name|exists: true", False),
        ("destination.ip|cidr: 192.0.2.0/24", True),
        ("destination.ip|cidr: [10.0.0.0/8, '2001:db8::/32']", False),
        ("dns.resolved_ip|cidr: '2001:db8::/32'", True),
        ("dns.answers.data: cdn.example.net", True),
        ("dns.answers.data|endswith: .example.org", False),
        ("dns.answers.ttl|gt: 299", True),
        ("dns.answers.data|fieldref: dns.resolved_ip", True),
        ("dns.answers.name|fieldref: dns.question.name", True),
        ("dns.question.name|fieldref: user_agent.original", False),
        ("dns.question.name|fieldref|startswith: dns.question.type", False),
        ("user_agent.original|windash|contains: ' -f '", True),
        ("user_agent.original|windash|contains: ' -g '", False),
        ("lenswatch.tls.ech: true", True),
        ("lenswatch.tls.ech: false", False),
        ("lenswatch.entity.id: null", True),
        ("dns.question.name: ''", False),
        ("{dns.question.type: A, destination.port: 53}", True),
        ("{dns.question.type: A, destination.port: 54}", False),
        ("[{dns.question.type: B}, {destination.port: 53}]", True),
    ],
)
def test_each_modifier_does_what_the_specification_says(observe: Observe, selection: str, expected: bool) -> None:
    fires = compiled({"selection": yaml.safe_load(selection), "condition": "selection"})
    assert fires(Sighting(observe(DNS))) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("yes1 and yes2", True), ("yes1 and no1", False), ("yes1 or no1", True), ("no1 or no2", False),
        ("not no1", True), ("yes1 and not no1", True), ("not (yes1 or no1)", False), ("1 of yes*", True),
        ("1 of no*", False), ("all of yes*", True), ("all of them", False), ("1 of them", True), ("any of no*", False),
        ("not 1 of no*", True), ("yes1 and yes2 and not no1 and not no2", True),
    ],
)  # fmt: skip
def test_conditions_combine_selections(observe: Observe, condition: str, expected: bool) -> None:
    detection = {
        "yes1": {"destination.port": 53},
        "yes2": {"dns.type": "answer"},
        "no1": {"destination.port": 54},
        "no2": {"dns.type": "query"},
        "condition": condition,
    }
    assert compiled(detection)(Sighting(observe(DNS))) is expected


@pytest.mark.parametrize(
    ("selection", "place", "reason"),
    [
        ("dns.question.nam: x", "dns.question.nam", "did you mean dns.question.name"),
        ("nothing.like.it: x", "nothing.like.it", "no such field"),
        ("destination.port: text", "destination.port", "is number"),
        ("dns.type|gt: 5", "dns.type", "is text"),
        ("dns.type: true", "dns.type", "is text"),
        ("dns.type|fieldref: dns.typo", "dns.typo", "no such field"),
        ("[one, two]", "detection", "no field"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(selection: str, place: str, reason: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compiled({"selection": yaml.safe_load(selection), "condition": "selection"})
    assert caught.value.place == place
    assert reason in caught.value.reason


def test_a_regular_expression_that_only_pysigma_understands_is_refused() -> None:
    class Broken:
        flags: tuple[()] = ()
        regexp = "("

    condition = type("ConditionFieldEqualsValueExpression", (), {})()
    condition.field, condition.value = "dns.type", type("SigmaRegularExpression", (Broken,), {})()
    with pytest.raises(ConditionError, match="no regular expression"):
        compile_condition(condition, set())


TEXT = st.text(alphabet="aAb*?\\.", max_size=6)


@given(TEXT, TEXT)
def test_wildcards_match_as_a_slow_reading_of_them_does(pattern: str, value: str) -> None:
    def reads(parts: list[Any], text: str) -> bool:
        if not parts:
            return not text
        head, *rest = parts
        if isinstance(head, str):
            return text.startswith(head) and reads(rest, text[len(head) :])
        if head.name == "WILDCARD_SINGLE":
            return bool(text) and reads(rest, text[1:])
        return any(reads(rest, text[start:]) for start in range(len(text) + 1))

    parts = SigmaString(pattern).s
    assert text_test(parts, cased=True)(value) is reads(parts, value)
    lowered = [part.lower() if isinstance(part, str) else part for part in parts]
    assert text_test(parts, cased=False)(value) is reads(lowered, value.lower())


def test_an_address_that_is_none_is_in_no_network() -> None:
    holds = cidr_test(ipaddress.ip_network("0.0.0.0/0"))
    assert holds("192.0.2.1")
    assert not holds("text")
    assert not holds("2001:db8::1")


def test_every_leaf_of_the_vocabulary_is_a_field() -> None:
    known = observation_fields()
    for name in (
        "@timestamp",
        "destination.as.number",
        "dns.answers.data",
        "lenswatch.flow.duration_seconds",
        "observer.ingress.interface.name",
    ):
        assert name in known
    assert known["dns.answers.data"].many
    assert known["dns.resolved_ip"].many
    assert not known["dns.question.name"].many
    assert (known["destination.port"].kind, known["lenswatch.tls.ech"].kind, known["@timestamp"].kind) == (
        "number",
        "boolean",
        "time",
    )


def test_the_context_adds_fields_and_hides_none() -> None:
    assert not CONTEXT_FIELDS.keys() & observation_fields().keys()
    assert fields().keys() == CONTEXT_FIELDS.keys() | observation_fields().keys()


def test_every_field_can_be_read_of_a_bare_observation(observe: Observe, tmp_path: Path) -> None:
    seen = Sighting(observe())
    for field in fields().values():
        field.read(seen)
