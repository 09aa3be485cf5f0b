"""A release is the same bytes whenever it is made, says what is in it, and can be checked."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.system.broker import ROOT

pytestmark = pytest.mark.system
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+)", re.MULTILINE)


def committed(folder: Path) -> Path:
    """The tree as it would be committed now, in a repository of its own."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    time = "2026-11-02T08:00:00Z"
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
           for key, value in (("NAME", "test"), ("EMAIL", "test@example.org"), ("DATE", time))}  # fmt: skip
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=folder, env=os.environ | who, check=True)
    return folder


def make(tree: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(tree / "deploy" / "make_release.py"), str(out)], cwd=tree, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return committed(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def release(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("release") / "dist"
    done = make(tree, out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_same_commit_gives_the_same_bytes_elsewhere_later_and_as_another(
    tree: Path, release: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other place"
    subprocess.run(["git", "clone", "-q", str(tree), str(other)], check=True)
    before = os.umask(0o077)
    try:
        done = make(other, tmp_path / "dist")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in release.iterdir())
    assert names == [
        "SHA256SUMS", "lenswatch-0.1.0-py3-none-any.whl", "lenswatch-0.1.0.cdx.json", "lenswatch-0.1.0.tar.gz",
    ]  # fmt: skip
    assert names == sorted(path.name for path in (tmp_path / "dist").iterdir())
    for name in names:
        assert (release / name).read_bytes() == (tmp_path / "dist" / name).read_bytes(), name


def test_the_sums_are_those_that_sha256sum_takes(release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "dist"
    shutil.copytree(release, copy)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=copy, capture_output=True, check=False).returncode == 0
    with (copy / "lenswatch-0.1.0.tar.gz").open("ab") as file:
        file.write(b"x")
    assert subprocess.run(check, cwd=copy, capture_output=True, check=False).returncode == 1


def test_the_bill_names_all_that_is_locked_with_its_digests(release: Path) -> None:
    bill = json.loads((release / "lenswatch-0.1.0.cdx.json").read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.6"
    assert bill["metadata"]["component"]["name"] == "lenswatch" and "timestamp" not in bill["metadata"]
    found = {(each["name"], each["version"]): json.dumps(each) for each in bill["components"]}
    pins = PIN.findall((ROOT / "requirements.lock").read_text("utf-8"))
    assert len(pins) == len(found) > 20
    for name, version, hashes in pins:
        for digest in re.findall(r"[0-9a-f]{64}", hashes):
            assert digest in found[name, version], name


def test_what_is_needed_is_in_it_and_nothing_of_the_tests(release: Path, tree: Path) -> None:
    wheel = set(zipfile.ZipFile(release / "lenswatch-0.1.0-py3-none-any.whl").namelist())
    with tarfile.open(release / "lenswatch-0.1.0.tar.gz") as tar:
        source = {member.name.partition("/")[2] for member in tar.getmembers()}
        assert {(member.uid, member.uname) for member in tar.getmembers()} == {(0, "")}
    for package in ("collector", "rules", "streams"):
        for path in (tree / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(tree).as_posix()
                assert name in wheel and name in source, name
    assert not any(name.startswith(("tests/", "bench/")) for name in wheel)


def test_what_is_not_committed_stops_a_release(tree: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    subprocess.run(["git", "clone", "-q", str(tree), str(changed)], check=True)
    (changed / "README.md").write_text("another\n", "utf-8")
    done = make(changed, tmp_path / "dist")
    assert done.returncode == 1 and "not committed, and so not in a release: README.md" in done.stderr
    assert not (tmp_path / "dist").exists()
