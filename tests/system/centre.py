"""The centre as a system test runs it: topics and a group of its own on a real broker, and workers as processes."""

import contextlib
import dataclasses
import signal
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from collector.observation import Observation
from collector.record import RecordHead, pack, partition_key, partition_of, write_head
from rules.alert import Alert
from streams.worker import ROUND_SECONDS
from tests.streams.command import PROGRAM, environment, read_alerts, spawn
from tests.system.broker import free_ports

READY_SECONDS, END_SECONDS = 60.0, 40.0
Record = tuple[int, list[tuple[str, bytes]], bytes]


def until(holds: Callable[[], Any], seconds: float, words: str, every: float = 0.1) -> Any:
    """The first true answer; fails with these words when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = holds()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"not within {seconds:.0f} s: {words}")


class Worker:
    """One worker process. `port` is where its metrics are; who comes after it has the same."""

    def __init__(
        self, name: str, config: Path, folder: Path, more: Sequence[object] = (), variables: Mapping[str, str] = {},
        port: int | None = None,
    ) -> None:  # fmt: skip
        self.name, self.port = name, port or free_ports(1)[0]
        self.errors, self.alerts_file = folder / f"{name}.err", folder / f"{name}.jsonl"
        own = {"LENSWATCH_WORKER_METRICS_PORT": str(self.port), "LENSWATCH_WORKER_INSTANCE": f'"{name}"'}
        command = [str(PROGRAM), "worker", "--config", str(config), "--alerts", str(self.alerts_file), *map(str, more)]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                env=environment(folder, own | dict(variables)),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )

    def get(self, path: str) -> str | None:
        """What the worker answers over HTTP; None when it does not, or not well."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return None

    def wait_ready(self) -> "Worker":
        """Return when the worker has its partitions."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"the worker ended: {self.said()}"
            return self.get("/readyz") is not None

        until(is_ready, READY_SECONDS, f"the worker is ready; it said: {self.said()}")
        return self

    def metric(self, name: str, labels: str = "") -> float:
        """One metric's value, summed over its labels (those that contain `labels`); 0 when there is none."""
        # Of this one only: to write them all costs the worker more than a record does.
        lines = (self.get(f"/metrics?name%5B%5D=lenswatch_{name}") or "").splitlines()
        rows = [line.rpartition(" ") for line in lines if line.startswith(f"lenswatch_{name}")]
        return sum(float(value) for key, _, value in rows if key.split("{")[0] == f"lenswatch_{name}" and labels in key)

    def said(self) -> str:
        """Its standard error."""
        return self.errors.read_text("utf-8", "replace")[-3000:]

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS)

    def alerts(self) -> list[Alert]:
        """What its sink was given, whole lines only."""
        if not self.alerts_file.exists():
            return []
        lines = self.alerts_file.read_text("utf-8").splitlines()
        return read_alerts("\n".join(line for line in lines if line.endswith("}")))


