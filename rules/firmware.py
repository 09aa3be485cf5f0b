"""Which request is a step of a firmware update: by path at a maker's host, by file name or user agent anywhere.

All patterns of a sort are one regular expression, so that a request that is none of them costs one scan. Only facts
that are seen on the wire and show a step are asked: a call to a firmware host alone is a check, and an update is
said to be received only where a path or a file says so.
"""

import re
from typing import Final

from rules.endpoints import EndpointMatch, normalise_name
from rules.fact import EndpointFile, FirmwareFact

MAX_PATH_LENGTH: Final = 2048
MAX_KNOWN_FILES: Final = 16_384
MAX_KNOWN_LENGTH: Final = 64
FIRMWARE_ROLE: Final = "firmware"
_GLOBAL_FLAGS = re.compile(r"\(\?([aimsux]+)\)")
# Groups that are referred to by number or name mean something else inside another expression.
_NUMBERED = re.compile(r"\\[1-9]|\(\?P|\(\?\(")


class FirmwareStep:
    """What a request shows: the step (check or download) and the fact that says so."""

    __slots__ = ("match", "step")

    def __init__(self, entity: str, fact: FirmwareFact) -> None:
        # A file by its name is the image itself; a path or user agent without a step is a sign of an update, no more.
        self.step: str = fact.step or ("download" if fact.kind == "file" else "check")
        self.match = EndpointMatch(
            entity, FIRMWARE_ROLE, fact.confidence, fact.pattern, fact.kind, fact.sources, fact.note
        )


class FirmwareIndex:
    """The firmware facts of all companies, ready to be asked."""

    def __init__(self, files: dict[str, EndpointFile]) -> None:
        paths: dict[str, list[tuple[str, FirmwareStep]]] = {}
        names: list[tuple[str, FirmwareStep]] = []
        agents: list[tuple[str, FirmwareStep]] = []
        for entity, file in files.items():
            for fact in file.firmware:
                if not fact.on_wire:
                    continue
                entry = (fact.pattern, FirmwareStep(entity, fact))
                if fact.kind == "path":
                    for host in fact.hosts:
                        paths.setdefault(normalise_name(host), []).append(entry)
                elif fact.kind == "file":
                    names.append(entry)
                elif fact.kind == "useragent" and fact.step is not None:
                    agents.append(entry)
        self._paths = {host: _Patterns(entries) for host, entries in paths.items()}
        self._endings = tuple(self._paths)
        self._files = _Patterns(names)
        self._agents = _Patterns(agents)
        self._known: dict[str, FirmwareStep | None] = {}

    def at_host(self, host: str | None, target: str | None) -> FirmwareStep | None:
        """The step that a path with its query shows at a maker's host (a normalised name)."""
        if not host or not target or not host.endswith(self._endings):
            return None
        target = target[:MAX_PATH_LENGTH]
        while host:
            patterns = self._paths.get(host)
            if patterns is not None and (found := patterns.search(target)):
                return found
            host = host.partition(".")[2]
        return None

    def anywhere(self, path: str | None, agent: str | None) -> FirmwareStep | None:
        """The step that the last segment of a path, or a user agent, shows at whatever host."""
        if path and (found := self.file_at(path)) is not None:
            return found
        return self._agents.search(agent[:MAX_PATH_LENGTH]) if agent else None

    def file_at(self, path: str) -> FirmwareStep | None:
        """The step that the last segment of a path shows; remembered, for devices ask for the same few files."""
        end = path.find("?")
        if end >= 0:
            path = path[:end]
        name = path[path.rfind("/") + 1 :]
        if not name:
            return None
        known = self._known.get(name, self)
        if known is not self:
            return known  # type: ignore[return-value]
        found = self._files.search(name[:MAX_PATH_LENGTH])
        if len(name) <= MAX_KNOWN_LENGTH:
            if len(self._known) >= MAX_KNOWN_FILES:
                self._known.clear()
            self._known[name] = found
        return found


class _Patterns:
    """Alternatives in one expression, the anchored ones apart, since those are tried at one place only."""

    def __init__(self, entries: list[tuple[str, FirmwareStep]]) -> None:
        # What shows a download is asked first: it says more than a check.
        entries = sorted(entries, key=lambda entry: entry[1].step != "download")
        self._each = [(re.compile(pattern), step) for pattern, step in entries]
        plain = [pattern for pattern, _ in entries if not _NUMBERED.search(pattern)]
        self._odd = len(plain) < len(entries)
        self._anchored = _combine([pattern for pattern in plain if _is_anchored(pattern)])
        self._floating = _combine([pattern for pattern in plain if not _is_anchored(pattern)])

    def search(self, text: str) -> FirmwareStep | None:
        if (
            self._odd
            or (self._anchored is not None and self._anchored.match(text))
            or (self._floating is not None and self._floating.search(text))
        ):
            for pattern, step in self._each:
                if pattern.search(text):
                    return step
        return None


def _combine(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_scoped, patterns))) if patterns else None


def _scoped(pattern: str) -> str:
    """A pattern as it may stand inside another: its leading flags for itself alone."""
    flags = _GLOBAL_FLAGS.match(pattern)
    return f"(?{flags[1]}:{pattern[flags.end() :]})" if flags else f"(?:{pattern})"


def _is_anchored(pattern: str) -> bool:
    """Whether it can match at the first character only. A bar outside of parentheses makes that unsure: then no."""
    depth = 0
    for index, character in enumerate(pattern):
        escaped = index > 0 and pattern[index - 1] == "\\"
        if not escaped:
            depth += (character == "(") - (character == ")")
            if character == "|" and depth == 0:
                return False
    return pattern.startswith("^")
