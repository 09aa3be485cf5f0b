"""Every publisher on the list keeps the promises of `publisher.Publisher`."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.kafka_settings import KafkaSettings
from collector.ledger import Ledger
from collector.publish import PUBLISHERS
from collector.publish.publisher import Publisher
from collector.settings import CollectorSettings
from collector.spool import SpoolSettings


def resolve(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


MADE: dict[str, Callable[[Any, Path], Publisher]] = {
    "collector.publish.jsonl.JsonLines": lambda kind, folder: kind(str(folder / "out")),
    "collector.publish.kafka.KafkaPublisher": lambda kind, folder: kind(
        KafkaSettings(servers="127.0.0.1:1"),
        SpoolSettings(drain_seconds=0),
        folder,
        CollectorSettings(),
        print,
        Ledger(),
    ),
}


@pytest.mark.parametrize("dotted", PUBLISHERS)
def test_a_publisher_offers_what_the_interface_asks(dotted: str, tmp_path: Path) -> None:
    kind = resolve(dotted)
    assert inspect.getdoc(kind)
    for name in ("publish", "close"):
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Publisher, name))
    publisher: Publisher = MADE[dotted](kind, tmp_path)
    publisher.publish([])
    publisher.close()


def test_no_publisher_is_listed_twice() -> None:
    assert len(set(PUBLISHERS)) == len(PUBLISHERS) > 0
