"""Every kind of sink at work at once: python bench/sinks.py

BURSTS bursts of BURST alerts to one sink of each kind of `streams.sinks.SINKS`, to real servers in a process of their
own, and to a dead webhook beside them; then RATE alerts a second. Says how soon the living had all of a burst, by how
much this process grew once what is bounded was full, and how long news took to the signed webhook; exits 1 when a
figure is missed. Chats are bounded in their pace, and are not waited for.
"""

import contextlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from prometheus_client import CollectorRegistry

from rules.alert import Alert
from rules.load import load_rules
from streams.dispatch.dispatch import Dispatch
from streams.dispatch.opening import kinds
from streams.metrics import SinkMeters
from tests.streams.dispatch.carrying import SECRET, write_secret
from tests.streams.hec import TOKEN, Hec
from tests.streams.listener import Listener
from tests.streams.mailbox import Mailbox
from tests.streams.receiver import Got, Receiver
from tests.streams.sinks.test_elastic import Engine
from tests.streams.sinks.test_taxii import ROOT, Collection
from tests.streams.told import many_alerts, one_alert

BURSTS, BURST, DEVICES, RATE, SECONDS = 12, 1_000, 50, 50, 10
# The largest of what is bounded, 16 MiB of what syslog may have to write again, is full by then.
FULL = 5
MAX_BURST_SECONDS, MAX_GROWTH_MIB, MAX_P99_MS = 5.0, 8.0, 200.0
PATIENCE_SECONDS = 120.0
DEAD, CHAT, SOC = "dead", "chat", "webhook"


def receive(pipe: Connection) -> None:
    """The servers, until the other end says so; then when each webhook came (seconds of the monotonic clock)."""
    arrived: dict[str, float] = {}

    def note(got: Got) -> tuple[int, dict[str, str]]:
        arrived.setdefault(got.id, time.monotonic())
        return 204, {}

    with contextlib.ExitStack() as stack:
        web = stack.enter_context(Receiver(note))
        manager = stack.enter_context(Receiver(lambda got: (200, {})))
        hec, engine, collection = (stack.enter_context(each) for each in (Hec(), Engine(), Collection()))
        mailbox, listener = stack.enter_context(Mailbox()), Listener().start()
        dead = Receiver().start()
        dead.stop()
        servers: list[Any] = [web, dead, manager, hec, engine, collection, mailbox, listener]
        pipe.send([server.port for server in servers])
        pipe.recv()
        pipe.send(arrived)
        listener.stop()


def tables(ports: list[int], folder: Path) -> dict[str, dict[str, Any]]:
    """The settings of each sink, by its name."""
    web, dead, manager, hec, engine, collection, mailbox, listener = ports
    secret, token = write_secret(folder / "secret", SECRET), write_secret(folder / "token", TOKEN)
    mail = write_secret(folder / "mail", f"mailto://127.0.0.1:{mailbox}/?from=a@example.org&to=b@example.org")
    here = {"allow": ["127.0.0.1"]}
    return {
        SOC: {"url": f"http://127.0.0.1:{web}/", "secret_file": str(secret)} | here,
        DEAD: {"kind": SOC, "url": f"http://127.0.0.1:{dead}/", "secret_file": str(secret)} | here,
        "alertmanager": {"url": f"http://127.0.0.1:{manager}"} | here,
        "jsonl": {"path": str(folder / "alerts.jsonl")},
        "splunk": {"url": f"http://127.0.0.1:{hec}", "token_file": str(token)} | here,
        "elastic": {"url": f"http://127.0.0.1:{engine}"} | here,
        "taxii": {"url": f"http://127.0.0.1:{collection}{ROOT}"} | here,
        "stix": {"folder": str(folder)},
        CHAT: {"url_file": str(mail)} | here,
        "syslog": {"address": f"127.0.0.1:{listener}", "tls": False} | here,
    }


