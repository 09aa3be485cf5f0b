"""`lenswatch rules check|keygen|sign|verify`: from a key to a pack that sensors take, and what is said of any other."""

from pathlib import Path

import pytest

from rules.pack import unpack
from tests.streams.command import OFFICE, Ran, run

FACTS = """entity = "hikvision"
[[endpoint]]
name = "our-own-cloud.example"
match = "suffix"
role = "cloud"
confidence = "high"
sources = ["ours"]
"""
SOURCES = '[sources.ours]\ntitle = "our own finding"\nkind = "note"\n'


class Bench:
    """A folder of rules, a pair of keys, and the command."""

    def __init__(self, place: Path) -> None:
        self.place, self.own = place, place / "own"
        (self.own / "facts" / "endpoints").mkdir(parents=True)
        self.facts = self.own / "facts" / "endpoints" / "hikvision.toml"
        self.facts.write_text(FACTS, "utf-8")
        (self.own / "facts" / "sources.toml").write_text(SOURCES, "utf-8")
        self.key, self.public = place / "ops.key", place / "ops.pub"
        made = self.rules("keygen", place / "ops")
        assert made.code == 0 and "ops.key: the private key" in made.out, made.err
        self.config = place / "lenswatch.toml"
        self.config.write_text(
            f'[rules]\nfolders = ["{self.own}"]\ntrusted_keys = ["{self.public}"]\nrequire_signed = true\n', "utf-8"
        )

    def rules(self, *arguments: object) -> Ran:
        return run("rules", *arguments, state=self.place)

    def sign(self) -> Ran:
        return self.rules("sign", self.own, "--key", self.key, "--version", 5)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_folder_is_signed_and_verified_and_in_force_where_signed_ones_are_asked_for(bench: Bench) -> None:
    signed = bench.sign()
    assert signed.code == 0 and "pack.sig: version 5, 2 files, signed 20" in signed.out, signed.err
    verified = bench.rules("verify", bench.own, "--key", bench.public)
    assert verified.code == 0 and verified.out.startswith(f"{bench.own}: version 5, 2 files, signed 20")
    assert bench.rules("verify", bench.own, "--config", bench.config).out == verified.out
    checked = bench.rules("check", "--config", bench.config)
    assert checked.code == 0 and verified.out in checked.out and ": all right" in checked.out
    watched = run("watch", OFFICE, "--config", bench.config, state=bench.place)
    assert watched.code == 0, watched.err


@pytest.mark.parametrize(
    "command", [("rules", "check"), ("watch", OFFICE), ("rules", "verify"), ("worker", "--kafka", "k:1")]
)
def test_a_folder_that_is_not_signed_or_was_altered_is_refused_in_one_line(
    bench: Bench, command: tuple[object, ...]
) -> None:
    place = [bench.own] if command[-1] == "verify" else []
    for prepare, words in (
        (lambda: None, "own: is not signed"),
        (
            lambda: bench.sign() and bench.facts.write_text(FACTS + "# more", "utf-8"),
            "own: was altered after it was signed",
        ),
    ):
        prepare()
        ran = run(*command, *place, "--config", bench.config, state=bench.place)
        assert ran.code == 1 and len(ran.complaints) == len(ran.err.splitlines()) == 1 and words in ran.err, ran.err


def test_a_pack_file_is_signed_by_publish_or_later_with_the_same_result(bench: Bench) -> None:
    out = bench.place / "rules.zip"
    made = bench.rules("publish", "--rules", bench.own, "--out", out, "--key", bench.key, "--version", 7)
    assert made.code == 0, made.err
    beside = Path(f"{out}.sig")
    verified = bench.rules("verify", out, "--key", bench.public)
    assert verified.code == 0 and f"version 7, {len(unpack(out.read_bytes()))} files" in verified.out
    beside.unlink()
    unsigned = bench.rules("verify", out, "--key", bench.public)
    assert unsigned.code == 1 and f"there is no {beside}" in unsigned.err
    assert bench.rules("sign", out, "--key", bench.key, "--version", 7).code == 0
    assert bench.rules("verify", out, "--key", bench.public).code == 0


def test_nobody_vouches_for_rules_that_are_wrong(bench: Bench) -> None:
    bench.facts.write_text("x = 1\n", "utf-8")
    ran = bench.sign()
    assert ran.code == 1 and "hikvision.toml" in ran.err and not (bench.own / "pack.sig").exists()


def test_a_key_that_others_may_read_signs_nothing(bench: Bench) -> None:
    bench.key.chmod(0o644)
    for ran in (bench.sign(), bench.rules("publish", "--out", bench.place / "r.zip", "--key", bench.key)):
        assert ran.code == 1 and "others may read it (mode 644): chmod 600" in ran.err
    assert not (bench.place / "r.zip").exists()


def test_what_is_no_pack_and_who_is_no_key_are_one_line_each(bench: Bench) -> None:
    empty = bench.place / "empty"
    empty.mkdir()
    junk = bench.place / "junk.zip"
    junk.write_bytes(b"junk")
    for place, words in (
        (empty, "empty: holds no files in facts/ or detections/"),
        (junk, "junk.zip: no pack that can"),
        (bench.place / "none", "none: cannot be read: No such file"),
    ):
        ran = bench.rules("verify", place, "--key", bench.public)
        assert ran.code == 1 and len(ran.complaints) == 1 and words in ran.err, ran.err
    nobody = bench.rules("verify", bench.own)
    assert nobody.code == 2 and "no public key is trusted" in nobody.err
    assert bench.rules("publish", "--out", junk, "--version", 3).code == 2
    again = bench.rules("keygen", bench.place / "ops")
    assert again.code == 1 and "is there already" in again.err
