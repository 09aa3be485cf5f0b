"""Key files: Ed25519 in PEM (RFC 8410), as `openssl genpkey -algorithm ed25519` makes them too."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collector.errors import LenswatchError
from rules.signature import Trust, key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_KEY_BYTES: Final = 4_096
PRIVATE, PUBLIC = ".key", ".pub"


class KeyFileError(LenswatchError):
    """A key file that is refused: `<file>: <reason>`."""


def make_keys(place: Path) -> tuple[Path, Path, str]:
    """A new pair: `place.key` for its owner alone, `place.pub` for all, and the id. Never over a file that is there.
    Raises KeyFileError."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    shown = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private, public = Path(f"{place}{PRIVATE}"), Path(f"{place}{PUBLIC}")
    if public.exists():
        raise KeyFileError(f"{public}: is there already, and is not written over")
    _write(private, secret, 0o600)
    _write(public, shown, 0o644)
    return private, public, key_id(key.public_key())


def read_private(path: Path) -> "Ed25519PrivateKey":
    """A private key, which only its owner may be able to read. Raises KeyFileError."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content, mode = _read(path)
    if mode & 0o077:
        raise KeyFileError(f"{path}: others may read it (mode {mode:o}): chmod 600 {path}, and think of a new key")
    key = _parse(path, content, lambda text: serialization.load_pem_private_key(text, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: is no private Ed25519 key: lenswatch rules keygen makes one")
    return key


def read_public(path: Path) -> "Ed25519PublicKey":
    """A public key. Raises KeyFileError."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    content, _ = _read(path)
    key = _parse(path, content, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: is no public Ed25519 key: lenswatch rules keygen makes one")
    return key


def read_trust(paths: Sequence[Path], required: bool = False) -> Trust:
    """The trust in some key files. Raises KeyFileError."""
    keys = map(read_public, paths)
    return Trust({key_id(key): key for key in keys}, required)


def _parse(path: Path, content: bytes, load: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(content)
    except TypeError as error:
        raise KeyFileError(f"{path}: has a passphrase, which is not asked for here; name a key without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"{path}: is no key in PEM, or one of another sort: lenswatch rules keygen makes one"
        ) from error


def _read(path: Path) -> tuple[bytes, int]:
    """The content, and the permissions of the very file that was read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_BYTES + 1), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except FileExistsError as error:
        raise KeyFileError(f"{path}: is there already, and is not written over") from error
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror or error}") from error
