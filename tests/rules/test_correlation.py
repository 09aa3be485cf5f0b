"""A Sigma correlation file becomes a Correlation, or is refused with file, key and mend."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.observation import Observation
from rules.correlation import Correlation, build_correlation, link
from rules.detection import Detection, read_detection, read_documents
from rules.errors import RuleErrors
from rules.match import RuleSet

PATH = Path("many.yml")
MANY = """
title: Camera uses many names
id: 8e0d9f51-2d7b-4d0b-8a32-6a2f3c0f7d10
level: medium
description: One camera called many names.
correlation:
  type: value_count
  rules: [called]
  group-by: [device.id, lenswatch.entity.id]
  timespan: 1h
  condition: {field: destination.domain, gte: 3}
lenswatch:
  message: "{device} called {count} names within {timespan}: {values}."
  example:
    event: {dataset: lenswatch.tls}
    device: {id: a}
  cases:
    - {name: three, fires: true, series: [{destination.domain: a.acme.example}]}
    - {name: none, fires: false, series: [{}]}
---
title: A camera called a name
name: called
logsource: {product: lenswatch, category: contact}
detection:
  camera: {lenswatch.device.type: camera}
  condition: camera
"""


def build(text: str) -> Correlation:
    return build_correlation(PATH, read_documents(PATH, text.encode()), text.encode())


def refusal(text: str, *detections: Detection) -> str:
    with pytest.raises(RuleErrors) as caught:
        link(build(text), detections)
    return str(caught.value)


def test_a_file_becomes_a_correlation_with_the_rules_that_feed_it() -> None:
    correlation = link(build(MANY), ())
    assert (correlation.kind, correlation.least, correlation.timespan_seconds) == ("value_count", 3, 3600)
    assert correlation.group_by == ("device.id", "lenswatch.entity.id")
    assert (correlation.head.level, correlation.head.name) == ("medium", None)
    assert [feed.title for feed in correlation.feeds] == ["A camera called a name"]
    assert correlation.head.version != build(MANY + "\n").head.version


def test_more_than_is_one_more_than_at_least() -> None:
    assert build(MANY.replace("gte: 3", "gt: 3")).least == 4


def test_temporal_asks_for_all_of_its_rules() -> None:
    text = MANY.replace("type: value_count", "type: temporal").replace(
        "  condition: {field: destination.domain, gte: 3}\n", ""
    )
    assert build(text.replace("[called]", "[called, other]")).least == 2


def test_rules_are_found_by_id_and_by_name_and_the_files_own_come_first(rule: str) -> None:
    detection = read_detection(Path("rule.yml"), (rule + "name: called\n").encode())
    assert link(build(MANY), [detection]).feeds[0].title == "A camera called a name"
    alone = MANY.partition("---")[0]
    assert link(build(alone), [detection]).feeds == (detection,)
    by_id = alone.replace("[called]", f"[{detection.id}]")
    assert link(build(by_id), [detection]).feeds == (detection,)


def test_an_alias_names_each_rules_own_field(ruleset: RuleSet, observe: Callable[..., Observation]) -> None:
    text = MANY.replace("lenswatch.entity.id]", "peer]").replace(
        "  timespan: 1h\n", "  timespan: 1h\n  aliases: {peer: {called: destination.ip}}\n"
    )
    correlation = link(build(text), ())
    rules = RuleSet(ruleset.facts, ruleset.endpoints, (), "d", correlations=[correlation])
    (occurrence,) = rules.judge(observe({"destination.domain": "cloud.acme.example"})).occurrences
    assert occurrence.group == ("site/00:00:5e:00:53:11", "192.0.2.80")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("type: value_count", "type: value_sum", "correlation.type: value_sum is not evaluated; there are event_count"),
        ("type: value_count", "type: temporal_ordered", "temporal_ordered is not evaluated"),
        ("type: value_count", "type: often", "correlation: 'often' is no valid Sigma correlation type"),
        (
            "type: value_count",
            "type: event_count",
            "condition.field: 'destination.domain': value_count takes one field",
        ),
        ("field: destination.domain, ", "", "without field reference"),
        ("field: destination.domain", "field: destination.doman", "'destination.doman': value_count takes one field"),
        ("gte: 3", "lt: 3", "lt is known only when nothing more can come in; write gte or gt"),
        ("gte: 3", "eq: 3", "eq is known only"),
        ("gte: 3", "gte: 0", "asks for 0; write a whole number from 1 to 250"),
        ("gte: 3", "gte: 1.5", "asks for 1.5"),
        ("gte: 3", "gte: 1000", "asks for 1000"),
        ("timespan: 1h", "timespan: 8d", "timespan: is longer than 3d"),
        ("timespan: 1h", "timespan: soon", "Timespan 'soon' is invalid"),
        ("  timespan: 1h\n", "", "without timespan"),
        ("[device.id, lenswatch.entity.id]", "[lenswatch.entity.id]", "group-by: must hold device.id"),
        ("lenswatch.entity.id]", "dns.resolved_ip]", "dns.resolved_ip: no such field, or one that may hold several"),
        ("lenswatch.entity.id]", "lenswatch.entity.ix]", "lenswatch.entity.ix: no such field"),
        ("timespan: 1h", "timespan: 1h\n  generate: true", "correlation.generate: no such key"),
        ("timespan: 1h", "timespan: 1h\n  aliases: {device.id: {other: device.id}}", "must name a field for each"),
        ("rules: [called]", "rules: [called, called]", "correlation.rules: name 1 to 16 rules, each once"),
        ("rules: [called]", "rules: []", "correlation.rules: name 1 to 16 rules"),
        ("rules: [called]", "rules: [caled]", "correlation.rules: caled: no rule has this id or name"),
        ("rules: [called]", "rules: [caled]", "rule called: is not used by the correlation"),
        ("level: medium\n", "", "level: is missing"),
        ("level: medium", "level: medium\nlogsource: {product: lenswatch}", "logsource: no such key in a correlation"),
        ("{values}.", "{vales}.", "lenswatch.message: no such word: vales"),
        ("fires: true", "fires: false", "lenswatch.cases: need one case at least that fires"),
        ("series: [{}]", "serie: [{}]", "lenswatch.cases[1]"),
        ("name: called\n", "", "a rule after the correlation: name: is missing"),
        ("name: called\n", "name: called\nlevel: low\n", "rule called: level: no such key in it"),
        ("category: contact}", "category: contakt}", "logsource.category: is none of contact, lookalike"),
        ("device.type: camera", "device.typ: camera", "did you mean lenswatch.device.type"),
        ("correlation:\n", "correlation: 5\nother:\n", "correlation"),
    ],
)
def test_what_is_wrong_is_refused_with_file_key_and_reason(old: str, new: str, words: str) -> None:
    assert old in MANY
    text = refusal(MANY.replace(old, new))
    assert words in text
    for line in text.splitlines():
        assert line.startswith("many.yml: ")
