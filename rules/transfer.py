"""Rules from the process that built them into the one that uses them, in small messages. Pure.

To load a million names takes seconds, to take over what somebody else has loaded does not, and it can be done a little
at a time between other work. What is compiled (detections) cannot travel: it is compiled anew from its file's content,
or is what the old rules have already. Messages are pickles: they are taken from a child process and nobody else.
"""

import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any, Final

from rules.correlation import Correlation, build_correlation, link
from rules.court import Court, Organisation
from rules.detection import Detection, read_detection, read_documents
from rules.endpoints import EndpointIndex
from rules.match import RuleSet
from rules.verdict import Judge

MAX_ENTRIES: Final = 4_096
HEAD, DETECTION, CORRELATION, PIECE, END = range(5)


def dismantle(rules: RuleSet, most: int = MAX_ENTRIES) -> Iterator[bytes]:
    """The rules as messages, each quickly taken; the last one says that it is the last."""
    yield _message(HEAD, rules.facts, rules.court.waivers, rules.digest, rules.signatures)
    for detection in rules.detections:
        yield _message(DETECTION, detection.path, detection.content)
    for correlation in rules.correlations:
        yield _message(CORRELATION, correlation.head.path, correlation.head.content)
    for piece in rules.endpoints.pieces(most):
        yield _message(PIECE, piece)
    yield _message(END)


def _message(*what: Any) -> bytes:
    return pickle.dumps(what, pickle.HIGHEST_PROTOCOL)


class Assembly:
    """Rules on their way in. Those in force are `old`; who we are stays."""

    def __init__(self, old: RuleSet) -> None:
        self._organisation: Organisation = old.court.organisation
        self._known = {each.content: each for each in old.detections}
        self._linked = {each.head.content: each for each in old.correlations}
        self._head: tuple[Any, ...] = ()
        self._detections: list[Detection] = []
        self._correlations: list[Correlation] = []
        self._endpoints = EndpointIndex()

    def take(self, message: bytes) -> RuleSet | None:
        """Take a message, in the order in which they were made; with the last one come the rules, ready to match."""
        kind, *what = pickle.loads(message)
        if kind == HEAD:
            self._head = tuple(what)
        elif kind == DETECTION:
            path, content = what
            known = self._known.get(content)
            found = read_detection(path, content) if known is None else dataclasses.replace(known, path=path)
            self._detections.append(found)
        elif kind == CORRELATION:
            path, content = what
            self._correlations.append(
                self._linked.get(content) or build_correlation(path, read_documents(path, content), content)
            )
        elif kind == PIECE:
            self._endpoints.take(*what)
        else:
            return self._end()
        return None

    def _end(self) -> RuleSet:
        facts, waivers, digest, signatures = self._head
        court = Court(Judge(facts), self._organisation, waivers)
        correlations = [link(each, self._detections) for each in self._correlations]
        rules = RuleSet(facts, self._endpoints, self._detections, digest, court, correlations)
        rules.signatures = signatures
        rules.prepare()
        return rules
