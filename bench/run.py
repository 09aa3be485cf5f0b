"""Lenswatch beside ndpiReader on the same captures, in the same run: CPU-seconds, less what a one-packet capture costs.

    python bench/run.py             both mixes, start-up and the endpoint index; exits 1 when a figure is missed
    python bench/run.py --memory    memory at a million flows and beyond; exits 1 when it does not level off

Lenswatch runs as its user runs it (`lenswatch watch FILE`, every fact and detection on), on one core. The tools take
turns, and the ratio is that of the medians. Captures are made in out/bench (1.8 GB) and kept for the next time.
"""

import argparse
import dataclasses
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.traffic import write_capture, write_flood

FOLDER = ROOT / "out" / "bench"
MIXES = {"camera": 1_000_000, "hard": 500_000}
ROUNDS = 5
MIN_RATIO = 1.5
MAX_STARTUP_SECONDS = 1.0
MAX_FLOOD_BYTES = 1536 << 20
FLOODS = (500_000, 1_000_000, 2_000_000, 3_000_000)
MAX_GROWTH = 1.05


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """One run of a program: CPU-seconds (user and system), peak resident bytes."""

    seconds: float
    peak_bytes: int


def measure(command: list[str], folder: Path) -> Cost:
    """Run a command on one core with its state in `folder`. Raises CalledProcessError."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    # Where Python is told to keep no bytecode, each start would compile every module anew: a user's does not.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


def watch(path: Path) -> list[str]:
    """The command that a user types."""
    return [str(Path(sys.executable).with_name("lenswatch")), "watch", str(path)]


def ndpi(path: Path) -> list[str]:
    """The same work by ndpiReader: read all packets, classify every flow."""
    return ["ndpiReader", "-q", "-i", str(path)]


def beginning(path: Path, count: int) -> Path:
    """A capture of the first packets of another."""
    target = path.with_name(f"{path.stem}-{count}.pcap")
    if not target.exists():
        fresh = target.with_suffix(".new")
        with path.open("rb") as source, fresh.open("wb") as made:
            made.write(source.read(24))
            for _ in range(count):
                record = source.read(16)
                made.write(record + source.read(struct.unpack("<I", record[8:12])[0]))
        fresh.replace(target)
    return target


def warm(path: Path) -> None:
    """Read the file once, so that no run pays for the disk."""
    with path.open("rb", buffering=0) as stream:
        while stream.read(16 << 20):
            pass


def capture(mix: str, packets: int) -> Path:
    """The capture of a mix, made when it is not there yet."""
    path = FOLDER / f"{mix}-{packets}.pcap"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        print(f"making {path.name} …", file=sys.stderr, flush=True)
        fresh = path.with_suffix(".new")
        write_capture(fresh, mix, packets)
        fresh.replace(path)
    return path


def compare(mix: str, packets: int, state: Path) -> bool:
    """One line of the table: packets a CPU-second of both, net of start-up, and the ratio."""
    path = capture(mix, packets)
    single = beginning(path, 1)
    costs: dict[str, list[float]] = {"lenswatch": [], "ndpiReader": []}
    peaks: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, command in (("lenswatch", watch), ("ndpiReader", ndpi)):
            warm(path)
            whole, alone = measure(command(path), state), measure(command(single), state)
            costs[name].append(whole.seconds - alone.seconds)
            peaks[name] = max(peaks.get(name, 0), whole.peak_bytes)
    ours, theirs = (statistics.median(costs[name]) for name in ("lenswatch", "ndpiReader"))
    ratio = theirs / ours
    print(
        f"{mix:<8} lenswatch {packets / ours / 1e6:5.2f} Mpps ({ours:.2f} s, {peaks['lenswatch'] >> 20} MiB)   "
        f"ndpiReader {packets / theirs / 1e6:5.2f} Mpps ({theirs:.2f} s, {peaks['ndpiReader'] >> 20} MiB)   "
        f"ratio {ratio:.2f} (at least {MIN_RATIO})",
        flush=True,
    )
    return ratio >= MIN_RATIO


def start_up(state: Path) -> bool:
    """CPU-seconds of `lenswatch watch` on one packet, all facts and rules loaded."""
    single = beginning(capture("camera", MIXES["camera"]), 1)
    seconds = statistics.median(measure(watch(single), state).seconds for _ in range(ROUNDS))
    print(f"start-up {seconds:.2f} CPU-seconds (at most {MAX_STARTUP_SECONDS})", flush=True)
    return seconds <= MAX_STARTUP_SECONDS


def speed() -> bool:
    """All speed figures."""
    if shutil.which("ndpiReader") is None:
        print("ndpiReader is not installed: type 'sudo apt-get install libndpi-bin'", file=sys.stderr)
        return False
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        results = [compare(mix, packets, state) for mix, packets in MIXES.items()]
        results.append(start_up(state))
    print("endpoint index", flush=True)
    results.append(subprocess.run([sys.executable, str(ROOT / "bench" / "endpoints.py")], check=False).returncode == 0)
    return all(results)


def memory() -> bool:
    """Peak memory under floods of one-packet flows with unique names: it must level off under the limit."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for flows in FLOODS:
            path = Path(folder) / "flood.pcap"
            write_flood(path, flows)
            cost = measure(watch(path), Path(folder))
            peaks.append(cost.peak_bytes)
            print(f"{flows:>9,} flows  peak {cost.peak_bytes >> 20:>5} MiB  {cost.seconds:.1f} CPU-seconds", flush=True)
    # The table holds a million flows: the level is reached when it has been full once.
    level = peaks[-1] <= peaks[-2] * MAX_GROWTH
    print(
        f"from {FLOODS[-2]:,} to {FLOODS[-1]:,} flows memory grew {peaks[-1] / peaks[-2]:.2f} times "
        f"(at most {MAX_GROWTH}); peak {max(peaks) >> 20} MiB (at most {MAX_FLOOD_BYTES >> 20})"
    )
    return level and max(peaks) <= MAX_FLOOD_BYTES


def main() -> None:
    """Print the figures; exit 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--memory", action="store_true", help="memory instead of speed")
    arguments = parser.parse_args()
    sys.exit(0 if (memory() if arguments.memory else speed()) else 1)


if __name__ == "__main__":
    main()
