"""From packets to alerts while collector, broker and worker are killed in turn: nothing lost, nothing told twice.

Five rounds; LENSWATCH_CHAOS_ROUNDS says how many, LENSWATCH_CHAOS_SEED in which order.
"""

import contextlib
import os
import random
import re
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rules.alert import Alert
from tests.streams.command import OFFICE, PROGRAM, environment, spawn
from tests.system.broker import Broker, free_ports
from tests.system.centre import Centre, centre_at, until

pytestmark = [pytest.mark.system, pytest.mark.alone]

ROUNDS = int(os.environ.get("LENSWATCH_CHAOS_ROUNDS", "5"))
SEED = int(os.environ.get("LENSWATCH_CHAOS_SEED", "17"))
VICTIMS = ("collector", "broker", "worker")
DAY_SECONDS = 86_400
HEADER_BYTES = 24


def days_of_office(day: int) -> list[bytes]:
    """The packets of the small office as they would be so many days later, each with its record header."""
    data, place, packets = OFFICE.read_bytes(), HEADER_BYTES, []
    while place < len(data):
        seconds, rest, kept, whole = struct.unpack_from("<IIII", data, place)
        end = place + 16 + kept
        packets.append(struct.pack("<IIII", seconds + day * DAY_SECONDS, rest, kept, whole) + data[place + 16 : end])
        place = end
    return packets


class Collector:
    """`lenswatch collect` with packets on its standard input, and the spool of those before it."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._config = centre.folder / "collector.toml"
        (self._port,) = free_ports(1)
        metrics = f'[collector]\nmetrics = "127.0.0.1:{self._port}"\n'
        self._config.write_text(centre.config.read_text("utf-8") + metrics, "utf-8")
        self.start()

    def start(self) -> None:
        """Start, and begin a capture."""
        with (self._centre.folder / "collector.err").open("ab") as errors:
            self.process = subprocess.Popen(
                [str(PROGRAM), "collect", "-", "--config", str(self._config)],
                env=environment(self._centre.folder, {}), stdin=subprocess.PIPE, stdout=errors, stderr=errors,
            )  # fmt: skip
        self._fed = -1
        self.feed([OFFICE.read_bytes()[:HEADER_BYTES]])

    def feed(self, packets: list[bytes]) -> None:
        """Give it packets."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(packets))
        self.process.stdin.flush()
        self._fed += len(packets)

    def wait_read(self) -> None:
        """Return when it has read all that it was given, and had the time to spool it (200 ms, as it declares)."""
        until(lambda: self._packets() >= self._fed, 60, f"{self._fed} packets are read")
        time.sleep(1)

    def _packets(self) -> float:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics") as answer:
            (line,) = re.findall(r"^lenswatch_collector_packets_total\S* (\S+)", answer.read().decode(), re.MULTILINE)
            return float(line)
        return -1

    def kill(self) -> None:
        """SIGKILL, and the packets that it had not read are gone."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> int:
        """No more packets will come; the exit code once everything is sent."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(90)


def embedded(folder: Path, days: list[int]) -> dict[str, Alert]:
    """What the embedded shape tells of these days, read one after another."""
    capture, told = folder / f"days-{days[0]}-{len(days)}.pcap", folder / f"told-{days[0]}-{len(days)}.jsonl"
    capture.write_bytes(OFFICE.read_bytes()[:HEADER_BYTES] + b"".join(b"".join(days_of_office(day)) for day in days))
    ran = spawn("watch", capture, "--alerts", told, state=folder)
    assert ran.code == 0, ran.err
    alerts = [msgspec.json.decode(line, type=Alert) for line in told.read_bytes().splitlines()]
    return {alert.event.id: alert for alert in alerts}


@pytest.fixture
def mortal(kafka_libs: Path, tmp_path: Path) -> Iterator[Broker]:
    """A broker of its own, since it will be killed."""
    broker = Broker(tmp_path / "kafka", kafka_libs).start()
    yield broker
    broker.stop()


def test_whoever_is_killed_under_load_no_alert_is_lost_or_told_twice(mortal: Broker, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    order = [victim for _ in range(ROUNDS) for victim in chance.sample(VICTIMS, 3)][:ROUNDS]
    # Days that are over, whatever the clock says when this runs: a finding ends when its day has.
    days = [-2 * ROUNDS + number for number in range(ROUNDS)]
    with centre_at(mortal.address, tmp_path / "centre", settle_seconds=3.0) as centre:
        centre.worker("w1").wait_ready()
        collector = Collector(centre)
        for day, victim in zip(days, order, strict=True):
            packets = days_of_office(day)
            if victim == "collector":
                collector.wait_read()
            collector.feed(packets[: len(packets) // 2])
            if victim == "collector":
                collector.kill()
                collector.start()
                # What it had read and not yet spooled is gone, as it says; the day is shown to the next one whole.
                collector.feed(packets)
                continue
            if victim == "broker":
                mortal.kill()
                collector.feed(packets[len(packets) // 2 :])
                mortal.start()
            else:
                centre.workers[-1].kill()
                collector.feed(packets[len(packets) // 2 :])
            if centre.workers[-1].process.poll() is not None:
                centre.worker("w1").wait_ready()
        assert collector.end() == 0, (centre.folder / "collector.err").read_text("utf-8")
        centre.wait_done(120 + 10 * ROUNDS)
        told, records = centre.told(), centre.read(centre.alerts_topic)
    fresh = {key for day in days for key in embedded(tmp_path, [day])}
    whole = set(embedded(tmp_path, days))
    assert not fresh - set(told), f"{order}: {len(fresh - set(told))} of {len(fresh)} alerts are lost"
    assert set(told) <= fresh | whole
    news: dict[tuple[str, int], bytes] = {}
    for record in records:
        alert = msgspec.json.decode(record.value, type=Alert)
        assert news.setdefault((alert.event.id, alert.lenswatch.revision), record.value) == record.value
