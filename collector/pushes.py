"""Who is given firmware from inside our own networks, and by whom: the typed mirror of `pushes.toml`."""

import functools
import re
from pathlib import Path
from typing import Final, Literal

import msgspec
import tomli

from collector.containers import ContainerSource
from collector.dissectors.dissector import Fact
from collector.errors import LenswatchError

SHIPPED = Path(__file__).with_name("pushes.toml")
MAX_TARGET_CHARACTERS: Final = 512
HTTP, DHIP, TFTP, FILE = "http", "dhip", "tftp", "file"
PUSHING: Final = frozenset((HTTP, DHIP, TFTP, FILE))


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[push]]`: a call by which a device is given firmware."""

    kind: Literal["http", "dhip", "tftp"]
    pattern: str
    sources: tuple[str, ...]
    methods: tuple[str, ...] = ()


class PushFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`pushes.toml`."""

    sources: dict[str, ContainerSource]
    push: tuple[Push, ...]


class Pushes:
    """The calls, ready to be asked."""

    def __init__(self, pushes: tuple[Push, ...]) -> None:
        self._by_kind: dict[str, list[tuple[re.Pattern[str], tuple[str, ...]]]] = {}
        for each in pushes:
            self._by_kind.setdefault(each.kind, []).append((re.compile(each.pattern), each.methods))

    def is_push(self, fact: Fact) -> bool:
        """Whether a fact shows that firmware is given to the side that is called or, by TFTP, that it is fetched."""
        dataset = fact.dataset
        if dataset not in PUSHING:
            return False
        if dataset == DHIP:
            return not fact.backward and fact.action is not None and self._fits(DHIP, fact.action, None)
        if dataset == TFTP:
            return fact.action == "read" and fact.url is not None and self._fits(TFTP, fact.url.path or "", None)
        if fact.url is None or fact.http is None or fact.http.request is None:
            return False
        return self._fits(HTTP, fact.url.path or "", fact.http.request.method)

    def _fits(self, kind: str, text: str, method: str | None) -> bool:
        return any(
            (method is None or method in methods) and pattern.search(text[:MAX_TARGET_CHARACTERS]) is not None
            for pattern, methods in self._by_kind.get(kind, ())
        )


@functools.cache
def read_pushes(path: Path = SHIPPED) -> Pushes:
    """The calls of a file. Raises LenswatchError that names file, entry and mend."""
    try:
        found = msgspec.convert(tomli.loads(path.read_text("utf-8")), PushFile)
        for each in found.push:
            if not each.sources or set(each.sources) - set(found.sources):
                raise ValueError(f"{each.pattern}: names no source that is under [sources]")
            if (each.kind == HTTP) != bool(each.methods):
                raise ValueError(f"{each.pattern}: methods are for http, and http names some")
        return Pushes(found.push)
    except (OSError, ValueError, re.error) as error:
        raise LenswatchError(f"{path}: {error}; mend the entry") from error
