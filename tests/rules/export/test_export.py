"""What holds for every format."""

import importlib
from collections.abc import Callable

import pytest

from rules.export import EXPORTS
from rules.export.export import Export, plain, remark
from rules.indicator import Pack


def resolved(dotted: str) -> Export:
    module, _, attribute = dotted.rpartition(".")
    export: Export = getattr(importlib.import_module(module), attribute)
    return export


@pytest.mark.parametrize("dotted", EXPORTS)
def test_every_format_is_called_as_its_file_and_loses_no_indicator_in_silence(
    dotted: str, make_pack: Callable[..., Pack], shipped_pack: Pack
) -> None:
    export = resolved(dotted)
    assert export.name == dotted.split(".")[-2]
    for pack in (make_pack(), shipped_pack):
        written = export.write(pack)
        assert written.count + sum(written.left_out.values()) == len(pack.indicators)
        assert written.text.endswith("\n") and written.count > 0


@pytest.mark.parametrize("dotted", EXPORTS)
def test_every_indicator_that_is_written_carries_its_id_and_its_reference(
    dotted: str, make_pack: Callable[..., Pack], shipped_pack: Pack
) -> None:
    export = resolved(dotted)
    written = export.write(shipped_pack)
    kinds = {
        kind for kind in ("name", "zone", "network", "pattern", "path", "file") if kind not in str(written.left_out)
    }
    for each in shipped_pack.indicators:
        if each.kind in kinds and export.name != "nftables" and "(?!" not in each.value:
            assert each.id in written.text
            told = each.reference.partition("://")[2] or each.reference.removeprefix("source:")
            assert told in written.text


@pytest.mark.parametrize("dotted", EXPORTS)
def test_the_same_pack_is_written_as_the_same_bytes(dotted: str, shipped_pack: Pack) -> None:
    assert resolved(dotted).write(shipped_pack).text == resolved(dotted).write(shipped_pack).text


@pytest.mark.parametrize("dotted", EXPORTS)
def test_an_empty_pack_is_written(dotted: str, shipped_pack: Pack) -> None:
    written = resolved(dotted).write(shipped_pack._replace(indicators=()))
    assert written.count == 0 and not written.left_out


def test_a_remark_is_one_line_that_ends_no_quote(make_pack: Callable[..., Pack]) -> None:
    for each in make_pack().indicators:
        assert remark(each).isascii() and remark(each).isprintable() and '"' not in remark(each)
    assert plain('a"b\\c\nd\x7fé') == "a'b/c d ?"
