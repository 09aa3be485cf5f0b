"""Which detections fire is remembered by the fields they asked for, and by nothing less."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.observation import Observation
from rules.detection import Detection, read_detection
from rules.finding import Finding
from rules.plan import MAX_ANSWERS, Judges, Question, plan_for
from rules.sighting import Sighting

Observe = Callable[..., Observation]


def detection(rule: str, condition: str, service: str | None = None) -> Detection:
    """The shared rule with another selection, over observations alone."""
    source = "{product: lenswatch" + (f", service: {service}" if service else "") + "}"
    text = rule.replace("{product: lenswatch, category: contact}", source)
    text = text.replace("    lenswatch.device.type: camera\n    lenswatch.role: cloud\n", f"    {condition}\n", 1)
    return read_detection(Path("rule.yml"), text.encode())


def judges(*detections: Detection) -> Judges:
    return Judges([Question(each, Finding(each, "d" * 64), ()) for each in detections])


@pytest.mark.parametrize(
    ("condition", "first", "second"),
    [
        ("destination.port: 443", {}, {"destination.port": 80}),
        ("destination.domain: null", {}, {"destination.domain": "a.example"}),
        ("source.ip|fieldref: url.domain", {"url": {"original": "/", "domain": "10.0.0.11"}},
         {"url": {"original": "/", "domain": "b.example"}}),
        ("dns.resolved_ip|cidr: 192.0.2.0/24", {"dns": {"type": "answer", "resolved_ip": ["192.0.2.1"]}},
         {"dns": {"type": "answer", "resolved_ip": ["198.51.100.1"]}}),
        ("destination.ip: 192.0.2.8?", {}, {"destination.ip": "192.0.2.99"}),
    ],
)  # fmt: skip
def test_two_observations_that_differ_in_what_was_asked_for_get_each_their_own_answer(
    rule: str, observe: Observe, condition: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    court = judges(detection(rule, condition))
    for _ in range(2):
        assert len(court.firing(Sighting(observe(first)))) == 1
        assert court.firing(Sighting(observe(second))) == ()


def test_an_answer_stands_for_all_that_differ_only_in_what_was_not_asked_for(rule: str, observe: Observe) -> None:
    asked = []
    plain = detection(rule, "destination.port: 443")

    def counted(seen: Sighting) -> bool:
        asked.append(seen)
        return plain.fires(seen)

    court = Judges([Question(dataclasses.replace(plain, fires=counted), Finding(plain, "d" * 64), ())])
    for number in range(5):
        assert len(court.firing(Sighting(observe({"source.ip": f"10.0.0.{number}"})))) == 1
    assert len(asked) == 1


def test_what_is_new_each_time_is_not_remembered_for_ever(rule: str, observe: Observe) -> None:
    court = judges(detection(rule, "destination.domain|endswith: .example"))
    observation = observe()
    for number in range(MAX_ANSWERS + 10):
        observation.destination.domain = f"h{number}.example"
        assert len(court.firing(Sighting(observation))) == 1
    assert court._answers is None
    observation.destination.domain = "h.invalid"
    assert court.firing(Sighting(observation)) == ()


def test_what_comes_again_is_remembered_anew_when_there_is_too_much(rule: str, observe: Observe) -> None:
    court = judges(detection(rule, "destination.domain|endswith: .example"))
    observation = observe()
    for number in range(MAX_ANSWERS + 10):
        observation.destination.domain = f"h{number}.example"
        court.firing(Sighting(observation))
        court.firing(Sighting(observation))
    assert court._answers is not None and len(court._answers) <= 10


def test_a_detection_knows_every_field_that_it_asks_for(rule: str) -> None:
    selection = ("destination.port: [80, 443]", "url.domain|fieldref: destination.domain", "dns.question.name|re: '^a'")
    found = detection(rule, "\n    ".join(selection))
    assert found.asked == {"destination.port", "url.domain", "destination.domain", "dns.question.name"}


def test_a_plan_asks_the_detections_of_its_service_and_of_none(rule: str) -> None:
    questions = [
        Question(each, Finding(each, "d" * 64), ())
        for each in (detection(rule, "destination.port: 443", "tls"), detection(rule, "destination.port: 443"))
    ]
    assert plan_for("tls", questions).neither.questions == tuple(questions)
    assert plan_for("dns", questions).neither.questions == (questions[1],)
    assert not plan_for("dns", []).contact


@pytest.mark.parametrize(
    ("condition", "outbound", "internal"),
    [
        ("network.direction: outbound", True, False),
        ("network.direction: [outbound, Internal]", True, True),
        ("network.direction|startswith: out", True, True),
        ("destination.port: 443", True, True),
        (
            "network.direction: outbound\n  filter:\n    destination.port: 53\n  condition: camera and not filter",
            True,
            False,
        ),
        ("network.direction: outbound\n  other:\n    destination.port: 53\n  condition: camera or other", True, True),
        ("network.direction: outbound\n  condition: not camera", True, True),
    ],
)
def test_a_detection_that_asks_for_a_direction_is_asked_of_no_other(
    rule: str, condition: str, outbound: bool, internal: bool
) -> None:
    text = rule.replace("  condition: camera\n", "") if "condition:" in condition else rule
    court = judges(detection(text, condition))
    assert (court.may_fire("outbound"), court.may_fire("internal")) == (outbound, internal)


def test_nobody_is_asked_where_there_is_no_detection() -> None:
    assert not judges().may_fire("outbound")


def test_one_detection_for_every_direction_is_enough(rule: str) -> None:
    court = judges(detection(rule, "network.direction: outbound"), detection(rule, "destination.port: 443"))
    assert court.may_fire("internal")
