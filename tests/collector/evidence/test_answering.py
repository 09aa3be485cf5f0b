"""What a sensor answers, from its ring; without a broker it waits and stops nobody. (With a real Kafka:
tests/system/test_evidence.py.)"""

import time
from pathlib import Path

from collector.evidence.answering import Answering, answer_to
from collector.evidence.exchange import EXPIRED, FAILED, FOUND, Question
from collector.evidence.exhibit import read_exhibit
from collector.evidence.ring import EvidenceRing, EvidenceSettings
from collector.evidence.segments import SUFFIX
from collector.kafka_settings import KafkaSettings
from tests.collector.evidence.test_ring import ids, observation, packet, quiet

SETTINGS = EvidenceSettings()
QUESTION = Question(id="a" * 32, sensor="gate", observations=ids(range(1, 4)))


def test_what_is_there_is_answered_with_what_is_missing(tmp_path: Path) -> None:
    ring = EvidenceRing(tmp_path, SETTINGS, quiet)
    ring.keep([observation(1)], [packet(1)])
    ring.keep([observation(3)], [packet(2), packet(3)])
    ring.close()
    answer = answer_to(QUESTION, tmp_path, SETTINGS, time.time(), quiet)
    assert (answer.state, answer.question, answer.missing) == (FOUND, QUESTION.id, ids(range(2, 3)))
    assert [data for _, _, data in read_exhibit(answer.exhibit)] == [packet(number)[3] for number in (1, 2, 3)]


def test_what_is_not_there_any_more_has_expired(tmp_path: Path) -> None:
    answer = answer_to(QUESTION, tmp_path, SETTINGS, time.time(), quiet)
    assert (answer.state, answer.missing, answer.exhibit) == (EXPIRED, ids(range(1, 4)), b"")
    ring = EvidenceRing(tmp_path, SETTINGS, quiet)
    ring.keep([observation(1)], [packet(1)])
    ring.close()
    late = time.time() + SETTINGS.max_age_seconds + 1
    assert answer_to(QUESTION, tmp_path, SETTINGS, late, quiet).state == EXPIRED


def test_that_the_ring_cannot_be_read_is_said_here_and_answered_there(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / f"{int(time.time() * 1e9):020d}-1{SUFFIX}").mkdir()
    assert answer_to(QUESTION, tmp_path, SETTINGS, time.time(), told.append).state == FAILED
    assert len(told) == 1 and "cannot be read" in told[0]


def test_without_a_broker_it_says_nothing_and_ends_at_once(tmp_path: Path) -> None:
    answering = Answering(KafkaSettings(servers="127.0.0.1:1"), "gate", tmp_path, SETTINGS, quiet)
    time.sleep(0.3)
    began = time.monotonic()
    answering.close()
    assert time.monotonic() - began < 1 and not answering.told
