"""Every publisher on the list keeps the promises of `publisher.Publisher`."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from collector.publish import PUBLISHERS
from collector.publish.publisher import Publisher


def resolve(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("dotted", PUBLISHERS)
def test_a_publisher_offers_what_the_interface_asks(dotted: str, tmp_path: Path) -> None:
    kind = resolve(dotted)
    assert inspect.getdoc(kind)
    for name in ("publish", "close"):
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Publisher, name))
    publisher: Publisher = kind(str(tmp_path / "out"))
    publisher.publish([])
    publisher.close()


def test_no_publisher_is_listed_twice() -> None:
    assert len(set(PUBLISHERS)) == len(PUBLISHERS) > 0
