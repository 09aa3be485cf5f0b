"""Errors of `rules`: one line for the person who wrote the file.

LenswatchError
└── RuleError       a fact or detection that is wrong: file, place, reason and mend
"""

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path

from collector.errors import LenswatchError, SettingsError


class RuleError(LenswatchError):
    """A facts or detection file that is refused: `<file>: <place>: <reason>`."""

    def __init__(self, path: Path | str, place: str, reason: str) -> None:
        super().__init__(f"{path}: {place}: {reason}" if place else f"{path}: {reason}")
        self.path, self.place, self.reason = Path(path), place, reason


class RuleErrors(LenswatchError):  # noqa: N818 - it is several
    """All that is wrong with a set of facts and detections, a line each."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


def first_line(error: Exception) -> str:
    """All that is wrong in one line: the first of it, and how much more there is."""
    first, *rest = str(error).splitlines() or [repr(error)]
    return f"{first} (and {len(rest)} more)" if rest else first


def known_word(word: str, known: Collection[str], kind: str) -> str:
    """The word, where it is a known one. Raises SettingsError that names the nearest and lists all."""
    if word in known:
        return word
    near = difflib.get_close_matches(word, known, 1)
    mean = f"; do you mean {near[0]}?" if near else "."
    raise SettingsError(f"{word}: no such {kind}{mean} There are: {', '.join(sorted(known))}")
