"""Observations as lines of JSON: whole lines, at once, and one line of words when they cannot be written."""

import datetime
import json
import subprocess
import sys
from pathlib import Path

import pytest

from collector.errors import LenswatchError
from collector.observation import Endpoint, Event, Network, Observation, Observer
from collector.publish.jsonl import JsonLines

WRITE_TO_STANDARD_OUTPUT = """
import sys
from collector.publish.jsonl import JsonLines
from collector.observation import Observer
lines = JsonLines("-")
lines.write([Observer(name="one")])
lines.close()
print("still open")
"""


def observation(number: int, domain: str | None = None) -> Observation:
    return Observation(
        timestamp=datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC),
        event=Event(kind="event", dataset="lenswatch.dns", id=str(number)),
        observer=Observer(name="sensor"),
        source=Endpoint(ip="10.0.0.1"),
        destination=Endpoint(ip="192.0.2.1", domain=domain),
        network=Network(transport="udp", type="ipv4", community_id="1:x"),
    )


def test_every_observation_is_a_line_of_its_own_and_there_when_publish_returns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = JsonLines(str(path))
    lines.publish([observation(1), observation(2)])
    assert [json.loads(line)["event"]["id"] for line in path.read_text().splitlines()] == ["1", "2"]
    lines.publish([observation(3)])
    lines.close()
    text = path.read_text()
    assert text.count("\n") == 3 and text.endswith("\n")


def test_a_name_with_a_line_break_stays_on_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = JsonLines(str(path))
    lines.publish([observation(1, "a\nb\u2028c")])
    lines.close()
    assert path.read_bytes().count(b"\n") == 1
    assert json.loads(path.read_text())["destination"]["domain"] == "a\nb\u2028c"


def test_nothing_published_is_nothing_written(tmp_path: Path) -> None:
    lines = JsonLines(str(tmp_path / "a.jsonl"))
    lines.publish([])
    lines.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_a_file_that_cannot_be_written_is_one_line_of_words(tmp_path: Path) -> None:
    with pytest.raises(LenswatchError, match=r"a\.jsonl: cannot be written: No such file or directory"):
        JsonLines(str(tmp_path / "missing" / "a.jsonl"))
    with pytest.raises(LenswatchError, match="cannot be written: Is a directory"):
        JsonLines(str(tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_of_words() -> None:
    lines = JsonLines("/dev/full")
    with pytest.raises(LenswatchError, match="/dev/full: cannot be written: No space left"):
        lines.publish([observation(1)])
    with pytest.raises(LenswatchError, match="/dev/full: cannot be written: No space left"):
        lines.close()


def test_standard_output_stays_open() -> None:
    done = subprocess.run([sys.executable, "-c", WRITE_TO_STANDARD_OUTPUT], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().splitlines() == ['{"name":"one"}', "still open"]
