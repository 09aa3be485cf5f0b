"""A short coverage-guided run of every dissector, and that the fuzzing itself notices what escapes."""

import importlib.util
import os
from pathlib import Path

import pytest

from collector.dissectors import DISSECTORS
from tests.fuzz import run

SECONDS = int(os.environ.get("LENSWATCH_FUZZ_SECONDS") or ("5" if os.environ.get("CI") else "2"))

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed"),
]


@pytest.mark.parametrize("name", DISSECTORS)
def test_nothing_escapes_a_dissector(name: str, tmp_path: Path) -> None:
    outcome = run.fuzz(name, SECONDS, tmp_path)
    assert outcome.escape is None and outcome.inputs >= 10, outcome


def test_an_escape_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    careless = tmp_path / "careless.py"
    careless.write_text(
        "from collector.dissectors.dissector import Dissector\n"
        "DISSECTOR = Dissector('careless', lambda *_: False, read_datagram=lambda data, _: [data[40]])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = run.fuzz("careless.DISSECTOR", SECONDS, tmp_path / "out")
    assert outcome.escape is not None and "IndexError" in outcome.escape


def test_a_name_of_no_dissector_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["nobody"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
