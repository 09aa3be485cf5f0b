"""What is installed from a wheel is whole: facts, detections, fingerprints and the demo's capture are inside."""

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.streams.command import ROOT

pytestmark = pytest.mark.system

SECONDS = 180
DATA = {
    "collector/identify/fingerprints": "*.toml",
    "rules/facts": "**/*.toml",
    "rules/detections": "**/*.yml",
    "streams/demo": "office.*",
}


def call(*command: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_", "LENSWATCH_"))}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept | more, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    for package in ("collector", "rules", "streams"):
        shutil.copytree(ROOT / package, folder / "tree" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree" / name)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    built = call(sys.executable, "-m", "pip", "wheel", *options, folder / "tree", cwd=folder)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, which borrows the libraries, and nothing else, of this one."""
    folder = tmp_path_factory.mktemp("installed")
    assert call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder).returncode == 0
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    done = call(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    place = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    # A path in a .pth file is searched; .pth files in it, such as that of an editable install, are not read.
    (place / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n", "utf-8")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty folder outside the checkout."""
    return tmp_path


def test_every_data_file_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in DATA.items():
        expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern)}
        assert expected and expected <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "docs/"))]


def test_the_installed_code_is_the_wheels(installed: Path, elsewhere: Path) -> None:
    code = "import collector, rules, streams; print(collector.__file__, rules.__file__, streams.__file__)"
    done = call(installed / "bin" / "python", "-c", code, cwd=elsewhere)
    assert len(done.stdout.split()) == 3 and all(path.startswith(str(installed)) for path in done.stdout.split())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("--version",), "lenswatch "),
        (("demo",), "Hangzhou Hikvision"),
        (("rules", "check"), "all right"),
        (("rules", "test"), " 0 failed"),
        (("doctor",), "makers' fingerprints"),
    ],
)
def test_every_command_runs_from_an_empty_folder(
    installed: Path, elsewhere: Path, command: tuple[str, ...], words: str
) -> None:
    done = call(installed / "bin" / "lenswatch", *command, cwd=elsewhere, XDG_STATE_HOME=str(elsewhere / "state"))
    assert done.returncode == 0, done.stderr
    assert words in " ".join(done.stdout.split())
