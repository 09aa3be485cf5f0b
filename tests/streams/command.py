"""The `lenswatch` command as a test runs it: in this process, or as a program of its own."""

import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import msgspec

from rules.alert import Alert
from streams.cli import run_command

ROOT = Path(__file__).parents[2]
OFFICE = ROOT / "streams" / "demo" / "office.pcap"
PROGRAM = Path(sys.executable).parent / "lenswatch"
SECONDS = 60
OWN_FACT = """
entity = "hikvision"

[[endpoint]]
name = "example.com"
match = "suffix"
role = "cloud"
confidence = "high"
sources = ["own"]
"""
OWN_SOURCE = """
[sources.own]
title = "The makers' letter to us"
kind = "primary_text"
"""
OWN_DETECTION = """
title: Anybody contacts our example
id: 1b6f7d1a-50f3-4f35-9c5b-7f4f0c6c2a11
status: experimental
level: critical
description: Somebody touched an endpoint that our own facts know.
logsource: {product: lenswatch, category: contact, service: tls}
detection:
  ours:
    lenswatch.endpoint.confidence: high
    destination.domain: www.example.com
  condition: ours
lenswatch:
  fold: name
  message: "{device} {called} {destination} of {company}."
  example:
    event: {dataset: lenswatch.tls}
    destination: {ip: 192.0.2.80, domain: www.example.com}
  cases:
    - {name: the example, fires: true}
    - {name: another name, fires: false, change: {destination.domain: www.example.org}}
"""


@dataclasses.dataclass(frozen=True)
class Ran:
    """How a run ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def alerts(self) -> list[Alert]:
        """Standard output as alert lines."""
        return read_alerts(self.out)

    @property
    def complaints(self) -> list[str]:
        """The lines of standard error that are errors."""
        return [line for line in self.err.splitlines() if line.startswith("lenswatch: ")]


def read_alerts(text: str) -> list[Alert]:
    """Alert lines, decoded strictly."""
    return [msgspec.json.decode(line, type=Alert) for line in text.splitlines()]


def last_revisions(alerts: list[Alert]) -> dict[str, Alert]:
    """Each finding as it was told last."""
    return {alert.event.id: alert for alert in alerts}


def environment(state: Path, more: dict[str, str]) -> dict[str, str]:
    """The environment of a run: nothing of the person's own settings, state in a folder of the test."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LENSWATCH_", "COLUMNS"))}
    return kept | {"XDG_STATE_HOME": str(state)} | more


def run(*arguments: object, state: Path, **more: str) -> Ran:
    """The command in this process; `more` are environment variables."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = 0
    with (
        mock.patch.dict(os.environ, environment(state, more), clear=True),
        mock.patch.multiple(sys, argv=["lenswatch", *map(str, arguments)], stdout=out, stderr=err),
    ):
        try:
            code = run_command()
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Ran(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]


def spawn(*arguments: object, state: Path, given: bytes = b"", **more: str) -> Ran:
    """The command as a program, with `given` on standard input."""
    command = [str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(
        command, input=given, env=environment(state, more), capture_output=True, timeout=SECONDS, check=False
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
