"""Rules are built anew beside a watch, taken over in steps, and are in force whole or not at all."""

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.capture.source import open_source
from collector.packets import Block
from rules.errors import RuleError, RuleErrors
from rules.load import load_rules
from rules.match import RuleSet
from streams import renewal as renewing_module
from streams.local import LocalWatch
from streams.renewal import Plan, Renewal, renewal_for, renewing
from streams.rule_files import RuleFiles
from streams.settings import RulesSettings, Settings
from streams.watch_metrics import WatchMeters
from tests.streams.command import OFFICE

SECONDS = 30.0
FACTS = """entity = "hikvision"
[[list]]
file = "names.txt"
role = "cloud"
confidence = "low"
match = "suffix"
sources = ["ours"]
"""


class Office:
    """A folder of rules, the rules in force, and a renewal of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = folder / "facts" / "endpoints" / "names.txt"
        self.names.parent.mkdir(parents=True)
        (folder / "facts" / "sources.toml").write_text('[sources.ours]\ntitle = "t"\nkind = "note"\n', "utf-8")
        (folder / "facts" / "endpoints" / "hikvision.toml").write_text(FACTS, "utf-8")
        self.write("one", 1_000)
        self.refused: list[str] = []

    def write(self, first: str, count: int) -> None:
        """Another list, exchanged at once."""
        fresh = self.folder / "fresh"
        fresh.write_text("\n".join([f"{first}.example", *(f"n{number}.example" for number in range(count))]), "utf-8")
        fresh.replace(self.names)

    @contextlib.contextmanager
    def begun(
        self, load: Callable[[], RuleSet] | None = None, poll_seconds: float = 0.1, may_shrink: bool = False
    ) -> Iterator[Renewal]:
        plan = Plan(load or (lambda: load_rules([self.folder])), RuleFiles([self.folder]), poll_seconds, may_shrink)
        renewal = Renewal(plan)
        renewal.begin(load_rules([self.folder]))
        try:
            yield renewal
        finally:
            renewal.close()

    def comes(self, renewal: Renewal) -> RuleSet:
        """The rules that come next."""
        found = self.waits(renewal, lambda rules: rules)
        assert found is not None
        return found

    def is_refused(self, renewal: Renewal) -> str:
        """Why none do."""
        before = len(self.refused)
        assert self.waits(renewal, lambda rules: rules or self.refused[before:]) is None
        return self.refused[-1]

    def waits(self, renewal: Renewal, done: Callable[[RuleSet | None], object]) -> RuleSet | None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            rules = renewal.step(False, self.refused.append)
            if done(rules):
                return rules
            time.sleep(0.01)
        raise AssertionError(f"nothing came: {self.refused}")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "rules")


def knows(rules: RuleSet, name: str) -> bool:
    return rules.endpoints.match_name(name) is not None


def test_a_file_that_changed_brings_new_rules_by_itself_again_and_again(office: Office) -> None:
    with office.begun() as renewal:
        for before, after in (("one", "two"), ("two", "three")):
            office.write(after, 1_000)
            rules = office.comes(renewal)
            assert knows(rules, f"{after}.example") and not knows(rules, f"{before}.example")
            assert rules.digest == load_rules([office.folder]).digest
    assert office.refused == []


def test_sighup_has_them_read_again_where_no_file_is_looked_at(office: Office) -> None:
    before = signal.getsignal(signal.SIGHUP)
    with office.begun(poll_seconds=0) as renewal:
        office.write("two", 1_000)
        time.sleep(0.5)
        assert renewal.step(True, office.refused.append) is None
        os.kill(os.getpid(), signal.SIGHUP)
        assert knows(office.comes(renewal), "two.example")
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_bad_pack_is_one_line_and_the_next_good_one_is_taken(office: Office) -> None:
    with office.begun() as renewal:
        office.write("not a name", 1_000)
        assert office.is_refused(renewal) == (
            f"{office.names}: line 1: 'not a name.example' is no host name; each line is one name or network"
        )
        office.write("two", 1_000)
        assert knows(office.comes(renewal), "two.example")
    assert len(office.refused) == 1


def test_half_of_the_indicators_may_go_and_no_more_unless_it_is_meant(office: Office) -> None:
    with office.begun() as renewal:
        office.write("two", 499)
        assert "more than half of the indicators would go (1,001 in force, 500 in the new pack)" in office.is_refused(
            renewal
        )
        office.write("two", 500)
        assert knows(office.comes(renewal), "two.example")
        # What is compared with is what is in force now.
        office.write("three", 250)
        assert knows(office.comes(renewal), "three.example")
    with office.begun(may_shrink=True) as renewal:
        office.write("four", 0)
        assert knows(office.comes(renewal), "four.example")


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            "the process that built them ended before it was done (signal 9)",
        ),
        (lambda: os._exit(7), "the process that built them ended before it was done (code 7)"),
        (lambda: 1 / 0, "division by zero"),
        (lambda: bytearray(1 << 62), "MemoryError()"),
    ],
)
def test_a_build_that_fails_or_is_killed_is_a_line_and_the_next_one_is_made(
    office: Office, fail: Callable[[], object], words: str, tmp_path: Path
) -> None:
    failing = tmp_path / "failing"
    failing.touch()

    def load() -> RuleSet:
        if failing.exists():
            fail()
        return load_rules([office.folder])

    with office.begun(load) as renewal:
        renewal.ask()
        assert office.is_refused(renewal) == words
        failing.unlink()
        renewal.ask()
        assert office.comes(renewal).digest == load_rules([office.folder]).digest


def test_a_builder_that_is_gone_is_said_once(office: Office) -> None:
    with office.begun() as renewal:
        assert renewal._process is not None
        os.kill(renewal._process, signal.SIGKILL)
        assert "has ended; to have them read again, start anew" in office.is_refused(renewal)
        renewal.ask()
        assert renewal.step(True, office.refused.append) is None
    assert len(office.refused) == 1


def test_nothing_is_left_running_and_a_build_under_way_is_ended(office: Office, tmp_path: Path) -> None:
    started = tmp_path / "started"

    def load() -> RuleSet:
        started.write_text(str(os.getpid()), "utf-8")
        time.sleep(SECONDS)
        raise AssertionError

    with office.begun(load) as renewal:
        builder = renewal._process
        renewal.ask()
        office.waits(renewal, lambda _: started.exists() and started.read_text("utf-8"))
    for process in (builder, int(started.read_text("utf-8"))):
        assert process is not None and not Path(f"/proc/{process}").exists()


def test_a_step_takes_no_longer_than_a_moment(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing_module, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(renewing_module, "IDLE_STEP_SECONDS", 0.0)
    with office.begun(poll_seconds=0) as renewal:
        renewal.ask()
        office.waits(renewal, lambda _: renewal._assembly is not None)
        assert all(renewal.step(True, office.refused.append) is None for _ in range(100))


def test_what_was_found_before_goes_on_under_the_new_rules_with_the_same_ids(office: Office, rules: RuleSet) -> None:
    plain = LocalWatch(Settings(), rules).watch([open_source(str(OFFICE))])

    class Cut:
        name, size_bytes = "office", None

        def blocks(self) -> Iterator[Block]:
            for block in open_source(str(OFFICE)).blocks():
                yield from block.spans(10**9)

    other = load_rules([office.folder])
    turns = itertools.cycle((other, rules))
    local = LocalWatch(Settings(), rules)
    local.renew = lambda block: next(turns)
    run = local.watch([Cut()])
    assert plain.alerts.keys() == run.alerts.keys()
    for id, alert in plain.alerts.items():
        one, again = alert.lenswatch, run.alerts[id].lenswatch
        assert (one.count, one.revision, one.steps) == (again.count, again.revision, again.steps)
    assert {alert.rule.ruleset for alert in run.alerts.values()} == {rules.digest, other.digest}
    assert not run.open_sums()


def test_a_watch_says_and_counts_what_becomes_of_its_rules(office: Office, rules: RuleSet) -> None:
    settings = Settings(rules=RulesSettings(folders=(office.folder,), poll_seconds=0.1))
    stack = contextlib.ExitStack()
    renewal = renewal_for(stack, settings, ["-"], (), None)
    assert renewal is not None
    meters, said = WatchMeters(rules), list[object]()
    local = LocalWatch(settings, load_rules([office.folder]))
    (block, *_) = open_source(str(OFFICE)).blocks()
    value = meters.registry.get_sample_value

    def until(words: str) -> None:
        end = time.monotonic() + SECONDS
        while not any(words in str(each) for each in said):
            assert local.renew is not None and time.monotonic() < end, said
            local.rules = local.renew(block) or local.rules
            time.sleep(0.01)

    with stack, renewing(renewal, local, meters, said.append):
        office.write("no name", 1_000)
        until(f"the rules stay as they were: {office.names}: line 1: ")
        office.write("two", 1_000)
        until("are in force")
    assert knows(local.rules, "two.example") and local.renew is None
    assert said[-1] == f"rules {local.rules.digest[:12]} are in force" and len(said) == 2
    assert value("lenswatch_rules_reloads_total", {"result": "taken"}) == 1
    assert value("lenswatch_rules_reloads_total", {"result": "refused"}) == 1
    assert value("lenswatch_rules_info", {"digest": local.rules.digest}) == 1


def test_what_ends_has_no_renewal(rules: RuleSet) -> None:
    assert renewal_for(contextlib.ExitStack(), Settings(), [str(OFFICE)], (), None) is None
    with renewing(None, LocalWatch(Settings(), rules), None, pytest.fail):
        pass


def test_all_that_is_wrong_is_told_in_one_line(office: Office) -> None:
    def load() -> RuleSet:
        raise RuleErrors([RuleError("a", "x", "is wrong"), RuleError("b", "y", "is too")])

    with office.begun(load, poll_seconds=0) as renewal:
        renewal.ask()
        assert office.is_refused(renewal) == "a: x: is wrong (and 1 more)"
