"""The folder of imports is a folder of rules: it loads, is read back, and a failed write leaves what was there."""

from pathlib import Path

import msgspec
import pytest

from rules import overlay
from rules.errors import RuleError
from rules.fact import Source
from rules.factbook import SHIPPED, read_facts
from rules.intake import Consent, Loaded, Taken, take
from rules.lists.fcc import READER
from tests.rules.lists.published import day, table

SOURCE = Source(title="A list", kind="copy_of_primary", url="https://www.rfc-editor.org")
LOADED = Loaded(published=day("2026-11-20"), counts={"FCC": 5}, file="fcc.csv", sha256="00")


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    names = ("hikvision", "dahua", "huawei", "zte", "hytera", "kaspersky")
    facts = read_facts([SHIPPED])
    rows = "".join(f'"{facts.entities[each].name}"\n' for each in names)
    rows += '"Dahua Electronics Corporation"\n"Zhejiang Uniview Technologies Co., Ltd."\n'
    path = table(tmp_path_factory.mktemp("list") / "fcc.csv", "name\n" + rows)
    return take(READER, path, facts, Consent(published=day("2026-11-20")))


def write(folder: Path, taken: Taken) -> list[Path]:
    return overlay.write(folder, SOURCE, LOADED, taken)


def test_what_is_written_is_facts_that_load(tmp_path: Path, taken: Taken) -> None:
    write(tmp_path, taken)
    facts = read_facts([SHIPPED, tmp_path / "facts"])
    [listing] = [each for each in facts.entities["uniview"].listings if each.programme == "US-FCC"]
    assert listing.status == "listed" and listing.since == day("2026-11-20") and "import-fcc" in facts.sources
    read = facts.programmes["US-FCC"].list_read
    assert read is not None and read.as_of == "2026-11-20" and read.whole


def test_what_was_loaded_is_read_back(tmp_path: Path, taken: Taken) -> None:
    assert overlay.read_imports(tmp_path) == {}
    write(tmp_path, taken)
    assert overlay.read_imports(tmp_path) == {"fcc": LOADED}


def test_two_lists_share_a_folder(tmp_path: Path, taken: Taken) -> None:
    write(tmp_path, taken)
    listings = msgspec.structs.replace(taken.listings, sources=("import-other",), listing=())
    overlay.write(tmp_path, SOURCE, LOADED, taken._replace(name="other", listings=listings))
    assert {"import-fcc", "import-other"} <= set(read_facts([SHIPPED, tmp_path / "facts"]).sources)
    assert overlay.read_imports(tmp_path) == {"fcc": LOADED, "other": LOADED}


def test_every_candidate_is_kept_with_its_reason(tmp_path: Path, taken: Taken) -> None:
    write(tmp_path, taken)
    text = (tmp_path / "review" / "fcc.jsonl").read_text("utf-8")
    lines = text.splitlines()
    assert len(lines) == len(taken.candidates)
    assert '"accepted":true' in lines[0] and '"accepted":false' in lines[-1]
    assert "Dahua Electronics Corporation" in text and "another company" in text


def test_the_same_import_writes_the_same_bytes(tmp_path: Path, taken: Taken) -> None:
    first = {path: path.read_bytes() for path in write(tmp_path, taken)}
    assert {path: path.read_bytes() for path in write(tmp_path, taken)} == first


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, taken: Taken) -> None:
    (tmp_path / "review").write_text("a file where a folder must be", "utf-8")
    with pytest.raises(RuleError, match="cannot be written"):
        write(tmp_path, taken)
    assert not (tmp_path / "facts").exists()


@pytest.mark.parametrize("text", ["[fcc", '[fcc]\npublished = "x"\n'])
def test_a_spoilt_record_of_imports_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / overlay.IMPORTS).write_text(text, "utf-8")
    with pytest.raises(RuleError, match="remove"):
        overlay.read_imports(tmp_path)
