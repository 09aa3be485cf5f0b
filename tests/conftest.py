"""How the tests run: the same examples each time, and a skipped test is a failure where a machine runs them.

With CI set in the environment, a test that is skipped and not named in `tests/house/allowed_skips.txt` fails the run: a
check that silently did not happen looks the same as one that passed. Each line there is a node id (or the beginning of
one, up to `::` or the end) and, after two blanks and a #, the reason.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest

ALONE = "mutants"
"""The folder of tests that keep both processors busy."""

ALLOWED_SKIPS = Path(__file__).parent / "house" / "allowed_skips.txt"

# The default finds the same examples each time; `make fuzz` looks for new ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("deep", max_examples=20_000, deadline=None)
hypothesis.settings.load_profile("steady")


def read_allowed_skips(path: Path) -> dict[str, str]:
    """Node id → reason; ValueError names the line that gives none."""
    allowed: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        node_id, _, reason = (part.strip() for part in line.partition("  #"))
        if not reason:
            raise ValueError(f"{path}: line {number}: no reason: write `<node id>  # <why it may be skipped>`")
        allowed[node_id] = reason
    return allowed


def is_allowed(node_id: str, allowed: dict[str, str]) -> bool:
    """True when the node, its test without parameters, or the file around it is on the list."""
    file, _, test = node_id.partition("::")
    return any(name in allowed for name in (node_id, node_id.partition("[")[0], file if test else node_id))


class SkipLaw:
    """Collects what was skipped; at the end, what nobody allowed fails the run."""

    def __init__(self, allowed: dict[str, str]) -> None:
        self.allowed = allowed
        self.broken: list[str] = []

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Remember a skip that is on no list. An expected failure is reported as skipped, and is none."""
        if report.skipped and not hasattr(report, "wasxfail") and not is_allowed(report.nodeid, self.allowed):
            where = report.longrepr
            reason = where[2] if isinstance(where, tuple) else str(where)
            self.broken.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.note(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        if self.broken and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.broken:
            terminalreporter.section("skipped, and not on the list")
            for line in self.broken:
                terminalreporter.line(line)
            terminalreporter.line(f"Make them run, or name them with a reason in {ALLOWED_SKIPS.name}.")


def pytest_configure(config: pytest.Config) -> None:
    """Put the law in force where CI is set."""
    if os.environ.get("CI"):
        config.pluginmanager.register(SkipLaw(read_allowed_skips(ALLOWED_SKIPS)), "skip-law")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What reads interfaces or keeps both processors busy runs by itself (`make pytest`)."""
    for item in items:
        if ALONE in item.path.parts or item.get_closest_marker("root") is not None:
            item.add_marker("alone")


def pytest_report_header() -> Sequence[str]:
    """Say in the run's head whether the known truth will be compared."""
    captures = os.environ.get("LENSWATCH_CAPTURES")
    return [f"captures: {captures or 'LENSWATCH_CAPTURES is not set, tests that need them are skipped'}"]
