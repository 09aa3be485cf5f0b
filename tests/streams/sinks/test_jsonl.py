"""A line a revision, added to what is there, and never glued to half a line."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError, SettingsError
from rules.alert import Alert
from streams.sinks.jsonl import AlertLines
from streams.sinks.sink import Undelivered
from tests.streams.command import read_alerts


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


def test_a_file_that_grows_is_put_aside_and_only_so_many_stay(
    tmp_path: Path, alerts_of: Callable[..., list[Alert]]
) -> None:
    path = tmp_path / "alerts.jsonl"
    alerts = alerts_of(40)
    size = len(msgspec.json.encode(alerts[0])) + 1
    sink = AlertLines.build("lines", {"path": str(path), "max_bytes": 10 * size + size // 2, "keep": 2})

    async def run() -> None:
        for alert in alerts:
            await sink.deliver([alert])
        await sink.close()

    asyncio.run(run())
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == ["alerts.jsonl", "alerts.jsonl.1", "alerts.jsonl.2"]
    kept = [read_alerts((tmp_path / name).read_text("utf-8")) for name in reversed(files)]
    assert [alert for file in kept for alert in file] == alerts[10:]
    assert all(each.stat().st_size <= 10 * size + size // 2 for each in tmp_path.iterdir())


def test_a_full_disk_is_tried_again(alert: Alert) -> None:
    sink = AlertLines("/dev/full", "full")
    for _ in range(2):
        with pytest.raises(Undelivered, match="/dev/full: cannot be written: No space left on device"):
            asyncio.run(sink.deliver([alert]))
    asyncio.run(sink.close())


def test_a_file_that_others_moved_away_is_begun_anew(tmp_path: Path, alert: Alert) -> None:
    path = tmp_path / "alerts.jsonl"
    sink = AlertLines.build("lines", {"path": str(path)})

    async def run() -> None:
        await sink.deliver([alert])
        path.rename(tmp_path / "moved")
        await sink.deliver([alert, alert])
        await sink.close()

    asyncio.run(run())
    assert len(read_alerts((tmp_path / "moved").read_text("utf-8"))) == 1
    assert len(read_alerts(path.read_text("utf-8"))) == 2


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({}, "path"),
        ({"path": "/nowhere/at/all"}, "/nowhere/at/all: cannot be written"),
        ({"path": "/tmp/x", "keep": 0}, "keep less than 1"),
    ],
)
def test_a_wrong_table_is_refused(table: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        AlertLines.build("lines", table)
