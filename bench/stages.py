"""Where the time goes between a capture and its alerts, beside all that ndpiReader takes for the same file.

    python bench/stages.py              both mixes

A line is what a stage and all before it take, in CPU-seconds of one core; *reaches* is what a program that did nothing
else would reach of ndpiReader. *found* is only where the packets lie: pages mapped, record headers walked, and the
first 54 bytes of each packet put side by side by numpy, with no loop in Python over packets. What reaches less there
than a figure asks for can reach the figure in no Python program of this form. *observed* makes every observation,
*alerts* only those that a detection may ask about, and judges them.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.peers import observe
from bench.run import MIXES, beginning, capture, measure, ndpi, warm, watch
from collector.capture.pcap_file import CaptureFile
from collector.decode import decode
from collector.flows import FlowTable
from collector.ledger import Ledger
from collector.settings import CollectorSettings

ROUNDS = 3


def found(path: Path) -> None:
    """Where the packets lie."""
    for _ in CaptureFile(str(path)).blocks():
        pass


def decoded(path: Path) -> None:
    """And their headers as columns."""
    ledger = Ledger()
    for block in CaptureFile(str(path)).blocks():
        decode(block, ledger)


def sorted_into_flows(path: Path) -> None:
    """And the flow of each."""
    ledger, flows = Ledger(), FlowTable(CollectorSettings().max_flows)
    for block in CaptureFile(str(path)).blocks():
        flows.fold(decode(block, ledger))


STAGES: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("found", found), ("decoded", decoded), ("in flows", sorted_into_flows), ("observed", observe),
)  # fmt: skip


def seconds(stage: Callable[[Path], None], path: Path) -> float:
    """CPU-seconds of a stage and all before it, start-up left out."""
    costs = []
    for each in (beginning(path, 1), path):
        warm(each)
        began = time.process_time()
        stage(each)
        costs.append(time.process_time() - began)
    return costs[1] - costs[0]


def table(mix: str, packets: int, state: Path) -> None:
    """Print the stages of a mix."""
    path = capture(mix, packets)
    single = beginning(path, 1)
    rounds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, stage in STAGES:
            rounds.setdefault(name, []).append(seconds(stage, path))
        for name, command in (("alerts", watch), ("ndpiReader", ndpi)):
            whole, alone = measure(command(path), state), measure(command(single), state)
            rounds.setdefault(name, []).append(whole.seconds - alone.seconds)
    costs = {name: statistics.median(each) for name, each in rounds.items()}
    theirs = costs["ndpiReader"]
    print(f"{mix}: {packets:,} packets, ndpiReader {theirs:.2f} CPU-seconds for everything")
    for name, cost in costs.items():
        if name != "ndpiReader":
            print(f"  {name:<10}{cost:>7.2f} CPU-seconds until here, reaches {theirs / cost:.2f}")
    sys.stdout.flush()


def main() -> None:
    """Print both tables."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        for mix, packets in MIXES.items():
            table(mix, packets, Path(folder))


if __name__ == "__main__":
    main()
