"""The tree as the laws see it: files, modules and what they import. Every law is a function over a root folder."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("collector", "rules", "streams")
NOT_OURS = {".git", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"} | {
    "build",
    "dist",
    "out",
}


def all_files(root: Path) -> Iterator[Path]:
    """Every file that is the project's own, in order."""
    for path in sorted(root.iterdir()):
        if path.name in NOT_OURS or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from all_files(path)
        else:
            yield path


def python_files(root: Path, *folders: str) -> list[Path]:
    """The Python files of these folders of `root`, or of all of it."""
    roots = [root / folder for folder in folders] if folders else [root]
    return [path for folder in roots if folder.is_dir() for path in all_files(folder) if path.suffix == ".py"]


@functools.cache
def _parse(path: Path, changed: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def parse(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return _parse(path, path.stat().st_mtime_ns)


def module_name(root: Path, path: Path) -> str:
    """`collector/dissectors/__init__.py` → `collector.dissectors`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path) -> dict[str, Path]:
    """Every module of the three packages, by dotted name."""
    return {module_name(root, path): path for path in python_files(root, *PACKAGES)}


def imported(path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, wherever it stands; `from a import b` is `a.b` when that is a module."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield node.lineno, below if below in known else node.module


def is_at_or_below(name: str, roof: str) -> bool:
    """`a.b.c` is at or below `a.b`."""
    return name == roof or name.startswith(f"{roof}.")


def obey(broken: list[str]) -> None:
    """Fail with one line for each place where the law is broken."""
    assert not broken, "\n" + "\n".join(broken)


def plant(root: Path, files: dict[str, str]) -> Path:
    """A tiny tree for the tests of the laws: path below `root` → text."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
