"""Signed packs: who vouches for which files. Pure.

A pack is signed as a statement of a few lines: its version, the digest over the names and contents of its files
(`rules.pack.digest_of`), how many they are, when it was signed, and the key. The signature is Ed25519 (RFC 8032) over
the bytes of these lines as they stand, and stands in base64 as the last one, so that nothing has to be written anew to
be checked. It lies beside the pack: `pack.sig` in a folder, `NAME.zip.sig` beside a pack's file, a header on Kafka.
"""

import base64
import binascii
import datetime
import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from collector.errors import LenswatchError
from rules.pack import digest_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORM: Final = "lenswatch pack signature 1"
FOLDER_SIGNATURE: Final = "pack.sig"
SUFFIX: Final = ".sig"
SIGN: Final = "`lenswatch rules sign`, or `publish --key`"
MAX_VERSION: Final = (1 << 63) - 1
MAX_SIGNATURE_BYTES: Final = 1_024
KEY_DIGITS: Final = 16
_LINES: Final = re.compile(
    re.escape(FORM) + r"\n"
    r"version ([1-9][0-9]{0,18})\n"
    r"digest sha256:([0-9a-f]{64})\n"
    r"files ([1-9][0-9]{0,6})\n"
    r"signed ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\n"
    r"key ([0-9a-f]{16})\n"
    r"([A-Za-z0-9+/]{86}==)\n"
)


class SignatureError(LenswatchError):
    """A pack whose signature is missing or does not hold; says which and why, in one line."""


class Signature(NamedTuple):
    """What a signature says. `version` rises from pack to pack; `signed` is the signer's clock; `key` the key's id."""

    version: int
    digest: str
    files: int
    signed: datetime.datetime
    key: str

    def words(self) -> str:
        """For a person."""
        return (
            f"version {self.version}, {self.files:,} files, signed {self.signed:%Y-%m-%d %H:%M} UTC by key {self.key}"
        )


class Trust:
    """The public keys that packs may be signed by, by id. `required`: a pack that is not signed is refused; otherwise
    it is taken, and only one whose signature does not hold is refused. Without keys no signature is looked at."""

    def __init__(self, keys: Mapping[str, "Ed25519PublicKey"], required: bool = False) -> None:
        self.keys, self.required = dict(keys), required

    def __bool__(self) -> bool:
        return bool(self.keys)

    def check(self, place: object, files: Mapping[str, bytes], signature: bytes | None) -> Signature | None:
        """The signature of a pack that is called `place` in errors, once it is known to hold; None where there is none,
        and none is asked for. Raises SignatureError."""
        if signature is None:
            if not self.required:
                return None
            raise SignatureError(f"{place}: is not signed, and [rules] require_signed asks for it: {SIGN}")
        said, statement, proof = read_signature(place, signature)
        key = self.keys.get(said.key)
        if key is None:
            known = ", ".join(sorted(self.keys))
            raise SignatureError(f"{place}: is signed by key {said.key}, and those that are trusted are {known}")
        from cryptography.exceptions import InvalidSignature

        try:
            key.verify(proof, statement)
        except InvalidSignature:
            raise SignatureError(f"{place}: its signature does not hold: not made by key {said.key}") from None
        if said.digest != digest_of(files):
            count = f" ({said.files:,} files then, {len(files):,} now)" if said.files != len(files) else ""
            raise SignatureError(f"{place}: was altered after it was signed{count}: sign it again, or restore it")
        return said


NO_TRUST: Final = Trust({})


def sign(files: Mapping[str, bytes], version: int, at: datetime.datetime, key: "Ed25519PrivateKey") -> bytes:
    """The signature of a pack, as it stands beside it."""
    statement = (
        f"{FORM}\nversion {version}\ndigest sha256:{digest_of(files)}\nfiles {len(files)}\n"
        f"signed {at.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}\nkey {key_id(key.public_key())}\n"
    ).encode()
    return statement + base64.b64encode(key.sign(statement)) + b"\n"


def read_signature(place: object, content: bytes) -> tuple[Signature, bytes, bytes]:
    """What a signature says, the statement that was signed, and its proof; whether it holds is not asked. Raises
    SignatureError."""
    found = None
    if len(content) <= MAX_SIGNATURE_BYTES and content.isascii():
        found = _LINES.fullmatch(content.decode("ascii"))
    try:
        if found is None or int(found[1]) > MAX_VERSION:
            raise ValueError
        day = datetime.datetime.fromisoformat(found[4])
        proof = base64.b64decode(found[6], validate=True)
    except (ValueError, binascii.Error):
        raise SignatureError(f"{place}: its signature is none of this form ({FORM}): sign it again") from None
    said = Signature(int(found[1]), found[2], int(found[3]), day, found[5])
    return said, content[: found.start(6)], proof


def key_id(key: "Ed25519PublicKey") -> str:
    """The first 16 hexadecimal digits of the SHA-256 over a public key's 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KEY_DIGITS]


def default_version(at: datetime.datetime) -> int:
    """A version that rises by itself: the time of signing as a number, 20261125194000."""
    return int(at.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%S"))
