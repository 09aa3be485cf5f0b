"""The question for packets and its answers, as Kafka records, nowhere else.

The topic has two partitions: questions in QUESTIONS, answers in ANSWERS, so that sensors read no packets of others. A
question's value is JSON. The sensor that is asked says first that it has HEARD, for it may have much to search, and
then answers: the headers say `schema` (1), `question`, `state`, and with FOUND and EXPIRED the `missing` ids and how
many packets were `left` out; the value is a pcapng.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from collector.errors import Malformed
from collector.evidence.exhibit import MAX_EXHIBIT_BYTES

SCHEMA: Final = b"1"
PARTITIONS: Final = 2
QUESTIONS, ANSWERS = 0, 1
MAX_ASKED: Final = 64
"""Observations in one question: an alert names fewer."""
MAX_QUESTION_BYTES: Final = 16 << 10
MAX_ANSWER_BYTES: Final = MAX_EXHIBIT_BYTES + (16 << 10)
HEARD, FOUND, EXPIRED, FAILED = "heard", "found", "expired", "failed"
STATES: Final = (HEARD, FOUND, EXPIRED, FAILED)

_NUMBER = re.compile(rb"[0-9]{1,9}")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Whom is asked (`observer.name`), for the packets of which observations; `id` names the question."""

    id: Id
    sensor: Name
    observations: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=MAX_ASKED)]
    schema: int = 1


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a sensor has: `state` one of STATES, the ids of which it has nothing (any more), how many packets had no
    room in the answer, and the pcapng."""

    question: str
    state: str
    missing: list[str] = []
    left: int = 0
    exhibit: bytes = b""


Headers = list[tuple[str, bytes]]


def write_question(question: Question) -> bytes:
    """A record's value."""
    return msgspec.json.encode(question)


def read_question(value: bytes | None) -> Question:
    """A record's value. Raises Malformed."""
    if not value or len(value) > MAX_QUESTION_BYTES:
        raise Malformed(f"a question of {len(value or b'')} bytes; 1 to {MAX_QUESTION_BYTES} are allowed")
    try:
        return msgspec.json.decode(value, type=Question)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"no question: {error}") from error


def write_answer(answer: Answer) -> tuple[Headers, bytes]:
    """A record's headers and value."""
    headers = [
        ("schema", SCHEMA), ("question", answer.question.encode()), ("state", answer.state.encode()),
        ("missing", ",".join(answer.missing).encode()), ("left", str(answer.left).encode()),
    ]  # fmt: skip
    return headers, answer.exhibit


def read_answer(headers: Iterable[tuple[str, bytes | None]] | None, value: bytes | None) -> Answer:
    """An answer from a record. Raises Malformed."""
    said = {name: bytes(text or b"") for name, text in headers or ()}
    state = said.get("state", b"").decode("ascii", "replace")
    left, exhibit = said.get("left", b"0"), bytes(value or b"")
    if said.get("schema") != SCHEMA or state not in STATES or not _NUMBER.fullmatch(left):
        raise Malformed("no answer of schema 1")
    if len(exhibit) > MAX_ANSWER_BYTES or len(said.get("missing", b"")) > MAX_QUESTION_BYTES:
        raise Malformed(f"an answer of {len(exhibit)} bytes; {MAX_ANSWER_BYTES} are allowed")
    missing = [each for each in said.get("missing", b"").decode("ascii", "replace").split(",") if each]
    question = said.get("question", b"").decode("ascii", "replace")[:64]
    return Answer(question=question, state=state, missing=missing, left=int(left), exhibit=exhibit)
