"""How fast alerts leave: python bench/delivery.py

A burst with one dead receiver of three, and the way from an alert to a signed webhook while others go on. The receivers
are real web servers on the loopback address.
"""

import resource
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from prometheus_client import CollectorRegistry

from rules.alert import Alert
from rules.load import load_rules
from streams.dispatch.dispatch import Dispatch
from streams.metrics import SinkMeters
from streams.sinks.jsonl import AlertLines
from tests.streams.dispatch.carrying import webhook
from tests.streams.receiver import Got, Receiver
from tests.streams.told import many_alerts, one_alert

BURST, DEVICES, RATE, SECONDS = 1_000, 50, 50, 10


def rss_mib() -> float:
    """The most memory that the process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def burst(alert: Alert, folder: Path) -> None:
    """A thousand alerts at once."""
    dead = Receiver().start()
    dead.stop()
    with Receiver() as receiver:
        lines = AlertLines(str(folder / "lines.jsonl"), "lines")
        sinks: list[Any] = [webhook("living", receiver.url, folder), webhook("dead", dead.url, folder), lines]
        dispatch = Dispatch(sinks, folder / "burst", 100_000, SinkMeters(CollectorRegistry())).start()
        before, began, busy = rss_mib(), time.monotonic(), time.process_time()
        dispatch.put(many_alerts(alert, BURST, DEVICES))
        while dispatch.left()["living"] or dispatch.left()["lines"]:
            time.sleep(0.02)
        took, busy = time.monotonic() - began, time.process_time() - busy
        dispatch.stop()
    print(
        f"burst    {BURST} alerts, three sinks, one dead: the living ones done in {took:.2f} s ({busy:.2f} s of the "
        f"processor, receiver and all); memory +{rss_mib() - before:.1f} MiB"
    )


def latency(alert: Alert, folder: Path) -> None:
    """So many alerts a second for a while."""
    arrived: dict[str, float] = {}
    lock = threading.Lock()

    def note(got: Got) -> tuple[int, dict[str, str]]:
        with lock:
            arrived.setdefault(got.id, time.monotonic())
        return 204, {}

    sent: dict[str, float] = {}
    with Receiver(note) as receiver:
        meters = SinkMeters(CollectorRegistry())
        dispatch = Dispatch([webhook("soc", receiver.url, folder)], folder / "latency", 100_000, meters).start()
        began = time.monotonic()
        for number, each in enumerate(many_alerts(alert, RATE * SECONDS, DEVICES)):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            sent[f"{each.event.id}-1"] = time.monotonic()
            dispatch.put([each])
        dispatch.drain(60)
        dispatch.stop()
    delays = sorted(1000 * (arrived[key] - at) for key, at in sent.items())
    print(
        f"latency  alert told to webhook received, {RATE}/s: p50 {statistics.median(delays):.0f} ms, "
        f"p99 {delays[int(0.99 * len(delays))]:.0f} ms, most {delays[-1]:.0f} ms"
    )


def main() -> None:
    """Both, one after the other."""
    alert = one_alert(load_rules())
    with tempfile.TemporaryDirectory() as folder:
        burst(alert, Path(folder))
        latency(alert, Path(folder))


if __name__ == "__main__":
    main()
