"""Pure rooms touch no clock, no socket and no file: time, bytes and facts come in as arguments."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT, imported, is_at_or_below, obey, parse, plant, python_files

PURE_FOLDERS = ("collector/dissectors", "streams/processors", "streams/formats")
PURE_FILES = (
    *(f"collector/{name}.py" for name in ("decode", "flows", "reassembly", "cursor", "pipeline", "packets")),
    *(
        f"rules/{name}.py"
        for name in (
            "match",
            "predicate",
            "endpoints",
            "verdict",
            "ownership",
            "alert",
            "correlate",
            "court",
            "pack",
            "knowledge",
            "scenario",
            "edition",
            "factdiff",
            "indicator",
            "namesake",
            "signature",
            "succession",
            "transfer",
        )
    ),
)
CLOCKS = ("time", "sched")
SOCKETS = (
    "socket",
    "socketserver",
    "ssl",
    "select",
    "selectors",
    "asyncio",
    "http.client",
    "http.server",
    "urllib.request",
    "aiohttp",
    "requests",
)
FILES = (
    "os",
    "pathlib",
    "shutil",
    "tempfile",
    "glob",
    "fileinput",
    "mmap",
    "sqlite3",
    "subprocess",
    "multiprocessing",
)
FILE_CALLS = {
    "open",
    "input",
    "np.load",
    "np.save",
    "np.fromfile",
    "np.memmap",
    "numpy.load",
    "numpy.fromfile",
    "numpy.memmap",
}
CLOCK_ENDS = (".now", ".utcnow", ".today")
MEND = "a pure room: take it as an argument from whoever calls"


def pure_files(root: Path) -> list[Path]:
    """The files that must be pure, as far as they are there."""
    return python_files(root, *PURE_FOLDERS) + [root / name for name in PURE_FILES if (root / name).is_file()]


def touches(path: Path) -> Iterator[tuple[int, str]]:
    """Line and word of each touch of the world outside."""
    for line, name in imported(path, {}):
        if any(is_at_or_below(name, module) for module in (*CLOCKS, *SOCKETS, *FILES)):
            yield line, f"imports {name}"
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and node.module in ("http", "urllib"):
            yield from (
                (node.lineno, f"imports {alias.name}") for alias in node.names if alias.name in ("client", "request")
            )
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FILE_CALLS or called.endswith(CLOCK_ENDS):
                yield node.lineno, f"calls {called}()"


def impure_rooms(root: Path) -> list[str]:
    """Touches of clock, socket or file in a pure room."""
    return [
        f"{path.relative_to(root)}:{line}: {touch} in {MEND}"
        for path in pure_files(root)
        for line, touch in touches(path)
    ]


def test_pure_rooms_touch_no_clock_socket_or_file() -> None:
    obey(impure_rooms(ROOT))


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from time import monotonic",
        "import socket",
        "from urllib import request",
        "import urllib.request",
        "from pathlib import Path",
        "def f():\n    import os.path",
        "def f(p):\n    return open(p)",
        "import datetime\ndef f():\n    return datetime.datetime.now(datetime.UTC)",
        "from datetime import date\nx = date.today()",
        "import numpy as np\nx = np.fromfile('x')",
    ],
)
@pytest.mark.parametrize(
    "place", ["collector/dissectors/tls.py", "collector/flows.py", "rules/match.py", "streams/processors/fold.py"]
)
def test_a_touch_of_the_world_is_found(tmp_path: Path, place: str, text: str) -> None:
    assert len(impure_rooms(plant(tmp_path, {place: text}))) == 1


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("rules/load.py", "from pathlib import Path\nx = open('facts')"),
        (
            "collector/dissectors/tls.py",
            "import datetime, urllib.parse\nx = datetime.datetime.fromtimestamp(0, datetime.UTC)",
        ),
        ("streams/processors/fold.py", "def f(at, opened):\n    return opened(at.time())"),
    ],
)
def test_what_is_pure_or_elsewhere_is_let_pass(tmp_path: Path, place: str, text: str) -> None:
    assert impure_rooms(plant(tmp_path, {place: text})) == []
