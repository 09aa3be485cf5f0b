"""`deploy/native/up` starts the stack that its words promise, and stops all of it."""

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.streams.command import OFFICE, last_revisions, read_alerts, spawn
from tests.system.broker import ROOT
from tests.system.centre import until
from tests.system.monitoring import find_program

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("prometheus_programs")]
PORT = 24_700


def get(path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{path}", timeout=3) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_the_native_stack_comes_up_finds_what_watch_finds_and_goes_down(tmp_path: Path, kafka_libs: Path) -> None:
    program = find_program("prometheus")
    assert program is not None
    variables = {
        "RUN": str(tmp_path / "run"), "PORT": str(PORT), "LENSWATCH_TEST_KAFKA_LIBS": str(kafka_libs),
        "LENSWATCH_PROMETHEUS": str(program.parent),
    }  # fmt: skip
    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [str(ROOT / "deploy" / "native" / "up")], env=os.environ | variables, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip

    def said() -> str:
        return (tmp_path / "up.log").read_text("utf-8")

    lines = tmp_path / "run" / "alerts.jsonl"
    try:
        until(lambda: "everything runs" in said() or up.poll() is not None, 150, "it comes up")
        assert up.poll() is None, said()
        spawn("watch", OFFICE, "--alerts", tmp_path / "watched.jsonl", state=tmp_path)
        wanted = set(last_revisions(read_alerts((tmp_path / "watched.jsonl").read_text("utf-8"))))

        def found() -> int:
            return len(last_revisions(read_alerts(lines.read_text("utf-8")))) if lines.exists() else 0

        until(lambda: found() >= len(wanted), 60, f"{len(wanted)} findings arrive")
        until(lambda: '"severity":"high"' in get(f"{PORT + 3}/api/v2/alerts"), 30, "Alertmanager has them")
        until(lambda: get(f"{PORT + 2}/api/v1/targets").count('"health":"up"') == 3, 60, "Prometheus scrapes all three")
    finally:
        up.send_signal(signal.SIGTERM)
        # Whoever is impatient leaves nothing running either.
        time.sleep(0.5)
        up.send_signal(signal.SIGTERM)
        try:
            up.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(up.pid, signal.SIGKILL)
            up.wait()
    assert up.returncode == 0 and "everything is stopped" in said()
    assert not any(get(f"{PORT + number}/") for number in range(2, 7))
