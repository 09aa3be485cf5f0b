"""No function is longer than a screen, no file longer than can be held in mind."""

import ast
from pathlib import Path

from tests.house.tree import ROOT, obey, parse, plant, python_files

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 500


def too_long(root: Path) -> list[str]:
    """Functions and files over the limits, a function counted from its `def` to its last line."""
    broken = []
    for path in python_files(root):
        place, lines = path.relative_to(root), path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_FILE_LINES:
            broken.append(f"{place}: {lines} lines, {MAX_FILE_LINES} are allowed: give a part of it a file of its own")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    broken.append(
                        f"{place}:{node.lineno}: {node.name} has {length} lines, {MAX_FUNCTION_LINES} are allowed: "
                        "name a step of it and make that a function"
                    )
    return broken


def test_no_function_and_no_file_is_too_long() -> None:
    obey(too_long(ROOT))


def function_of(lines: int) -> str:
    return "class A:\n    def f():\n" + "        pass\n" * (lines - 1)


def test_the_limit_itself_is_let_pass(tmp_path: Path) -> None:
    plant(tmp_path, {"a.py": function_of(MAX_FUNCTION_LINES), "b.py": "x = 1\n" * MAX_FILE_LINES})
    assert too_long(tmp_path) == []


def test_one_line_over_the_limit_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"a.py": function_of(MAX_FUNCTION_LINES + 1), "tests/b.py": "x = 1\n" * (MAX_FILE_LINES + 1)})
    assert len(too_long(tmp_path)) == 2
