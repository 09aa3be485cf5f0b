"""Facts and detections as one archive of bytes, for a journey; read back whole or not at all. Pure.

A pack is a zip file (APPNOTE 6.3.10) of `<layer>/facts/…` and `<layer>/detections/…`: layer 0 is what was shipped where
it was made, the next ones are the folders that were added to it, in order. The same files give the same bytes. Its
digest is the SHA-256 over names and contents, so that it does not depend on the compression; the archive's comment says
it, because a zip file with a broken directory may still be one, of fewer files.
"""

import hashlib
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Final

from collector.errors import LenswatchError

FORMAT: Final = b"lenswatch rules 1"
MAX_PACK_BYTES: Final = 8 << 20
MAX_FILES: Final = 20_000
MAX_FILE_BYTES: Final = 64 << 20
MAX_UNPACKED_BYTES: Final = 256 << 20
MAX_NAME_LENGTH: Final = 512
# The first time that a zip file can say, so that the same files give the same bytes.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
# All that zipfile is known to raise at bytes that only resemble a zip file.
BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError,
    ValueError, KeyError, IndexError, OverflowError,
)  # fmt: skip
_NAME: Final = re.compile(r"\d{1,3}/(facts|detections)(/[^/\\:\x00-\x1f\x7f]+)+")


class PackError(LenswatchError):
    """Bytes that are no pack, or files that can be none; says which and why, in one line."""


def digest_of(files: Mapping[str, bytes]) -> str:
    """The SHA-256 over all names and contents, in order of names."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """Files as a pack. Raises PackError where it would be one that `unpack` refuses."""
    check_names(list(files))
    total = 0
    for name, content in files.items():
        total += len(content)
        if len(content) > MAX_FILE_BYTES or total > MAX_UNPACKED_BYTES:
            raise PackError(f"{name}: is too large to travel: {MAX_FILE_BYTES >> 20} MiB are the most for one file")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.comment = FORMAT + b" " + digest_of(files).encode()
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, content)
    packed = out.getvalue()
    if len(packed) > MAX_PACK_BYTES:
        raise PackError(f"the pack has {len(packed):,} bytes, and {MAX_PACK_BYTES:,} are the most; shorten the lists")
    return packed


def unpack(content: bytes) -> dict[str, bytes]:
    """The files of a pack. Raises PackError, and then nothing of it is to be used."""
    if len(content) > MAX_PACK_BYTES:
        raise PackError(f"a pack of {len(content):,} bytes, and {MAX_PACK_BYTES:,} are the most")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            form, _, digest = archive.comment.rpartition(b" ")
            if form != FORMAT:
                raise PackError(f"says it is {archive.comment[:40]!r} and not {FORMAT!r}: made by another version")
            entries = archive.infolist()
            check_names([entry.filename for entry in entries])
            files: dict[str, bytes] = {}
            room = MAX_UNPACKED_BYTES
            for entry in entries:
                files[entry.filename] = _read(archive, entry, min(room, MAX_FILE_BYTES))
                room -= len(files[entry.filename])
    except BROKEN as error:
        raise PackError(f"no pack that can be read: {error}") from error
    if digest_of(files).encode() != digest:
        raise PackError("its files are not those that it was made of: broken on the way; publish it again")
    return files


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    """A file of no more bytes than the limit, whatever it says of itself."""
    with archive.open(entry) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise PackError(f"{entry.filename}: is larger than is read")
    return content


def check_names(names: list[str]) -> None:
    """Refuse names that lie outside of a pack's folders, or stand twice. Raises PackError."""
    if len(names) > MAX_FILES:
        raise PackError(f"{len(names):,} files, and {MAX_FILES:,} are the most")
    seen: set[str] = set()
    for name in names:
        parts = name.split("/")
        if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name) or "." in parts or ".." in parts:
            raise PackError(f"{name[:80]!r} is no place in a pack; there are <layer>/facts/… and <layer>/detections/…")
        if name.casefold() in seen:
            raise PackError(f"{name!r} stands twice")
        seen.add(name.casefold())
