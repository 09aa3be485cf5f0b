"""Folders become a RuleSet, or are refused with all that is wrong."""

import datetime
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.errors import LenswatchError
from rules import load
from rules.errors import RuleErrors
from rules.load import collect_files, load_pack, load_rules, load_trusted, read_folder, under_scenario
from rules.match import RuleSet
from rules.pack import pack
from rules.signature import NO_TRUST, SignatureError, Trust, key_id, sign

ENDPOINTS = """
entity = "hikvision"
[[endpoint]]
name = "our-own-cloud.example"
match = "suffix"
role = "cloud"
confidence = "high"
sources = ["ours"]
"""
SOURCES = '[sources.ours]\ntitle = "our own finding"\nkind = "note"\n'


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def test_what_is_shipped_loads(shipped: RuleSet) -> None:
    assert len(shipped.detections) >= 12
    assert shipped.endpoints.match_name("litedev.hik-connect.com") is not None
    assert len(shipped.digest) == 64


def test_a_users_folder_adds_facts_and_detections(shipped: RuleSet, rule: str, tmp_path: Path) -> None:
    files = {"facts/endpoints/hikvision.toml": ENDPOINTS, "facts/sources.toml": SOURCES, "detections/x/own.yml": rule}
    ruleset = load_rules([write(tmp_path, files)])
    assert ruleset.endpoints.match_name("a.our-own-cloud.example") is not None
    assert len(ruleset.detections) == len(shipped.detections) + 1
    assert ruleset.digest != shipped.digest


def test_a_users_detection_overrides_by_id(shipped: RuleSet, rule: str, tmp_path: Path) -> None:
    overridden = shipped.detections[0].id
    text = rule.replace("5f0a7a57-6f0e-4e9e-8a3c-0d6a7c2f4b10", overridden)
    ruleset = load_rules([write(tmp_path, {"detections/own.yml": text})])
    assert len(ruleset.detections) == len(shipped.detections)
    titles = {detection.id: detection.title for detection in ruleset.detections}
    assert titles[overridden] == "Camera uses a cloud"


def test_a_bulk_list_is_read_from_its_file(tmp_path: Path) -> None:
    listed = ENDPOINTS + '[[list]]\nfile = "more.txt"\nrole = "p2p"\nconfidence = "medium"\nsources = ["ours"]\n'
    files = {
        "facts/endpoints/hikvision.toml": listed,
        "facts/endpoints/more.txt": "# more\none.example\n203.0.113.0/24\n",
        "facts/sources.toml": SOURCES,
    }
    index = load_rules([write(tmp_path, files)]).endpoints
    for found in (index.match_name("x.one.example"), index.match_address("203.0.113.9")):
        assert found is not None
        assert (found.entity, found.role) == ("hikvision", "p2p")


def test_a_wrong_line_of_a_bulk_list_is_named(tmp_path: Path) -> None:
    listed = ENDPOINTS + '[[list]]\nfile = "more.txt"\nrole = "p2p"\nconfidence = "medium"\nsources = ["ours"]\n'
    files = {
        "facts/endpoints/hikvision.toml": listed,
        "facts/endpoints/more.txt": "one.example\nnot a name\n",
        "facts/sources.toml": SOURCES,
    }
    with pytest.raises(RuleErrors, match=r"more\.txt: line 2: 'not a name' is no host name; each line is one name"):
        load_rules([write(tmp_path, files)])


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    files = {
        "facts/endpoints/hikvision.toml": "entity = 5\n",
        "detections/a.yml": "x: 1\n",
        "detections/b.yml": "y: [\n",
    }
    with pytest.raises(RuleErrors) as caught:
        load_rules([write(tmp_path / "one", files), tmp_path / "two"])
    text = str(caught.value)
    for words in ("hikvision.toml: entity", "a.yml: x: no such key", "b.yml: ", "two: holds no rules"):
        assert words in text


def test_no_detections_at_all_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SHIPPED_DETECTIONS", tmp_path)
    with pytest.raises(RuleErrors, match="holds no detections"):
        load_rules()


