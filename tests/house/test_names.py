"""Names say what a thing is; a package's `__init__.py` is its map and holds at most one list."""

import ast
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, all_files, obey, parse, plant, python_files

NAMES_OF_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc", "base"}
TYPES_OF_NOTHING = ("Manager", "Handler", "Helper", "Helpers", "Utils", "Base")


def names_of_nothing(root: Path) -> list[str]:
    """Files, folders and types whose name could stand for anything."""
    broken = []
    for path in all_files(root):
        place = path.relative_to(root)
        words = {part.partition(".")[0] for part in place.parts} & NAMES_OF_NOTHING
        if words and path.suffix == ".py":
            broken.append(f"{place}: {words.pop()!r} says nothing: name it by what it makes")
    for path in python_files(root):
        broken += [
            f"{path.relative_to(root)}:{node.lineno}: {node.name}: name the type by what it is in the domain"
            for node in ast.walk(parse(path))
            if isinstance(node, ast.ClassDef) and node.name.endswith(TYPES_OF_NOTHING)
        ]
    return broken


def is_list(node: ast.stmt) -> bool:
    """An upper-case name bound to a tuple or list."""
    target = (
        node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
    )
    return isinstance(target, ast.Name) and target.id.isupper() and isinstance(node.value, ast.Tuple | ast.List)


def crowded_inits(root: Path) -> list[str]:
    """`__init__.py` files that are missing, have no docstring, or hold more than one list."""
    broken = []
    for folder in sorted({path.parent for path in python_files(root, *PACKAGES)}):
        init = folder / "__init__.py"
        place = init.relative_to(root)
        if not init.is_file():
            broken.append(f"{place}: missing: write it, with the map of the package as its docstring")
            continue
        body = parse(init).body
        if ast.get_docstring(parse(init)) is None:
            broken.append(f"{place}: no docstring: say what is in the package, and how to add to it")
        rest = [node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        if len(rest) > 1 or not all(is_list(node) for node in rest):
            broken.append(f"{place}: more than a docstring and one list: move the code to a module with a name")
    tests = python_files(root, "tests")
    return broken + [
        f"{path.relative_to(root)}: tests have no __init__.py: remove it" for path in tests if path.stem == "__init__"
    ]


def test_no_name_could_stand_for_anything() -> None:
    obey(names_of_nothing(ROOT))


def test_an_init_holds_a_docstring_and_at_most_one_list() -> None:
    obey(crowded_inits(ROOT))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("rules/utils.py", ""),
        ("streams/common/text.py", ""),
        ("tests/helpers.py", ""),
        ("rules/match.py", "class RuleManager: ..."),
        ("streams/store.py", "class Alert:\n    class StoreHandler: ..."),
    ],
)
def test_a_name_of_nothing_is_found(tmp_path: Path, place: str, text: str) -> None:
    assert len(names_of_nothing(plant(tmp_path, {place: text}))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "X: tuple[str, ...] = ()",
        '"""Map."""\nimport rules.match',
        '"""Map."""\nX = ()\nY = ()',
        '"""Map."""\nx = ()',
        '"""Map."""\ndef f(): ...',
    ],
)
def test_a_crowded_or_silent_init_is_found(tmp_path: Path, text: str) -> None:
    assert len(crowded_inits(plant(tmp_path, {"rules/__init__.py": text}))) == 1


def test_a_missing_init_and_one_among_the_tests_are_found(tmp_path: Path) -> None:
    assert len(crowded_inits(plant(tmp_path, {"rules/match.py": "", "tests/rules/__init__.py": ""}))) == 2


def test_a_map_with_one_list_is_let_pass(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"rules/__init__.py": '"""Map."""\n\nX: tuple[str, ...] = (\n    "rules.match.X",\n)\n', "rules/match.py": ""},
    )
    assert crowded_inits(tmp_path) == [] and names_of_nothing(tmp_path) == []
