"""A line a revision, added to what is there, and never glued to half a line."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.errors import LenswatchError
from collector.observation import Observation
from rules.alert import Alert
from rules.match import RuleSet
from streams.sinks.jsonl import AlertLines
from tests.streams.command import read_alerts


@pytest.fixture(scope="module")
def alert(rules: RuleSet, observe: Callable[..., Observation]) -> Alert:
    (alert,) = rules.match(observe({"destination.domain": "www.easy4ipcloud.com", "event.dataset": "lenswatch.tls"}))
    return alert


def deliver(path: Path, *alerts: Alert) -> None:
    async def run() -> None:
        sink = AlertLines(str(path))
        await sink.deliver(alerts)
        await sink.close()

    asyncio.run(run())


def test_lines_are_added(tmp_path: Path, alert: Alert) -> None:
    path = tmp_path / "alerts.jsonl"
    deliver(path, alert)
    deliver(path, alert, alert)
    assert read_alerts(path.read_text("utf-8")) == [alert] * 3


def test_half_a_line_of_a_killed_process_swallows_nothing(tmp_path: Path, alert: Alert) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"@timesta')
    deliver(path, alert)
    torn, whole, rest = path.read_text("utf-8").split("\n")
    assert torn == '{"@timesta' and read_alerts(whole) == [alert] and rest == ""


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(LenswatchError, match=f"{tmp_path}: cannot be written: Is a directory"):
        AlertLines(str(tmp_path))
