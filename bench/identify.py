"""What it costs to know who the devices are: the share of the pipeline's time on the camera mix, and memory.

    python bench/identify.py [--packets 1000000]

Time is the process's own, so that what else runs on the machine counts little. Exit code 1: over the bounds.
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.traffic import write_capture  # noqa: E402
from collector.capture.pcap_file import CaptureFile  # noqa: E402
from collector.dissectors.dissector import Fact  # noqa: E402
from collector.identify.fingerprint import read_fingerprints  # noqa: E402
from collector.identify.inventory import Inventory  # noqa: E402
from collector.observation import Announced  # noqa: E402
from collector.pipeline import Pipeline  # noqa: E402
from collector.settings import CollectorSettings  # noqa: E402

MOST_SHARE = 0.05
MOST_MIB = 300
DEVICES = 100_000
ROUNDS = 5
CALIBRATION = 20_000
PARTS = ("_weigh", "_weigh_words", "_has_shown", "_weigh_question", "_weigh_server", "_tell_news", "still_there")


def run(path: Path, parts: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of the whole pipeline, and of these parts of its reporter; what the stop-watch itself takes is taken
    off."""
    pipeline = Pipeline(CollectorSettings(), read_fingerprints())
    spent, calls, inside = [0.0], [0], [False]

    def timed(part: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if inside[0]:
                return part(*arguments, **more)
            calls[0] += 1
            inside[0], began = True, time.process_time()
            try:
                return part(*arguments, **more)
            finally:
                spent[0] += time.process_time() - began
                inside[0] = False

        return call

    idle = timed(lambda: None)
    for _ in range(CALIBRATION):
        idle()
    own, spent[0], calls[0] = spent[0] / CALIBRATION, 0.0, 0
    for name in parts:
        setattr(pipeline.report, name, timed(getattr(pipeline.report, name)))
    began = time.process_time()
    for block in CaptureFile(str(path)).blocks():
        pipeline.process(block)
    pipeline.finish()
    return time.process_time() - began, spent[0] - own * calls[0]


def share(packets: int) -> float:
    """The least share of several rounds: whatever else ran only adds to it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "camera.pcap"
        write_capture(path, "camera", packets)
        run(path, ())
        whole = min(run(path, ())[0] for _ in range(ROUNDS))
        spent = min(run(path, PARTS)[1] for _ in range(ROUNDS))
    print(f"camera mix, {packets:,} packets: {whole:.3f} s, of these {spent:.3f} s for who the devices are")
    return spent / whole


def resident_mib() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 / 2**20


def memory(devices: int) -> float:
    """MiB for so many devices, each with two addresses, names that it called, and what it says of itself."""
    inventory = Inventory("bench", read_fingerprints(), devices)
    gc.collect()
    before = resident_mib()
    for number in range(devices):
        mac = bytes.fromhex("3cef8c" if number % 2 else "4419b6") + number.to_bytes(3, "big")
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        known = inventory.device_at(mac, address)
        inventory.device_at(mac, f"fe80::{number:x}")
        inventory.note_call(known, "litedev.hik-connect.com")
        for sign in inventory.banners.signs(Fact("dhcp", announced=Announced(name=f"IPC-{number}"))):
            known.add(sign)
        known.tell(Announced(model=f"X{number % 50}", serial_number=f"{number:09}", firmware=f"5.7.{number % 9}"))
        inventory.lease(mac.hex(":"), address)
        inventory.news.clear()
    gc.collect()
    assert len(inventory) == devices and not inventory.evicted
    return resident_mib() - before


def main() -> int:
    """Both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=1_000_000)
    part, used = share(parser.parse_args().packets), memory(DEVICES)
    print(f"share of the pipeline's time: {part:.1%} (at most {MOST_SHARE:.0%})")
    print(f"{DEVICES:,} devices: {used:.0f} MiB (at most {MOST_MIB})")
    return int(part > MOST_SHARE or used > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
