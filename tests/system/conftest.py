"""What the system tests share: one real Kafka broker a run."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.observation import Observation
from rules.alert import Alert
from rules.load import load_rules
from tests.streams.command import OFFICE, last_revisions, spawn
from tests.streams.told import one_alert
from tests.system.broker import Broker, find_libs
from tests.system.centre import Centre, centre_at
from tests.system.monitoring import NAMES, find_program
from tests.system.syslogd import find_folder


@pytest.fixture(scope="session")
def kafka_libs() -> Path:
    """The folder of Kafka's jars. Without them a person's run skips, and a machine's run fails."""
    libs = find_libs()
    if libs is not None:
        return libs
    missing = "no Kafka here: type 'make kafka' (Java 17 and Maven), or name their folder in LENSWATCH_TEST_KAFKA_LIBS"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def broker(kafka_libs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for the whole run: tests make topics and groups of their own. To break one, make one of your own."""
    broker = Broker(tmp_path_factory.mktemp("kafka"), kafka_libs).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def chaos_rounds() -> int:
    """How often everything is killed: a few times in CI, many in a soak (LENSWATCH_SOAK)."""
    return 30 if os.environ.get("LENSWATCH_SOAK") else 3


@pytest.fixture(scope="session")
def outage_seconds() -> float:
    """How long a broker is away."""
    return 60 if os.environ.get("LENSWATCH_SOAK") else 12


@pytest.fixture(scope="session")
def prometheus_programs() -> None:
    """Prometheus, promtool, Alertmanager and amtool. Without them a person's run skips, and a machine's run fails."""
    missing = [name for name in NAMES if find_program(name) is None]
    if not missing:
        return
    words = f"no {', '.join(missing)} here: type 'make prometheus', or name a folder in LENSWATCH_PROMETHEUS"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="session")
def syslog_program() -> None:
    """rsyslog. Without it a person's run skips, and a machine's run fails."""
    if find_folder() is not None:
        return
    words = "no rsyslog here: type 'make syslog', or name a folder in LENSWATCH_SYSLOG"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="session")
def alert() -> Alert:
    """An alert of the shipped rules."""
    return one_alert(load_rules())


@pytest.fixture
def centre(broker: Broker, tmp_path: Path) -> Iterator[Centre]:
    """Topics of its own on the broker of the run."""
    with centre_at(broker.address, tmp_path / "centre") as made:
        yield made


@pytest.fixture(scope="session")
def embedded_office(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Observation], dict[str, Alert]]:
    """What the embedded shape sees of the small office, and the last revision of each alert that it tells."""
    folder = tmp_path_factory.mktemp("embedded")
    seen, told = folder / "seen.jsonl", folder / "told.jsonl"
    ran = spawn("watch", OFFICE, "--observations", seen, "--alerts", told, state=folder)
    assert ran.code == 0, ran.err
    observations = [msgspec.json.decode(line, type=Observation) for line in seen.read_bytes().splitlines()]
    return observations, last_revisions(
        [msgspec.json.decode(line, type=Alert) for line in told.read_bytes().splitlines()]
    )
