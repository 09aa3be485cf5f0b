"""From the spool to Kafka: a thread that sends each partition's batches one after the other, and goes on for ever.

One batch of a partition is under way at a time, and so at most partitions × MAX_VALUE_BYTES in all. The next goes when
Kafka has the one before; so the order is kept whatever fails, and after a failure every batch without an answer is sent
again. Nothing here ever makes the capture wait.
"""

import queue
import random
import threading
import time
from collections.abc import Callable

import zstandard
from kafka import KafkaProducer
from kafka.errors import (
    InvalidRecordError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from kafka.producer.future import FutureRecordMetadata

from collector.errors import LenswatchError
from collector.kafka_link import connect, count_partitions, discard, wording
from collector.kafka_settings import KafkaSettings
from collector.record import write_head
from collector.spool import Reason, Row, Spool

IDLE_SECONDS = 0.05
STALL_SECONDS = 30.0
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0
LAST_WORD_SECONDS, STOP_SECONDS = 5.0, 30.0
REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)

Answer = tuple[int, int, BaseException | None]


class Sent:
    """Counts of what Kafka has. `seconds` counts batches by how long they were under way, by BUCKETS_SECONDS."""

    def __init__(self) -> None:
        self.batches = self.observations = self.failures = self.heartbeats = 0
        self.last_at = 0.0
        self.seconds = [0] * (len(BUCKETS_SECONDS) + 1)
        self.seconds_sum = 0.0

    def add(self, row: Row, seconds: float, at: float) -> None:
        """A batch arrived."""
        self.batches += 1
        self.observations += row.observations
        self.last_at = at
        self.seconds_sum += seconds
        self.seconds[sum(seconds > bound for bound in BUCKETS_SECONDS)] += 1


