"""docs/45-siem.md says which field of an alert goes where: of every field, and what the code does."""

import re
from pathlib import Path

import msgspec

from rules.alert import Alert
from streams.dispatch.tables import read_table
from streams.formats.cef import LABELS
from streams.formats.ocsf import CLASS, SCHEMA
from streams.formats.syslog import FACILITIES, SEVERITIES
from streams.settings import load_settings
from streams.sinks.stix import StixTable
from streams.sinks.syslog import SyslogTable
from streams.sinks.taxii import TaxiiTable
from tests.house.tree import ROOT
from tests.streams.formats.mapping import cells, table
from tests.streams.formats.whole import leaves, read, whole_document

PAGE = (ROOT / "docs" / "45-siem.md").read_text("utf-8")


def test_the_table_is_what_the_code_does() -> None:
    assert table() in PAGE, "write the table anew: python -m tests.streams.formats.mapping"


def test_no_field_of_an_alert_is_missing_in_the_table() -> None:
    told = set()
    for line in PAGE.splitlines():
        first, *more = re.findall(r"`([^`]+)`", line.split(" | ")[0]) or [""]
        told |= {first, *(first.rpartition(".")[0] + each for each in more)}
    fields = {name for name, _ in leaves(whole_document())}
    assert fields == set(cells()) and len(fields) > 120
    assert fields <= told
    # The alert that fields are taken from has every one, or this would hold of any table.
    assert msgspec.json.decode(msgspec.json.encode(read(whole_document())), type=Alert) == read(whole_document())


def test_every_field_goes_somewhere_but_those_that_say_the_same_in_other_words() -> None:
    lost = {name for name, places in cells().items() if set(places) == {"–"}}
    assert lost == {"threat.indicator.type"}


def test_the_page_says_labels_severities_and_versions_as_they_are() -> None:
    for key, label in LABELS.items():
        assert f"`{key}` {label}" in PAGE or (key.startswith("c6") and f"`{key}`" in PAGE)
    for level, number in SEVERITIES.items():
        assert f"{level} {number}" in " ".join(PAGE.split())
    assert f"class {CLASS}" in PAGE and f"schema {SCHEMA}" in PAGE
    assert all(f"`{name}`" in PAGE for name in FACILITIES if not name.startswith("local"))


def test_every_key_of_the_sinks_is_on_the_page() -> None:
    for kind in (SyslogTable, TaxiiTable, StixTable):
        for field in msgspec.structs.fields(kind):
            if field.name not in ("timeout_seconds", "password_env", "token_env"):
                assert re.search(rf"\b{field.name}\b", PAGE), field.name


def test_the_examples_are_settings_and_what_they_comment_out_is_the_default(tmp_path: Path) -> None:
    page = "".join(f"{line[4:]}\n" for line in PAGE.splitlines() if re.match(r"    (\[sinks|\w+ = )", line))
    shipped = (ROOT / "deploy" / "settings" / "siem.toml").read_text("utf-8")
    whole = re.sub(r"^# (?=[a-z_]+ = )", "", shipped, flags=re.MULTILINE)
    read = []
    for text in (page, shipped, whole):
        (tmp_path / "settings.toml").write_text(text, "utf-8")
        sinks = load_settings(tmp_path / "settings.toml", {}).sinks
        tables = {"siem": SyslogTable, "cti": TaxiiTable, "bundles": StixTable}
        assert {name: table["kind"] for name, table in sinks.items()} == {
            "siem": "syslog", "cti": "taxii", "bundles": "stix",
        }  # fmt: skip
        read.append([read_table(tables[name], sinks[name]) for name in tables])
    _, short, long = read
    assert msgspec.structs.replace(long[0], server_name=None) == short[0] and long[1:] == short[1:]
