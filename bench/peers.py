"""Lenswatch beside other readers of captures, in the same run: packets per CPU-second, less what one packet costs.

    python bench/peers.py            one table; exits 1 when a ratio is missed
    python bench/peers.py --run R F  one of READERS over a file, in a process of its own

camera and hard are the mixes of `traffic`; every tool runs on one core, the two of a line take turns, and the ratio is
that of the medians. Where ours is over sooner, its turn is the mean of several runs: a short run on a shared machine
sees one moment, a long one the mean of many. All read the same packets; pyshark, which would take hours, the first of
them. *names* is the question of DNS, the SNI and the host and path of HTTP, as one line each: before anything is timed,
lenswatch, tshark and pyshark must give the same lines.

ndpiReader -q; nfstream with its own defaults (20 packets of a flow are dissected) and one meter; `tshark -T fields` and
a display filter of these fields; pyshark as it reads a file: every packet becomes an object.
"""

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.run import MIXES, beginning, capture, measure, ndpi, warm, watch

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ROOT / "out" / "engines" / "venv" / "bin" / "python"
FIELDS = ("dns.qry.name", "tls.handshake.extensions_server_name", "http.host", "http.request.uri")
ROUNDS, SLOW_ROUNDS = 5, 1
MAX_RUNS_A_TURN = 5
PYSHARK_PACKETS = 20_000
Command = Callable[[Path], list[str]]


def observe(path: Path) -> None:
    """Packets to observations: every one is made, and nobody asks what it means."""
    from collector.capture.pcap_file import CaptureFile
    from collector.identify.fingerprint import read_fingerprints
    from collector.pipeline import Pipeline
    from collector.settings import CollectorSettings

    pipeline = Pipeline(CollectorSettings(), read_fingerprints())
    for block in CaptureFile(str(path)).blocks():
        pipeline.process(block)
    pipeline.finish()


def flows(path: Path) -> None:
    """All flows of nfstream."""
    from nfstream import NFStreamer  # type: ignore[import-not-found]

    for _ in NFStreamer(source=str(path), n_meters=1):
        pass


def packets(path: Path) -> None:
    """All packets of pyshark, and their names."""
    import pyshark  # type: ignore[import-untyped]

    with pyshark.FileCapture(str(path), keep_packets=False, custom_parameters=["-n"]) as read:
        for packet in read:
            for protocol in ("dns", "tls", "http"):
                if protocol in packet:
                    told = [packet[protocol].get_field(field) for field in FIELDS if field.startswith(protocol)]
                    if any(told):
                        print("\t".join(str(each) for each in told if each))


READERS = {"observe": observe, "flows": flows, "packets": packets}


def reader(name: str, python: Path | str = sys.executable) -> Command:
    """The command that runs one of READERS."""
    return lambda path: [str(python), __file__, "--run", name, str(path)]


def tshark(path: Path) -> list[str]:
    """The names, by tshark."""
    fields = [word for field in FIELDS for word in ("-e", field)]
    return ["tshark", "-n", "-r", str(path), "-Y", " or ".join(FIELDS), "-T", "fields", *fields]


def names(path: Path) -> list[str]:
    """The names, by lenswatch: all that is observed of anybody, written down, and the alerts."""
    return ["env", "LENSWATCH_COLLECTOR_TRAFFIC=all", *watch(path), "--observations", "-"]


@dataclasses.dataclass(frozen=True)
class Race:
    """One line of the table: what of ours, against whom, over how many packets of theirs, and the least ratio."""

    mix: str
    job: str
    ours: Command
    peer: str
    theirs: Command
    least: float
    packets: int = 0
    rounds: int = ROUNDS


RACES = (
    Race("camera", "packets to alerts", watch, "ndpiReader", ndpi, 2.0),
    Race("hard", "packets to observations", reader("observe"), "ndpiReader", ndpi, 3.0),
    Race("hard", "packets to alerts", watch, "ndpiReader", ndpi, 2.0),
    Race("hard", "packets to alerts", watch, "nfstream", reader("flows", ENGINES), 15.0),
    Race("camera", "names", names, "tshark -T fields", tshark, 50.0, rounds=SLOW_ROUNDS),
    Race("camera", "names", names, "pyshark", reader("packets"), 1_000.0, PYSHARK_PACKETS, SLOW_ROUNDS),
)


def told(command: list[str], folder: Path) -> Iterator[str]:
    """The lines that a command prints."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return iter(done.stdout.splitlines())


def our_names(lines: Iterator[str]) -> Iterator[str]:
    """The names in observations, as tshark has them."""
    for line in lines:
        document = json.loads(line)
        dataset = document["event"]["dataset"].removeprefix("lenswatch.")
        if dataset == "dns":
            yield document["dns"]["question"]["name"]
        elif dataset == "tls" and "client" in document["tls"]:
            yield document["tls"]["client"]["server_name"]
        elif dataset == "http" and "url" in document:
            yield document["url"]["domain"] + document["url"]["original"]


def check_names(folder: Path) -> None:
    """Raises SystemExit unless all three say the same of the same packets."""
    path = beginning(capture("camera", MIXES["camera"]), PYSHARK_PACKETS)
    ours = sorted(our_names(told(names(path), folder)))
    for peer, command in (("tshark", tshark), ("pyshark", reader("packets"))):
        theirs = sorted(line.replace("\t", "") for line in told(command(path), folder))
        if ours != theirs or not ours:
            sys.exit(
                f"{peer} tells {len(theirs)} names, lenswatch {len(ours)}, of which {len(set(ours) & set(theirs))} same"
            )
    print(
        f"names    the same {len(ours):,} by lenswatch, tshark and pyshark in {PYSHARK_PACKETS:,} packets", flush=True
    )


def net(command: Command, path: Path, state: Path) -> float:
    """CPU-seconds over a capture, less those over its first packet."""
    warm(path)
    return measure(command(path), state).seconds - measure(command(beginning(path, 1)), state).seconds


def run(race: Race, state: Path) -> bool:
    """One line of the table."""
    whole = capture(race.mix, MIXES[race.mix])
    part = beginning(whole, race.packets) if race.packets else whole
    ours, theirs = [], []
    for _ in range(race.rounds):
        turn, began = [net(race.ours, whole, state)], time.monotonic()
        theirs.append((race.packets or MIXES[race.mix]) / net(race.theirs, part, state))
        until = 2 * time.monotonic() - began
        while len(turn) < MAX_RUNS_A_TURN and time.monotonic() < until:
            turn.append(net(race.ours, whole, state))
        ours.append(MIXES[race.mix] / statistics.mean(turn))
    rates = statistics.median(ours), statistics.median(theirs)
    ratio = rates[0] / rates[1]
    print(
        f"{race.mix:<7} {race.job:<24} lenswatch {rates[0]:>9,.0f}   {race.peer:<16} {rates[1]:>9,.0f} packets a "
        f"CPU-second  ratio {ratio:,.2f} (at least {race.least:,.0f})",
        flush=True,
    )
    return ratio >= race.least


def main() -> None:
    """Print the table; exit 1 when a ratio is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", nargs=2, metavar=("READER", "FILE"))
    given = parser.parse_args()
    if given.run:
        READERS[given.run[0]](Path(given.run[1]))
        return
    for program, target in (("ndpiReader", "ndpi"), ("tshark", "tshark")):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed: type 'make {target}'")
    if not ENGINES.exists():
        sys.exit("nfstream is not here: type 'make engines'")
    with tempfile.TemporaryDirectory() as folder:
        check_names(Path(folder))
        results = [run(race, Path(folder)) for race in RACES]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
