"""How long news takes, from the packet to the signed webhook, through everything that is run in earnest.

    python bench/way.py [--seconds 15] [--shape embedded]

Needs root, iproute2, tcpreplay, and `make kafka`; exits 1 when a figure is missed.

Camera-like traffic, RATE packets a second, an observation each: DNS questions of DEVICES cameras, one of ten for a
maker's name. tcpreplay sends it from a network namespace over a pair of virtual interfaces; a `lenswatch collect` reads
the near one, and a real broker, a `lenswatch worker` and a web server that verifies signatures follow; or one
`lenswatch watch` instead of the first three. The clock starts with the kernel's time stamp of the packet that made the
finding, which the alert carries, and stops when the web server has read the request.
"""

import argparse
import contextlib
import json
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from standardwebhooks import Webhook

from bench.traffic import address, dns_query, frame, ipv4, udp
from tests.streams.command import PROGRAM, environment
from tests.streams.dispatch.carrying import SECRET, write_secret
from tests.streams.receiver import Got, Receiver
from tests.system.broker import Broker, find_libs
from tests.system.centre import centre_at, until
from tests.veth import Wire, wire

RATE, SECONDS, DEVICES, TOUCHING = 2_000, 15, 500, 10
LIMITS = {"distributed": (0.4, 1.0), "embedded": (0.2, 0.2)}
PLAIN = b"www.example.com"
MAKERS = (
    (b"\x3c\xef\x8c", b"www.easy4ipcloud.com"), (b"\x00\xbc\x99", b"litedev.hik-connect.com"),
)  # fmt: skip
READY_SECONDS, SETTLE_SECONDS, ARRIVE_SECONDS = 60.0, 2.0, 30.0


def write_questions(path: Path, count: int) -> None:
    """A capture of so many questions, the same at each run; at their pace."""
    chance, began = random.Random(4), 1_793_606_400
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        for number in range(count):
            camera = chance.randrange(DEVICES)
            prefix, name = MAKERS[camera % len(MAKERS)]
            question = dns_query(PLAIN if number % TOUCHING else name, number)
            packet = ipv4(address(10, camera), address(198, 1), 17, udp(20_000 + number % 40_000, 53, question))
            data = frame(prefix + camera.to_bytes(3, "big"), packet)
            seconds, rest = divmod(number, RATE)
            file.write(struct.pack("<4I", began + seconds, rest * 1_000_000 // RATE, len(data), len(data)) + data)


class Clock:
    """A receiver that verifies each webhook and notes how old its news was: `waits`, seconds by webhook id."""

    def __init__(self) -> None:
        self.waits: dict[str, float] = {}
        self._webhook = Webhook(SECRET)
        self.receiver = Receiver(self._note)

    def _note(self, got: Got) -> tuple[int, dict[str, str]]:
        now = time.time()
        self._webhook.verify(got.body, got.headers)
        data = json.loads(got.body)["data"]
        seen = datetime.fromisoformat(data["lenswatch"]["last_seen"]).timestamp()
        # No packet makes an end: it is told when nothing more came.
        if data["lenswatch"]["state"] != "ended":
            self.waits.setdefault(got.id, now - seen)
        return 204, {}

    def sink(self, folder: Path) -> str:
        """The settings of the sink that posts here."""
        write_secret(folder / "secret")
        return (
            f'[store]\nfolder = "{folder / "state"}"\n[sinks.soc]\nkind = "webhook"\nurl = "{self.receiver.url}"\n'
            f'secret_file = "{folder / "secret"}"\nallow = ["127.0.0.1"]\n'
        )

    def wait_quiet(self) -> None:
        """Return when nothing has come for a while."""
        ends, known = time.monotonic() + ARRIVE_SECONDS, -1
        while known != len(self.waits) and time.monotonic() < ends:
            known = len(self.waits)
            time.sleep(SETTLE_SECONDS)


@contextlib.contextmanager
def reading(line: Wire, folder: Path, *arguments: str) -> Iterator[None]:
    """A `lenswatch` that reads the wire."""
    log = folder / "reading.err"
    with log.open("wb") as words:
        process = subprocess.Popen(
            [str(PROGRAM), arguments[0], line.near, *arguments[1:]], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=words,
            env=environment(folder / "edge", {"LENSWATCH_COLLECTOR_METRICS": "", "OPENBLAS_NUM_THREADS": "1"}),
        )  # fmt: skip
    try:
        until(lambda: line.is_heard, READY_SECONDS, f"somebody listens at {line.near}: {log.read_text()}")
        time.sleep(SETTLE_SECONDS)
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


def replay(line: Wire, path: Path, clock: Clock) -> None:
    """All of the capture over the wire, and the news of it at the other end."""
    line.replay(path, f"--pps={RATE}", "--preload-pcap")
    clock.wait_quiet()


def distributed(line: Wire, path: Path, folder: Path) -> Clock:
    """`collect`, Kafka, `worker`."""
    libs = find_libs()
    if libs is None:
        sys.exit("no Kafka here: type 'make kafka' first")
    clock, broker = Clock(), Broker(folder / "kafka", libs).start()
    try:
        with clock.receiver:
            # As shipped, where the tests are in more of a hurry.
            variables = {"LENSWATCH_WORKER_COMMIT_SECONDS": "2", "LENSWATCH_WORKER_SETTLE_SECONDS": "30"}
            more = {"more": clock.sink(folder), "partitions": 12, "variables": variables}
            with centre_at(broker.address, folder / "centre", **more) as centre:
                centre.worker("first").wait_ready()
                with reading(line, folder, "collect", "--config", str(centre.config)):
                    replay(line, path, clock)
                told = {f"{key}-{alert.lenswatch.revision}" for key, alert in centre.told().items()}
                missing = told - clock.waits.keys()
                if missing:
                    sys.exit(f"{len(missing)} of {len(told)} alerts did not arrive")
    finally:
        broker.stop()
    return clock


def embedded(line: Wire, path: Path, folder: Path) -> Clock:
    """`watch`."""
    clock, config = Clock(), folder / "watch.toml"
    with clock.receiver:
        config.write_text(clock.sink(folder), "utf-8")
        with reading(line, folder, "watch", "--config", str(config)):
            replay(line, path, clock)
    return clock


def judge(shape: str, waits: list[float]) -> bool:
    """Print the figures; whether they hold."""
    limits = LIMITS[shape]
    waits.sort()
    p50, p99 = statistics.median(waits), waits[int(0.99 * len(waits))]
    print(
        f"{shape:<11} packet to webhook, {RATE:,} observations/s: p50 {p50 * 1000:.0f} ms (at most "
        f"{limits[0] * 1000:.0f}), p99 {p99 * 1000:.0f} ms (at most {limits[1] * 1000:.0f}), most "
        f"{waits[-1] * 1000:.0f} ms; {len(waits)} alerts, all verified",
        flush=True,
    )
    return p50 <= limits[0] and p99 <= limits[1]


def measure(shapes: list[str], seconds: int) -> bool:
    """All shapes, one after the other; whether every figure holds."""
    good = []
    for shape in shapes:
        with tempfile.TemporaryDirectory() as name, wire(Path(name)) as line:
            path = Path(name) / "questions.pcap"
            write_questions(path, RATE * seconds)
            run = distributed if shape == "distributed" else embedded
            good.append(judge(shape, list(run(line, path, Path(name)).waits.values())))
    return all(good)


def main() -> None:
    """Measure; exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--shape", choices=list(LIMITS), action="append")
    given = parser.parse_args()
    sys.exit(0 if measure(given.shape or list(LIMITS), given.seconds) else 1)


if __name__ == "__main__":
    main()
