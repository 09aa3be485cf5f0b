"""`lenswatch sinks list|test|drain`: where alerts go, whether they arrive, and what still waits."""

import asyncio
import contextlib
import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from collector.canary import make_canary
from collector.errors import LenswatchError, SettingsError
from rules.alert import Alert
from rules.load import load_rules
from streams.delivery import open_dispatch, outbox_folder, what_waits
from streams.dispatch.opening import close_sinks, open_sinks
from streams.dispatch.outbox import Outbox
from streams.options import Config
from streams.processors.canary import TEST_SENSOR
from streams.settings import Settings, load_settings
from streams.sinks.sink import Sink

sinks_app = typer.Typer(rich_markup_mode=None, help="Where alerts go: list, test, send what waits.")


def with_sinks(config: Path | None) -> Settings:
    """The settings. Raises SettingsError when they name no sink."""
    settings = load_settings(config)
    if not settings.sinks:
        raise SettingsError(f"{config or 'settings'}: no sink is named; add a table [sinks.NAME] with its kind")
    return settings


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[list[Sink]]:
    """The sinks for the time of a command. Raises SettingsError."""
    sinks = open_sinks(settings.sinks)
    try:
        yield sinks
    finally:
        asyncio.run(close_sinks(sinks))


@sinks_app.command("list")
def list_sinks(
    config: Config = None, as_json: Annotated[bool, typer.Option("--json", help="JSON instead of words.")] = False
) -> None:
    """The sinks of the settings, and how many alerts wait for each."""
    settings = with_sinks(config)
    folder = outbox_folder(settings)
    with opened(settings) as sinks, contextlib.ExitStack() as stack:
        outbox = None
        if Outbox.is_in(folder):
            outbox = stack.enter_context(contextlib.closing(Outbox(folder, settings.store.max_waiting)))
        for sink in sinks:
            waiting = outbox.count(sink.name) if outbox is not None else 0
            closed = outbox.closed(sink.name, sink.address) if outbox is not None else None
            row = {"name": sink.name, "kind": sink.kind, "address": sink.address, "waiting": waiting, "closed": closed}
            if as_json:
                typer.echo(msgspec.json.encode(row))
            else:
                more = f"; closed: {closed}; `lenswatch sinks test {sink.name}` opens it again" if closed else ""
                typer.echo(f"{sink.name:<16} {sink.kind:<13} {sink.address}  {waiting} waiting{more}")


@sinks_app.command("test")
def test_sink(name: Annotated[str, typer.Argument(metavar="NAME")], config: Config = None) -> None:
    """Send a canary to one sink now, and print what the other side answered."""
    settings = with_sinks(config)
    if name not in settings.sinks:
        raise SettingsError(f"{name}: no such sink; there are {', '.join(settings.sinks)}")
    alert, folder = canary_alert(settings), outbox_folder(settings)
    with opened(msgspec.structs.replace(settings, sinks={name: settings.sinks[name]})) as (sink,):
        began = time.perf_counter()
        words = asyncio.run(send(sink, alert))
        typer.echo(f"{name}: {words}, after {1000 * (time.perf_counter() - began):.0f} ms")
    if Outbox.is_in(folder):
        with contextlib.closing(Outbox(folder, settings.store.max_waiting)) as outbox:
            outbox.open_sink(name)


def canary_alert(settings: Settings) -> Alert:
    """A canary of now, through the rules like any other."""
    now = datetime.datetime.now(datetime.UTC)
    (alert,) = load_rules().match(make_canary(TEST_SENSOR, settings.collector.site, now))
    return alert


async def send(sink: Sink, alert: Alert) -> str:
    """Deliver one alert, once. Raises Undelivered."""
    try:
        return await sink.deliver([alert])
    finally:
        await sink.close()


@sinks_app.command("drain")
def drain(
    config: Config = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long to try.")] = 30.0,
) -> None:
    """Send what waits, until nothing more can be delivered now."""
    from prometheus_client import CollectorRegistry

    from streams.metrics import SinkMeters

    settings = with_sinks(config)
    dispatch = open_dispatch(settings, SinkMeters(CollectorRegistry()))
    assert dispatch is not None
    before = sum(dispatch.left().values())
    left, words = dispatch.drain(seconds), dispatch.words()
    dispatch.stop()
    if left:
        raise LenswatchError("\n".join(what_waits(left, words)))
    typer.echo(f"{before} alerts waited, and none waits now")
