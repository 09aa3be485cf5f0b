"""A dispatch with real receivers, as its tests use it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from rules.alert import Alert
from streams.dispatch.dispatch import Dispatch
from streams.metrics import SinkMeters
from streams.sinks.sink import Sink, Undelivered
from streams.sinks.webhook import SignedWebhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PROBE_SECONDS = 0.3


def until(holds: Callable[[], Any], seconds: float = 15.0, words: str = "what was waited for") -> None:
    """Return when it holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {words}"
        time.sleep(0.01)


def write_secret(path: Path, secret: str = SECRET) -> Path:
    """A file with a secret, for this user's eyes only; the path."""
    path.write_text(f"{secret}\n", "utf-8")
    path.chmod(0o600)
    return path


def webhook(name: str, url: str, folder: Path, secret: str = SECRET, **more: Any) -> SignedWebhook:
    """A webhook to a receiver on the loopback address."""
    path = write_secret(folder / f"{name}.secret", secret)
    return SignedWebhook.build(name, {"url": url, "secret_file": str(path), "allow": ["127.0.0.1"], **more})


def deliver(sink: Sink, *alerts: Alert) -> str:
    """What a sink of its own answers to these alerts, at once. Raises what it raises."""
    (came,) = deliver_all(sink, alerts)
    if isinstance(came, Undelivered):
        raise came
    return came


def deliver_all(sink: Sink, *batches: Sequence[Alert]) -> list[str | Undelivered]:
    """What comes of each batch, one after the other, with the one sink; then it is closed."""

    async def run() -> list[str | Undelivered]:
        found: list[str | Undelivered] = []
        try:
            for alerts in batches:
                try:
                    found.append(await sink.deliver(alerts))
                except Undelivered as error:
                    found.append(error)
        finally:
            await sink.close()
        return found

    return asyncio.run(run())


@contextlib.contextmanager
def carrying(
    sinks: Sequence[Sink], folder: Path, max_parcels: int = 100_000, probe_seconds: float = PROBE_SECONDS
) -> Iterator[Dispatch]:
    """A dispatch for the time of a test."""
    registry = CollectorRegistry()
    dispatch = Dispatch(sinks, folder / "outbox", max_parcels, SinkMeters(registry), probe_seconds)
    dispatch.registry = registry  # type: ignore[attr-defined]
    dispatch.start()
    try:
        yield dispatch
    finally:
        dispatch.stop()


def metric(dispatch: Dispatch, line: str) -> float:
    """The value of one line of the metrics, without `lenswatch_`; 0 when there is none."""
    for each in generate_latest(dispatch.registry).decode().splitlines():  # type: ignore[attr-defined]
        if each.startswith(f"lenswatch_{line} "):
            return float(each.rpartition(" ")[2])
    return 0.0
