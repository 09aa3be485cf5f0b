"""A pack of a million indicators exchanged while 50,000 packets a second flow: packets lost, seconds until in force.

    python bench/reload.py [--indicators 1000000] [--rate 50000]

Needs root, iproute2 and tcpreplay; exits 1 when a figure is missed. Seconds are from the moment at which the pack's
file is another to that at which the running `lenswatch watch` judges by it; finding out that it is another is part of
them. The far interface is in a network namespace made for this; nothing that is sent leaves the machine.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.system.reloading import reload_under_load
from tests.veth import wire

MAX_SECONDS = 15.0


def main() -> int:
    """0 when every figure is within its limit, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--indicators", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=50_000, help="packets a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, wire(Path(name)) as line:
        done = reload_under_load(line, Path(name), options.indicators, options.rate)
    print(
        f"reload     {done.indicators:,} indicators in force after {done.seconds:.1f} s (at most {MAX_SECONDS:.0f}); "
        f"{done.sent:,} packets sent, {done.read:,} read, {done.dropped:,} dropped (none allowed); "
        f"{done.alerts:,} alerts, {'; '.join(done.wrong) or 'each of one whole pack'}"
    )
    return int(done.seconds > MAX_SECONDS or done.dropped > 0 or done.read != done.sent or bool(done.wrong))


if __name__ == "__main__":
    sys.exit(main())
