"""Memory of one worker over a long run on a real Kafka: it must level off, and stay under a limit.

    python bench/worker_memory.py [--seconds N] [--rate N] [--devices N]        a short one: --seconds 60 --devices 5000

Every device is a camera that speaks in turn; each tenth time it calls its own maker's cloud or, one of ten, looks a
firmware server up, asks it and loads from it; the rest touches nobody. So every device comes to have a finding of its
own, that goes on being counted. Exits 1 when the worker has grown by MAX_GROWTH or more over the last third, or past
MAX_BYTES, at any sample. What it could not keep up with stays in Kafka; the rate that it did keep up with is printed.
"""

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from bench.worker import DEFAULTS, cpu_seconds
from collector.observation import Observation
from collector.record import RecordHead, pack, partition_key, partition_of, write_head
from rules.check import read_example
from tests.system.broker import Broker, find_libs
from tests.system.centre import Centre, Record, Worker, centre_at
from tests.system.load import CAMERA, KINDS

SECONDS, RATE, DEVICES = 600, 20_000, 100_000
MAX_BYTES, MAX_GROWTH = 1 << 30, 0.05
STEP_SECONDS, SAMPLE_SECONDS, MIN_SAMPLES = 0.1, 30.0, 12
OWN_EVERY = 10
CALLS = [["cloud"]] * 4 + [["maker"]] * 3 + [["other maker"], ["third maker"], ["lookup", "check", "download"]]
Lines = Callable[[int, int, bytes], bytes]


def line_maker(kind: str) -> Lines:
    """What writes the JSON line of an observation of this kind, of a device, with a number and a time of its own."""
    one = read_example(CAMERA, KINDS[kind])
    assert one.device is not None
    replace = msgspec.structs.replace
    marked = replace(
        one, event=replace(one.event, id="@id"), source=replace(one.source, ip="@ip"),
        device=replace(one.device, id="@device"),
    )  # fmt: skip
    text = msgspec.json.encode(marked).replace(b"%", b"%%")
    time_written = msgspec.json.encode(one.timestamp)
    for mark, place in ((time_written, b'"%(at)b"'), (b"@id", b"%(id)016x"), (b"@ip", b"10.%(a)d.%(b)d.%(c)d"),
                        (b"@device", b"site/%(device)d")):  # fmt: skip
        assert mark in text, (mark, text)
        text = text.replace(mark, place)

    def line(device: int, number: int, at: bytes) -> bytes:
        a, b, c = device >> 16, device >> 8 & 255, device & 255
        return text % {b"at": at, b"id": number, b"a": a, b"b": b, b"c": c, b"device": device}

    return line


class Load:
    """The observations of all devices in turn, as records of a batch each."""

    def __init__(self, devices: int, partitions: int) -> None:
        self.devices, self.sent, self._seq = devices, 0, 0
        lines = {kind: line_maker(kind) for kind in KINDS}
        self._plain, self._own = lines["plain"], [[lines[kind] for kind in calls] for calls in CALLS]
        decode = msgspec.json.Decoder(Observation).decode
        sample = (decode(self._plain(device, 0, b"2026-11-02T08:00:00Z")) for device in range(devices))
        self._partitions = [partition_of(partition_key(one), partitions) for one in sample]

    def take(self, count: int) -> Iterator[Record]:
        """The next so many, as a sensor would send them now."""
        at = datetime.datetime.now(datetime.UTC).isoformat().encode()
        batches: dict[int, list[bytes]] = {}
        for number in range(self.sent, self.sent + count):
            turn, device = divmod(number, self.devices)
            own, line = divmod(turn + device, OWN_EVERY), self._plain
            if own[1] == 0:
                calls = self._own[device // OWN_EVERY % len(self._own)]
                line = calls[own[0] % len(calls)]
            batches.setdefault(self._partitions[device], []).append(line(device, number, at))
        self.sent += count
        for partition, lines in batches.items():
            head = RecordHead(sensor="test", boot_id="0a", seq=self._seq, count=len(lines))
            self._seq += 1
            yield partition, write_head(head), pack(lines)


def resident_bytes(worker: Worker) -> int:
    """What the process holds in memory (proc(5), VmRSS)."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


def soak(centre: Centre, seconds: float, rate: int, devices: int) -> list[int]:
    """Run, print a line every so often, and return what the worker held at each."""
    load, samples = Load(devices, centre.partitions), []
    worker = centre.worker("soak").wait_ready()
    idle = cpu_seconds(worker.process.pid)
    began, every = time.monotonic(), min(SAMPLE_SECONDS, seconds / MIN_SAMPLES)
    print("    s     MiB         sent         done    done/s   CPU s   devices  findings")
    while len(samples) * every < seconds:
        time.sleep(max(0.0, began + load.sent / rate - time.monotonic()))
        # Not awaited: what the broker does not take at once waits in the producer, and the rate is held.
        for number, headers, value in load.take(int(rate * STEP_SECONDS)):
            centre.producer.send(centre.observations, value=value, partition=number, headers=headers)
        past = time.monotonic() - began
        if past < (len(samples) + 1) * every:
            continue
        if worker.process.poll() is not None:
            sys.exit(f"the worker ended: {worker.said()}")
        samples.append(resident_bytes(worker))
        done, spent = worker.metric("matcher_observations_total"), cpu_seconds(worker.process.pid) - idle
        known, found = worker.metric("devices_known"), worker.metric("findings_open")
        print(f"{past:>5.0f}{samples[-1] / 2**20:>8.0f}{load.sent:>13,}{done:>13,.0f}{done / past:>10,.0f}"
              f"{spent:>8.0f}{known:>10,.0f}{found:>10,.0f}", flush=True)  # fmt: skip
    if done < 0.95 * load.sent:
        print(f"{done / past:,.0f} observations/s were kept up with, of {load.sent / past:,.0f} that were sent; the "
              f"worker had {spent / past:.0%} of a core")  # fmt: skip
    worker.end()
    return samples


def main() -> None:
    """Measure, print, and exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--devices", type=int, default=DEVICES)
    given = parser.parse_args()
    libs = find_libs()
    if libs is None:
        sys.exit("no Kafka here: type 'make kafka' first")
    with tempfile.TemporaryDirectory() as name:
        broker = Broker(Path(name) / "kafka", libs).start()
        try:
            with centre_at(broker.address, Path(name) / "soak", settle_seconds=30.0, variables=DEFAULTS) as centre:
                samples = soak(centre, given.seconds, given.rate, given.devices)
        finally:
            broker.stop()
    growth, peak = samples[-1] / samples[len(samples) * 2 // 3 - 1] - 1, max(samples)
    print(f"most {peak / 2**20:,.0f} MiB; over the last third it grew by {growth:.1%}")
    if peak > MAX_BYTES or growth >= MAX_GROWTH:
        sys.exit(f"missed: under {MAX_BYTES >> 20:,} MiB and less than {MAX_GROWTH:.0%} are wanted")


if __name__ == "__main__":
    main()
