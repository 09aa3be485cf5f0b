"""Every source on the list keeps the promises of `source.Source`."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from collector.capture import SOURCES
from collector.capture.pcap_file import CaptureFile
from collector.capture.source import Source, is_endless, stop_of
from collector.packets import SLACK_BYTES
from collector.settings import CaptureSettings
from tests.collector.frames import pcap, spaced


def resolve(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


# An interface and a folder are no file; their own tests ask the same of them.
FILES = tuple(each for each in SOURCES if each.endswith(".CaptureFile"))


@pytest.mark.parametrize("dotted", FILES)
def test_a_source_offers_what_the_interface_asks(dotted: str, tmp_path: Path) -> None:
    kind = resolve(dotted)
    assert inspect.getdoc(kind)
    assert inspect.signature(kind.blocks) == inspect.signature(Source.blocks)
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(spaced([b"one", b"two"])))
    assert kind.opens(str(path)) is True and kind.opens(str(tmp_path / "missing")) is False
    source: Source = kind(str(path))
    assert source.name == str(path) and source.size_bytes == path.stat().st_size


@pytest.mark.parametrize("dotted", FILES)
def test_a_block_has_a_value_a_packet_and_slack_behind_the_last(dotted: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(spaced([bytes(60), bytes(1_500)])))
    for block in resolve(dotted)(str(path)).blocks():
        columns = (block.start, block.captured, block.wire, block.time_ns)
        assert {len(column) for column in columns} == {2}
        assert all(column.dtype.kind == "i" and column.dtype.itemsize == 8 for column in columns)
        assert int((block.start + block.captured).max()) + SLACK_BYTES <= len(block.data)
        assert list(block.time_ns) == sorted(block.time_ns)


def test_only_what_does_not_end_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([]))
    plain, followed = CaptureFile(str(path)), CaptureFile(str(path), CaptureSettings(follow=True))
    assert (is_endless(plain), is_endless(followed)) == (False, True)
    assert stop_of(plain) is None and stop_of(followed) is not None
