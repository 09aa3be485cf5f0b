"""A Sigma file becomes a Detection, or is refused with file, key and mend."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.observation import Observation
from rules.detection import MAX_FILE_BYTES, Detection, read_detection
from rules.errors import RuleErrors
from rules.sighting import Sighting

PATH = Path("rule.yml")


def refusal(text: str) -> str:
    with pytest.raises(RuleErrors) as caught:
        read_detection(PATH, text.encode())
    return str(caught.value)


def test_a_rule_file_becomes_a_detection(rule: str) -> None:
    detection = read_detection(PATH, rule.encode())
    assert isinstance(detection, Detection)
    assert (detection.id, detection.title, detection.level) == (
        "5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10", "Camera uses a cloud", "high",
    )  # fmt: skip
    assert (detection.category, detection.service, detection.fold) == ("contact", None, "company")
    assert detection.reference == "https://www.rfc-editor.org/rfc/rfc1034"
    assert [case.fires for case in detection.cases] == [True, False]
    assert len(detection.version) == 16


def test_another_byte_is_another_version(rule: str) -> None:
    assert read_detection(PATH, rule.encode()).version != read_detection(PATH, rule.encode() + b"\n# x").version


def test_a_date_without_quotes_is_a_date(rule: str) -> None:
    read_detection(PATH, (rule + "date: 2026-11-02\nmodified: 2026-11-03\n").encode())


def test_the_condition_is_evaluated(rule: str, observe: Callable[..., Observation]) -> None:
    text = rule.replace("lenswatch.role: cloud", "destination.port: 443")
    fires = read_detection(PATH, text.encode()).fires
    assert fires(Sighting(observe()))
    assert not fires(Sighting(observe({"destination.port": 80})))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: Camera uses a cloud\n", "", ["title: is missing"]),
        ("level: high", "level: huge", ["level: is none of informational, low"]),
        ("id: 5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10", "id: 7", ["id: is no UUID; make one"]),
        ("description: A camera called a cloud.\n", "", ["description: is missing"]),
        ("product: lenswatch", "product: windows", ["logsource.product: must be lenswatch"]),
        ("category: contact", "category: process", ["logsource.category: is none of contact, lookalike"]),
        ("category: contact", "categry: contact", ["logsource.categry: no such key"]),
        ("status: experimental", "stauts: experimental", ["stauts: no such key"]),
        ("status: experimental", "status: wild", ["status"]),
        ("device.type: camera\n", "device.typ: camera\n", ["device.typ", "did you mean lenswatch.device.type"]),
        ("role: cloud", "role|base64: cloud", ["camera.lenswatch.role|base64", "is not evaluated", "contains"]),
        ("lenswatch.role: cloud", "lenswatch.role|contians: cloud", ["modifier contians is not evaluated"]),
        ("lenswatch.role: cloud", "'@timestamp|minute': 5", ["modifier minute is not evaluated"]),
        ("lenswatch.role: cloud", "lenswatch.role|re: '('", ["detection"]),
        ("lenswatch.role: cloud", "destination.ip|cidr: 10.0.0.1/8", ["detection"]),
        ("condition: camera\n", "condition: camra\n", ["detection", "camra"]),
        ("condition: camera\n", "condition: camera | count() > 5\n", ["detection", "pipe"]),
        ("condition: camera\n", "condition: 1 of laptop*\n", ["laptop*"]),
        ("condition: camera\n", "condition: [camera, not camera]\n", ["detection.condition: is a list"]),
        ("condition: camera\n", "filter: {dns.type: x}\n  condition: camera\n", ["detection.filter: is not used"]),
        ("condition: camera\n", "words: [one, two]\n  condition: camera and words\n", ["no field"]),
        ("condition: camera\n", "", ["detection"]),
        ("fold: company", "fold: universe", ["lenswatch.fold", "universe"]),
        ("fold: company", "fild: company", ["lenswatch", "fild"]),
        ("{destination} of", "{destinaton} of", ["lenswatch.message: no such word: destinaton", "destination"]),
        ("{destination} of", "{destination of", ["lenswatch.message: is no template"]),
        ("{destination} of", "{destination!r} of", ["lenswatch.message", "{destination}"]),
        ("fires: false", "fires: true", ["lenswatch.cases: need one case at least that fires and one that is silent"]),
        ("fires: false", "fires: maybe", ["lenswatch.cases[1].fires"]),
        ("lenswatch:\n", "other:\n", ["lenswatch: is missing"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_file_key_and_reason(rule: str, old: str, new: str, words: list[str]) -> None:
    assert old in rule
    text = refusal(rule.replace(old, new))
    for line in text.splitlines():
        assert line.startswith("rule.yml: ")
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no rule, or several"),
        ("just text", "holds no rule, or several"),
        ("a: 1\nb: [", "line 3: is not YAML"),
        ("a: 1\na: 2", "Duplicate key 'a'"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("title: x\ncorrelation: {type: event_count}\n", "holds no rule, or several"),
        ("a: " + "[" * 5_000, "is not YAML"),
        ("#" * (MAX_FILE_BYTES + 1), "is longer than"),
        ("\x00", "is not YAML"),
    ],
)
def test_what_is_no_rule_file_is_refused_in_one_line(text: str, words: str) -> None:
    message = refusal(text)
    assert words in message
    assert "\n" not in message


def test_two_rules_in_one_file_are_refused(rule: str) -> None:
    assert "holds no rule, or several" in refusal(rule + "---" + rule)


def test_all_that_is_wrong_is_said_at_once(rule: str) -> None:
    text = refusal(
        rule.replace("level: high", "level: huge").replace("fold: company", "fold: x").replace("cloud\n", "1\n")
    )
    assert "level: " in text
    assert "lenswatch.fold: " in text
