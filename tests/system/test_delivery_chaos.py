"""The whole way from the wire to every sink, while receiver, worker and broker die: every revision arrives, and what
comes twice is the same twice."""

import os
import statistics
import struct
import threading
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from collector.observation import Observation
from rules.check import read_example
from streams import codec
from streams.processors.canary import is_canary
from tests.collector.frames import Packet, frame, pcap, udp
from tests.streams.command import read_alerts, run
from tests.streams.dispatch.carrying import SECRET, write_secret
from tests.streams.receiver import Got, Receiver
from tests.streams.told import CAMERA
from tests.system.broker import Broker
from tests.system.centre import centre_at, until
from tests.system.stack import Stack, stack_at
from tests.veth import Wire, needs_a_wire, wire

pytestmark = [pytest.mark.system, pytest.mark.alone]
DEVICES = 40
NAMES = ("www.easy4ipcloud.com", "litedev.hik-connect.com", "a1.tuyacn.com", "pub-cfg.secu100.net")


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


def questions(name: str) -> list[Packet]:
    """Each camera asks for a name, now."""
    packets = []
    for number in range(DEVICES):
        labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
        dns = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\x00\x00\x01\x00\x01"
        ends = (f"10.0.1.{number + 1}", 40_000 + number, "10.0.0.53", 53)
        packets.append((time.time_ns(), frame(udp(dns, ends[1]), 17, ends, False, f"3c:ef:8c:00:00:{number:02x}")))
    return packets


@pytest.fixture
def receiver_away_seconds() -> float:
    """How long the receiver is away: half a minute, two in a soak."""
    return 120.0 if os.environ.get("LENSWATCH_SOAK") else 30.0


def revisions(stack: Stack) -> set[str]:
    """Every revision on the alerts topic, as the webhook id that it must have."""
    alerts = [codec.read_alert(record.value) for record in stack.centre.read(stack.centre.alerts_topic)]
    return {f"{alert.event.id}-{alert.lenswatch.revision}" for alert in alerts}


def findings(stack: Stack) -> set[str]:
    """The ids of what was told, but for the canaries."""
    return {key for key, alert in stack.centre.told().items() if not is_canary(alert)}


def play_with_deaths(stack: Stack, broker: Broker, line: Wire, away_seconds: float) -> list[Packet]:
    """Packets over the wire while the receiver is away, the worker dies and the broker dies; all packets sent."""
    until(lambda: line.is_heard, 60, f"the collector listens: {stack.collector.log.read_text()}")
    sent = [questions(NAMES[0])]
    line.replay(sent[-1])
    until(lambda: len(findings(stack)) >= DEVICES, 60, f"the first are told: {stack.worker.said()}", 0.5)
    until(lambda: len(stack.delivered()) >= DEVICES, 60, "the first arrive")
    stack.receiver.stop()
    away = time.monotonic()
    sent.append(questions(NAMES[1]))
    line.replay(sent[-1])
    until(lambda: len(findings(stack)) >= 2 * DEVICES, 60, "they are told while the receiver is away", 0.5)
    stack.worker.kill()
    stack.centre.worker("first").wait_ready()
    sent.append(questions(NAMES[2]))
    line.replay(sent[-1])
    broker.kill()
    sent.append(questions(NAMES[3]))
    line.replay(sent[-1])
    time.sleep(3)
    broker.start()
    time.sleep(max(0.0, away + away_seconds - time.monotonic()))
    stack.receiver.start()
    return [packet for packets in sent for packet in packets]


def wait_read(stack: Stack, count: int) -> None:
    """Return when so many questions are on the topic and all that is there is read."""

    def is_read() -> bool:
        """A worker that cannot go on ends, and whoever keeps it running starts it again."""
        stack.centre.supervise()
        return stack.centre.lag() == 0

    def asked() -> int:
        lines = [line for record in stack.centre.read(stack.centre.observations) for line in record.value.splitlines()]
        return sum(b'"lenswatch.dns"' in line for line in lines)

    until(lambda: asked() >= count, 60, f"all are on the topic: {stack.collector.log.read_text()}", 1.0)
    until(is_read, 150, f"all is read: {stack.worker.said()}", 0.5)


@needs_a_wire
@pytest.mark.usefixtures("prometheus_programs")
def test_from_the_wire_every_revision_arrives_through_the_death_of_receiver_worker_and_broker(
    tmp_path: Path, kafka_libs: Path, receiver_away_seconds: float
) -> None:
    broker = Broker(tmp_path / "kafka", kafka_libs).start()
    try:
        with wire(tmp_path) as line, stack_at(broker.address, tmp_path / "stack", (), line.near, 5.0) as stack:
            sent = play_with_deaths(stack, broker, line, receiver_away_seconds)
            wait_read(stack, len(sent))
            stack.collector.stop()
            wait_read(stack, len(sent))
            told = revisions(stack)
            until(lambda: told <= stack.delivered(), 60, "everything has arrived", 0.3)
            hooks = [got for got in stack.receiver.got if got.path == "/hook"]
            bodies: dict[str, Got] = {}
            for got in hooks:
                Webhook(SECRET).verify(got.body, got.headers)
                assert bodies.setdefault(got.id, got).body == got.body, "again is the same again"
            print(f"\n{len(told)} revisions, {len(hooks)} deliveries, {len(bodies)} ids")
            # What a single process makes of the same packets is what has arrived, but for the canaries.
            found = findings(stack)
            assert found == embedded(tmp_path, sent)
            check_screens(stack, found)
    finally:
        broker.stop()


def embedded(folder: Path, packets: list[Packet]) -> set[str]:
    """The findings that `lenswatch watch` has of these packets."""
    (folder / "sent.pcap").write_bytes(pcap(packets))
    more = {"LENSWATCH_COLLECTOR_SENSOR": "gate", "LENSWATCH_COLLECTOR_SITE": "harbour"}
    ran = run("watch", folder / "sent.pcap", "--alerts", "-", state=folder / "embedded", **more)
    assert ran.code == 0, ran.err
    return {alert.event.id for alert in ran.alerts}


def check_screens(stack: Stack, found: set[str]) -> None:
    """Alertmanager, the file and Prometheus have it all too."""

    def fires() -> bool:
        return found <= {alert["annotations"]["alert_id"] for alert in stack.alertmanager.alerts()}

    until(fires, 30, "every finding fires in Alertmanager")
    written = (stack.centre.folder.parent / "sunk.jsonl").read_text("utf-8")
    assert found <= {alert.event.id for alert in read_alerts(written)}
    until(lambda: stack.prometheus.query("lenswatch_sink_queue_depth == 0"), 20, "Prometheus sees that nothing waits")
    assert stack.prometheus.query('sum_over_time(up{job="lenswatch-worker"}[10m]) > 0')


def test_from_kafka_to_the_webhook_is_a_matter_of_milliseconds(broker: Broker, tmp_path: Path) -> None:
    """New findings, one every 20 ms among 2,000 observations a second that are none."""
    arrived: dict[str, float] = {}
    lock = threading.Lock()

    def note(got: Got) -> tuple[int, dict[str, str]]:
        with lock:
            arrived.setdefault(got.body.decode().partition('"device":{"id":"')[2].partition('"')[0], time.time())
        return 204, {}

    with Receiver(note) as receiver:
        write_secret(tmp_path / "secret")
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