@dataclasses.dataclass
class Centre:
    """Topics of its own on a broker, a settings file that names them, and the workers that were started."""

    address: str
    folder: Path
    partitions: int = 4
    settle_seconds: float = 2.0
    more: str = ""
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex[:8]
        self.observations, self.alerts_topic, self.dead = f"{name}.seen", f"{name}.alerts", f"{name}.dead"
        self.rules, self.replay = f"{name}.rules", f"{name}.replay"
        self.group = f"{name}-workers"
        self.config = self.folder / "lenswatch.toml"
        self.config.write_text(
            f'[kafka]\nservers = "{self.address}"\npartitions = {self.partitions}\n'
            f'observations_topic = "{self.observations}"\nheartbeats_topic = "{name}.beats"\n'
            f'evidence_topic = "{name}.evidence"\n'
            f'[worker]\ngroup = "{self.group}"\nalerts_topic = "{self.alerts_topic}"\n'
            f'dead_letters_topic = "{self.dead}"\nrules_topic = "{self.rules}"\nreplay_topic = "{self.replay}"\n'
            f"settle_seconds = {self.settle_seconds}\n"
            f"commit_seconds = 0.5\nsession_seconds = 6\nstall_seconds = 12\n{self.more}\n",
            "utf-8",
        )
        self.workers: list[Worker] = []
        self.seq = 0
        made = spawn("topics", "create", "--config", self.config, state=self.folder)
        assert made.code == 0, made.err
        self.producer = KafkaProducer(
            bootstrap_servers=self.address,
            compression_type="zstd",
            linger_ms=5,
            delivery_timeout_ms=120_000,
            max_request_size=8 << 20,
        )

    def worker(self, name: str, *more: object) -> Worker:
        """Start a worker."""
        before = next((worker.port for worker in self.workers if worker.name == name), None)
        worker = Worker(name, self.config, self.folder, more, self.variables, before)
        self.workers.append(worker)
        return worker

    def records(self, observations: Iterable[Observation], size: int = 500, boot: str = "0a") -> list[Record]:
        """Observations as the collector batches them: by partition, numbered over all of them."""
        encode = msgspec.json.Encoder().encode
        lines: dict[int, list[bytes]] = {}
        records: list[Record] = []

        def close(number: int) -> None:
            batch = lines.pop(number)
            head = RecordHead(sensor="test", boot_id=boot, seq=self.seq, count=len(batch))
            self.seq += 1
            records.append((number, write_head(head), pack(batch)))

        for observation in observations:
            number = partition_of(partition_key(observation), self.partitions)
            lines.setdefault(number, []).append(encode(observation))
            if len(lines[number]) >= size:
                close(number)
        for number in list(lines):
            close(number)
        return records

    def send(self, records: Iterable[Record], rate: float | None = None) -> None:
        """Put records on the topic and wait until the broker has them; at most `rate` a second."""
        began = time.monotonic()
        for count, (number, headers, value) in enumerate(records):
            if rate is not None:
                time.sleep(max(0.0, began + count / rate - time.monotonic()))
            self.producer.send(self.observations, value=value, partition=number, headers=headers)
        self.producer.flush(120)

    def read(self, topic: str) -> list[Any]:
        """Every record of a topic now."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.address, enable_auto_commit=False, auto_offset_reset="earliest", group_id=None
        )
        try:
            places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            consumer.assign(places)
            ends = consumer.end_offsets(places)
            found: list[Any] = []
            until_end = time.monotonic() + 30
            while any(consumer.position(place) < ends[place] for place in places):
                assert time.monotonic() < until_end, f"{topic} cannot be read to its end"
                for rows in consumer.poll(timeout_ms=300).values():
                    found += rows
            return found
        finally:
            consumer.close()

    def told(self) -> dict[str, Alert]:
        """The alerts as the alerts topic has them: the last revision of each."""
        last: dict[str, Alert] = {}
        for record in self.read(self.alerts_topic):
            alert = msgspec.json.decode(record.value, type=Alert)
            known = last.get(alert.event.id)
            if known is None or alert.lenswatch.revision >= known.lenswatch.revision:
                last[alert.event.id] = alert
        return last

    def supervise(self) -> None:
        """Start again who has ended by itself, as a supervisor does."""
        newest = {worker.name: worker for worker in self.workers}
        for place, worker in enumerate(self.workers):
            # One of a name: two with the same instance put each other out of the group for ever.
            if worker.process.poll() == 1 and newest[worker.name] is worker:
                self.workers[place] = Worker(worker.name, self.config, self.folder, (), self.variables, worker.port)

    def wait_done(self, seconds: float = 60.0) -> None:
        """Return when nothing waits on the observations topic and every finding has settled."""
        done_at: float | None = None

        def is_done() -> bool:
            # The gauges are as old as the worker's last round: only what stays so for more than one is so.
            nonlocal done_at
            if not looks_done():
                done_at = None
            elif done_at is None:
                done_at = time.monotonic()
            return done_at is not None and time.monotonic() - done_at > 2 * ROUND_SECONDS

        def looks_done() -> bool:
            self.supervise()
            alive = [worker for worker in self.workers if worker.process.poll() is None]
            return (
                bool(alive)
                and all(worker.metric("findings_open") == 0 and worker.get("/readyz") is not None for worker in alive)
                and self.lag() == 0
            )

        try:
            until(is_done, seconds, "everything is read and settled", 0.3)
        except AssertionError as error:
            states = [f"{worker.get('/metrics')}\n{worker.said()}" for worker in self.workers[-2:]]
            raise AssertionError("\n".join((f"{error}; lag {self.lag()}", *states))) from None

    def lag(self) -> int:
        """How many records of both topics the group has not committed yet."""
        from kafka.admin import KafkaAdminClient

        admin = KafkaAdminClient(bootstrap_servers=self.address, bootstrap_timeout_ms=5000)
        consumer = KafkaConsumer(bootstrap_servers=self.address, group_id=None, enable_auto_commit=False)
        try:
            offsets = admin.list_group_offsets({self.group: None})[self.group]
            places = [
                TopicPartition(topic, number)
                for topic in (self.observations, self.alerts_topic)
                for number in range(self.partitions)
            ]
            ends = consumer.end_offsets(places)
            done = {place: offsets[place].offset if place in offsets else 0 for place in places}
            return sum(ends[place] - max(0, done[place]) for place in places)
        finally:
            consumer.close()
            admin.close()

    def close(self) -> None:
        """Kill what is left."""
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
        self.producer.close(timeout=5)


@contextlib.contextmanager
def centre_at(address: str, folder: Path, **more: Any) -> Iterator[Centre]:
    """A centre for the time of a test."""
    centre = Centre(address, folder, **more)
    try:
        yield centre
    finally:
        centre.close()
