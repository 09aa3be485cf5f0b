"""Imports run one way and through the doors, in no circle, and by absolute names."""

import ast
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, imported, is_at_or_below, modules, obey, parse, plant, python_files

VOCABULARY = (
    "collector.observation",
    "collector.errors",
    "collector.record",
    "collector.kafka_settings",
    "collector.page",
)
DOORS = {
    "collector": ("collector",),
    "rules": ("rules", *VOCABULARY),
    "streams": (
        "streams",
        *(f"rules.{door}" for door in ("alert", "load", "match", "errors", "check", "correlate", "pack")),
        *(f"rules.{door}" for door in ("indicator", "export")),
        *(f"rules.{door}" for door in ("verdict", "court", "waivers", "signature", "keys", "succession", "transfer")),
        *VOCABULARY,
    ),
}
# The wiring joins the floors, so it may go through more doors than the rest of its package.
WIRING = (
    "streams.local",
    "streams.live",
    "streams.renewal",
    "streams.cli",
    "streams.sinks_cli",
    "streams.devices_cli",
    "streams.demo",
    "streams.settings",
    "streams.doctor",
    "streams.edge",
    "streams.verdict",
    "streams.waivers",
    "streams.whatif",
    "streams.worker",
)
WIRING_DOORS = (
    "collector.pipeline",
    "collector.capture",
    "collector.settings",
    "collector.spool",
    "collector.running",
    "collector.cli",
    "collector.canary",
    "collector.publish",
    "collector.ledger",
    "collector.packets",
    "collector.opening",
    "collector.workers",
    "collector.watched",
    "collector.identify",
    "rules.cli",
    "rules.facts_cli",
)


def imports_past_the_doors(root: Path) -> list[str]:
    """Imports of one package's room by another package, or against the one way."""
    known, broken = modules(root), []
    for name, path in known.items():
        package = name.partition(".")[0]
        doors = DOORS[package]
        if any(is_at_or_below(name, wiring) for wiring in WIRING):
            doors += WIRING_DOORS
        for line, target in imported(path, known):
            ours = target.partition(".")[0] in PACKAGES
            if ours and not any(is_at_or_below(target, door) for door in doors):
                broken.append(
                    f"{path.relative_to(root)}:{line}: {package} may not import {target}: go through a door "
                    f"({', '.join(door for door in doors if door != package)}), or move the code to its package"
                )
    return broken


def import_circles(root: Path) -> list[str]:
    """Modules that import each other, whether at the top or inside a function."""
    known = modules(root)
    graph = {
        name: sorted({target for _, target in imported(path, known) if target in known}) for name, path in known.items()
    }
    broken, done = [], set()

    def walk(name: str, trail: list[str]) -> None:
        if name in trail:
            circle = trail[trail.index(name) :]
            broken.append(
                f"{' → '.join([*circle, name])}: an import circle: move what they share into a module below them"
            )
            return
        if name not in done:
            for target in graph[name]:
                walk(target, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        walk(name, [])
    return broken


def relative_imports(root: Path) -> list[str]:
    """Imports that begin with a dot."""
    return [
        f"{path.relative_to(root)}:{node.lineno}: a relative import: write the whole dotted name"
        for path in python_files(root)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def test_imports_run_one_way_and_through_the_doors() -> None:
    obey(imports_past_the_doors(ROOT))


def test_there_is_no_import_circle() -> None:
    obey(import_circles(ROOT))


def test_imports_are_absolute() -> None:
    obey(relative_imports(ROOT))


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("collector/pipeline.py", "import rules.match"),
        ("collector/pipeline.py", "from streams import local"),
        ("rules/match.py", "from collector.cursor import Cursor"),
        ("rules/match.py", "from collector import pipeline"),
        ("rules/match.py", "def late():\n    import streams.local"),
        ("streams/processors/enrich.py", "from rules.endpoints import EndpointIndex"),
        ("streams/processors/enrich.py", "from collector.pipeline import Pipeline"),
        ("streams/local.py", "from collector.decode import decode"),
    ],
)
def test_an_import_past_the_doors_is_found(tmp_path: Path, place: str, line: str) -> None:
    plant(tmp_path, {"collector/pipeline.py": "", "streams/local.py": "", place: line})
    assert len(imports_past_the_doors(tmp_path)) == 1


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("rules/match.py", "from collector.observation import Observation\nimport rules.alert"),
        ("streams/processors/enrich.py", "from rules.alert import Alert\nfrom collector.errors import LenswatchError"),
        ("streams/local.py", "from collector.capture.source import Source\nfrom collector import pipeline"),
        ("streams/cli.py", "import rules.cli\nimport typer"),
        ("streams/demo/office.py", "from collector.pipeline import Pipeline"),
    ],
)
def test_an_import_through_a_door_is_let_pass(tmp_path: Path, place: str, line: str) -> None:
    plant(tmp_path, {"collector/pipeline.py": "", place: line})
    assert imports_past_the_doors(tmp_path) == []


def test_a_circle_of_three_is_found_once(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "rules/a.py": "import rules.b",
            "rules/b.py": "from rules import c",
            "rules/c.py": "def late():\n    from rules.a import x",
            "rules/d.py": "import rules.a",
        },
    )
    assert [line.partition(":")[0] for line in import_circles(tmp_path)] == ["rules.a → rules.b → rules.c → rules.a"]


def test_a_tower_is_no_circle(tmp_path: Path) -> None:
    plant(tmp_path, {"rules/a.py": "import rules.b, rules.c", "rules/b.py": "import rules.c", "rules/c.py": ""})
    assert import_circles(tmp_path) == []


def test_a_relative_import_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"rules/a.py": "from .b import c\nfrom rules.b import d"})
    assert len(relative_imports(tmp_path)) == 1