def test_the_digest_is_the_same_for_the_same_rules_and_another_for_others(
    shipped: RuleSet, rule: str, tmp_path: Path
) -> None:
    assert load_rules().digest == shipped.digest
    one = load_rules([write(tmp_path / "one", {"detections/own.yml": rule})]).digest
    two = load_rules([write(tmp_path / "two", {"detections/own.yml": rule + "\n"})]).digest
    assert len({shipped.digest, one, two}) == 3


def test_pysigma_and_the_public_suffix_list_are_not_imported_before_they_are_needed() -> None:
    program = (
        "import sys, rules.load, rules.match; print(sorted({'sigma', 'yaml', 'publicsuffixlist'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pack_gives_the_very_same_rules_as_the_folders_it_was_made_of(rule: str, tmp_path: Path) -> None:
    listed = ENDPOINTS + '[[list]]\nfile = "more.txt"\nrole = "p2p"\nconfidence = "medium"\nsources = ["ours"]\n'
    files = {
        "facts/endpoints/hikvision.toml": listed,
        "facts/endpoints/more.txt": "one.example\n",
        "facts/sources.toml": SOURCES,
        "detections/own.yml": rule,
    }
    folders = [write(tmp_path / "one", files), write(tmp_path / "two", {"detections/own.yml": rule + "# two\n"})]
    travelled = load_pack(pack(collect_files(folders)))
    stayed = load_rules(folders)
    assert travelled.digest == stayed.digest
    assert travelled.endpoints.match_name("x.one.example") is not None
    assert [each.version for each in travelled.detections] == [each.version for each in stayed.detections]


def test_a_pack_with_a_wrong_file_is_refused_whole_and_names_it_as_it_lies_in_the_pack(tmp_path: Path) -> None:
    folder = write(tmp_path, {"detections/a.yml": "x: 1\n", "facts/endpoints/b.toml": "entity = 5\n"})
    with pytest.raises(RuleErrors) as caught:
        load_pack(pack(collect_files([folder])))
    lines = str(caught.value).splitlines()
    assert any(line.startswith("1/detections/a.yml: x: ") for line in lines)
    assert any(line.startswith("1/facts/endpoints/b.toml: entity") for line in lines)


def test_a_list_outside_of_its_folder_does_not_travel_and_is_named(tmp_path: Path) -> None:
    listed = ENDPOINTS + '[[list]]\nfile = "../../more.txt"\nrole = "p2p"\nconfidence = "low"\nsources = ["ours"]\n'
    folder = write(tmp_path, {"facts/endpoints/hikvision.toml": listed, "facts/sources.toml": SOURCES})
    (tmp_path / "more.txt").write_text("one.example\n", "utf-8")
    with pytest.raises(RuleErrors, match=r"1/facts/endpoints/hikvision\.toml: list\[0\]\.file: .*cannot be read"):
        load_pack(pack(collect_files([folder])))


def test_a_pack_without_detections_or_without_facts_is_refused() -> None:
    files = collect_files()
    for kind in ("facts", "detections"):
        with pytest.raises(RuleErrors):
            load_pack(pack({name: content for name, content in files.items() if f"/{kind}/" not in name}))


def test_a_scenario_takes_the_endpoints_and_detections_over_and_has_its_own_digest(shipped: RuleSet) -> None:
    then = under_scenario(shipped, "hikvision-sdn-45", datetime.date(2026, 11, 2))
    assert (then.endpoints, then.detections) == (shipped.endpoints, shipped.detections)
    assert then.digest != shipped.digest
    with pytest.raises(LenswatchError, match=r"doom: no such scenario.*cetc-sdn-45"):
        under_scenario(shipped, "doom", datetime.date(2026, 11, 2))


def test_what_was_known_on_a_day_has_its_own_digest_and_fewer_listings(shipped: RuleSet) -> None:
    then = load_rules(known=datetime.date(2020, 1, 1))
    assert then.digest != shipped.digest
    assert not any(each.programme == "US-DOD-1260H" for each in then.facts.entities["dahua"].listings)


def test_a_wrong_waiver_stops_the_loading(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text("[[waiver]]\nid = 'w'\n")
    with pytest.raises(RuleErrors, match=r"w\.toml: waiver\[0\]"):
        load_rules(waivers=[path])


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUST = Trust({key_id(KEY.public_key()): KEY.public_key()}, required=True)
AT = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    folder = write(tmp_path / "signed", {"facts/sources.toml": SOURCES, "facts/endpoints/hikvision.toml": ENDPOINTS})
    (folder / "pack.sig").write_bytes(sign(read_folder(folder)[0], 3, AT, KEY))
    return folder


def test_a_signed_folder_gives_the_rules_that_it_gives_without_being_asked(signed: Path) -> None:
    rules = load_trusted([signed], trust=TRUST)
    assert rules.digest == load_rules([signed]).digest
    assert [each.version for each in rules.signatures if each] == [3]
    assert load_trusted([signed], trust=NO_TRUST).signatures == ()


def test_a_folder_that_was_altered_or_lost_its_signature_is_refused_by_its_place(signed: Path) -> None:
    (signed / "facts" / "more.txt").touch()
    with pytest.raises(SignatureError, match=f"^{signed}: was altered after it was signed"):
        load_trusted([signed], trust=TRUST)
    (signed / "pack.sig").unlink()
    with pytest.raises(SignatureError, match=f"^{signed}: is not signed"):
        load_trusted([signed], trust=TRUST)
    assert load_trusted([signed], trust=Trust(TRUST.keys)).signatures == (None,)


def test_a_folder_that_is_not_there_is_called_that_and_not_unsigned(tmp_path: Path) -> None:
    with pytest.raises(RuleErrors, match=f"^{tmp_path}/none: holds no rules"):
        load_trusted([tmp_path / "none"], trust=TRUST)


def test_errors_in_a_signed_folder_name_it_and_not_the_copy_that_was_read(signed: Path) -> None:
    (signed / "facts" / "endpoints" / "hikvision.toml").write_text("x = 1\n", "utf-8")
    (signed / "pack.sig").write_bytes(sign(read_folder(signed)[0], 3, AT, KEY))
    with pytest.raises(RuleErrors) as caught:
        load_trusted([signed], trust=TRUST)
    assert {error.path for error in caught.value.errors} == {signed / "facts" / "endpoints" / "hikvision.toml"}


def test_a_list_that_no_signature_covers_is_refused(signed: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("evil.example\n", "utf-8")
    more = f'[[list]]\nfile = "{outside}"\nrole = "cloud"\nconfidence = "low"\nmatch = "suffix"\nsources = ["ours"]\n'
    (signed / "facts" / "endpoints" / "hikvision.toml").write_text(ENDPOINTS + more, "utf-8")
    (signed / "pack.sig").write_bytes(sign(read_folder(signed)[0], 3, AT, KEY))
    assert load_rules([signed]).endpoints.match_name("evil.example") is not None
    with pytest.raises(RuleErrors, match=r"outside\.txt: lies outside of the pack, where no signature covers it"):
        load_trusted([signed], trust=TRUST)
    with pytest.raises(RuleErrors, match="lies outside of the pack"):
        load_pack(pack(collect_files([signed])))


def test_a_pack_is_taken_with_its_signature_or_not_at_all(shipped: RuleSet) -> None:
    files = collect_files()
    signature = sign(files, 9, AT, KEY)
    rules = load_pack(pack(files), trust=TRUST, signature=signature)
    assert rules.digest == shipped.digest and rules.signatures[0] is not None and rules.signatures[0].version == 9
    for other, words in ((None, "is not signed"), (sign({"0/facts/x": b""}, 9, AT, KEY), "was altered")):
        with pytest.raises(SignatureError, match=f"^the pack: {words}"):
            load_pack(pack(files), trust=TRUST, signature=other)


def test_without_a_folder_for_copies_it_is_one_line_that_says_so(
    signed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    for load_them in (lambda: load_trusted([signed], trust=TRUST), lambda: load_pack(pack(collect_files()))):
        with pytest.raises(LenswatchError, match=r"no folder for temporary files: .*; name one in TMPDIR"):
            load_them()


def test_indicators_are_counted_folder_by_folder(signed: Path) -> None:
    lists = '[[list]]\nfile = "l.txt"\nrole = "cloud"\nconfidence = "low"\nmatch = "suffix"\nsources = ["ours"]\n'
    write(
        signed,
        {"facts/endpoints/hikvision.toml": ENDPOINTS + lists, "facts/endpoints/l.txt": "# a\nb.example\nc.example"},
    )
    shipped, own = load_rules([signed]).facts.indicators
    assert own == 3 and shipped > 200
