"""What one worker does on a real broker, beside a plain loop that calls the same functions.

    python bench/worker.py              all of it, in one run; exits 1 when a figure is missed
    python bench/worker.py --plain A…   the plain loop itself: a process of its own, so that its CPU time is its own

Observations are camera-like: the mix of `tests/system/load.py`, where about half touch a maker, and nine times as many
that touch nobody. CPU-seconds are those of the worker's process, user and system, from ready to done.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition

from collector.observation import Observation
from collector.running import rare_collection
from rules.load import load_rules
from streams import codec
from streams.processors.partition import Partition
from tests.system.broker import Broker, find_libs
from tests.system.centre import Centre, Record, centre_at, until
from tests.system.load import expected, make_load

OBSERVATIONS, DEVICES, PLAIN = 500_000, 500, 9
MIN_RATE = 50_000
# The tests' own settings are for records that are read as they come; these are the defaults.
DEFAULTS = {f"LENSWATCH_WORKER_{name}": value for name, value in
            {"COMMIT_SECONDS": "2.0", "SESSION_SECONDS": "30", "STALL_SECONDS": "120"}.items()}  # fmt: skip
LATENCY_RATE, LATENCY_SECONDS, MAX_P50, MAX_P99 = 2_000, 10, 0.25, 0.7
TICKS = os.sysconf("SC_CLK_TCK")


def camera_like(count: int, seed: int = 1) -> list[Observation]:
    """Observations in the order of time, one of ten of the mix and nine that touch nobody."""
    touching = iter(make_load(count // (1 + PLAIN) + 1, DEVICES, seed=seed))
    plain = iter(make_load(count, DEVICES, seed=seed + 1, kinds={"plain": 1}))
    return [next(touching) if number % (1 + PLAIN) == 0 else next(plain) for number in range(count)]


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far (proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure_alone(records: list[Record], count: int) -> None:
    """Decoding alone, and with the processors, in this process."""
    began = time.process_time()
    for _, headers, value in records:
        codec.read_record(headers, value, 0.0).lines.count()  # type: ignore[union-attr]
    decoding = count / (time.process_time() - began)
    size = sum(len(value) for _, _, value in records) / count
    rules, table = load_rules(), {}  # type: ignore[var-annotated]
    rules.prepare()
    partitions = {number: Partition(number, table) for number in range(64)}
    began, writes = time.process_time(), 0
    for number, headers, value in records:
        read: Any = codec.read_record(headers, value, 2e9)
        partitions[number].take(read.batch, rules)
        changes = partitions[number].changes()
        writes += len(changes)
        table |= {key: data for key, data in changes.items() if data is not None}
    seconds = time.process_time() - began
    print(f"decoding alone            {decoding:>9,.0f} observations/s, {size:,.0f} bytes each")
    print(f"decoding and processors   {count / seconds:>9,.0f} observations/s, {writes:,} writes of a device")


def measure_worker(centre: Centre, count: int, ended: bool = False) -> float:
    """A worker over all that is on the topic, from ready to done, or until it has ended in order: it commits, flushes
    and leaves its group."""
    worker = centre.worker("bench").wait_ready()
    before = cpu_seconds(worker.process.pid)
    until(lambda: worker.metric("matcher_observations_total") >= count, 300, "the worker has done all", 0.5)
    spent = cpu_seconds(worker.process.pid) - before
    if ended:
        worker.process.terminate()
        # Not reaped yet, so that its times can still be read.
        ended_yet = os.WEXITED | os.WNOWAIT | os.WNOHANG
        until(lambda: os.waitid(os.P_PID, worker.process.pid, ended_yet), 60, "the worker has ended", 0.1)
        spent = cpu_seconds(worker.process.pid) - before
        worker.process.wait()
    else:
        worker.end()
    return count / spent


def measure_plain(centre: Centre, count: int) -> float:
    """The plain loop over the same records."""
    command = [sys.executable, __file__, "--plain", centre.address, centre.observations, centre.group, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return float(done.stdout)


async def plain_loop(address: str, topic: str, group: str, count: int) -> float:
    """Read, process, tell, write and commit, without Faust; observations per CPU-second."""
    rules = load_rules()
    rules.prepare()
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, group_id=f"{group}-plain", enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20,
    )  # fmt: skip
    producer = AIOKafkaProducer(
        bootstrap_servers=address, linger_ms=50, max_batch_size=256 << 10, compression_type="zstd", acks="all"
    )
    await consumer.start()
    await producer.start()
    table: dict[str, bytes] = {}
    partitions: dict[int, Partition] = {}
    done, began = 0, time.process_time()
    while done < count:
        for place, records in (await consumer.getmany(timeout_ms=1000, max_records=64)).items():
            partition = partitions.setdefault(place.partition, Partition(place.partition, table))
            for record in records:
                read: Any = codec.read_record(record.headers, record.value, record.timestamp / 1000)
                outcome = partition.take(read.batch, rules)
                sent = [
                    await producer.send(f"{topic.partition('.')[0]}.alerts", codec.write_alert(alert),
                                        alert.event.id.encode(), partition=place.partition)
                    for alert in outcome.news
                ]  # fmt: skip
                for key, data in partition.changes().items():
                    if data is not None:
                        table[key] = data
                        await producer.send(f"{group}-devices-changelog", data, key.encode(), partition=place.partition)
                await asyncio.gather(*sent)
                done += read.lines.count()
        await producer.flush()
        await consumer.commit()
    rate = done / (time.process_time() - began)
    await consumer.stop()
    await producer.stop()
    return rate


def measure_latency(centre: Centre) -> tuple[float, float]:
    """Seconds from an observation's being sent to its alert's being read off the topic: the median and the 99th of a
    hundred, at LATENCY_RATE camera-like observations a second."""
    centre.worker("latency").wait_ready()
    count = LATENCY_RATE * LATENCY_SECONDS
    observations = camera_like(count, seed=3)
    wanted = expected(observations, load_rules())
    firsts = {alert.lenswatch.evidence[0]: key for key, alert in wanted.items()}
    sent: dict[str, float] = {}
    told: dict[str, float] = {}
    ended = threading.Event()
    reading = threading.Thread(target=read_as_it_comes, args=(centre, told, ended))
    reading.start()
    began, size = time.monotonic(), LATENCY_RATE // 10
    for start in range(0, count, size):
        time.sleep(max(0.0, began + start / LATENCY_RATE - time.monotonic()))
        batch = observations[start : start + size]
        now = time.monotonic()
        centre.send(centre.records(batch, boot="0f"))
        sent |= {firsts[each.event.id]: now for each in batch if each.event.id in firsts}
    time.sleep(3)
    ended.set()
    reading.join()
    if missing := sent.keys() - told.keys():
        sys.exit(f"{len(missing)} of {len(sent)} alerts did not come")
    waits = sorted(told[key] - at for key, at in sent.items())
    return statistics.median(waits), waits[int(len(waits) * 0.99)]


def read_as_it_comes(centre: Centre, told: dict[str, float], ended: threading.Event) -> None:
    """When the first revision of each alert was read off the topic, until `ended`."""
    consumer = KafkaConsumer(bootstrap_servers=centre.address, group_id=None, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(centre.alerts_topic, number) for number in range(centre.partitions)])
    while not ended.is_set():
        for rows in consumer.poll(timeout_ms=100).values():
            now = time.monotonic()
            for row in rows:
                told.setdefault(row.key.decode(), now)
    consumer.close()


def main() -> None:
    """Measure, print, and exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", nargs=4)
    parser.add_argument("--observations", type=int, default=OBSERVATIONS)
    given = parser.parse_args()
    if given.plain:
        address, topic, group, count = given.plain
        with rare_collection():  # as the worker runs
            print(asyncio.run(plain_loop(address, topic, group, int(count))))
        return
    libs = find_libs()
    if libs is None:
        sys.exit("no Kafka here: type 'make kafka' first")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder / "kafka", libs).start()
        try:
            missed = measure(broker, folder, given.observations)
        finally:
            broker.stop()
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def measure(broker: Broker, folder: Path, count: int) -> list[str]:
    """All figures in one run; what was missed."""
    with centre_at(broker.address, folder / "rate", settle_seconds=600.0, variables=DEFAULTS) as centre:
        records = centre.records(camera_like(count))
        with rare_collection():
            measure_alone(records, count)
        centre.send(records)
        worker = measure_worker(centre, count)
        plain = measure_plain(centre, count)
    print(f"one worker                {worker:>9,.0f} observations/s per core (wanted {MIN_RATE:,})")
    ratio = worker / plain
    print(f"plain loop                {plain:>9,.0f} observations/s per core; the worker reaches {ratio:.2f} of it")
    with centre_at(broker.address, folder / "latency", settle_seconds=600.0, variables=DEFAULTS) as centre:
        median, late = measure_latency(centre)
    print(f"observation to alert      p50 {median * 1000:.0f} ms, p99 {late * 1000:.0f} ms at {LATENCY_RATE:,}/s")
    missed = []
    if worker < MIN_RATE:
        missed.append(f"worker {worker:,.0f} observations/s")
    if median > MAX_P50 or late > MAX_P99:
        missed.append(f"latency p50 {median:.3f} s, p99 {late:.3f} s")
    return missed


if __name__ == "__main__":
    main()
