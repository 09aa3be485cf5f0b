"""Every module has its mirrored test; the list of debts only shrinks."""

from pathlib import Path

from tests.house.tree import PACKAGES, ROOT, obey, plant, python_files

# Modules that still owe their test. Take lines away; never add one.
UNTESTED: frozenset[str] = frozenset()


def mirror(module: str) -> str:
    """`collector/dissectors/tls.py` → `tests/collector/dissectors/test_tls.py`."""
    path = Path(module)
    return str(Path("tests") / path.parent / f"test_{path.name}")


def modules_without_mirror(root: Path, untested: frozenset[str]) -> list[str]:
    """Modules without a test of their own, and debts that are paid or void."""
    modules = [str(path.relative_to(root)) for path in python_files(root, *PACKAGES) if path.name != "__init__.py"]
    missing = {module for module in modules if not (root / mirror(module)).is_file()}
    broken = [f"{module}: no test: write {mirror(module)}" for module in sorted(missing - untested)]
    return broken + [f"{module}: owes no test any more: take it off UNTESTED" for module in sorted(untested - missing)]


def test_every_module_has_its_mirrored_test() -> None:
    obey(modules_without_mirror(ROOT, UNTESTED))


def test_a_module_without_its_test_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"rules/a.py": "", "rules/b.py": "", "rules/__init__.py": "", "tests/rules/test_a.py": ""})
    assert modules_without_mirror(tmp_path, frozenset()) == ["rules/b.py: no test: write tests/rules/test_b.py"]


def test_a_debt_is_let_pass_until_it_is_paid(tmp_path: Path) -> None:
    plant(tmp_path, {"rules/a.py": "", "rules/b.py": "", "tests/rules/test_a.py": ""})
    assert modules_without_mirror(tmp_path, frozenset({"rules/b.py"})) == []
    assert len(modules_without_mirror(tmp_path, frozenset({"rules/a.py", "rules/b.py", "rules/gone.py"}))) == 2
