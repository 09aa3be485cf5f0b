"""Of the answers that come, the one to the question counts; nobody's answer is nobody's. (With a real Kafka:
tests/system/test_evidence.py.)"""

import asyncio
import time
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition

from collector.errors import LenswatchError
from collector.evidence.exchange import FOUND, HEARD, Answer, Question, write_answer
from collector.kafka_settings import KafkaSettings
from streams.evidence.asking import answer_of, ask

PLACE = TopicPartition("evidence", 1)
QUESTION = Question(id="a" * 32, sensor="gate", observations=["b" * 32])


class Record(NamedTuple):
    headers: list[tuple[str, bytes]]
    value: bytes


class Answers:
    """A partition's records, a list a poll, each after so many seconds."""

    def __init__(self, *polls: tuple[float, list[Answer | None]]) -> None:
        self._polls = list(polls)

    async def getmany(self, place: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        seconds, answers = self._polls[0] if self._polls else (60.0, [])
        if seconds > timeout_ms / 1000:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        await asyncio.sleep(seconds)
        self._polls.pop(0)
        junk = Record([("state", b"junk")], b"")
        return {place: [junk if each is None else Record(*write_answer(each)) for each in answers]}


def test_the_answer_to_the_question_is_taken_from_among_others() -> None:
    mine = Answer(question=QUESTION.id, state=FOUND, exhibit=b"mine")
    others = Answer(question="c" * 32, state=FOUND, exhibit=b"theirs")
    answers = Answers((0.0, [None, others]), (0.01, [others, mine]))
    assert asyncio.run(answer_of(answers, PLACE, QUESTION)) == mine


def test_that_nobody_is_there_is_known_within_a_second() -> None:
    began = time.monotonic()
    assert asyncio.run(answer_of(Answers(), PLACE, QUESTION)) is None
    assert time.monotonic() - began < 1.0


def test_who_has_heard_is_waited_for() -> None:
    mine = Answer(question=QUESTION.id, state=FOUND, exhibit=b"mine")
    answers = Answers((0.5, [Answer(question=QUESTION.id, state=HEARD)]), (1.0, [mine]))
    assert asyncio.run(answer_of(answers, PLACE, QUESTION)) == mine


def test_a_broker_that_is_not_there_is_one_line() -> None:
    with pytest.raises(LenswatchError, match="no broker answers there"):
        asyncio.run(ask(KafkaSettings(servers="127.0.0.1:1"), "gate", ["b" * 32]))
