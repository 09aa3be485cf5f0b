"""What keeping evidence costs and holds: CPU-seconds on the camera mix with and without, bytes under the hard mix.

    python bench/evidence.py        exits 1 when keeping costs more than MAX_COST, or a bound is passed

The runs take turns, each on one core, net of what a one-packet capture costs; compared are the least of each, for what
else the machine does only adds. The hard mix is read in one process with a small ring and with the default one.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.run import MIXES, beginning, capture, measure, warm, watch
from collector.capture.source import open_source
from collector.evidence.ring import EvidenceRing, EvidenceSettings, keeping
from collector.pipeline import Pipeline
from collector.settings import ALL, CollectorSettings

ROUNDS = 7
MAX_COST = 1.05
BOUNDS = (8 << 20, 256 << 20)


def cost(state: Path) -> bool:
    """Print what keeping costs on the camera mix."""
    path = capture("camera", MIXES["camera"])
    single = beginning(path, 1)
    least: dict[str, float] = {}
    for _ in range(ROUNDS):
        for keep in ("false", "true"):
            warm(path)
            shutil.rmtree(state / "lenswatch", ignore_errors=True)
            command = ["env", f"LENSWATCH_EVIDENCE_KEEP={keep}"]
            seconds = (
                measure([*command, *watch(path)], state).seconds - measure([*command, *watch(single)], state).seconds
            )
            least[keep] = min(seconds, least.get(keep, seconds))
    ratio = least["true"] / least["false"]
    without, kept = least["false"], least["true"]
    print(f"camera   without {without:.2f} s, with {kept:.2f} s: {ratio:.3f} (at most {MAX_COST})", flush=True)
    return ratio <= MAX_COST


def hold(max_bytes: int, folder: Path) -> bool:
    """Print what the ring holds of the hard mix, all of it observed; whether it ever held more than it may."""
    settings, most, began = EvidenceSettings(max_bytes=max_bytes), 0, time.process_time()
    with keeping(settings, folder, lambda words: print(words, file=sys.stderr)) as witness:
        pipeline = Pipeline(CollectorSettings(traffic=ALL), ())
        pipeline.keep_with(witness)
        for block in open_source(str(capture("hard", MIXES["hard"]))).blocks():
            pipeline.process(block)
            most = max(most, sum(path.stat().st_size for path in folder.iterdir()))
        pipeline.finish()
    assert witness is not None and isinstance(witness.keeper, EvidenceRing)
    ring, seconds = witness.keeper, time.process_time() - began
    print(
        f"hard     {ring.packets:,} packets kept, at most {most:,} bytes on disk (bound {max_bytes:,}), "
        f"{ring.dropped['full']:,} let go, {witness.held_bytes:,} held in memory, {seconds:.1f} CPU-s",
        flush=True,
    )
    return most <= max_bytes and not ring.dropped["disk"]


def main() -> None:
    """Print the figures; exit 1 when one is missed."""
    results = []
    for max_bytes in BOUNDS:
        with tempfile.TemporaryDirectory() as folder:
            results.append(hold(max_bytes, Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        results.append(cost(Path(folder)))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
