"""The sender outlives whatever Kafka does, and one batch of a partition is under way at a time.

Here a producer stands in that answers as it is told; the real broker's part is in tests/system.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from collector import sending
from collector.batches import Batch
from collector.errors import LenswatchError
from collector.kafka_settings import KafkaSettings
from collector.sending import BUCKETS_SECONDS, Sender, Sent
from collector.spool import Row, Spool, SpoolSettings

SETTINGS = KafkaSettings(servers="127.0.0.1:1", partitions=3)


class Future:
    """An answer that may come before or after somebody asks for it."""

    def __init__(self) -> None:
        self._lock, self._said, self._calls = threading.Lock(), None, []  # type: ignore[var-annotated]

    def say(self, said: Any) -> None:
        with self._lock:
            self._said = [said]
        self._tell()

    def add_callback(self, call: Callable[[Any], None]) -> None:
        self._add(False, call)

    def add_errback(self, call: Callable[[Any], None]) -> None:
        self._add(True, call)

    def _add(self, failure: bool, call: Callable[[Any], None]) -> None:
        with self._lock:
            self._calls.append((failure, call))
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            calls, said = self._calls, self._said
            if said is None:
                return
            self._calls = []
        for failure, call in calls:
            if failure == isinstance(said[0], BaseException):
                call(said[0])

    def get(self, seconds: float) -> None:
        """Heartbeats only: they are heard."""


class Producer:
    """Notes what is sent; `answer` decides for each value."""

    def __init__(self, answer: Callable[[bytes], BaseException | bool | None]) -> None:
        self.sent: list[tuple[int | None, bytes]] = []
        self._answer = answer
        self.most_at_once = 0
        self._under_way: dict[int | None, int] = {}

    def send(self, topic: str, value: bytes, headers: object = None, partition: int | None = None,
             key: bytes | None = None) -> Future:  # fmt: skip
        future = Future()
        if key is not None:
            return future
        self.sent.append((partition, value))
        self._under_way[partition] = self._under_way.get(partition, 0) + 1
        self.most_at_once = max(self.most_at_once, *self._under_way.values())
        said = self._answer(value)

        def answer() -> None:
            self._under_way[partition] -= 1
            future.say(said)

        if said is not False:
            threading.Timer(0.002, answer).start()
        return future


class Scene:
    """A spool, a sender, and what it said; `producers` are given out one a connection."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        self.spool = Spool(folder, SpoolSettings(), SETTINGS.partitions, self.told.append)
        self.sender = Sender(SETTINGS, "sensor", self.spool, self.told.append, lambda: b"beat", 60)
        self.producers: list[Producer | LenswatchError] = []

    def put(self, *values: bytes, partition: int = 0) -> None:
        self.spool.put("sensor", "b0", 0, [Batch(partition, 10, value) for value in values], 1, time.time())
        self.sender.wake()

    def connect(self, *_: object) -> Producer:
        made = self.producers[0] if len(self.producers) == 1 else self.producers.pop(0)
        if isinstance(made, LenswatchError):
            raise made
        return made


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    with (
        mock.patch.object(sending, "connect", scene.connect),
        mock.patch.object(sending, "discard", lambda producer: None),
        mock.patch.object(sending, "count_partitions", lambda producer, topic: 1),
        mock.patch.object(sending, "FIRST_PAUSE_SECONDS", 0.01),
    ):
        yield scene
        scene.sender.drain(0)
        scene.spool.close()


def test_each_partition_is_sent_in_order_one_batch_at_a_time(scene: Scene) -> None:
    producer = Producer(lambda value: None)
    scene.producers = [producer]
    values = [b"%d" % number for number in range(30)]
    scene.put(*values)
    scene.put(*values, partition=2)
    scene.sender.start()
    scene.sender.drain(20)
    assert scene.told == []
    for partition in (0, 2):
        assert [value for at, value in producer.sent if at == partition] == values
    assert producer.most_at_once == 1
    assert scene.spool.batches == 0 and scene.sender.sent.batches == 60 and scene.sender.sent.observations == 600


