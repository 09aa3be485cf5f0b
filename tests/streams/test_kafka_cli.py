"""The commands that speak to Kafka: what is wrong is one line, and never a stack of calls."""

import socket
from pathlib import Path

import pytest

from tests.streams.command import run


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("command", [["worker"], ["topics", "check"], ["topics", "create"], ["alerts"]])
def test_a_broker_that_is_not_there_is_one_line(command: list[str], nobody: str, tmp_path: Path) -> None:
    ran = run(*command, "--kafka", nobody, state=tmp_path)
    (line,) = ran.complaints
    assert ran.code == 1 and line.startswith(f"lenswatch: {nobody}: no broker answers there")


@pytest.mark.parametrize("command", [["worker"], ["topics", "check"], ["topics", "create"]])
def test_no_broker_named_is_a_matter_of_settings(command: list[str], tmp_path: Path) -> None:
    ran = run(*command, state=tmp_path)
    (line,) = ran.complaints
    assert ran.code == 2 and "--kafka HOST:PORT" in line


def test_a_wrong_address_is_named(tmp_path: Path) -> None:
    ran = run("topics", "check", "--kafka", "nowhere", state=tmp_path)
    assert ran.code == 2 and "'nowhere' is no HOST:PORT" in ran.err


def test_a_file_that_alerts_cannot_go_to_is_said_before_anything_begins(nobody: str, tmp_path: Path) -> None:
    ran = run("worker", "--kafka", nobody, "--alerts", tmp_path, state=tmp_path)
    assert ran.code == 1 and f"{tmp_path}: cannot be written" in ran.err


def test_rules_that_are_wrong_are_said_before_anything_begins(nobody: str, tmp_path: Path) -> None:
    ran = run("worker", "--kafka", nobody, "--rules", tmp_path, state=tmp_path)
    assert ran.code == 1 and f"{tmp_path}: holds no rules" in ran.err