class Sender:
    """Sends what is in the spool, in a thread of its own. `tell` takes words for a person; `beat` makes a heartbeat,
    which is sent every `beat_seconds` and never kept. `problem` says why nothing can be sent, "" when it can."""

    def __init__(
        self, settings: KafkaSettings, sensor: str, spool: Spool, tell: Callable[[str], None],
        beat: Callable[[], bytes], beat_seconds: float,
    ) -> None:  # fmt: skip
        self.sent, self.problem = Sent(), "not connected yet"
        self._settings, self._sensor, self._spool, self._tell = settings, sensor, spool, tell
        self._beat, self._beat_seconds, self._beats = beat, beat_seconds, False
        self._last_beat = float("-inf")
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._connection = 0
        self._flying: dict[int, tuple[Row, float]] = {}
        self._done = dict.fromkeys(range(settings.partitions), 0)
        self._work = threading.Event()
        self._stop = self._complained = False
        self._drained_by = float("inf")
        self._thread = threading.Thread(target=self._run, name="kafka-sender", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the spool."""
        self._work.set()

    @property
    def flying_bytes(self) -> int:
        """What is under way (compressed)."""
        return sum(row.size_bytes for row, _ in list(self._flying.values()))

    def drain(self, seconds: float) -> None:
        """Send what the spool holds, for so many seconds at most, and end."""
        self._drained_by = time.monotonic() + seconds
        self._stop = True
        self.wake()
        self._thread.join(seconds + STOP_SECONDS)

    def _is_over(self) -> bool:
        return self._stop and (not self._spool.batches or time.monotonic() >= self._drained_by)

    def _run(self) -> None:
        failures = 0
        while not self._is_over():
            try:
                producer = connect(self._settings, f"lenswatch-{self._sensor}")
            except LenswatchError as error:
                failures += 1
                self._complain(f"{error}; observations wait in the spool")
                self._pause(failures)
                continue
            try:
                self._greet(producer)
                failures = 0
                self._send(producer)
            except Exception as error:
                # Whatever it is: the next connection sends again what this one did not, and a thread that ended
                # would leave a collector that says nothing.
                self.sent.failures += 1
                self._complain(f"{self._settings.servers}: {wording(error)}; observations wait in the spool")
                failures += 1
            finally:
                self._part(producer)
            if failures:
                self._pause(failures)

    def _complain(self, problem: str) -> None:
        """Say it once, until it is over."""
        if problem != self.problem:
            self._tell(problem)
        self.problem, self._complained = problem, True

    def _pause(self, failures: int) -> None:
        """Wait, longer each time, and never as long as another sensor would."""
        seconds = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1)
        until = min(time.monotonic() + seconds, self._drained_by)
        while (left := until - time.monotonic()) > 0 and not self._is_over():
            time.sleep(min(left, IDLE_SECONDS))
            until = min(until, self._drained_by)

    def _greet(self, producer: KafkaProducer) -> None:
        if self._complained:
            self._tell(f"{self._settings.servers}: connected")
        self.problem, self._complained = "", False
        self._connection += 1
        try:
            count_partitions(producer, self._settings.heartbeats_topic)
            self._beats = True
        except LenswatchError as error:
            self._tell(f"{error}; without it no heartbeats are sent")
            self._beats = False

    def _part(self, producer: KafkaProducer) -> None:
        discard(producer)
        self._connection += 1
        self._spool.release(row for row, _ in self._flying.values())
        self._flying.clear()

    def _send(self, producer: KafkaProducer) -> None:
        """Send until it is over. Raises KafkaError when this producer is of no more use."""
        last_answer = time.monotonic()
        while not self._is_over():
            self._work.clear()
            for partition in self._done:
                if partition not in self._flying:
                    self._send_next(producer, partition)
            if not self._flying:
                last_answer = time.monotonic()
            if self._beats and time.monotonic() - self._last_beat >= self._beat_seconds:
                self._send_heartbeat(producer)
            self._work.wait(IDLE_SECONDS)
            if self._take_answers():
                last_answer = time.monotonic()
            elif time.monotonic() - last_answer > STALL_SECONDS:
                raise KafkaTimeoutError(f"no answer for {STALL_SECONDS:.0f} s")
        if self._beats:
            # The last word: what became of everything.
            self._send_heartbeat(producer).get(LAST_WORD_SECONDS)

    def _send_next(self, producer: KafkaProducer, partition: int) -> None:
        row = self._spool.take(partition, self._done[partition])
        if row is None:
            return
        self._flying[partition] = row, time.monotonic()
        try:
            value = row.open()
            future = producer.send(
                self._settings.observations_topic, value, headers=write_head(row.head), partition=partition
            )
        except zstandard.ZstdError as error:
            self._tell(f"{self._spool.path}: batch {row.id} is broken and is let go: {error}")
            self._finish(partition, "corrupt")
        except REFUSED as error:
            self._answers.put((self._connection, partition, error))
        else:
            connection = self._connection
            future.add_callback(lambda _: self._answer((connection, partition, None)))
            future.add_errback(lambda error: self._answer((connection, partition, error)))

    def _answer(self, answer: Answer) -> None:
        """In the producer's thread: note an answer."""
        self._answers.put(answer)
        self._work.set()

    def _take_answers(self) -> int:
        """Take what was answered; how many. Raises KafkaError for what cannot be mended on this connection."""
        taken = 0
        while not self._answers.empty():
            connection, partition, error = self._answers.get()
            if connection != self._connection or partition not in self._flying:
                continue
            taken += 1
            if error is None:
                row, since = self._flying[partition]
                self.sent.add(row, time.monotonic() - since, time.time())
                self._finish(partition, None)
            elif isinstance(error, REFUSED):
                self.sent.failures += 1
                self._tell(f"{self._settings.servers}: refuses a batch, which is let go: {wording(error)}")
                self._finish(partition, "refused")
            else:
                raise error
        return taken

    def _finish(self, partition: int, reason: Reason | None) -> None:
        row, _ = self._flying.pop(partition)
        self._done[partition] = row.id
        self._spool.finish(row, reason)

    def _send_heartbeat(self, producer: KafkaProducer) -> FutureRecordMetadata:
        self._last_beat = time.monotonic()
        self.sent.heartbeats += 1
        return producer.send(self._settings.heartbeats_topic, self._beat(), key=self._sensor.encode())
