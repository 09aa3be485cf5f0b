"""The same job in lenswatch's worker, in Quix Streams and in Bytewax: observations per CPU-second of each.

    python bench/engines.py [--observations N] [--rounds N]      exits 1 when the worker reaches less than MIN_RATIO
                                                                 of the faster one, or the alerts are not the same

One broker and one topic a round, the same records; who runs first changes from round to round, and each one's best
round counts. What each engine does, and what it leaves out that the worker does, stands in `engine_jobs.py`.
CPU-seconds are those of the whole process, all threads, user and system, until it has ended in order, with all kept,
flushed and committed: from ready for the worker (its metrics are asked twice a second until all is done), from the
first record for the others. What it costs to end is in them for all three, and weighs less the more observations there
are.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.worker import DEFAULTS, camera_like, measure_worker
from tests.system.broker import ROOT, Broker, find_libs
from tests.system.centre import Centre, Record, centre_at

OBSERVATIONS, ROUNDS, MIN_RATIO = 300_000, 3, 0.95
ENGINE_SECONDS = 600
LENSWATCH, QUIX, BYTEWAX = "lenswatch", "quix", "bytewax"
PYTHON = ROOT / "out" / "engines" / "venv" / "bin" / "python"


class EngineFailed(Exception):
    """An engine ended badly, or its alerts are not those of the others."""


def measure_engine(engine: str, broker: Broker, centre: Centre, count: int, alerts: str) -> float:
    """Observations per CPU-second of one engine over all that is on the topic. Raises EngineFailed."""
    group, folder = f"{centre.group}-{engine}", centre.folder / engine
    command = [
        PYTHON, Path(__file__).with_name("engine_jobs.py"), engine, broker.address, centre.observations, alerts, group,
        folder, count, DEFAULTS["LENSWATCH_WORKER_COMMIT_SECONDS"],
    ]  # fmt: skip
    before = children_seconds()
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=ENGINE_SECONDS, cwd=centre.folder, check=False
    )
    if done.returncode:
        raise EngineFailed(f"{engine} ended with {done.returncode}: {done.stderr[-2000:]}")
    return count / (children_seconds() - before - float(done.stdout.splitlines()[-1]))


def children_seconds() -> float:
    """User and system time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_round(broker: Broker, folder: Path, records: list[Record], count: int, turn: int) -> dict[str, float]:
    """The rate of each, in one round. Raises EngineFailed."""
    with centre_at(broker.address, folder, settle_seconds=600.0, variables=DEFAULTS) as centre:
        centre.send(records)
        alerts = {LENSWATCH: centre.alerts_topic}
        alerts |= {name: broker.create_topic(f"{centre.alerts_topic}.{name}") for name in (QUIX, BYTEWAX)}
        runs: list[tuple[str, Callable[[], float]]] = [(LENSWATCH, lambda: measure_worker(centre, count, ended=True))]
        for name in (QUIX, BYTEWAX):
            runs.append((name, lambda name=name: measure_engine(name, broker, centre, count, alerts[name])))
        turn %= len(runs)
        rates = {name: run() for name, run in runs[turn:] + runs[:turn]}
        told = {name: {record.key for record in centre.read(topic)} for name, topic in alerts.items()}
    for name in (QUIX, BYTEWAX):
        if told[name] != told[LENSWATCH] or not told[name]:
            raise EngineFailed(f"{name} told of {len(told[name])} alerts, lenswatch of {len(told[LENSWATCH])}, "
                               f"{len(told[name] & told[LENSWATCH])} of them the same")  # fmt: skip
    print(
        "  ".join(f"{name} {rates[name]:>7,.0f}" for name in alerts), f"  {len(told[QUIX]):,} alerts each", flush=True
    )
    return rates


def compare(broker: Broker, folder: Path, count: int, rounds: int) -> float:
    """Print the table; what the worker reaches of the faster one. Raises EngineFailed."""
    with centre_at(broker.address, folder / "records") as centre:
        records = centre.records(camera_like(count))
    found = [measure_round(broker, folder / str(turn), records, count, turn) for turn in range(rounds)]
    best = {name: max(rates[name] for rates in found) for name in found[0]}
    print(f"\n{'':<14}{'observations per CPU-second':>28}{'lenswatch reaches':>20}")
    for name, rate in best.items():
        print(f"{name:<14}{rate:>28,.0f}{best[LENSWATCH] / rate:>20.2f}")
    return best[LENSWATCH] / max(best[QUIX], best[BYTEWAX])


def main() -> None:
    """Measure, print, and exit 1 when the figure is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--observations", type=int, default=OBSERVATIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    libs = find_libs()
    if libs is None:
        sys.exit("no Kafka here: type 'make kafka' first")
    if not PYTHON.exists():
        sys.exit("no engines to compare with: type 'make engines' first")
    with tempfile.TemporaryDirectory() as name:
        broker = Broker(Path(name) / "kafka", libs).start()
        try:
            ratio = compare(broker, Path(name), given.observations, given.rounds)
        except EngineFailed as error:
            sys.exit(str(error))
        finally:
            broker.stop()
    if ratio < MIN_RATIO:
        sys.exit(f"missed: the worker reaches {ratio:.2f} of the faster one, {MIN_RATIO} is wanted")


if __name__ == "__main__":
    main()
