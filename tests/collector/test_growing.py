"""A file that grows: what is written is read soon, and it ends when it was put aside, cut, or nobody wants more."""

import threading
import time
from pathlib import Path

import pytest

from collector.growing import GrowingFile


def later(*steps: object) -> None:
    """The steps in another thread, a moment apart."""

    def work() -> None:
        for step in steps:
            time.sleep(0.15)
            step()  # type: ignore[operator]

    threading.Thread(target=work).start()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def test_what_is_written_later_is_read_when_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    with GrowingFile(path, lambda: False) as growing:
        assert growing.read(10) == b"one"
        assert not growing.ready(0)
        later(lambda: append(path, b"two"))
        assert growing.ready(5) and growing.read(10) == b"two"


def test_a_file_that_was_put_aside_is_read_to_its_end_first(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    with GrowingFile(path, lambda: False) as growing:
        growing.read(10)
        later(
            lambda: path.rename(tmp_path / "b"),
            lambda: append(tmp_path / "b", b"last"),
            lambda: path.write_bytes(b"new"),
        )
        assert (growing.read(10), growing.read(10)) == (b"last", b"")


def test_a_file_that_was_cut_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one two three")
    with GrowingFile(path, lambda: False) as growing:
        growing.read(20)
        later(lambda: path.write_bytes(b"x"))
        assert growing.read(20) == b"" and growing.is_done()


def test_when_nobody_wants_more_what_is_there_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    with GrowingFile(path, lambda: True) as growing:
        assert (growing.read(10), growing.read(10)) == (b"one", b"")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        GrowingFile(tmp_path / "missing", lambda: False)
