"""How many observations a second a collector publishes to a real Kafka here: encode, batch, spool, send, acknowledge.

    python bench/publishing.py [--seconds N]

Beside it, in the same run, what kafka-python alone reaches with the same records, packed beforehand and without a
spool: the ratio says what lenswatch adds. The broker is a process of its own and shares the cores.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from collector.batches import Batcher
from collector.kafka_link import connect, discard
from collector.kafka_settings import KafkaSettings
from collector.ledger import Ledger
from collector.observation import Observation
from collector.publish.kafka import KafkaPublisher
from collector.running import rare_collection
from collector.settings import CollectorSettings
from collector.spool import SpoolSettings
from tests.streams.command import OFFICE, run
from tests.system.broker import Broker, find_libs

WANTED = 100_000
BLOCK = 2_000
DEVICES = 1_000
IN_FLIGHT = 24


def observations(folder: Path) -> list[Observation]:
    """The shipped office's observations again and again, each time of other devices and other times."""
    ran = run("collect", OFFICE, "--dump", state=folder)
    office = [msgspec.json.decode(line, type=Observation) for line in ran.out.splitlines()]
    made = []
    for number in range(20_000):
        one = office[number % len(office)]
        device = one.device and msgspec.structs.replace(one.device, id=f"{one.device.id}-{number % DEVICES}")
        event = msgspec.structs.replace(one.event, id=f"{number:032x}")
        made.append(msgspec.structs.replace(one, device=device, event=event))
    return made


def publish(settings: KafkaSettings, folder: Path, pool: list[Observation], seconds: float) -> tuple[float, float]:
    """Observations a second that Kafka acknowledged, and CPU seconds of this process per million."""
    spool = SpoolSettings(folder=folder / "spool", max_bytes=4 << 30, drain_seconds=60)
    publisher = KafkaPublisher(settings, spool, folder / "spool", CollectorSettings(), print, Ledger())
    while publisher.sender.problem:
        time.sleep(0.01)
    began, cpu = time.perf_counter(), time.process_time()
    at = 0
    while time.perf_counter() - began < seconds:
        publisher.publish(pool[at : at + BLOCK])
        at = (at + BLOCK) % len(pool)
    publisher.close()
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    sent = publisher.sender.sent.observations
    assert sent == publisher.taken and not publisher.dropped(), (sent, publisher.taken, publisher.dropped())
    return sent / took, spent / sent * 1e6


def send_raw(settings: KafkaSettings, pool: list[Observation], seconds: float) -> float:
    """Observations a second through kafka-python alone: records packed beforehand, a bounded number under way."""
    batcher = Batcher(settings.partitions)
    batches = deque(batcher.add(pool, 0.0) + batcher.flush())
    producer = connect(settings, "bench")
    free, done = threading.Semaphore(IN_FLIGHT), 0

    def answered(_: object) -> None:
        free.release()

    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        free.acquire()
        batch = batches[0]
        batches.rotate(-1)
        future = producer.send(settings.observations_topic, batch.value, partition=batch.partition)
        future.add_both(answered)
        done += batch.count
    producer.flush(30)
    took = time.perf_counter() - began
    discard(producer)
    return done / took


def main() -> None:
    """Measure, print, and fail below the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    seconds = parser.parse_args().seconds
    libs = find_libs()
    if libs is None:
        sys.exit("bench: no Kafka here: type 'make kafka'")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder / "kafka", libs, properties={"log.retention.bytes": str(64 << 20)}).start()
        try:
            topic, heartbeats = broker.create_topic(partitions=12), broker.create_topic(partitions=1)
            settings = KafkaSettings(servers=broker.address, observations_topic=topic, heartbeats_topic=heartbeats)
            pool = observations(folder)
            size = sum(len(msgspec.json.encode(each)) for each in pool) / len(pool)
            with rare_collection():  # as `lenswatch collect` runs
                ours, cpu = publish(settings, folder, pool, seconds)
                raw = send_raw(settings, pool, seconds)
        finally:
            broker.stop()
    print(f"document                 {size:>10,.0f} bytes of JSON on average")
    print(f"collector publishing     {ours:>10,.0f} observations/s, {cpu:.1f} µs of CPU each; wanted {WANTED:,}")
    print(f"kafka-python alone       {raw:>10,.0f} observations/s; ratio {ours / raw:.2f}")
    if ours < WANTED:
        sys.exit(1)


if __name__ == "__main__":
    main()
