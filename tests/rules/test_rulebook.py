"""A folder of Sigma files is read whole, or every wrong file of it is named."""

from pathlib import Path

import pytest

from rules.errors import RuleErrors
from rules.rulebook import read_rulebook

COUNT = """
title: Often
id: 0d3a5c8e-6a57-4b0e-8f0b-1b2f6c3f9a01
level: low
description: Often.
correlation:
  type: event_count
  rules: [5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10]
  group-by: [device.id]
  timespan: 1h
  condition: {gte: 2}
lenswatch:
  message: "{device}: {count}."
  example: {}
  cases:
    - {name: often, fires: true, series: [{}, {}]}
    - {name: once, fires: false, series: [{}]}
"""


def test_a_folder_is_read_whole_and_every_wrong_file_is_named(rule: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "good.yml").write_text(rule, "utf-8")
    assert [detection.title for detection in read_rulebook(tmp_path).detections] == ["Camera uses a cloud"]
    (tmp_path / "same.yml").write_text(rule, "utf-8")
    (tmp_path / "wrong.yml").write_text("x: 1", "utf-8")
    (tmp_path / "ending.yaml").write_text(rule, "utf-8")
    with pytest.raises(RuleErrors) as caught:
        read_rulebook(tmp_path)
    text = str(caught.value)
    assert "same.yml: id: is that of" in text
    assert "wrong.yml: title: is missing" in text
    assert "ending.yaml: is not read; name it .yml" in text
    assert read_rulebook(tmp_path / "nowhere").detections == ()


def test_a_correlation_among_the_files_is_read_as_one(rule: str, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(rule, "utf-8")
    (tmp_path / "often.yml").write_text(COUNT, "utf-8")
    book = read_rulebook(tmp_path)
    assert len(book.detections) == 1
    assert [correlation.head.title for correlation in book.correlations] == ["Often"]


def test_two_rules_in_one_file_are_refused_where_none_is_a_correlation(rule: str, tmp_path: Path) -> None:
    (tmp_path / "two.yml").write_text(rule + "---" + rule, "utf-8")
    with pytest.raises(RuleErrors, match=r"two\.yml: holds several rules"):
        read_rulebook(tmp_path)


def test_a_correlation_and_a_detection_with_one_id_are_refused(rule: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(rule, "utf-8")
    text = COUNT.replace("0d3a5c8e-6a57-4b0e-8f0b-1b2f6c3f9a01", "5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10")
    (tmp_path / "b.yml").write_text(text, "utf-8")
    with pytest.raises(RuleErrors, match=r"b\.yml: id: is that of .*a\.yml; give each its own"):
        read_rulebook(tmp_path)
