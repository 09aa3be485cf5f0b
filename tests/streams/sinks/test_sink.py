"""Every sink on the list keeps the promises of `sink.Sink`."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from rules.alert import Alert
from streams.dispatch.opening import kinds
from streams.sinks import SINKS
from streams.sinks.sink import Sink, Undelivered
from tests.streams.dispatch.carrying import write_secret


def table(kind: str, folder: Path) -> dict[str, Any]:
    """A table that each kind takes; nobody listens there."""
    secret = write_secret(folder / "secret")
    chat = write_secret(folder / "chat", "mmosts://127.0.0.1:9/abcdefghijklmnopqrstuvwxyz")
    return {
        "webhook": {"url": "https://127.0.0.1:9/", "secret_file": str(secret)},
        "alertmanager": {"url": "http://127.0.0.1:9"},
        "jsonl": {"path": str(folder / "out.jsonl")},
        "splunk": {"url": "https://127.0.0.1:9", "token_file": str(secret)},
        "elastic": {"url": "https://127.0.0.1:9", "api_key_file": str(secret)},
        "chat": {"url_file": str(chat)},
        "taxii": {"url": "https://127.0.0.1:9/cti/collections/one/"},
        "stix": {"folder": str(folder)},
        "syslog": {"address": "127.0.0.1:9", "tls": False, "allow": ["127.0.0.1"]},
    }[kind]


@pytest.mark.parametrize("dotted", SINKS)
def test_a_sink_offers_what_the_interface_asks(dotted: str, tmp_path: Path, alert: Alert) -> None:
    (kind,) = (each for each in kinds().values() if f"{each.__module__}.{each.__qualname__}" == dotted)
    assert inspect.getdoc(kind)
    for name in ("deliver", "close", "lasts_until", "repeat", "probe"):
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Sink, name))
    sink = kind.build("named", table(kind.kind, tmp_path))
    assert sink.name == "named" and sink.address and sink.max_batch >= 1 and sink.lanes >= 1
    assert sink.max_batch == 1 or sink.lanes == 1, "batches in several lanes would not stay in order"
    asyncio.run(use(sink, alert))


async def use(sink: Sink, alert: Alert) -> None:
    for deed in (sink.probe(), sink.deliver([alert]), sink.repeat([(alert, 0.0)], 1.0)):
        try:
            await deed
        except Undelivered as error:
            assert str(error)
    await sink.close()
