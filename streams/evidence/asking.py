"""A sensor is asked for packets over Kafka: it answers, or says within a second that it has none, or nobody does."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition

from collector.errors import LenswatchError, Malformed
from collector.evidence.exchange import (
    ANSWERS,
    HEARD,
    MAX_ANSWER_BYTES,
    MAX_ASKED,
    QUESTIONS,
    Answer,
    Question,
    read_answer,
    write_question,
)
from collector.kafka_settings import KafkaSettings
from streams.connection import client_options, consuming

HEAR_SECONDS: Final = 0.9
"""Who is there says so at once."""
ANSWER_SECONDS: Final = 30.0
"""Who has heard may have to search a slow disk."""


async def ask(kafka: KafkaSettings, sensor: str, observations: Sequence[str]) -> Answer | None:
    """What the sensor has of these observations; None where nobody of that name is there. Raises LenswatchError."""
    topic = kafka.evidence_topic
    question = Question(id=secrets.token_hex(16), sensor=sensor, observations=list(observations)[:MAX_ASKED])
    async with consuming(kafka, max_partition_fetch_bytes=2 * MAX_ANSWER_BYTES) as consumer:
        if ANSWERS not in (consumer.partitions_for_topic(topic) or await partitions_of(consumer, topic)):
            raise LenswatchError(f"{topic}: there is no such topic; `lenswatch topics create` makes it")
        place = TopicPartition(topic, ANSWERS)
        consumer.assign([place])
        await consumer.seek_to_end(place)
        await consumer.position(place)
        producer = AIOKafkaProducer(**client_options(kafka), acks=1)
        await producer.start()
        try:
            await producer.send_and_wait(topic, write_question(question), partition=QUESTIONS)
        finally:
            stopping = asyncio.create_task(producer.stop())
        try:
            return await answer_of(consumer, place, question)
        finally:
            await stopping


async def partitions_of(consumer: Any, topic: str) -> set[int]:
    """The partitions of a topic, as the broker says now."""
    if topic not in await consumer.topics():
        return set()
    return consumer.partitions_for_topic(topic) or {QUESTIONS, ANSWERS}


async def answer_of(consumer: Any, place: TopicPartition, question: Question) -> Answer | None:
    """The answer to a question, from among those to others."""
    until = time.monotonic() + HEAR_SECONDS
    while (left := until - time.monotonic()) > 0:
        found = await consumer.getmany(place, timeout_ms=max(1, int(left * 1000)))
        for record in found.get(place, ()):
            try:
                answer = read_answer(record.headers, record.value)
            except Malformed:
                continue
            if answer.question != question.id:
                continue
            if answer.state != HEARD:
                return answer
            until = time.monotonic() + ANSWER_SECONDS
    return None
