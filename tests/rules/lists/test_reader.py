"""What holds for every reader."""

import importlib

import pytest

from rules.lists import READERS
from rules.lists.reader import Reader
from rules.match import RuleSet


@pytest.mark.parametrize("dotted", READERS)
def test_every_reader_stands_for_programmes_that_exist(dotted: str, shipped: RuleSet) -> None:
    module, _, attribute = dotted.rpartition(".")
    reader: Reader = getattr(importlib.import_module(module), attribute)
    assert module.rpartition(".")[2].endswith(reader.name)
    assert {programme for each in reader.programmes.values() for programme in each} <= set(shipped.facts.programmes)
    assert set(reader.whole) <= set(reader.programmes) and reader.url.startswith("https://")
