"""Coverage-guided fuzzing of every dissector, each in a process of its own, from its samples on.

    python tests/fuzz/run.py [--seconds 60] [--jobs 2] [NAME…]

NAME is a part of a dissector's dotted name. What each finds new is kept in out/fuzz/ for the next time, and so is what
escapes, as `crash-…`. Exit codes: 0 nothing escaped, 1 something did, 2 usage.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from collector.dissectors import DISSECTORS  # noqa: E402
from tests.collector.dissectors.messages import CONVERSATIONS, DATAGRAMS, QUIC_HELLO, STREAMS  # noqa: E402
from tests.collector.dissectors.quic_packets import crypto  # noqa: E402
from tests.fuzz.ports import PORTS  # noqa: E402

TARGET = Path(__file__).with_name("target.py")
OUT = ROOT / "out" / "fuzz"
MAX_INPUT_BYTES = 2_048
MAX_INPUT_SECONDS = 5
MAX_MEMORY_MIB = 1_024
DONE = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
ESCAPED = re.compile(r"^\s*[\w.]*(?:Error|Exception|Truncated)\b|ERROR: libFuzzer")
"""The exception of a traceback, or libFuzzer's own words of time and memory."""
PEAK = re.compile(r"stat::peak_rss_mb:\s+(\d+)")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One dissector's run: how many inputs, the most memory in MiB, and what escaped."""

    name: str
    inputs: int
    peak_mib: int
    escape: str | None


def write_corpus(name: str, folder: Path) -> None:
    """The dissector's samples as inputs: each part alone, in one piece, and all of a conversation in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in (*DATAGRAMS, *CONVERSATIONS, *STREAMS):
        if sample.dissector != name:
            continue
        port = PORTS.index(sample.port) if sample.port in PORTS else 0
        for side, data in sample.parts:
            for size in (0x7FF, 100):
                put(folder, bytes([port << 1 | side, size & 0xFF, size >> 8]) + data)
    if name.endswith("quic.DISSECTOR"):
        put(
            folder,
            bytes([0, 0xFF, 0x83]) + b"\1\2\3\0\1\0\0\1" + crypto(300, QUIC_HELLO[300:]) + crypto(0, QUIC_HELLO[:300]),
        )


def put(folder: Path, data: bytes) -> None:
    """An input, under the name that libFuzzer would give it."""
    (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data[:MAX_INPUT_BYTES])


def fuzz(name: str, seconds: int, out: Path) -> Outcome:
    """One dissector for so many seconds."""
    corpus = out / name
    write_corpus(name, corpus)
    command = [
        sys.executable, str(TARGET), name, f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}",
        f"-timeout={MAX_INPUT_SECONDS}", f"-rss_limit_mb={MAX_MEMORY_MIB}", "-print_final_stats=1", "-verbosity=1",
        f"-artifact_prefix={out}/{name}-", str(corpus),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env={**os.environ})
    inputs, peak = DONE.search(ran.stderr), PEAK.search(ran.stderr)
    escape = None
    if ran.returncode:
        told = [line.strip() for line in (ran.stdout + ran.stderr).splitlines() if ESCAPED.search(line)]
        escape = told[0] if told else f"exit code {ran.returncode}"
    return Outcome(name, int(inputs[1]) if inputs else 0, int(peak[1]) if peak else 0, escape)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=int, default=60, help="for each dissector")
    parser.add_argument("--jobs", type=int, default=2, help="dissectors at a time")
    parser.add_argument("--out", type=Path, default=OUT, help="where inputs are kept")
    options = parser.parse_args(arguments)
    chosen = [name for name in DISSECTORS if not options.names or any(part in name for part in options.names)]
    if not chosen:
        print(
            f"no dissector is called {' or '.join(options.names)}; the list is in collector/dissectors", file=sys.stderr
        )
        return 2
    escaped = False
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as threads:
        for outcome in threads.map(lambda name: fuzz(name, options.seconds, options.out), chosen):
            escaped = escaped or outcome.escape is not None
            print(f"{outcome.name}: {outcome.inputs} inputs, {outcome.peak_mib} MiB, {outcome.escape or 'no escape'}")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
