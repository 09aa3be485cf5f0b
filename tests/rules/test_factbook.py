"""Folders of TOML become facts; what is wrong is refused with file, place and reason, all of it at once."""

import shutil
import time
from pathlib import Path

import pytest

from rules.errors import RuleErrors
from rules.factbook import SHIPPED, Facts, read_facts

FILES = {
    "sources.toml": '[sources.book]\ntitle = "A book"\nkind = "primary_text"\n',
    "programmes/US-X.toml": """
id = "US-X"
name = "X"
authority = "A"
jurisdiction = "US"
kind = "label"
what_it_prohibits = "Nothing."
sources = ["book"]
confidence = "high"
""",
    "entities/acme.toml": """
id = "acme"
name = "Acme"
kind = "company"
sources = ["book"]
confidence = "high"
[[listings]]
programme = "US-X"
status = "listed"
since = 2020-01-02
citation = "1 FR 1"
sources = ["book"]
confidence = "high"
""",
    "endpoints/acme.toml": """
entity = "acme"
[[endpoint]]
name = "acme.example"
match = "suffix"
role = "cloud"
confidence = "high"
sources = ["book"]
[[firmware]]
kind = "file"
pattern = '^a\\.bin$'
step = "download"
confidence = "low"
sources = ["book"]
""",
    "networks/acme.toml": """
operator = "Acme"
entity = "acme"
relation = "hosts"
sources = ["book"]
confidence = "low"
[numbers]
64496 = "Acme AS"
""",
    "relabels.toml": """
[[relabel]]
brand = "Zed"
makers = ["acme"]
relation = "relabel"
confidence = "low"
sources = ["book"]
""",
    "not_endpoints.toml": """
[[not_endpoint]]
looks_like = "acme"
names = ["acme2.example"]
reason = "alike"
sources = ["book"]
""",
    "activities.toml": """
[activities]
website = "name_lookup"
cloud = "cloud_relay"
p2p = "cloud_relay"
relay = "media_relay"
ddns = "ddns"
ddns_customer = "name_lookup"
telemetry = "telemetry_upload"
push = "cloud_relay"
time = "time_sync"
storage = "media_relay"
firmware = "update_check"
firmware_download = "update_received"
""",
}
ANOTHER_NAME = '[[endpoint]]\nname = "{}"\nmatch = "{}"\nrole = "{}"\nconfidence = "low"\nsources = ["book"]\n'


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "facts", FILES)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def refused(*folders: Path) -> list[str]:
    with pytest.raises(RuleErrors) as caught:
        read_facts(folders)
    return str(caught.value).splitlines()


def test_a_folder_of_facts_is_read(folder: Path) -> None:
    facts = read_facts([folder])
    assert list(facts.sources) == ["book"]
    assert list(facts.programmes) == ["US-X"]
    assert facts.entities["acme"].listings[0].citation == "1 FR 1"
    assert facts.endpoints["acme"].endpoint[0].name == "acme.example"
    assert facts.endpoints["acme"].firmware[0].pattern == r"^a\.bin$"
    assert facts.relabels[0].makers == ("acme",)
    assert (facts.as_numbers[64496].organization, facts.as_numbers[64496].relation) == ("Acme AS", "hosts")
    assert facts.not_endpoints[0].names == ("acme2.example",)
    assert facts.activities["firmware_download"] == "update_received"


