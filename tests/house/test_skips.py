"""A skipped test is a failure where a machine runs the tests, unless it is on the reasoned list."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ALLOWED_SKIPS, is_allowed, read_allowed_skips
from tests.house.tree import ROOT, plant

SKIPPING = """
import pytest

@pytest.mark.parametrize("x", [1, 2])
def test_skips(x):
    pytest.skip("no camera here")

def test_passes():
    pass

@pytest.mark.xfail
def test_fails_as_expected():
    assert False
"""


def run_tests(folder: Path, allowed: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest over a tree of its own, with this project's conftest.py in force."""
    plant(folder, {"tests/test_a.py": SKIPPING, "tests/house/allowed_skips.txt": allowed})
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests" / "conftest.py")
    kept = {key: value for key, value in os.environ.items() if key != "CI" and not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "tests"]
    return subprocess.run(
        command, cwd=folder, env=kept | environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_skip_passes_where_a_person_runs_the_tests(tmp_path: Path) -> None:
    assert run_tests(tmp_path, "").returncode == 0


def test_an_unlisted_skip_fails_where_a_machine_runs_them(tmp_path: Path) -> None:
    ran = run_tests(tmp_path, "", CI="1")
    assert ran.returncode == 1
    assert "tests/test_a.py::test_skips[1]: Skipped: no camera here" in ran.stdout
    assert "test_fails_as_expected:" not in ran.stdout
    assert "1 passed" in ran.stdout.splitlines()[-1]


def test_a_listed_skip_passes_there_too(tmp_path: Path) -> None:
    assert (
        run_tests(tmp_path, "tests/test_a.py::test_skips  # there is no camera in a data centre\n", CI="1").returncode
        == 0
    )


def test_a_file_skipped_whole_is_a_skip(tmp_path: Path) -> None:
    plant(tmp_path, {"tests/test_b.py": "import pytest\npytest.importorskip('no_such_module')\n"})
    ran = run_tests(tmp_path, "tests/test_a.py  # no camera\n", CI="1")
    assert ran.returncode == 1 and "tests/test_b.py: " in ran.stdout


def test_the_list_itself_can_be_read() -> None:
    assert all(read_allowed_skips(ALLOWED_SKIPS).values())


def test_a_line_without_reason_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "allowed_skips.txt"
    path.write_text("# head\ntests/test_a.py::test_x\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: no reason"):
        read_allowed_skips(path)


@pytest.mark.parametrize("name", ["tests/a.py::test_x[1]", "tests/a.py::test_x", "tests/a.py"])
def test_a_skip_may_be_listed_by_case_by_test_or_by_file(name: str) -> None:
    assert is_allowed("tests/a.py::test_x[1]", {name: "why"})
    assert not is_allowed("tests/b.py::test_x[1]", {name: "why"})
