"""Live capture over two virtual interfaces: drops and CPU at all that tcpreplay sends; latency at 50,000 a second.

    python bench/live.py [--packets 1000000] [--workers N]

Needs root, iproute2 and tcpreplay; exits 1 when a figure is missed.

The far interface is in a network namespace made for this; nothing that is sent leaves the machine. CPU is that of the
`lenswatch watch` process (user and system) from its first packet to its last, over the packets that it read. Latency
is from the kernel's time stamp of a packet to the moment at which its observations are made.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.run import MIXES, capture
from collector.capture.ring import Ring
from collector.identify.fingerprint import read_fingerprints
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.veth import Wire, wire

MAX_CPU_SECONDS_A_PACKET, MAX_P99_SECONDS = 1.0e-6, 0.150
PACKETS_A_SECOND, LATENCY_SECONDS = 50_000, 4
SETTLE_SECONDS, READY_SECONDS = 2.0, 60.0


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far, its children's too (proc(5), stat)."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def top_speed(line: Wire, path: Path, packets: int, workers: int, folder: Path) -> bool:
    """Send a capture as fast as it goes to a running `lenswatch watch`."""
    seen = folder / "seen.jsonl"
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("lenswatch")), "watch", line.near, "--workers", str(workers),
         "--alerts", str(seen)],
        env={**os.environ, "XDG_STATE_HOME": str(folder), "OPENBLAS_NUM_THREADS": "1",
             "LENSWATCH_CAPTURE_RING_BYTES": str(256 << 20)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        ends = time.monotonic() + READY_SECONDS
        while not seen.exists():
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit(f"lenswatch did not listen: {process.communicate()[1]}")
            time.sleep(0.1)
        time.sleep(SETTLE_SECONDS)
        before, began = cpu_seconds(process.pid), time.monotonic()
        # The capture is in memory before it is sent, so that the disk does not set the pace.
        line.replay(path, "--topspeed", "--preload-pcap")
        sent = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        spent = cpu_seconds(process.pid) - before
    finally:
        process.terminate()
        _, err = process.communicate(timeout=READY_SECONDS)
    read = int((re.search(r"packets +([\d,]+) in", err) or ["", "0"])[1].replace(",", ""))
    dropped = re.search(r"not captured.*?([\d,]+) kernel drop", err)
    lost = int(dropped[1].replace(",", "")) if dropped else 0
    each = spent / max(1, read)
    print(
        f"top speed  {workers} worker{'s' if workers > 1 else ''}: {packets:,} packets sent in {sent:.2f} s, {read:,} "
        f"read, {lost:,} dropped (none allowed), {each * 1e6:.2f} µs of CPU a packet "
        f"(at most {MAX_CPU_SECONDS_A_PACKET * 1e6:.1f})",
        flush=True,
    )
    return lost == 0 and read == packets and each <= MAX_CPU_SECONDS_A_PACKET


def latency(line: Wire, path: Path) -> bool:
    """From the kernel's time stamp to the observation, for every packet at PACKETS_A_SECOND."""
    ring, pipeline = Ring(line.near), Pipeline(CollectorSettings(), read_fingerprints())
    waits: list[np.ndarray] = []

    def send() -> None:
        count = PACKETS_A_SECOND * LATENCY_SECONDS
        line.replay(path, f"--pps={PACKETS_A_SECOND}", f"--limit={count}", "--preload-pcap")
        time.sleep(0.5)
        ring.stop()

    sender = threading.Thread(target=send)
    sender.start()
    lost = 0
    for block in ring.blocks():
        pipeline.process(block)
        waits.append(time.time_ns() - block.time_ns)
        lost += sum(count for _, count in block.lost)
    sender.join()
    every = np.concatenate(waits) / 1e9
    middle, most = np.percentile(every, (50, 99))
    print(
        f"latency    {len(every):,} packets at {PACKETS_A_SECOND:,} a second: median {middle * 1e3:.0f} ms, p99 "
        f"{most * 1e3:.0f} ms (at most {MAX_P99_SECONDS * 1e3:.0f}), {lost:,} dropped",
        flush=True,
    )
    return bool(most <= MAX_P99_SECONDS) and lost == 0


def main() -> None:
    """Print the figures; exit 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packets", type=int, default=MIXES["camera"])
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name, wire(Path(name)) as line:
        path = capture("camera", arguments.packets)
        good = [latency(line, path), top_speed(line, path, arguments.packets, arguments.workers, Path(name))]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
