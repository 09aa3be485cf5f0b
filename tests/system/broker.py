"""A real Apache Kafka broker (KRaft, one node, loopback only) that a test starts, stops, kills and starts again.

The jars are those of `make kafka`, or of the folder that LENSWATCH_TEST_KAFKA_LIBS names. Ports stay the same over a
restart and lie below the ephemeral range, so that no client takes them while the broker is away.
"""

import base64
import contextlib
import dataclasses
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)
START_SECONDS, STOP_SECONDS, ANSWER_MS = 90.0, 30.0, 2000
LOG_TAIL_LINES = 20
JVM = (
    "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
)  # fmt: skip
LOG4J = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
"""
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "4",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.segment.bytes": str(16 << 20),
    "log.retention.bytes": str(512 << 20),
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class BrokerFailed(Exception):
    """The broker ended, or did not answer in time; the text has the end of its log."""


@dataclasses.dataclass(frozen=True)
class Listener:
    """A further listener: `protocol` is SSL, SASL_SSL or SASL_PLAINTEXT; `properties` are the listener's own, without
    the prefix `listener.name.<protocol>.`."""

    protocol: str
    properties: Mapping[str, str]


def find_libs() -> Path | None:
    """The folder of Kafka's jars, when it is there."""
    folder = Path(os.environ.get("LENSWATCH_TEST_KAFKA_LIBS") or ROOT / "out" / "kafka" / "libs")
    return folder if shutil.which("java") and any(folder.glob("kafka_*.jar")) else None


def free_ports(count: int, ports: range = PORTS) -> list[int]:
    """Ports of the loopback address that nobody listens on now."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.SystemRandom().sample(ports, min(200, len(ports))):
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise BrokerFailed(f"no {count} free ports in {ports}")


def cluster_id() -> str:
    """A new id as Kafka writes them: 16 bytes in base 64, without padding, and no dash that looks like an option."""
    return base64.b64encode(uuid.uuid4().bytes, b"__").decode().rstrip("=")


class Broker:
    """One broker with its data in `folder`. `format_options` go to the formatting of the data folder (as --add-scram).

    `address` is host:port of the plain listener, `addresses` that of each listener by protocol.
    """

    def __init__(
        self, folder: Path, libs: Path, listeners: Sequence[Listener] = (), format_options: Sequence[str] = (),
        properties: Mapping[str, str] | None = None, java_options: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._java_options = tuple(java_options)
        self.folder, self._libs, self._listeners = folder, libs, tuple(listeners)
        self._properties = dict(properties or {})
        self._format_options = tuple(format_options)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log4j2.properties").write_text(LOG4J, "utf-8")
        controller, plain, *others = free_ports(2 + len(self._listeners))
        self._ports = {"CONTROLLER": controller, "PLAINTEXT": plain}
        self._ports |= dict(zip((each.protocol for each in self._listeners), others, strict=True))
        self.addresses = {name: f"{LOOPBACK}:{port}" for name, port in self._ports.items() if name != "CONTROLLER"}
        self.address = self.addresses["PLAINTEXT"]
        self.log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> "Broker":
        """Start; the data folder is formatted the first time. Raises BrokerFailed."""
        config = self._write_properties()
        if not (self.folder / "data" / "meta.properties").is_file():
            self._java("kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(config),
                       *self._format_options)  # fmt: skip
        with self.log.open("ab") as log:
            command = [*self._command(), "kafka.Kafka", str(config)]
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Return when the broker answers. Raises BrokerFailed."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                # First whether anyone listens at all: a client would try again more slowly.
                socket.create_connection((LOOPBACK, self._ports["PLAINTEXT"]), 1).close()
                with self.admin() as admin:
                    admin.list_topics()
                return
            except (KafkaError, OSError):
                time.sleep(0.1)
        self.kill()
        tail = "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:])
        raise BrokerFailed(f"the broker at {self.address} does not answer; the end of its log:\n{tail}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL: it is gone at once, with what it had not yet written."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        """It keeps its connections and does not answer any more (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It answers again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @contextlib.contextmanager
    def admin(self) -> "contextlib.AbstractContextManager[KafkaAdminClient]":  # type: ignore[misc]
        """An admin client of the plain listener."""
        client = KafkaAdminClient(
            bootstrap_servers=self.address, bootstrap_timeout_ms=ANSWER_MS, request_timeout_ms=30_000
        )
        try:
            yield client
        finally:
            client.close()

    def create_topic(self, name: str | None = None, partitions: int = 4, **configs: str) -> str:
        """Make a topic (of a name of its own, when none is given); dots in config names are written as underscores."""
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        topic = {
            "num_partitions": partitions,
            "replication_factor": 1,
            "configs": {key.replace("_", "."): value for key, value in configs.items()},
        }
        with self.admin() as admin:
            admin.create_topics({name: topic})
        return name

    def _write_properties(self) -> Path:
        protocols = ["PLAINTEXT", *(each.protocol for each in self._listeners)]
        lines = PROPERTIES | {
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._ports['CONTROLLER']}",
            "listeners": ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in self._ports.items()),
            "advertised.listeners": ",".join(f"{name}://{LOOPBACK}:{self._ports[name]}" for name in protocols),
            "listener.security.protocol.map": ",".join(
                ["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in protocols)]
            ),
            "log.dirs": str(self.folder / "data"),
        }
        for each in self._listeners:
            prefix = f"listener.name.{each.protocol.lower()}."
            lines |= {prefix + key: value for key, value in each.properties.items()}
        lines |= self._properties
        path = self.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()), "utf-8")
        return path

    def _command(self) -> list[str]:
        return [
            "java", *JVM, *self._java_options, f"-Dlog4j2.configurationFile=file:{self.folder / 'log4j2.properties'}",
            f"-Dkafka.logs.dir={self.folder}", "-cp", f"{self._libs}/*",
        ]  # fmt: skip

    def _java(self, *arguments: str) -> str:
        done = subprocess.run([*self._command(), *arguments], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise BrokerFailed(f"{' '.join(arguments[:2])} failed: {done.stdout}{done.stderr}")
        return done.stdout
