"""What is written can be checked by anybody with sha256sum, and nothing is overwritten."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError
from rules.alert import Alert
from streams.evidence.folder import NAMES, write_folder


def test_sha256sum_accepts_the_manifest_and_refuses_what_was_changed(tmp_path: Path, alert: Alert) -> None:
    folder = tmp_path / "new" / "case"
    assert write_folder(folder, alert, b"packets") == [folder / name for name in NAMES]
    check = ["sha256sum", "--check", "--strict", "manifest.sha256"]
    ran = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and ran.stdout == "alert.json: OK\npackets.pcapng: OK\n"
    assert msgspec.json.decode((folder / "alert.json").read_bytes(), type=Alert) == alert
    (folder / "packets.pcapng").write_bytes(b"Packets")
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path, alert: Alert, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(LenswatchError, match="is there already and is not overwritten; name another folder"):
        write_folder(tmp_path, alert, b"packets")
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, alert: Alert) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LenswatchError, match="cannot be written"):
        write_folder(tmp_path / "file" / "case", alert, b"packets")