def test_all_that_is_wrong_is_said_at_once(folder: Path) -> None:
    append(folder / "endpoints/acme.toml", ANOTHER_NAME.format("Loud.example", "suffix", "cloud"))
    append(folder / "endpoints/acme.toml", ANOTHER_NAME.format("ok.example", "suffix", "spying"))
    append(
        folder / "endpoints/acme.toml", ANOTHER_NAME.format("ok2.example", "suffix", "cloud").replace("book", "lost")
    )
    (folder / "networks/acme.toml").write_text("operator = \n")
    lines = refused(folder)
    assert len(lines) == 4
    assert any("acme.toml: endpoint[1].name: " in line for line in lines)
    assert any("acme.toml: endpoint[2].role: " in line and "spying" in line for line in lines)
    assert any("acme.toml: endpoint[3].sources: no source 'lost'" in line for line in lines)
    assert any("networks/acme.toml" in line and "line 1" in line for line in lines)


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        (
            "sources.toml",
            'kind = "primary_text"',
            'kind = "primary_text"\nnotes = "x"',
            "sources.book: .*`notes`.*the fields are",
        ),
        ("sources.toml", "[sources.book]", "[sources.books]", "entities/acme.toml: sources: no source 'book'"),
        ("entities/acme.toml", 'sources = ["book"]\nconfidence', "sources = []\nconfidence", "sources: is empty"),
        ("entities/acme.toml", 'programme = "US-X"', 'programme = "US-Y"', r"listings\[0\].programme: .*US-Y"),
        ("entities/acme.toml", 'kind = "company"', 'kind = "company"\nparent = "nobody"', "parent: nothing has the id"),
        (
            "entities/acme.toml",
            "since = 2020-01-02",
            "since = 2020-01-02\nuntil = 2019-01-01",
            r"listings\[0\].until: ",
        ),
        ("entities/acme.toml", "since = 2020-01-02", 'since = "soon"', r"listings\[0\].since: "),
        ("entities/acme.toml", 'id = "acme"', 'id = "acne"', "id: is 'acne', but the file is acme.toml"),
        ("endpoints/acme.toml", 'entity = "acme"', 'entity = "acne"', "entity: nothing has the id 'acne'"),
        ("endpoints/acme.toml", 'match = "suffix"', 'match = "regex"', r"endpoint\[0\].under: is missing"),
        ("endpoints/acme.toml", r"^a\.bin$", "a(b", r"firmware\[0\].pattern: is no regular expression"),
        ("relabels.toml", '"acme"', '"acne"', r"relabel\[0\].makers\[0\]: nothing has the id 'acne'"),
        ("networks/acme.toml", "64496 =", "AS64496 =", "numbers.AS64496: is no AS number"),
        ("activities.toml", 'ddns = "ddns"', 'ddns = "banking"', "activities.*banking"),
        ("activities.toml", 'ddns = "ddns"', 'dns = "ddns"', "activities.*'dns'"),
        ("activities.toml", 'ddns = "ddns"', "", "activities: no activity for ddns"),
    ],
)
def test_a_wrong_fact_is_refused_with_its_place(folder: Path, file: str, old: str, new: str, reason: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(RuleErrors, match=reason):
        read_facts([folder])


@pytest.mark.parametrize("role", ["cloud", "website"])
def test_a_name_that_stands_twice_in_one_folder_is_refused(folder: Path, role: str) -> None:
    append(folder / "endpoints/acme.toml", ANOTHER_NAME.format("acme.example", "suffix", role))
    assert "endpoint[1]: 'acme.example' stands twice, first in acme.toml endpoint[0]" in refused(folder)[0]


def test_a_name_that_two_companies_claim_is_refused(folder: Path) -> None:
    entity = FILES["entities/acme.toml"].replace("acme", "zeta")
    other = FILES["endpoints/acme.toml"].replace('entity = "acme"', 'entity = "zeta"').replace("bin", "img")
    write(folder, {"entities/zeta.toml": entity, "endpoints/zeta.toml": other})
    assert [line for line in refused(folder) if "'acme.example' stands twice" in line]


def test_one_name_may_match_in_two_ways(folder: Path) -> None:
    append(folder / "endpoints/acme.toml", ANOTHER_NAME.format("acme.example", "exact", "website"))
    assert [name.match for name in read_facts([folder]).endpoints["acme"].endpoint] == ["suffix", "exact"]


def test_an_as_number_that_two_operators_claim_is_refused(folder: Path) -> None:
    write(folder, {"networks/zeta.toml": FILES["networks/acme.toml"]})
    assert "'64496' stands twice" in refused(folder)[0]


def test_an_error_in_one_file_brings_none_for_those_that_refer_to_it(folder: Path) -> None:
    (folder / "entities/acme.toml").write_text('id = "acme"\nname = 7\n')
    (folder / "sources.toml").write_text("[sources")
    lines = refused(folder)
    assert len(lines) == 2
    assert sorted(Path(line.split(":")[0]).name for line in lines) == ["acme.toml", "sources.toml"]


def test_toml_that_breaks_names_its_line(folder: Path) -> None:
    append(folder / "endpoints/acme.toml", "[[endpoint]]\nname = cam\n")
    line = len((folder / "endpoints/acme.toml").read_text().splitlines())
    assert f"endpoints/acme.toml: is not TOML: Invalid value (at line {line}" in refused(folder)[0]


def test_a_file_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (folder / "relabels.toml").write_bytes(b"# caf\xe9\n")
    assert "relabels.toml: byte 5: is not UTF-8" in refused(folder)[0]


@pytest.mark.parametrize("name", ["entites/acme.toml", "endpoint.toml", "endpoints/cn/acme.toml"])
def test_a_file_in_a_place_that_is_not_read_is_refused(folder: Path, name: str) -> None:
    write(folder, {name: FILES["endpoints/acme.toml"]})
    assert "no facts are read from here" in refused(folder)[0]


def test_a_folder_without_facts_is_an_error(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no facts (*.toml) in this folder" in refused(folder, tmp_path / "empty")[0]
    assert "no such folder" in refused(folder, tmp_path / "nowhere")[0]


def test_more_regexes_than_the_limit_are_refused(folder: Path) -> None:
    for index in range(501):
        regex = ANOTHER_NAME.format(f"a{index}[.]acme[.]example", "regex", "cloud") + 'under = ["acme.example"]\n'
        append(folder / "endpoints/acme.toml", regex)
    assert refused(folder) == [
        f"{folder}/endpoints/acme.toml: endpoint[501]: is regex 501 of at most 500; use suffix or exact"
    ]


BULK = '[[list]]\nfile = "names.txt"\nrole = "cloud"\nconfidence = "low"\nsources = ["book"]\n'


def test_a_bulk_list_is_found_beside_its_file(folder: Path) -> None:
    append(folder / "endpoints/acme.toml", BULK)
    names = folder / "endpoints/names.txt"
    names.write_text("a.example\n")
    facts = read_facts([folder])
    assert [(entity, bulk.role, path) for entity, bulk, path in facts.bulk] == [("acme", "cloud", names.resolve())]
    names.write_text("b.example\n")
    assert read_facts([folder]).digest != facts.digest


def test_a_bulk_list_that_is_missing_is_refused(folder: Path) -> None:
    append(folder / "endpoints/acme.toml", BULK)
    assert "list[0].file: " in refused(folder)[0]
    assert "names.txt cannot be read" in refused(folder)[0]


def user(tmp_path: Path, files: dict[str, str]) -> Path:
    return write(tmp_path / "user", files)


def test_a_users_folder_adds(tmp_path: Path, folder: Path) -> None:
    extra = 'entity = "acme"\n' + ANOTHER_NAME.format("more.example", "suffix", "p2p")
    facts = read_facts([folder, user(tmp_path, {"endpoints/more.toml": extra})])
    assert [name.name for name in facts.endpoints["acme"].endpoint] == ["acme.example", "more.example"]
    assert len(facts.endpoints["acme"].firmware) == 1


def test_a_users_folder_overrides_by_id(tmp_path: Path, folder: Path) -> None:
    facts = read_facts(
        [
            folder,
            user(
                tmp_path,
                {
                    "entities/acme.toml": FILES["entities/acme.toml"].replace("Acme", "Acme Group"),
                    "endpoints/acme.toml": 'entity = "acme"\n' + ANOTHER_NAME.format("acme.example", "suffix", "p2p"),
                    "networks/mine.toml": FILES["networks/acme.toml"].replace("Acme AS", "Mine"),
                    "relabels.toml": FILES["relabels.toml"].replace('"relabel"', '"own brand"'),
                    "activities.toml": '[activities]\npush = "telemetry_upload"\n',
                    "sources.toml": FILES["sources.toml"].replace("A book", "Another book"),
                },
            ),
        ]
    )
    assert facts.entities["acme"].name == "Acme Group"
    assert [name.role for name in facts.endpoints["acme"].endpoint] == ["p2p"]
    assert facts.as_numbers[64496].organization == "Mine"
    assert [relabel.relation for relabel in facts.relabels] == ["own brand"]
    assert (facts.activities["push"], facts.activities["cloud"]) == ("telemetry_upload", "cloud_relay")
    assert facts.sources["book"].title == "Another book"


def test_a_users_folder_may_say_whose_a_name_is(tmp_path: Path, folder: Path) -> None:
    files = {
        "entities/zeta.toml": FILES["entities/acme.toml"].replace("acme", "zeta"),
        "endpoints/zeta.toml": 'entity = "zeta"\n' + ANOTHER_NAME.format("acme.example", "suffix", "p2p"),
    }
    facts = read_facts([folder, user(tmp_path, files)])
    assert facts.endpoints["acme"].endpoint == ()
    assert [name.name for name in facts.endpoints["zeta"].endpoint] == ["acme.example"]


def test_a_user_fact_may_name_a_shipped_source_and_no_lost_one(tmp_path: Path, folder: Path) -> None:
    extra = 'entity = "acme"\n' + ANOTHER_NAME.format("more.example", "suffix", "p2p").replace("book", "diary")
    assert "no source 'diary'" in refused(folder, user(tmp_path, {"endpoints/more.toml": extra}))[0]


def test_a_row_that_was_left_open_is_refused_by_the_editions_that_are_known_with_it(
    folder: Path, tmp_path: Path
) -> None:
    edition = '[[editions]]\ndate = {}\nsources = ["book"]\n'
    append(folder / "programmes/US-X.toml", edition.format("2020-01-02") + edition.format("2021-01-02"))
    (line,) = refused(folder)
    assert "entities/acme.toml: listings[0].editions: is missing; name those of US-X" in line
    append(folder / "entities/acme.toml", "editions = [2020-01-02]\n")
    (line,) = refused(folder)
    assert "entities/acme.toml: listings[0].until: is missing: the newest edition of US-X, 2021-01-02, is not" in line
    append(folder / "entities/acme.toml", "until = 2021-01-01\n")
    assert read_facts([folder]).entities["acme"].listings[0].until
    # A newer edition of another folder is no fault of what this one says.
    programme = FILES["programmes/US-X.toml"] + edition.format("2026-01-02")
    assert len(read_facts([folder, write(tmp_path / "own", {"programmes/US-X.toml": programme})]).entities) == 1


def test_the_digest_is_of_names_and_contents_and_nothing_else(tmp_path: Path, folder: Path) -> None:
    digest = read_facts([folder]).digest
    assert len(digest) == 64
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    assert read_facts([copy]).digest == digest
    append(copy / "relabels.toml", "# checked\n")
    assert read_facts([copy]).digest != digest
    (folder / "networks/acme.toml").rename(folder / "networks/zeta.toml")
    assert read_facts([folder]).digest != digest


def test_the_shipped_facts_are_read_in_a_quarter_of_a_second() -> None:
    def seconds() -> float:
        start = time.process_time()
        assert isinstance(read_facts([SHIPPED]), Facts)
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 0.25