def test_after_a_failure_what_has_no_answer_is_sent_again_before_anything_later(scene: Scene) -> None:
    first = Producer(lambda value: KafkaTimeoutError("gone") if value == b"2" else None)
    second = Producer(lambda value: None)
    scene.producers = [first, second]
    scene.put(b"1", b"2", b"3")
    scene.sender.start()
    scene.sender.drain(20)
    assert [value for _, value in first.sent + second.sent] == [b"1", b"2", b"2", b"3"]
    assert any("gone; observations wait in the spool" in each for each in scene.told)
    assert scene.told[-1].endswith(": connected") and scene.sender.problem == ""


def test_who_cannot_be_reached_is_told_once_and_tried_again(scene: Scene) -> None:
    refused = LenswatchError("127.0.0.1:1: Connection refused")
    producer = Producer(lambda value: None)
    scene.producers = [refused, refused, refused, producer]
    scene.put(b"1")
    scene.sender.start()
    scene.sender.drain(20)
    assert producer.sent == [(0, b"1")]
    assert [each for each in scene.told if "refused" in each] == [f"{refused}; observations wait in the spool"]


def test_a_batch_that_kafka_refuses_for_good_is_let_go_and_counted(scene: Scene) -> None:
    producer = Producer(lambda value: MessageSizeTooLargeError("too large") if value == b"2" else None)
    scene.producers = [producer]
    scene.put(b"1", b"2", b"3")
    scene.sender.start()
    scene.sender.drain(20)
    assert [value for _, value in producer.sent] == [b"1", b"2", b"3"]
    assert scene.spool.dropped == {"refused": 10} and scene.sender.sent.observations == 20
    assert any("refuses a batch" in each for each in scene.told)


def test_a_broken_batch_is_let_go_and_the_next_is_sent(scene: Scene) -> None:
    producer = Producer(lambda value: None)
    scene.producers = [producer]
    scene.put(b"1", b"2")
    scene.spool._database.execute("UPDATE batches SET value = x'00' WHERE id = 1")
    scene.sender.start()
    scene.sender.drain(20)
    assert [value for _, value in producer.sent] == [b"2"] and scene.spool.dropped == {"corrupt": 10}


def test_no_answer_for_long_is_a_failure_of_the_connection(scene: Scene) -> None:
    silent, second = Producer(lambda value: False), Producer(lambda value: None)
    scene.producers = [silent, second]
    scene.put(b"1", b"2")
    with mock.patch.object(sending, "STALL_SECONDS", 0.2):
        scene.sender.start()
        scene.sender.drain(20)
    assert [value for _, value in second.sent] == [b"1", b"2"]
    assert any("no answer for 0 s" in each for each in scene.told)


def test_anything_unforeseen_is_told_and_the_sender_goes_on(scene: Scene) -> None:
    def break_once(value: bytes) -> None:
        raise RuntimeError("a defect somewhere")

    scene.producers = [Producer(break_once), Producer(lambda value: None)]
    scene.put(b"1")
    scene.sender.start()
    scene.sender.drain(20)
    assert scene.spool.batches == 0 and any("a defect somewhere" in each for each in scene.told)


def test_draining_ends_in_time_though_nobody_answers(scene: Scene) -> None:
    scene.producers = [Producer(lambda value: False)]
    scene.put(b"1")
    scene.sender.start()
    began = time.monotonic()
    scene.sender.drain(0.3)
    assert time.monotonic() - began < 5 and scene.spool.batches == 1


def test_a_duration_is_counted_in_its_bucket() -> None:
    sent, row = Sent(), Row(1, 0, 0.0, "s", "b", 0, 7, 1, b"")
    for seconds in (0.0, BUCKETS_SECONDS[0], BUCKETS_SECONDS[0] + 0.001, 1e9):
        sent.add(row, seconds, 5.0)
    assert (sent.seconds[0], sent.seconds[1], sent.seconds[-1]) == (2, 1, 1)
    assert (sent.batches, sent.observations, sent.last_at) == (4, 28, 5.0)
