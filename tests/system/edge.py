"""A collector at the edge as the system tests drive it: packets through a pipe at a pace, and what Kafka has of them.

Every packet is a DNS query of one of DEVICES cameras for a name with its number in it, and makes one observation.
"""

import contextlib
import dataclasses
import functools
import re
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from kafka import KafkaConsumer, TopicPartition

from collector.capture.source import open_source
from collector.heartbeat import Heartbeat
from collector.identify.fingerprint import read_fingerprints
from collector.observation import Observation
from collector.pipeline import Pipeline
from collector.record import RecordHead, partition_key, partition_of, read_head, unpack
from collector.settings import CollectorSettings
from rules.load import load_rules
from tests.streams.command import OFFICE, PROGRAM, environment
from tests.system.broker import Broker

DEVICES = 40
PARTITIONS = 12
BEGAN = 1_762_070_400
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
NAME = re.compile(r"^n(\d{9})\.camera\.example$")
GAP = re.compile(r"everything up to (\S+ \S+), and this one begins at (\S+ \S+): ([\d.]+) s")


def packet(number: int, at: float) -> bytes:
    """A record of a capture: query `number`, at a time in seconds since 1970."""
    device = number % DEVICES
    name = b"\x0an%09d\x06camera\x07example\x00" % number
    dns = struct.pack("!6H", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1)
    udp = struct.pack("!4H", 40_000, 53, 8 + len(dns), 0) + dns
    address = struct.pack("!4B", 10, 0, 1, device)
    ip = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + address + b"\x0a\x00\x00\x35" + udp
    frame = b"\x02\x00\x00\x00\x00\x35" + b"\x3c\xef\x8c\x00\x00" + bytes([device]) + b"\x08\x00" + ip
    seconds, fraction = divmod(at, 1)
    return struct.pack("<4I", int(seconds), int(fraction * 1e6), len(frame), len(frame)) + frame


class Feed:
    """Feeds packets into a pipe, numbered on and on, at a pace; over kills of who reads them. `fed` holds the packet
    time of each number that was written."""

    def __init__(self, rate: float) -> None:
        self.fed: list[float] = []
        self._rate, self._began = rate, time.time()
        self._pipe: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._lock = threading.Lock()

    def attach(self, process: "subprocess.Popen[bytes]") -> None:
        """From here on into this process."""
        assert process.stdin is not None
        with self._lock:
            process.stdin.write(FILE_HEADER)
            self._pipe = process
        if not self._thread.is_alive():
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            with self._lock:
                now = time.time()
                due = range(len(self.fed), int((now - self._began) * self._rate))
                data = b"".join(packet(number, now) for number in due)
                assert self._pipe is not None and self._pipe.stdin is not None
                # Whoever read may have been killed.
                with contextlib.suppress(BrokenPipeError, ValueError):
                    self._pipe.stdin.write(data)
                    self._pipe.stdin.flush()
                self.fed += [now] * len(due)

    def stop(self) -> None:
        """No more."""
        self._stop.set()
        self._thread.join()


@functools.cache
def office_observations() -> int:
    """How many observations the shipped office makes."""
    pipeline = Pipeline(CollectorSettings(), read_fingerprints(), None, load_rules().touches)
    made = sum(len(pipeline.process(block)) for block in open_source(str(OFFICE)).blocks())
    return made + len(pipeline.finish())


