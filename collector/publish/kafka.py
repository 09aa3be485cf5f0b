"""Observations to Kafka, by way of the spool: what is batched is on disk within LINGER_SECONDS, and sent from there."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from collector.batches import Batch, Batcher
from collector.heartbeat import (
    DATASET,
    Counts,
    Heartbeat,
    HeartbeatEvent,
    HeartbeatObserver,
    HeartbeatState,
    SpoolState,
    encode,
    moment,
)
from collector.kafka_settings import KafkaSettings
from collector.ledger import Ledger
from collector.observation import Observation
from collector.record import LINGER_SECONDS
from collector.sending import Sender
from collector.settings import CollectorSettings
from collector.spool import Spool, SpoolSettings

TEND_SECONDS = 1.0
NS = 1_000_000_000


class KafkaPublisher:
    """Batches, spools and sends; never waits for a broker. `folder` is the spool's; `tell` takes words for a person;
    `ledger` is the pipeline's, for the heartbeats; `packet_ns` is the time of the latest packet of which all was taken.

    `gap_seconds` is the packet time that a run before this one may have lost, known with the first packet. `close`
    sends what it can within `drain_seconds`; what is left is in the spool.
    """

    def __init__(
        self, kafka: KafkaSettings, spool: SpoolSettings, folder: Path, collector: CollectorSettings,
        tell: Callable[[str], None], ledger: Ledger,
    ) -> None:  # fmt: skip
        self.spool = Spool(folder, spool, kafka.partitions, tell)
        self.sensor, self.site, self.boot_id = collector.sensor, collector.site, secrets.token_hex(8)
        self.packet_ns = 0
        self.gap_seconds: float | None = None
        self.taken = self.spooled = 0
        self.ledger = ledger
        self._handed_ns, self._seq, self._started = self.spool.last_packet_ns or 0, 0, time.time()
        self._tell, self._lock, self._ended = tell, threading.Lock(), threading.Event()
        self._batcher = Batcher(kafka.partitions)
        self.sender = Sender(
            kafka, collector.sensor, self.spool, tell, lambda: encode(self.heartbeat()), collector.heartbeat_seconds
        )
        self._keeper = threading.Thread(target=self._keep, name="spool-keeper", daemon=True)
        self._keeper.start()
        self.sender.start()

    def publish(self, observations: Sequence[Observation]) -> None:
        """Take observations: they are on disk LINGER_SECONDS from now, if the disk takes them."""
        self.publish_up_to(0, observations)

    def publish_up_to(self, packet_ns: int, observations: Sequence[Observation]) -> None:
        """As `publish`, of the last that packets up to this time will give: once they are on disk, it is whole up to
        it."""
        with self._lock:
            self.packet_ns = max(self.packet_ns, packet_ns)
            if self.gap_seconds is None and self.packet_ns:
                self._look_back()
            self.taken += len(observations)
            self._put(self._batcher.add(observations, time.monotonic()))

    def _look_back(self) -> None:
        """With the first packet: how much packet time the run before this one may have lost."""
        before, self.gap_seconds = self.spool.last_packet_ns, 0.0
        if before is None or self.packet_ns <= before:
            return
        self.gap_seconds = (self.packet_ns - before) / NS
        how = "ended in order" if self.spool.ended_cleanly else "was cut off"
        first, last = moment(before / NS), moment(self.packet_ns / NS)
        self._tell(
            f"the last run {how}; its spool holds everything up to {first}, and this one begins at {last}: "
            f"{self.gap_seconds:.1f} s of packet time may be missing"
        )

    def _put(self, batches: Sequence[Batch]) -> None:
        """Put batches into the spool; with the lock held."""
        if not self._batcher.waits:
            self._handed_ns = max(self._handed_ns, self.packet_ns)
        if not batches:
            return
        seq, self._seq = self._seq, self._seq + len(batches)
        if self.spool.put(self.sensor, self.boot_id, seq, batches, self._handed_ns, time.time()):
            self.spooled += sum(batch.count for batch in batches)
        self.sender.wake()

    def _keep(self) -> None:
        """In a thread of its own: a source that is silent must not hold back what it gave."""
        tended = time.monotonic()
        while not self._ended.wait(LINGER_SECONDS / 4):
            with self._lock:
                self._put(self._batcher.due(time.monotonic()))
            if time.monotonic() - tended >= TEND_SECONDS:
                self.spool.tend(self._handed_ns, time.time())
                tended = time.monotonic()

    def close(self) -> None:
        """Spool what is batched, send what can be sent within `drain_seconds`, and close the spool."""
        self._ended.set()
        self._keeper.join()
        with self._lock:
            batches = self._batcher.flush()
            self._handed_ns = max(self._handed_ns, self.packet_ns)
            self._put(batches)
        self.spool.tend(self._handed_ns, time.time())
        self.sender.drain(self.spool.settings.drain_seconds)
        self.spool.close()

    def dropped(self) -> Counter[str]:
        """Observations that were let go on the way to Kafka, by reason."""
        counts = Counter(self.spool.dropped)
        counts["too_large"] += self._batcher.too_large
        return +counts

    def open_sums(self) -> list[str]:
        """The sums that do not close, in words. For when it is closed."""
        lost = self._batcher.too_large + self.spool.dropped["disk"]
        if self.taken == self.spooled + lost:
            return []
        return [f"spool: {self.taken} observations taken, {self.spooled} spooled, {lost} let go"]

    def heartbeat(self) -> Heartbeat:
        """What this sensor says of itself now."""
        ledger, spool = self.ledger, self.spool
        let_go = {f"{stage}.{reason}": count for (stage, reason), count in dict(ledger.let_go).items()}
        let_go |= {f"spool.{reason}": count for reason, count in self.dropped().items()}
        counts = Counts(
            packets=ledger.packets_in, bytes=ledger.bytes_in, observations=self.taken, spooled=self.spooled,
            published=self.sender.sent.observations, dropped=let_go,
        )  # fmt: skip
        waiting = SpoolState(
            batches=spool.batches, observations=spool.observations, bytes=spool.bytes, oldest=moment(spool.oldest)
        )
        problems = [self.sender.problem] if self.sender.problem else []
        if not spool.is_writable:
            problems.append("the spool cannot be written")
        now, started = moment(time.time()), moment(self._started)
        assert now is not None and started is not None
        return Heartbeat(
            timestamp=now,
            event=HeartbeatEvent(kind="metric", dataset=DATASET),
            observer=HeartbeatObserver(name=self.sensor),
            lenswatch=HeartbeatState(
                site=self.site, boot_id=self.boot_id, seq=self._seq, started=started, ledger=counts, spool=waiting,
                last_packet=moment(self.packet_ns / NS), gap_seconds=self.gap_seconds, problems=problems,
            ),
        )  # fmt: skip