@contextlib.contextmanager
def at_work(folder: Path) -> Iterator[tuple[Dispatch, Connection]]:
    """A dispatch with all of them, and the pipe to the servers' process."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=receive, args=(theirs,), daemon=True)
    process.start()
    made, known = [], kinds()
    for name, table in tables(pipe.recv(), folder).items():
        kind = known[table.pop("kind", name)]
        made.append(kind.build(name, table))
    missing = known.keys() - {sink.kind for sink in made}
    if missing:
        sys.exit(f"no server here for {', '.join(sorted(missing))}")
    dispatch = Dispatch(made, folder / "outbox", 100_000, SinkMeters(CollectorRegistry())).start()
    try:
        yield dispatch, pipe
    finally:
        dispatch.stop()
        process.terminate()


def memory_mib() -> float:
    """What the process holds of memory now (proc(5))."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def wait_for_living(dispatch: Dispatch, began: float) -> dict[str, float]:
    """When each of the living had everything, in seconds since `began`."""
    done: dict[str, float] = {}
    while time.monotonic() - began < PATIENCE_SECONDS:
        left = dispatch.left()
        for name, count in left.items():
            if not count and name not in done:
                done[name] = time.monotonic() - began
        if left.keys() - {DEAD, CHAT} <= done.keys():
            return done
        time.sleep(0.05)
    sys.exit(f"not all arrived: {dispatch.left()}: {dispatch.words()}")


def burst(dispatch: Dispatch, alert: Alert) -> list[str]:
    """Print how soon, and by how much the process grew after number FULL; what was missed."""
    held, slowest = [], 0.0
    for number in range(BURSTS):
        began, busy = time.monotonic(), time.process_time()
        dispatch.put(many_alerts(alert, BURST, DEVICES, first=number * BURST))
        done = wait_for_living(dispatch, began)
        late = max(done, key=done.__getitem__)
        slowest = max(slowest, done[late])
        held.append(memory_mib())
        busy = time.process_time() - busy
        print(
            f"burst    {BURST} alerts: webhook after {done[SOC]:.2f} s, last {late} after {done[late]:.2f} s; "
            f"{busy:.2f} s of the processor; {held[-1]:.0f} MiB",
            flush=True,
        )
    grew = held[-1] - held[FULL - 1]
    print(
        f"memory   {grew:+.1f} MiB from burst {FULL} to {BURSTS}, {max(held):.0f} MiB at most, "
        f"{BURSTS * BURST:,} alerts waiting for the dead one"
    )
    missed = [f"a burst took {slowest:.2f} s"] if slowest > MAX_BURST_SECONDS else []
    return missed + ([f"memory grew by {grew:.1f} MiB"] if grew > MAX_GROWTH_MIB else [])


def latency(dispatch: Dispatch, pipe: Connection, alert: Alert) -> list[str]:
    """Print how long news took to the webhook; what was missed."""
    sent: dict[str, float] = {}
    began = time.monotonic()
    for number, each in enumerate(many_alerts(alert, RATE * SECONDS, DEVICES, first=BURSTS * BURST)):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        sent[f"{each.event.id}-1"] = time.monotonic()
        dispatch.put([each])
    wait_for_living(dispatch, time.monotonic())
    pipe.send(None)
    arrived = pipe.recv()
    delays = sorted(1000 * (arrived[key] - at) for key, at in sent.items())
    p99 = delays[int(0.99 * len(delays))]
    print(
        f"latency  alert told to webhook received, {RATE}/s: p50 {statistics.median(delays):.0f} ms, p99 {p99:.0f} ms"
    )
    return [f"p99 {p99:.0f} ms"] if p99 > MAX_P99_MS else []


def main() -> None:
    """Measure; exit 1 when a figure is missed."""
    alert = one_alert(load_rules())
    with tempfile.TemporaryDirectory() as name, at_work(Path(name)) as (dispatch, pipe):
        missed = burst(dispatch, alert) + latency(dispatch, pipe, alert)
    if missed:
        sys.exit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
