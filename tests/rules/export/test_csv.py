"""CSV as Python's reader and a spreadsheet take it."""

import csv
import io
from collections.abc import Callable

import msgspec

from rules.export.csv import COLUMNS, EXPORT
from rules.indicator import Pack


def test_the_reader_gets_back_what_was_written(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack()
    rows = list(csv.DictReader(io.StringIO(EXPORT.write(pack).text, newline="")))
    assert tuple(rows[0]) == COLUMNS
    for row, each in zip(rows, pack.indicators, strict=True):
        assert (row["id"], row["value"], row["role"], row["note"]) == (each.id, each.value, each.role, each.note or "")
    [zone] = [row for row in rows if row["value"] == "acme.example"]
    assert ".bad.acme.example" in zone["except"].split() and zone["citations"] == "p1 since 2021-06-03: 1 FR 1"


def test_no_field_is_a_formula_to_a_spreadsheet(make_pack: Callable[..., Pack]) -> None:
    pack = make_pack()
    bad = msgspec.structs.replace(pack.indicators[0], note="=HYPERLINK(1)", company="@x")
    [row] = csv.DictReader(io.StringIO(EXPORT.write(pack._replace(indicators=(bad,))).text))
    assert row["note"] == "'=HYPERLINK(1)" and row["company"] == "'@x"
