"""Which detections an observation is asked of, and which of them fire; answers are remembered.

Detections read few fields, and those of few values: the same answer serves most observations. An answer depends on
nothing but the fields that the detections asked for (`Detection.asked`), so that one may stand for all observations
that have those values.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rules.correlation import Correlation
from rules.detection import Detection
from rules.finding import Finding
from rules.predicate import fields
from rules.sighting import Sighting

MAX_ANSWERS: Final = 8_192
MIN_HITS: Final = MAX_ANSWERS // 2


class Feed(NamedTuple):
    """A detection as one of a correlation's rules: the `number`th."""

    correlation: Correlation
    finding: Finding
    number: int


class Question(NamedTuple):
    """A detection to be asked, and what follows when it fires: an alert, unless it only feeds, and what it feeds."""

    detection: Detection
    finding: Finding | None
    feeds: tuple[Feed, ...]


class Judges:
    """Some detections that are asked together. No detection, no judge: then this is false."""

    __slots__ = ("_answers", "_directions", "_hits", "_readers", "questions")

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        known = fields()
        names = {name for each in questions for name in each.detection.asked}
        self._readers = tuple(known[name].read for name in sorted(names))
        told = [each.detection.directions for each in questions]
        known_all = [directions for directions in told if directions is not None]
        self._directions = frozenset().union(*known_all) if len(known_all) == len(told) else None
        self._answers: dict[tuple[Any, ...], tuple[Question, ...]] | None = {}
        self._hits = 0

    def __bool__(self) -> bool:
        return bool(self.questions)

    def may_fire(self, direction: str) -> bool:
        """Whether anything can fire on what goes in this direction."""
        return bool(self.questions) and (self._directions is None or direction in self._directions)

    def firing(self, seen: Sighting) -> tuple[Question, ...]:
        """Those whose detections fire, in their order."""
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

    def _ask(self, seen: Sighting) -> tuple[Question, ...]:
        return tuple([each for each in self.questions if each.detection.fires(seen)])


class Plan(NamedTuple):
    """The detections that a dataset's observations are asked of: by what the facts said of the observation."""

    contact: Judges
    lookalike: Judges
    neither: Judges


def plan_for(service: str, questions: Sequence[Question]) -> Plan:
    """The plan of a service (a dataset without its prefix)."""
    asked = [each for each in questions if each.detection.service in (None, service)]
    return Plan(*(
        Judges([each for each in asked if each.detection.category in (None, category)])
        for category in ("contact", "lookalike", None)
    ))  # fmt: skip
