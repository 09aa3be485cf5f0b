"""What every format is: a pack → text, and what the format could not say, counted by reason."""

import collections
import dataclasses
from collections.abc import Callable, Iterable

from rules.indicator import Indicator, Pack


@dataclasses.dataclass(slots=True)
class Written:
    """What a format made of a pack. `left_out`: what it has no words for, and how many indicators that were; `notes`:
    what is to be known of what was written."""

    text: str
    count: int
    left_out: collections.Counter[str]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Export:
    """A format. `acts`: it can act on a match (`Pack.block`), not only tell."""

    name: str
    reader: str
    write: Callable[[Pack], Written]
    acts: bool = False


def heading(pack: Pack, mark: str = "#") -> list[str]:
    """The first lines of a file that has comments."""
    return [
        f"{mark} lenswatch: endpoints of camera makers and listed companies. A listing is not a ban.",
        f"{mark} facts {pack.digest}, listings in force on {pack.day}",
    ]


def remark(indicator: Indicator) -> str:
    """Id, company, role, confidence, programmes and reference on one line of plain characters."""
    words = [indicator.id, f"{indicator.company} ({indicator.role}, {indicator.confidence} confidence)"]
    words += [f"listed: {', '.join(indicator.programmes)}"] if indicator.programmes else []
    return plain(" | ".join([*words, indicator.reference]))


def plain(text: str) -> str:
    """Text without what could end a comment or a quoted string, on one line of ASCII."""
    kept = "".join(character if character.isprintable() else " " for character in text)
    return kept.encode("ascii", "replace").decode("ascii").replace('"', "'").replace("\\", "/")


def split(pack: Pack, kinds: Iterable[str], reason: str) -> tuple[list[Indicator], collections.Counter[str]]:
    """The indicators of these kinds; the rest counted as left out, each kind with the reason."""
    kept = [each for each in pack.indicators if each.kind in frozenset(kinds)]
    left = collections.Counter(
        f"{each.kind} indicators: {reason}" for each in pack.indicators if each.kind not in frozenset(kinds)
    )
    return kept, left
