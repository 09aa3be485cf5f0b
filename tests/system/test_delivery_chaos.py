"""Receiver, worker and broker die: every revision arrives, and what comes twice is the same twice."""

import os
import statistics
import threading
import time
from pathlib import Path

import pytest

from collector.observation import Observation
from rules.alert import Alert
from rules.check import read_example
from tests.streams.dispatch.carrying import SECRET
from tests.streams.receiver import Got, Receiver
from tests.streams.told import CAMERA
from tests.system.broker import Broker
from tests.system.centre import centre_at, until

pytestmark = pytest.mark.system
DEVICES = 40
NAMES = ("www.easy4ipcloud.com", "litedev.hik-connect.com", "time.ezviz.com", "dev.eu.ezvizlife.com")


def seen(number: int, name: str) -> Observation:
    """A camera's call."""
    return read_example(
        CAMERA,
        {
            "event.id": f"{number:08d}{name}", "destination.domain": name, "event.dataset": "lenswatch.tls",
            "source": {"ip": f"10.0.{number // 250}.{number % 250 + 1}", "port": 40_000},
            "device.id": f"site/{number}",
        },
    )  # fmt: skip


def told_on_topic(records: list[Alert]) -> set[str]:
    return {f"{alert.event.id}-{alert.lenswatch.revision}" for alert in records}


@pytest.fixture
def receiver_away_seconds() -> float:
    """How long the receiver is away: half a minute, two in a soak."""
    return 120.0 if os.environ.get("LENSWATCH_SOAK") else 30.0


def test_every_revision_arrives_through_the_death_of_receiver_worker_and_broker(
    tmp_path: Path, kafka_libs: Path, receiver_away_seconds: float
) -> None:
    broker = Broker(tmp_path / "kafka", kafka_libs).start()
    receiver = Receiver().start()
    (tmp_path / "secret").write_text(SECRET, "utf-8")
    more = (
        f'[store]\nfolder = "{tmp_path / "state"}"\n[sinks.soc]\nkind = "webhook"\nurl = "{receiver.url}"\n'
        f'secret_file = "{tmp_path / "secret"}"\nallow = ["127.0.0.1"]\n'
    )
    try:
        with centre_at(broker.address, tmp_path / "centre", more=more) as centre:
            first = centre.worker("first").wait_ready()
            lines = [seen(number, NAMES[0]) for number in range(DEVICES)]
            centre.send(centre.records(lines, size=10))
            until(lambda: len(receiver.got) >= 10, 30, f"the first arrive: {first.said()}")
            receiver.stop()
            away = time.monotonic()
            centre.send(centre.records([seen(number, NAMES[1]) for number in range(DEVICES)], size=10))
            until(lambda: len(centre.told()) >= 2 * DEVICES, 60, "they are told while the receiver is away")
            first.kill()
            second = centre.worker("first").wait_ready()
            centre.send(centre.records([seen(number, NAMES[2]) for number in range(DEVICES)], size=10))
            broker.kill()
            time.sleep(3)
            broker.start()
            centre.send(centre.records([seen(number, NAMES[3]) for number in range(DEVICES)], size=10))
            time.sleep(max(0.0, away + receiver_away_seconds - time.monotonic()))
            receiver.start()

            def is_read() -> bool:
                """A worker that cannot go on ends, and whoever keeps it running starts it again."""
                centre.supervise()
                return centre.lag() == 0

            until(is_read, 150, f"all is read: {second.said()}", 0.5)
            seen_by_worker = sum(
                len(record.value.splitlines()) for record in centre.read(centre.observations) if record.value
            )
            assert seen_by_worker >= 4 * DEVICES, f"{seen_by_worker} observations are on the topic: the test lost some"
            until(
                lambda: len(centre.told()) >= 4 * DEVICES, 30, f"{len(centre.told())} alerts told; {second.said()}", 1.0
            )
            told = told_on_topic(list(centre.told().values()))
            until(lambda: told <= set(receiver.ids()), 40, "everything has arrived", 0.3)
            bodies: dict[str, Got] = {}
            for got in receiver.got:
                assert bodies.setdefault(got.id, got).body == got.body, "again is the same again"
            print(f"\n{len(told)} revisions, {len(receiver.got)} deliveries, {len(set(receiver.ids()))} ids")
    finally:
        receiver.stop()
        broker.stop()


def test_from_kafka_to_the_webhook_is_a_matter_of_milliseconds(broker: Broker, tmp_path: Path) -> None:
    """New findings, one every 20 ms among 2,000 observations a second that are none."""
    arrived: dict[str, float] = {}
    lock = threading.Lock()

    def note(got: Got) -> tuple[int, dict[str, str]]:
        with lock:
            arrived.setdefault(got.body.decode().partition('"device":{"id":"')[2].partition('"')[0], time.time())
        return 204, {}

    with Receiver(note) as receiver:
        (tmp_path / "secret").write_text(SECRET, "utf-8")
        more = (
            f'[store]\nfolder = "{tmp_path / "state"}"\n[sinks.soc]\nkind = "webhook"\nurl = "{receiver.url}"\n'
            f'secret_file = "{tmp_path / "secret"}"\nallow = ["127.0.0.1"]\n'
        )
        with centre_at(broker.address, tmp_path / "centre", more=more) as centre:
            centre.worker("first").wait_ready()
            idle = [seen(number % 200, "www.example.com") for number in range(40)]
            sent: dict[str, float] = {}
            for number in range(400):
                call = seen(1_000 + number, NAMES[0])
                assert call.device is not None
                began = time.monotonic()
                sent[call.device.id] = time.time()
                for record in centre.records([*idle, call], size=50):
                    centre.producer.send(centre.observations, value=record[2], partition=record[0], headers=record[1])
                time.sleep(max(0.0, began + 0.02 - time.monotonic()))
            until(lambda: set(sent) <= set(arrived), 60, f"{len(arrived)} of {len(sent)} have arrived")
    delays = sorted(arrived[device] - at for device, at in sent.items())
    p50, p99 = statistics.median(delays), delays[int(0.99 * len(delays))]
    print(f"\nobservation sent to webhook received: p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms")
    assert p50 < 2.0, "far above what a free machine needs (0.4 s), for the machine is shared"
