"""A worker's life where no broker is needed: reloading, folders, sinks. The rest is tested on a real broker."""

import asyncio
import copy
import dataclasses
import itertools
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.errors import LenswatchError
from rules.errors import RuleError, RuleErrors
from rules.match import RuleSet
from streams.settings import RulesSettings, Settings
from streams.sinks.jsonl import AlertLines
from streams.watchdog import Progress
from streams.worker import MEASURE_REST, Worker, alert_sink, make_folder, rules_loader


class Running:
    """As much of a centre as a reload touches."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules


def reload(rules: RuleSet, load: Callable[[], RuleSet]) -> tuple[Worker, Any]:
    async def inside() -> tuple[Worker, Any]:
        worker: Any = Worker(Settings(), load, rules, [])
        worker.centre = Running(rules)
        worker.reload()
        worker.reload()
        await worker._reloading
        return worker, worker.centre

    return asyncio.run(inside())


def test_rules_that_are_right_are_taken_and_their_digest_is_told(
    rules: RuleSet, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fresh = rules_loader(Settings(), ())()
    loads: list[int] = []
    worker, centre = reload(rules, lambda: loads.append(1) or fresh)  # type: ignore[func-returns-value]
    assert centre.rules is fresh and loads == [1]
    assert capsys.readouterr().err == f"lenswatch: rules {fresh.digest[:12]} are in force\n"
    read = worker.meters.registry.get_sample_value
    assert read("lenswatch_rules_info", {"digest": fresh.digest}) == 1
    assert read("lenswatch_rules_reloads_total", {"result": "taken"}) == 1


def test_rules_that_are_wrong_change_nothing_and_are_one_line(
    rules: RuleSet, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> RuleSet:
        raise RuleErrors([RuleError("a.toml", "x", "is wrong"), RuleError("b.toml", "y", "is wrong too")])

    worker, centre = reload(rules, load)
    assert centre.rules is rules
    assert capsys.readouterr().err == "lenswatch: the rules stay as they were: a.toml: x: is wrong (and 1 more)\n"
    assert worker.meters.registry.get_sample_value("lenswatch_rules_reloads_total", {"result": "refused"}) == 1


def test_folders_of_settings_and_command_line_are_both_read(tmp_path: Path) -> None:
    settings = Settings(rules=RulesSettings(folders=(tmp_path / "one",)))
    with pytest.raises(RuleErrors) as refused:
        rules_loader(settings, [tmp_path / "two"])()
    assert [error.path.name for error in refused.value.errors] == ["one", "two"]


def test_a_folder_is_made_or_named(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(LenswatchError, match=f"{tmp_path}/file/c: cannot be made: .*folder"):
        make_folder(tmp_path / "file" / "c")


def test_no_sink_is_named_where_none_is_asked_for(tmp_path: Path) -> None:
    assert alert_sink(None) == []
    (sink,) = alert_sink(str(tmp_path / "alerts.jsonl"))
    assert isinstance(sink, AlertLines)
    asyncio.run(sink.close())


class Files:
    """Files of which it is known when they change."""

    is_settling = False

    def __init__(self, *changes: bool) -> None:
        self._changes = iter(changes)

    def changed(self) -> bool:
        return next(self._changes, False)


@pytest.mark.parametrize("changes", [1, 2])
def test_a_file_that_changed_has_the_rules_read_again(rules: RuleSet, changes: int) -> None:
    loads: list[int] = []

    async def inside() -> None:
        settings = Settings(rules=RulesSettings(poll_seconds=0.01))
        worker: Any = Worker(settings, lambda: loads.append(1) or rules, rules, [])  # type: ignore[func-returns-value]
        worker.centre = Running(rules)
        looking = asyncio.create_task(worker._look(Files(False, *([True, False, False] * changes))))
        for _ in range(200):
            await asyncio.sleep(0.02)
            if len(loads) == changes:
                break
        looking.cancel()

    asyncio.run(inside())
    assert len(loads) == changes


def test_a_file_that_changes_while_they_are_read_has_them_read_once_more(rules: RuleSet) -> None:
    loads: list[int] = []
    over = threading.Event()

    def load() -> RuleSet:
        loads.append(1)
        over.wait(10)
        return rules

    async def inside() -> None:
        worker: Any = Worker(Settings(rules=RulesSettings(poll_seconds=0.01)), load, rules, [])
        worker.centre = Running(rules)
        looking = asyncio.create_task(worker._look(Files(True, True)))
        await asyncio.sleep(0.3)
        assert len(loads) == 1
        over.set()
        for _ in range(200):
            await asyncio.sleep(0.02)
            if len(loads) == 2:
                break
        looking.cancel()
        await worker._reloading

    asyncio.run(inside())
    assert len(loads) == 2


def with_indicators(rules: RuleSet, count: int) -> RuleSet:
    changed = copy.copy(rules)
    changed.facts = dataclasses.replace(rules.facts, indicators=(count,))
    changed.digest = str(count)
    return changed


def test_rules_that_lost_half_of_their_indicators_are_taken_only_where_it_is_meant(
    rules: RuleSet, capsys: pytest.CaptureFixture[str]
) -> None:
    _, centre = reload(with_indicators(rules, 1_000), lambda: with_indicators(rules, 400))
    assert centre.rules.digest == "1000" and "[rules] may_shrink = true" in capsys.readouterr().err
    worker: Any = Worker(
        Settings(rules=RulesSettings(may_shrink=True)), lambda: rules, with_indicators(rules, 1_000), []
    )
    worker._succeed(with_indicators(rules, 400), worker.settings.rules.may_shrink)
    assert worker._rules.digest == "400"


def test_the_first_pack_of_the_topic_is_taken_whatever_was_and_the_next_ones_are_compared_with_it(
    rules: RuleSet, capsys: pytest.CaptureFixture[str]
) -> None:
    worker: Any = Worker(Settings(), lambda: rules, with_indicators(rules, 10_000), [])
    for count, may_shrink, stands in ((1_000, False, "1000"), (400, False, "1000"), (401, True, "401")):
        worker._take(with_indicators(rules, count), may_shrink)
        assert worker._rules.digest == stands
    refused = [line for line in capsys.readouterr().err.splitlines() if "stay as they were" in line]
    assert len(refused) == 1 and "rules publish --may-shrink" in refused[0]


def test_a_round_that_waits_for_the_broker_is_no_loop_that_stands_still(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.worker.ROUND_SECONDS", 0.01)

    async def wait(_: float) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        worker: Any = Worker(Settings(), lambda: rules, rules, [])
        app = types.SimpleNamespace(crash_reason=None)
        centre: Any = types.SimpleNamespace(
            progress=Progress(0.0), app=app, stopping=False, is_ready=True, measure=lambda _: None, tick=wait
        )
        loops = [asyncio.create_task(each) for each in (worker._beats(centre), worker._rounds(centre))]
        await asyncio.sleep(0.2)
        first = centre.progress.beat
        await asyncio.sleep(0.2)
        assert 0 < first < centre.progress.beat
        for loop in loops:
            loop.cancel()

    asyncio.run(run())


def test_a_measuring_that_takes_long_is_followed_by_a_long_rest(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.worker.ROUND_SECONDS", 0.001)
    measured: list[float] = []

    def measure(at: float) -> None:
        measured.append(at)
        time.sleep(0.01)

    async def tick(_: float) -> None:
        pass

    async def run() -> None:
        worker: Any = Worker(Settings(), lambda: rules, rules, [])
        app = types.SimpleNamespace(crash_reason=None)
        centre: Any = types.SimpleNamespace(
            progress=Progress(0.0), app=app, stopping=False, is_ready=True, measure=measure, tick=tick
        )
        rounds = asyncio.create_task(worker._rounds(centre))
        while len(measured) < 3:
            await asyncio.sleep(0.01)
        rounds.cancel()

    asyncio.run(run())
    pauses = [later - earlier for earlier, later in itertools.pairwise(measured)]
    assert min(pauses) > MEASURE_REST * 0.01
