"""The explained differences, typed: `differences.toml`."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec


class Difference(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[captures.<sha256>.<kind>]`: how many names only tshark (`missing`) and only lenswatch (`extra`) reads; who is
    wrong; and why, in a sentence.
    """

    wrong: Literal["tshark", "lenswatch"]
    reason: str
    missing: int = 0
    extra: int = 0


class Explained(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[captures.<sha256>]`: what the capture is, and its differences by kind."""

    about: str
    dns: Difference | None = None
    sni: Difference | None = None
    http: Difference | None = None
    ja3: Difference | None = None
    offer: Difference | None = None
    rtsp: Difference | None = None
    dhcp: Difference | None = None
    ssdp: Difference | None = None
    ntp: Difference | None = None
    stun: Difference | None = None
    server: Difference | None = None
    realm: Difference | None = None


class DifferencesFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`differences.toml`, by the SHA-256 of the capture."""

    captures: dict[str, Explained] = {}


def load_differences(path: Path) -> dict[str, Explained]:
    """The explained differences by SHA-256. ValueError in one line: file, place, reason."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), DifferencesFile).captures
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
