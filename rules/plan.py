"""Which detections an observation is asked of, and which of them fire; answers are remembered.

Detections read few fields, and those of few values: the same answer serves most observations. An answer depends on
nothing but the fields that the detections asked for (`Detection.asked`), so that one may stand for all observations
that have those values.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rules.detection import Detection
from rules.finding import Finding
from rules.predicate import fields
from rules.sighting import Sighting

MAX_ANSWERS: Final = 8_192
MIN_HITS: Final = MAX_ANSWERS // 2

Pair = tuple[Detection, Finding]


class Judges:
    """Some detections that are asked together. No detection, no judge: then this is false."""

    __slots__ = ("_answers", "_hits", "_readers", "pairs")

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = tuple(pairs)
        known = fields()
        self._readers = tuple(known[name].read for name in sorted({name for pair in pairs for name in pair[0].asked}))
        self._answers: dict[tuple[Any, ...], tuple[Finding, ...]] | None = {}
        self._hits = 0

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def firing(self, seen: Sighting) -> tuple[Finding, ...]:
        """The findings of the detections that fire, in their order."""
        answers = self._answers
        if answers is None:
            return self._ask(seen)
        values = [read(seen) for read in self._readers]
        key = tuple([tuple(value) if type(value) is list else value for value in values])
        answer = answers.get(key)
        if answer is not None:
            self._hits += 1
            return answer
        answer = self._ask(seen)
        if len(answers) >= MAX_ANSWERS:
            # Where a detection asks for what is new each time (a path, an address), remembering saves nothing.
            if self._hits < MIN_HITS:
                self._answers = None
                return answer
            answers.clear()
            self._hits = 0
        answers[key] = answer
        return answer

    def _ask(self, seen: Sighting) -> tuple[Finding, ...]:
        return tuple([finding for detection, finding in self.pairs if detection.fires(seen)])


class Plan(NamedTuple):
    """The detections that a dataset's observations are asked of: by what the facts said of the observation."""

    contact: Judges
    lookalike: Judges
    neither: Judges


def plan_for(service: str, pairs: Sequence[Pair]) -> Plan:
    """The plan of a service (a dataset without its prefix)."""
    asked = [pair for pair in pairs if pair[0].service in (None, service)]
    return Plan(*(
        Judges([pair for pair in asked if pair[0].category in (None, category)])
        for category in ("contact", "lookalike", None)
    ))  # fmt: skip
