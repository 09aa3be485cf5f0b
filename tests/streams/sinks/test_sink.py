"""Every sink on the list keeps the promises of `sink.Sink`."""

import asyncio
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from streams.sinks import SINKS
from streams.sinks.sink import Sink


def resolve(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("dotted", SINKS)
def test_a_sink_offers_what_the_interface_asks(dotted: str, tmp_path: Path) -> None:
    kind = resolve(dotted)
    assert inspect.getdoc(kind)
    for name in ("deliver", "close"):
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Sink, name))
    sink: Sink = kind(str(tmp_path / "out"))
    asyncio.run(use(sink))
    assert sink.name


async def use(sink: Sink) -> None:
    await sink.deliver([])
    await sink.close()
