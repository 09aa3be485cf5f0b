"""Every plug-in stands on its folder's visible list, and every line of a list leads to something."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.house.tree import ROOT, module_name, obey, parse, plant

# The interface is the singular of its folder or of its list, alone in its file, and is on no list.
LISTS = {
    "collector/capture": "SOURCES",
    "collector/dissectors": "DISSECTORS",
    "collector/publish": "PUBLISHERS",
    "collector/sensors": "SENSORS",
    "rules/export": "EXPORTS",
    "rules/lists": "READERS",
    "streams/sinks": "SINKS",
}


def read_list(path: Path, name: str) -> list[str] | None:
    """The strings of the list `name` in an `__init__.py`; None when it has no such list of strings."""
    for node in parse(path).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and target.id == name and isinstance(node.value, ast.Tuple | ast.List):
            return [
                item.value for item in node.value.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)
            ]
    return None


def defined(path: Path) -> set[str]:
    """The names that a module defines at its top level."""
    names: set[str] = set()
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            names.add(node.target.id)
    return names


def plug_ins(root: Path, folder: str, name: str) -> set[str]:
    """The modules (and packages) of a plug-in folder, without its interface."""
    interfaces = {name.lower().removesuffix("s"), Path(folder).name.removesuffix("s")}
    found = [path for path in (root / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return {module_name(root, path) for path in found if path.stem not in interfaces | {"__init__"}}


def lists_broken(root: Path) -> list[str]:
    """Plug-ins on no list, lines that lead nowhere, lines that stand twice."""
    broken = []
    for folder, name in LISTS.items():
        init = root / folder / "__init__.py"
        if not (root / folder).is_dir() or not list((root / folder).glob("*.py")):
            continue
        lines = read_list(init, name) if init.is_file() else None
        if lines is None:
            broken.append(
                f"{folder}/__init__.py: no list {name} of dotted names: add `{name}: tuple[str, ...] = (...)`"
            )
            continue
        there = plug_ins(root, folder, name)
        for line in lines:
            module, _, attribute = line.rpartition(".")
            path = root / f"{module.replace('.', '/')}.py"
            path = path if path.is_file() else path.with_suffix("") / "__init__.py"
            if not path.is_file() or attribute not in defined(path):
                broken.append(
                    f"{folder}/__init__.py: {name}: {line} leads to nothing: name a module and what it defines"
                )
            if lines.count(line) > 1:
                broken.append(f"{folder}/__init__.py: {name}: {line} stands twice: remove one")
        listed = {line.rpartition(".")[0] for line in lines}
        broken += [
            f"{plug_in}: on no list: add a line to {name} in {folder}/__init__.py, or move the module"
            for plug_in in sorted(there - listed)
        ]
    return broken


def test_every_plug_in_is_on_its_list() -> None:
    obey(lists_broken(ROOT))


@pytest.mark.parametrize(("folder", "name"), LISTS.items())
def test_every_line_of_a_list_resolves(folder: str, name: str) -> None:
    init = ROOT / folder / "__init__.py"
    for line in (read_list(init, name) or []) if init.is_file() else []:
        module, _, attribute = line.rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is not None


SOUND = {
    "streams/sinks/__init__.py": '"""Sinks."""\n\nSINKS: tuple[str, ...] = ("streams.sinks.jsonl.SINK",)\n',
    "streams/sinks/sink.py": "class Sink: ...",
    "streams/sinks/jsonl.py": "SINK = 1",
}


def test_a_sound_list_is_let_pass(tmp_path: Path) -> None:
    assert lists_broken(plant(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"streams/sinks/syslog.py": "SINK = 1"}, "on no list"),
        ({"streams/sinks/syslog/__init__.py": "SINK = 1"}, "on no list"),
        ({"streams/sinks/jsonl.py": "OTHER = 1"}, "leads to nothing"),
        ({"streams/sinks/__init__.py": '"""Sinks."""\n'}, "no list SINKS"),
        (
            {"streams/sinks/__init__.py": 'SINKS = ("streams.sinks.jsonl.SINK", "streams.sinks.gone.SINK")'},
            "leads to nothing",
        ),
        (
            {"streams/sinks/__init__.py": 'SINKS = ("streams.sinks.jsonl.SINK", "streams.sinks.jsonl.SINK")'},
            "stands twice",
        ),
    ],
)
def test_a_broken_list_is_found(tmp_path: Path, change: dict[str, str], word: str) -> None:
    assert word in "\n".join(lists_broken(plant(tmp_path, SOUND | change)))


def test_a_folder_without_modules_needs_no_list(tmp_path: Path) -> None:
    (tmp_path / "collector" / "sensors").mkdir(parents=True)
    assert lists_broken(tmp_path) == []
