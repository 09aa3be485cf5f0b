"""A secret comes from one place, is read again when it changes, and is shown nowhere."""

from pathlib import Path

import pytest

from collector.errors import SettingsError
from streams.dispatch.secret import Secret, read_line, read_word
from tests.streams.dispatch.carrying import write_secret


def test_a_secret_is_that_of_its_file_and_changes_with_it(tmp_path: Path) -> None:
    secret = Secret("token", write_secret(tmp_path / "token", "first"), None, read_word)
    assert secret.current() == "first"
    (tmp_path / "token").write_text("two words\n", "utf-8")
    assert secret.current() == "first", "what has become wrong does not count"
    (tmp_path / "token").unlink()
    assert secret.current() == "first"
    write_secret(tmp_path / "token", "second")
    assert secret.current() == "second"


def test_a_secret_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEC_TOKEN", " word\n")
    assert Secret("token", None, "HEC_TOKEN", read_word).current() == "word"
    with pytest.raises(SettingsError, match="token_env OTHER: there is no such environment variable"):
        Secret("token", None, "OTHER", read_word)


@pytest.mark.parametrize("places", [(None, None), (Path("x"), "X")])
def test_a_secret_comes_from_one_place(places: tuple[Path | None, str | None]) -> None:
    with pytest.raises(SettingsError, match="token_file and token_env: name one of them"):
        Secret("token", *places, read_word)


def test_a_file_that_cannot_be_used_is_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"token_file .*gone cannot be read: No such file"):
        Secret("token", tmp_path / "gone", None, read_word)
    path = write_secret(tmp_path / "token", "word")
    path.chmod(0o604)
    with pytest.raises(SettingsError, match=f"by every user of this machine: chmod 600 {path}"):
        Secret("token", path, None, read_word)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "bytes").chmod(0o600)
    with pytest.raises(SettingsError, match="it holds what is no secret"):
        Secret("token", tmp_path / "bytes", None, read_word)


@pytest.mark.parametrize("text", ["", "two w0rds", "w\u00f6rd", "w\x00rd"])
def test_a_word_is_one_word_that_a_header_can_hold(text: str) -> None:
    with pytest.raises(SettingsError, match="it is to hold the secret alone") as failed:
        read_word(text, "here")
    assert not text or text not in str(failed.value)


def test_a_line_may_hold_blanks() -> None:
    assert read_line("correct horse battery staple\n", "here") == "correct horse battery staple"
    for text in ("", "\n", "one\ntwo\n", "b\x07ll"):
        with pytest.raises(SettingsError, match="one line is the secret"):
            read_line(text, "here")
