"""Whether rules may take the place of those in force. Pure."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from rules.match import RuleSet


class Standing(NamedTuple):
    """What is remembered of the rules in force: their digest, how many indicators (names, networks, patterns) each of
    their folders holds, and the version of each signed pack among them."""

    digest: str
    indicators: tuple[int, ...]
    versions: tuple[int | None, ...]


def standing_of(rules: RuleSet) -> Standing:
    """What is remembered of rules."""
    versions = tuple(signature.version if signature else None for signature in rules.signatures)
    return Standing(rules.digest, rules.facts.indicators, versions)


def refusal(before: Standing, after: Standing, may_shrink: bool) -> str | None:
    """Why rules may not follow on those before, in a line; None when they may. What takes more than half of the
    indicators away, in all or from one folder, is most likely cut off; a signed pack that is older than the one in
    force is most likely somebody's who has kept it."""
    for old, new in zip_longest(before.versions, after.versions):
        if old is not None and new is not None and new < old:
            return f"the pack is older (version {new}) than the one in force (version {old}); sign what is meant anew"
    if may_shrink:
        return None
    for had, has in _counts(before.indicators, after.indicators):
        if 2 * has < had:
            return (
                f"more than half of the indicators would go ({had:,} in force, {has:,} in the new pack); if that is "
                "meant: [rules] may_shrink = true, or a start anew, or `rules publish --may-shrink`"
            )
    return None


def _counts(before: Sequence[int], after: Sequence[int]) -> list[tuple[int, int]]:
    """Folder by folder, where they are as many as before, and all of them."""
    pairs = list(zip(before, after, strict=True)) if len(before) == len(after) else []
    return [*pairs, (sum(before), sum(after))]
