"""The project speaks only of itself: no machine's folders, no package registry's hosts, no note to be done later."""

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, all_files, obey, plant

# Written in pieces, so that this file obeys its own law.
FOREIGN = {
    "/wo" + "rk/": "a folder of one machine: write a path relative to the project, or take it from the environment",
    "/ro" + "ot/": "a folder of one machine: write a path relative to the project, or take it from the environment",
    "/opt/wh" + "eels": "a folder of one machine: leave it out",
    "../sha" + "red": "a folder beside the project: take it from the environment",
    "shared/fa" + "cts": "a folder beside the project: name the public source itself",
    "py" + "pi.org": "a package registry's host: pip knows its own index",
    "python" + "hosted": "a package registry's host: pip knows its own index",
    "/sim" + "ple/": "a package registry's address: pip knows its own index",
    "npm" + "js.": "a package registry's host: name the data set itself",
    "registry.yarn" + "pkg": "a package registry's host: name the data set itself",
    "proxy.go" + "lang": "a package registry's host: leave it out",
}
ALLOWED = {(".ci/run", "../sha" + "red")}
LATER = re.compile(rb"\b(TO" + rb"DO|FIX" + rb"ME|XX" + rb"X)\b")


def foreign_words(root: Path) -> list[str]:
    """Words in text files that belong to another place, or put work off."""
    broken = []
    for path in all_files(root):
        place, text = path.relative_to(root).as_posix(), path.read_bytes()
        if b"\0" in text:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for word, mend in FOREIGN.items():
                if word.encode() in line and (place, word) not in ALLOWED:
                    broken.append(f"{place}:{number}: {word!r} is {mend}")
            if LATER.search(line):
                broken.append(
                    f"{place}:{number}: a note to be done later: do it, or say in a sentence what is left out and why"
                )
    return broken


def test_the_project_speaks_only_of_itself() -> None:
    obey(foreign_words(ROOT))


@pytest.mark.parametrize("word", [*FOREIGN, "# TO" + "DO: later", "FIX" + "ME"])
def test_a_foreign_word_is_found_with_its_line(tmp_path: Path, word: str) -> None:
    found = foreign_words(plant(tmp_path, {"docs/a.md": f"first\nthen {word}\n"}))
    assert [line.partition(": ")[0] for line in found] == ["docs/a.md:2"]


def test_the_one_allowed_mention_is_let_pass_there_only(tmp_path: Path) -> None:
    text = "cd ../sha" + "red\n"
    assert len(foreign_words(plant(tmp_path, {".ci/run": text, "Makefile": text}))) == 1


def test_a_capture_is_not_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(b"\0\0 TO" + b"DO")
    assert foreign_words(tmp_path) == []
