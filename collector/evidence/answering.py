"""Answers the centre's questions for packets: a thread beside the capture, which waits for neither Kafka nor disk."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.errors import LenswatchError, Malformed
from collector.evidence.exchange import (
    ANSWERS,
    EXPIRED,
    FAILED,
    FOUND,
    HEARD,
    MAX_ANSWER_BYTES,
    QUESTIONS,
    Answer,
    Question,
    read_question,
    write_answer,
)
from collector.evidence.exhibit import write_exhibit
from collector.evidence.ring import EvidenceSettings
from collector.evidence.segments import find_packets
from collector.kafka_link import conversing
from collector.kafka_settings import KafkaSettings

if TYPE_CHECKING:
    from kafka import KafkaProducer

POLL_MS: Final = 500
PAUSE_SECONDS: Final = 5.0
STOP_SECONDS: Final = 10.0
SEND_SECONDS: Final = 15.0


def answer_to(
    question: Question, folder: Path, settings: EvidenceSettings, now: float, tell: Callable[[str], None]
) -> Answer:
    """What the ring in this folder has for a question. What is wrong with the ring is told here, not there."""
    try:
        found = find_packets(folder, question.observations, settings.since_ns(now))
    except LenswatchError as error:
        tell(str(error))
        return Answer(question=question.id, state=FAILED)
    exhibit, left = write_exhibit(found)
    state = FOUND if found.packets else EXPIRED
    return Answer(question=question.id, state=state, missing=found.missing, left=left, exhibit=exhibit)


class Answering:
    """Answers what this sensor is asked, from the ring in `folder`, until it is closed. `told` counts answers by state,
    and what was no question as refused."""

    def __init__(
        self, kafka: KafkaSettings, sensor: str, folder: Path, settings: EvidenceSettings, tell: Callable[[str], None]
    ) -> None:
        self.told: Counter[str] = Counter()
        self._kafka, self._sensor, self._folder, self._settings, self._tell = kafka, sensor, folder, settings, tell
        self._stop = threading.Event()
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except LenswatchError as error:
                # Whether a broker is there, the publisher says.
                if "no topic" in str(error) and str(error) != self._complaint:
                    self._complaint = str(error)
                    self._tell(f"{error}; without it nobody can ask for packets")
            except Exception:
                # Whatever it is, the next connection may do better, and a thread that ended would answer nobody.
                self.told["broken_off"] += 1
            self._stop.wait(PAUSE_SECONDS)

    def _listen(self) -> None:
        topic = self._kafka.evidence_topic
        with conversing(self._kafka, f"lenswatch-{self._sensor}-evidence", topic, QUESTIONS, 2 * MAX_ANSWER_BYTES) as (
            consumer,
            producer,
        ):
            self._complaint = ""
            while not self._stop.is_set():
                for records in consumer.poll(POLL_MS).values():
                    for record in records:
                        self._take(record.value, producer)

    def _take(self, value: bytes | None, producer: "KafkaProducer") -> None:
        try:
            question = read_question(value)
        except Malformed:
            self.told["refused"] += 1
            return
        if question.sensor != self._sensor:
            return
        self._send(Answer(question=question.id, state=HEARD), producer)
        answer = answer_to(question, self._folder, self._settings, time.time(), self._tell)
        self._send(answer, producer)
        self.told[answer.state] += 1

    def _send(self, answer: Answer, producer: "KafkaProducer") -> None:
        headers, value = write_answer(answer)
        sent = producer.send(self._kafka.evidence_topic, value, headers=headers, partition=ANSWERS)
        if answer.state != HEARD:
            sent.get(SEND_SECONDS)

    def close(self) -> None:
        """Answer no more."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)
