"""One dead receiver delays nobody, nothing is lost over a restart or a kill, and of two processes one carries."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from collector.errors import LenswatchError
from rules.alert import Alert
from streams.dispatch.dispatch import Dispatch
from streams.dispatch.outbox import Outbox
from streams.metrics import SinkMeters
from streams.sinks.jsonl import AlertLines
from tests.house.tree import ROOT
from tests.streams.command import read_alerts
from tests.streams.dispatch.carrying import carrying, metric, until, webhook
from tests.streams.receiver import Receiver

Make = Callable[..., list[Alert]]


def test_a_burst_with_one_dead_receiver_of_three_reaches_the_living_ones_within_five_seconds(
    tmp_path: Path, alerts_of: Make
) -> None:
    alerts = alerts_of(1_000, devices=50)
    dead = Receiver().start()
    dead.stop()
    with Receiver() as receiver:
        lines = tmp_path / "alerts.jsonl"
        sinks: list[Any] = [
            webhook("living", receiver.url, tmp_path),
            webhook("dead", dead.url, tmp_path),
            AlertLines(str(lines), "lines"),
        ]
        with carrying(sinks, tmp_path) as dispatch:
            began, busy = time.monotonic(), time.process_time()
            dispatch.put(alerts)
            until(lambda: dispatch.left()["living"] == dispatch.left()["lines"] == 0, 60.0)
            took, busy = time.monotonic() - began, time.process_time() - busy
            print(f"\n1,000 alerts to the living sinks: {took:.2f} s, {busy:.2f} s of the processor")
            assert busy < 5.0, "the processor's time, receiver and all: a busy machine makes the rest"
            assert dispatch.left()["dead"] == 1_000
        assert len(set(receiver.ids())) == len(receiver.got) == 1_000
        assert read_alerts(lines.read_text("utf-8")) == alerts


class SlowToClose(AlertLines):
    """A sink that takes a while to close."""

    closed = 0

    async def close(self) -> None:
        await asyncio.sleep(0.2)
        await super().close()
        SlowToClose.closed += 1


def test_at_the_end_every_sink_is_closed_however_long_another_takes(tmp_path: Path) -> None:
    sinks = [
        AlertLines(str(tmp_path / "a"), "first"), *(SlowToClose(str(tmp_path / name), name) for name in "bcd"),
    ]  # fmt: skip
    with carrying(sinks, tmp_path) as dispatch:
        until(lambda: len(dispatch.couriers) == 4)
    assert SlowToClose.closed == 3


def test_memory_does_not_grow_with_what_waits(tmp_path: Path, alerts_of: Make) -> None:
    dead = Receiver().start()
    dead.stop()
    with carrying([webhook("dead", dead.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts_of(500, devices=50))
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for round_ in range(1, 9):
                dispatch.put(alerts_of(500, devices=50, first=500 * round_))
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert dispatch.left() == {"dead": 4_500}
        assert grown < 2_000_000, f"{grown} bytes for 4,000 alerts of {len(msgspec.json.encode(alerts_of(1)))} each"


def test_what_waits_goes_with_the_next_run(tmp_path: Path, alerts_of: Make) -> None:
    receiver = Receiver().start()
    receiver.stop()
    with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts_of(10))
        assert dispatch.drain(5.0) == {"soc": 10}
    with receiver, carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
        assert dispatch.drain(5.0) == {}
    assert len(receiver.got) == 10


def test_drain_returns_when_all_is_delivered_and_when_nothing_can_be(tmp_path: Path, alerts_of: Make) -> None:
    dead = Receiver().start()
    dead.stop()
    with Receiver() as receiver:
        sinks = [webhook("soc", receiver.url, tmp_path), webhook("dead", dead.url, tmp_path)]
        with carrying(sinks, tmp_path) as dispatch:
            dispatch.put(alerts_of(30, devices=3))
            began = time.monotonic()
            assert dispatch.drain(20.0) == {"dead": 30}
            assert time.monotonic() - began < 8.0 and len(receiver.got) == 30


def test_of_two_over_one_outbox_one_carries_and_the_other_takes_over(tmp_path: Path, alerts_of: Make) -> None:
    with Receiver() as receiver:
        with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as second:
            until(lambda: second.couriers)
            with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as first:
                first.put(alerts_of(5))
                time.sleep(0.5)
                assert not first.couriers
                second.put(alerts_of(5, first=5))
                until(lambda: second.left() == {"soc": 0})
        assert len(receiver.got) == len(set(receiver.ids())) == 10


KILLED = """
import os, signal, sys, time
from pathlib import Path
import msgspec
from prometheus_client import CollectorRegistry
from rules.alert import Alert
from streams.dispatch.dispatch import Dispatch
from streams.dispatch.outbox import Outbox
from streams.metrics import SinkMeters
from streams.sinks.webhook import SignedWebhook
folder, url = Path(sys.argv[1]), sys.argv[2]
table = {"url": url, "secret_file": str(folder / "soc.secret"), "allow": ["127.0.0.1"]}
sinks = [SignedWebhook.build("soc", table)]
dispatch = Dispatch(sinks, folder / "outbox", 1000, SinkMeters(CollectorRegistry())).start()
dispatch.put(msgspec.json.decode(sys.stdin.buffer.read(), type=list[Alert]))
print("put", flush=True)
time.sleep(60)
"""


def test_a_kill_in_the_middle_loses_nothing_and_repeats_only_what_was_under_way(
    tmp_path: Path, alerts_of: Make
) -> None:
    alerts = alerts_of(100, devices=10)
    with Receiver(delay=0.05) as receiver:
        webhook("soc", receiver.url, tmp_path)
        killed = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), receiver.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
        )  # fmt: skip
        assert killed.stdin is not None and killed.stdout is not None
        killed.stdin.write(msgspec.json.encode(alerts))
        killed.stdin.close()
        assert killed.stdout.readline() == b"put\n"
        killed.stdout.close()
        until(lambda: len(receiver.got) >= 20)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
            until(lambda: dispatch.left() == {"soc": 0}, 20.0)
    ids = receiver.ids()
    assert len(set(ids)) == 100 and len(ids) - 100 <= 10, "one of each device at most was under way"


class Wild(AlertLines):
    """A sink that breaks its promises."""

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`."""
        raise RuntimeError("T0KEN")


