"""Key files: made for their owner alone, read by openssl too, and refused in one line."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from rules.keys import KeyFileError, make_keys, read_private, read_public, read_trust
from rules.signature import key_id


def test_a_pair_is_made_and_only_the_owner_may_read_the_private_one(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private, public, key = make_keys(tmp_path / "ops")
    finally:
        os.umask(before)
    assert (private.name, public.name) == ("ops.key", "ops.pub")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert key_id(read_private(private).public_key()) == key_id(read_public(public)) == key
    assert read_trust([public], required=True).keys.keys() == {key}


def test_no_key_is_ever_written_over(tmp_path: Path) -> None:
    private, public, _ = make_keys(tmp_path / "ops")
    before = private.read_bytes()
    for gone in (None, public, private):
        if gone is not None:
            gone.unlink()
        if gone is private:
            public.write_text("mine", "utf-8")
        with pytest.raises(KeyFileError, match="is there already"):
            make_keys(tmp_path / "ops")
    assert public.read_text("utf-8") == "mine" and not private.exists() and before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620])
def test_a_private_key_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    private, _, _ = make_keys(tmp_path / "ops")
    private.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"ops\.key: others may read it \(mode {mode:o}\): chmod 600"):
        read_private(private)
    private.chmod(0o400)
    read_private(private)


def test_what_is_no_such_key_is_refused_in_one_line(tmp_path: Path) -> None:
    private, public, _ = make_keys(tmp_path / "ops")
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk")
    junk.chmod(0o600)
    for read, path, words in (
        (read_private, junk, "is no key in PEM"),
        (read_public, junk, "is no key in PEM"),
        (read_public, private, "is no key in PEM"),
        (read_public, tmp_path / "none", "cannot be read: No such file"),
        (read_private, tmp_path / "none", "cannot be read: No such file"),
    ):
        with pytest.raises(KeyFileError, match=f"^{path}: {words}") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(KeyFileError, match="cannot be written"):
        make_keys(tmp_path / "no" / "ops")
    assert public.exists()


def test_openssl_makes_and_reads_such_keys(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None
    made, rsa, secret = tmp_path / "made.key", tmp_path / "rsa.key", tmp_path / "secret.key"
    for path, *options in (
        (made, "-algorithm", "ed25519"),
        (rsa, "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"),
        (secret, "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:word"),
    ):
        subprocess.run([openssl, "genpkey", *options, "-out", str(path)], check=True, capture_output=True)
        path.chmod(0o600)
    shown = subprocess.run([openssl, "pkey", "-in", str(made), "-pubout"], check=True, capture_output=True).stdout
    public = tmp_path / "made.pub"
    public.write_bytes(shown)
    assert key_id(read_private(made).public_key()) == key_id(read_public(public))
    with pytest.raises(KeyFileError, match="is no private Ed25519 key"):
        read_private(rsa)
    with pytest.raises(KeyFileError, match="has a passphrase"):
        read_private(secret)
