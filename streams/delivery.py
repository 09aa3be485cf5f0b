"""The sinks of the settings at work, for as long as a command runs; the same for `watch` and for `worker`."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.database import DAY_SECONDS
from streams.dispatch.dispatch import Dispatch
from streams.dispatch.opening import open_sinks
from streams.settings import Settings, state_folder

if TYPE_CHECKING:
    from streams.metrics import SinkMeters

FOLDER: Final = "outbox"


def outbox_folder(settings: Settings) -> Path:
    """Where what waits for the sinks is kept."""
    return state_folder(settings.store) / FOLDER


def open_dispatch(settings: Settings, meters: "SinkMeters") -> Dispatch | None:
    """The sinks, carried from now on; None when the settings name none. Raises LenswatchError."""
    sinks = open_sinks(settings.sinks)
    if not sinks:
        return None
    store = settings.store
    age_seconds = store.waiting_days * DAY_SECONDS
    return Dispatch(sinks, outbox_folder(settings), store.max_waiting, meters, max_age_seconds=age_seconds).start()


@contextlib.contextmanager
def delivering(settings: Settings, meters: "SinkMeters") -> Iterator[Dispatch | None]:
    """As `open_dispatch`, for the time of a run; at its end what can be delivered is, and the rest is said."""
    dispatch = open_dispatch(settings, meters)
    if dispatch is None:
        yield None
        return
    try:
        yield dispatch
    finally:
        left, words = dispatch.drain(settings.watch.drain_seconds), dispatch.words()
        dispatch.stop()
        for line in what_waits(left, words):
            sys.stderr.write(f"lenswatch: {line}\n")


def what_waits(left: dict[str, int], words: dict[str, str]) -> list[str]:
    """For each sink that alerts wait for, a line for the person."""
    return [
        f"sinks.{name}: {count} alerts wait ({words.get(name, 'not delivered yet')}); they go with the next run, or "
        "with `lenswatch sinks drain`"
        for name, count in left.items()
    ]
