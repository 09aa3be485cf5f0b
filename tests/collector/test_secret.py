"""A secret is read only where not everybody may read it; the words name the file and never what is in it."""

from pathlib import Path

import pytest

from collector.errors import SettingsError
from collector.secret import read_private


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_what_its_owner_or_group_may_read_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"correct horse")
    path.chmod(mode)
    assert read_private(path, 7, "key") == b"correct"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
def test_what_everybody_may_read_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"correct horse")
    path.chmod(mode)
    with pytest.raises(SettingsError) as caught:
        read_private(path, 100, "kafka.password_file")
    words = str(caught.value)
    assert words.startswith(f"kafka.password_file {path} can be read") and words.endswith(f"chmod 600 {path}")
    assert "horse" not in words


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"key .*gone cannot be read: No such file"):
        read_private(tmp_path / "gone", 1, "key")
