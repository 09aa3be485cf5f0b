"""The locks hold what pyproject.toml asks for, and the Makefile says what can be typed."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.house.tree import ROOT, obey, plant

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def plain(name: str) -> str:
    """A distribution's name without extras and version, as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name, maxsplit=1)[0]).lower()


def lock_faults(root: Path) -> list[str]:
    """What is asked for and not pinned, pins without hash, and versions on which the two locks differ."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    asked = project["build-system"]["requires"] + project["project"]["dependencies"]
    wanted = {
        "requirements.lock": asked,
        "requirements-dev.lock": asked + project["project"]["optional-dependencies"]["dev"],
    }
    pins, broken = {}, []
    for name, requirements in wanted.items():
        text = (root / name).read_text(encoding="utf-8")
        pins[name] = {plain(package): version for package, version in PIN.findall(text)}
        missing = {plain(requirement) for requirement in requirements} - set(pins[name])
        broken += [f"{name}: {package} is not pinned: type 'make lock'" for package in sorted(missing)]
        broken += pin_faults(name, text)
    for package, version in pins["requirements.lock"].items():
        if pins["requirements-dev.lock"].get(package) != version:
            broken.append(
                f"requirements-dev.lock: {package} is not {version}, as in requirements.lock: type 'make lock'"
            )
    return broken


def pin_faults(name: str, text: str) -> list[str]:
    """Pins of a lock without a hash, and places that it names."""
    blocks = re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]
    broken = [f"{name}: {block.split()[0]} has no hash: type 'make lock'" for block in blocks if "--hash=" not in block]
    return broken + [
        f"{name}: {line}: names a place: type 'make lock'" for line in text.splitlines() if line.startswith("--")
    ]


def silent_targets(makefile: str) -> list[str]:
    """Targets that `make help` leaves out, other than the steps of others."""
    phonies = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## .", makefile, re.MULTILINE))
    return sorted(set(phonies.split()) - explained - {"tshark", "ndpi", "consumers", "wire", "pytest"})


def test_the_locks_hold_what_the_project_asks_for() -> None:
    obey(lock_faults(ROOT))


def test_the_lock_of_the_engines_holds_what_they_ask_for() -> None:
    asked = (ROOT / "bench" / "engines.in").read_text(encoding="utf-8").splitlines()
    text = (ROOT / "bench" / "engines.lock").read_text(encoding="utf-8")
    wanted = {plain(line) for line in asked if not line.startswith("#")}
    assert wanted <= {plain(package) for package, _ in PIN.findall(text)}
    assert pin_faults("bench/engines.lock", text) == []


def test_make_help_explains_every_target() -> None:
    assert silent_targets((ROOT / "Makefile").read_text(encoding="utf-8")) == []


def test_a_target_without_its_comment_is_found() -> None:
    assert silent_targets(".PHONY: demo test\ndemo:  ## Show\ntest: demo\n") == ["test"]


PROJECT = """
[build-system]
requires = ["setuptools>=77"]
[project]
dependencies = ["numpy>=2"]
[project.optional-dependencies]
dev = ["pytest>=8"]
"""
LOCK = "numpy==2.4.6 \\\n    --hash=sha256:00\nsetuptools==84.2.1 \\\n    --hash=sha256:01\n"
SOUND = {
    "pyproject.toml": PROJECT,
    "requirements.lock": LOCK,
    "requirements-dev.lock": LOCK + "pytest==9.2.0 \\\n    --hash=sha256:02\n",
}


def test_sound_locks_are_let_pass(tmp_path: Path) -> None:
    assert lock_faults(plant(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("requirements-dev.lock", LOCK, "pytest is not pinned"),
        ("requirements.lock", LOCK.replace("setuptools", "wheel"), "setuptools is not pinned"),
        ("requirements.lock", LOCK + "rich==15.0.0\n", "rich==15.0.0 has no hash"),
        ("requirements.lock", LOCK.replace("2.4.6", "2.4.5"), "numpy is not 2.4.5"),
        ("requirements.lock", "--find-links somewhere\n" + LOCK, "names a place"),
    ],
)
def test_a_fault_in_a_lock_is_found(tmp_path: Path, name: str, text: str, word: str) -> None:
    assert word in "\n".join(lock_faults(plant(tmp_path, SOUND | {name: text})))