def test_a_sink_that_breaks_its_promises_harms_nobody_else(tmp_path: Path, alerts_of: Make) -> None:
    sinks = [Wild(str(tmp_path / "wild"), "wild"), AlertLines(str(tmp_path / "lines"), "lines")]
    with carrying(sinks, tmp_path) as dispatch:
        dispatch.put(alerts_of(20))
        until(lambda: dispatch.left() == {"wild": 20, "lines": 0})
        until(lambda: "wild" in dispatch.words())
        assert dispatch.words()["wild"] == "wild: unforeseen: RuntimeError"
        assert metric(dispatch, 'sink_deliveries_total{result="undelivered",sink="wild"}') >= 20


def test_what_is_given_is_kept_before_it_is_answered(tmp_path: Path, alerts_of: Make) -> None:
    dead = Receiver().start()
    dead.stop()
    with carrying([webhook("dead", dead.url, tmp_path)], tmp_path, max_parcels=4) as dispatch:
        assert asyncio.run(dispatch.deliver(alerts_of(6))) == "kept"
        assert dispatch.left() == {"dead": 4}
        assert metric(dispatch, 'sink_dropped_total{reason="full",sink="dead"}') == 2


def test_a_dispatch_whose_thread_has_ended_says_so(tmp_path: Path, alerts_of: Make) -> None:
    with pytest.raises(LenswatchError, match="delivery has ended by itself"):  # noqa: SIM117
        with carrying([AlertLines(str(tmp_path / "lines"), "lines")], tmp_path) as dispatch:
            until(lambda: dispatch.couriers)
            dispatch.outbox.close()
            until(lambda: dispatch.failure is not None)
            dispatch.put(alerts_of(1))


def test_a_worker_that_is_asked_to_end_delivers_first_what_it_can(tmp_path: Path, alerts_of: Make) -> None:
    with Receiver(delay=0.02) as receiver:
        sink = webhook("soc", receiver.url, tmp_path)
        dispatch = Dispatch([sink], tmp_path / "outbox", 1_000, SinkMeters(CollectorRegistry())).start()
        dispatch.put(alerts_of(50, devices=5))
        asyncio.run(dispatch.close())
    assert len(set(receiver.ids())) == 50


def test_a_disk_that_takes_no_more_ends_delivery_instead_of_sending_the_same_for_ever(
    tmp_path: Path, alerts_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LenswatchError("outbox: disk full")

    monkeypatch.setattr(Outbox, "done", full)
    with (
        Receiver() as receiver,
        pytest.raises(LenswatchError, match="delivery has ended by itself: outbox: disk full"),
        carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch,
    ):
        dispatch.put(alerts_of(3))
        until(lambda: dispatch.failure is not None)
    assert len(receiver.got) == 1
