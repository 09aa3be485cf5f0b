"""What a file is by its first bytes: the typed mirror of `containers.toml`."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import tomli

from collector.errors import LenswatchError

SHIPPED = Path(__file__).with_name("containers.toml")


class ContainerSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sources.<id>]`: where a magic was read."""

    title: str
    kind: Literal["primary_text", "repository", "public_file"]
    url: str | None = None


class Container(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[container]]`: a format's name, and the bytes (hexadecimal) that stand at its offset `at`."""

    name: str
    bytes: str
    sources: tuple[str, ...]
    at: int = 0

    @property
    def magic(self) -> "Magic":
        """Offset, bytes and name."""
        return self.at, bytes_of(self.bytes), self.name


class ContainerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`containers.toml`."""

    sources: dict[str, ContainerSource]
    container: tuple[Container, ...]


Magic = tuple[int, bytes, str]
"""Offset, the bytes there, the format's name."""


def bytes_of(text: str) -> bytes:
    """Hexadecimal → bytes. Raises ValueError."""
    return bytes.fromhex(text)


@functools.cache
def read_containers(path: Path = SHIPPED) -> tuple[Magic, ...]:
    """The magics of a file, in its order. Raises LenswatchError that names file, entry and mend."""
    try:
        found = msgspec.convert(tomli.loads(path.read_text("utf-8")), ContainerFile)
        for each in found.container:
            missing = set(each.sources) - set(found.sources)
            if missing or not each.sources:
                raise ValueError(f"{each.name}: names no source that is under [sources]")
            if not bytes_of(each.bytes) or each.at < 0:
                raise ValueError(f"{each.name}: has no bytes, or an offset below 0")
        return tuple(each.magic for each in found.container)
    except (OSError, ValueError) as error:
        raise LenswatchError(f"{path}: {error}; mend the entry") from error


def container_of(first: bytes, magics: Sequence[Magic]) -> str | None:
    """The format of a file that begins so; None for none that is known."""
    for at, magic, name in magics:
        if first.startswith(magic, at):
            return name
    return None