@dataclasses.dataclass
class Edge:
    """One sensor: its settings, and the collector process that runs."""

    folder: Path
    servers: str
    topic: str
    heartbeats: str
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def errors(self) -> str:
        """What every collector of this sensor said on standard error."""
        path = self.folder / "errors.txt"
        return path.read_text("utf-8") if path.exists() else ""

    def environment(self) -> dict[str, str]:
        """The settings, as variables."""
        ours = {
            "LENSWATCH_KAFKA_OBSERVATIONS_TOPIC": self.topic, "LENSWATCH_KAFKA_HEARTBEATS_TOPIC": self.heartbeats,
            "LENSWATCH_COLLECTOR_METRICS": "", "LENSWATCH_COLLECTOR_HEARTBEAT_SECONDS": "1",
            "LENSWATCH_SPOOL_DRAIN_SECONDS": "30",
        }  # fmt: skip
        return environment(self.folder, ours | self.settings)

    def command(self, *arguments: str) -> list[str]:
        """The collector's command line."""
        return [str(PROGRAM), "collect", *(arguments or ("-",)), "--kafka", self.servers]

    def run(self, *arguments: str, seconds: float = 90) -> "subprocess.CompletedProcess[str]":
        """Run a collector to its end."""
        return subprocess.run(
            self.command(*arguments), env=self.environment(), capture_output=True, text=True, timeout=seconds,
            check=False,
        )  # fmt: skip

    def start(self) -> "subprocess.Popen[bytes]":
        """Start a collector that reads its standard input."""
        with (self.folder / "errors.txt").open("ab") as errors:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
            )
        return self.process

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self._close()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self._close()

    def finish(self) -> int:
        """The end of its input, which it reads to the end; its exit code."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(120)

    def _close(self) -> int:
        assert self.process is not None and self.process.stdin is not None
        code = self.process.wait(120)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return code

    @property
    def memory_bytes(self) -> int:
        """The collector's resident memory."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
        return 0


@dataclasses.dataclass
class Arrived:
    """What Kafka has: every record by partition, in its order."""

    records: list[tuple[int, RecordHead, list[Observation]]]

    def once(self) -> Iterator[tuple[int, RecordHead, list[Observation]]]:
        """The records without those that came a second time."""
        known = set()
        for partition, head, observations in self.records:
            identity = head.sensor, head.boot_id, head.seq
            if identity not in known:
                known.add(identity)
                yield partition, head, observations

    def numbers(self) -> list[tuple[str, int]]:
        """(device, number) of each query, record by record."""
        found = []
        for _, _, observations in self.once():
            for each in observations:
                match = NAME.match(each.dns.question.name) if each.dns and each.dns.question else None
                if match:
                    assert each.device is not None
                    found.append((each.device.id, int(match[1])))
        return found

    def check(self) -> set[int]:
        """Every record is what its headers say, in its partition, and each device's queries are in order and there
        once. The numbers."""
        last: dict[str, int] = {}
        for device, number in self.numbers():
            assert number > last.get(device, -1), f"{device}: {number} came after {last[device]}"
            last[device] = number
        for partition, head, observations in self.records:
            assert head.count == len(observations) <= 500
            assert {partition_of(partition_key(each), PARTITIONS) for each in observations} == {partition}
        numbers = [number for _, number in self.numbers()]
        assert len(numbers) == len(set(numbers))
        return set(numbers)


def consume(broker: Broker, topic: str) -> Iterator[tuple[int, list[tuple[str, bytes]], bytes]]:
    """Every record of a topic: partition, headers, value."""
    consumer = KafkaConsumer(bootstrap_servers=broker.address, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        places = [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for records in consumer.poll(1000).values():
                yield from ((record.partition, record.headers, record.value) for record in records)
    finally:
        consumer.close()


def read_topic(broker: Broker, topic: str) -> Arrived:
    """What came of the observations."""
    decode = msgspec.json.Decoder(Observation).decode
    return Arrived(
        [
            (partition, read_head(headers), [decode(line) for line in unpack(value)])
            for partition, headers, value in consume(broker, topic)
        ]
    )


def read_heartbeats(broker: Broker, topic: str) -> list[Heartbeat]:
    """The heartbeats, in order."""
    return [msgspec.json.decode(value, type=Heartbeat) for _, _, value in consume(broker, topic)]


def edge_of(broker: Broker, folder: Path, **settings: str) -> Edge:
    """A sensor with topics of its own."""
    topic, heartbeats = broker.create_topic(partitions=PARTITIONS), broker.create_topic(partitions=1)
    return Edge(folder, broker.address, topic, heartbeats, settings)
