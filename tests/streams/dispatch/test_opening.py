"""The sinks of the settings, or a line that names sink and key."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from collector.errors import SettingsError
from streams.dispatch.opening import MAX_SINKS, kinds, open_sinks


def test_the_kinds_are_those_of_the_list() -> None:
    names = {"webhook", "alertmanager", "jsonl", "splunk", "elastic", "chat", "syslog", "taxii", "stix"}
    assert set(kinds()) == names


def test_sinks_are_opened_in_the_order_of_the_settings(tmp_path: Path) -> None:
    tables = {name: {"kind": "jsonl", "path": str(tmp_path / name)} for name in ("z", "a")}
    sinks = open_sinks(tables)
    assert [sink.name for sink in sinks] == ["z", "a"]
    for sink in sinks:
        asyncio.run(sink.close())


@pytest.mark.parametrize(
    ("tables", "word"),
    [
        ({"a": {}}, "sinks.a: kind is 'None'; there are webhook, alertmanager, jsonl, "),
        ({"a": {"kind": "pager"}}, "sinks.a: kind is 'pager'"),
        ({"A b": {"kind": "jsonl"}}, "small letters"),
        ({"a": {"kind": "jsonl"}}, "sinks.a: Object missing required field `path`"),
        ({"a": {"kind": "jsonl", "path": "/tmp/x", "what": 1}}, "sinks.a: .*`what`"),
        ({f"s{number}": {} for number in range(MAX_SINKS + 1)}, "21 are named; 20 are the most"),
    ],
)
def test_a_wrong_table_is_named(tables: dict[str, dict[str, Any]], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        open_sinks(tables)
