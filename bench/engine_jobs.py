"""lenswatch's processors called from Quix Streams and from Bytewax, each in a process of the engines' own Python.

    python bench/engine_jobs.py quix|bytewax ADDRESS OBSERVATIONS_TOPIC ALERTS_TOPIC GROUP FOLDER COUNT COMMIT_SECONDS

Prints the CPU seconds of the process, user and system, that were spent before the first record. Whoever started it
takes them from those of the process at its end, when the last alert is flushed, the last of the state kept and the last
place committed.

Each does the same: records are read as they are (`codec.read_record`), a partition's records go through
`Partition.take`, alerts go to their topic, what is known of a device is kept by the engine's own state, and the place
in the topic is committed every so many seconds, at least once. Alerts are sent idempotently, to all replicas, as zstd.

- *Quix Streams* keeps state in RocksDB, written through to a compacted changelog topic, and commits offsets to the
  group after both. Its state cannot be listed, so after a restart nobody would know which windows are open; the worker
  reads that back.
- *Bytewax* keeps state and offsets together, as snapshots in SQLite files once an epoch, and commits nothing to Kafka;
  there is no changelog. A snapshot is that of a key, and a partition is the key, so it holds all of its devices.

What the worker does besides, and neither does here: dead letters, metrics, ticks, turns after a rebalance, exchange of
rules, the watchdog, and the delivery of each alert to a sink.
"""

import datetime
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from collector.running import rare_collection
from rules.alert import Alert
from rules.load import load_rules
from streams import codec
from streams.geo import GeoFiles
from streams.processors.detect import enriched
from streams.processors.partition import Outcome, Partition

SENDING = {"acks": "all", "compression.type": "zstd", "enable.idempotence": "true"}
BUFFERED_RECORDS = 64


class Job:
    """What is done with a record, whoever calls. `began` is the process's CPU time at the first; `left` are to come."""

    def __init__(self, count: int) -> None:
        self.rules = load_rules()
        self.rules.prepare()
        self.look_up = GeoFiles(None, None).look_up
        self.left, self.began = count, 0.0

    def take(self, partition: Partition, headers: Any, value: bytes, at: float) -> Outcome:
        """The news of a record and what it changed; `at` is its own time, seconds since 1970."""
        if not self.began:
            self.began = time.process_time()
        read = codec.read_record(headers, value, at, lambda found: enriched(found, self.look_up))
        outcome = partition.take(read.batch, self.rules)
        self.left -= read.lines.count()
        return outcome

    def is_done(self) -> bool:
        """Whether all has been taken."""
        return self.left <= 0


class StateTable:
    """A Quix state as a partition reads it; another object comes with each record."""

    state: Any = None

    def get(self, key: str) -> bytes | None:
        """The entry of a device."""
        return self.state.get_bytes(key)


def run_quix(job: Job, address: str, topic: str, alerts: str, group: str, folder: Path, seconds: float) -> None:
    """Until all is done and committed."""
    from quixstreams import Application
    from quixstreams.context import message_context
    from quixstreams.models.serializers import Serializer

    class AlertSerializer(Serializer):
        def __call__(self, value: Alert, ctx: Any) -> bytes:
            return codec.write_alert(value)

    tables: dict[int, StateTable] = {}
    partitions: dict[int, Partition] = {}

    def take(value: bytes, key: Any, timestamp: int, headers: Any, state: Any) -> list[Alert]:
        number = message_context().partition
        if number not in partitions:
            tables[number] = StateTable()
            partitions[number] = Partition(number, tables[number])
        tables[number].state = state
        outcome = job.take(partitions[number], headers, value, timestamp / 1000)
        for name, data in partitions[number].changes().items():
            if data is None:
                state.delete(name)
            else:
                state.set_bytes(name, data)
        return outcome.news

    def look(*_: Any) -> None:
        if job.is_done():
            app.stop()

    app = Application(
        address, consumer_group=group, auto_offset_reset="earliest", commit_interval=seconds, state_dir=folder,
        producer_extra_config=SENDING, on_message_processed=look, loglevel="ERROR",
    )  # fmt: skip
    news = app.dataframe(app.topic(topic, value_deserializer="bytes"))
    news = news.apply(take, stateful=True, expand=True, metadata=True)
    told = app.topic(alerts, value_serializer=AlertSerializer())
    news.to_topic(told, key=lambda alert: alert.event.id.encode())
    app.run()


def run_bytewax(job: Job, address: str, topic: str, alerts: str, group: str, folder: Path, seconds: float) -> None:
    """Until all is done and kept."""
    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.run import cli_main

    class Devices(op.StatefulBatchLogic):
        """The devices of a partition, by their keys."""

        def __init__(self, kept: dict[str, bytes] | None) -> None:
            self.table = dict(kept or {})
            self.partition: Partition | None = None

        def on_batch(self, values: list[Any]) -> tuple[Iterable[Alert], bool]:
            news: list[Alert] = []
            for message in values:
                if self.partition is None:
                    self.partition = Partition(message.partition, self.table)
                outcome = job.take(self.partition, message.headers, message.value, message.timestamp[1] / 1000)
                news += outcome.news
            for name, data in self.partition.changes().items() if self.partition is not None else ():
                if data is None:
                    self.table.pop(name, None)
                else:
                    self.table[name] = data
            return news, self.RETAIN

        def snapshot(self) -> dict[str, bytes]:
            return dict(self.table)

    flow = Dataflow(group)
    source = KafkaSource([address], [topic], tail=False, batch_size=BUFFERED_RECORDS)
    records = op.key_on("partition", op.input("observations", flow, source), lambda message: str(message.partition))
    news = op.stateful_batch("take", records, Devices)
    told = op.map("alert", news, lambda pair: KafkaSinkMessage(pair[1].event.id.encode(), codec.write_alert(pair[1])))
    op.output("alerts", told, KafkaSink([address], alerts, add_config=SENDING))
    folder.mkdir(parents=True)
    init_db_dir(folder, 1)
    cli_main(flow, epoch_interval=datetime.timedelta(seconds=seconds), recovery_config=RecoveryConfig(folder))


ENGINES = {"quix": run_quix, "bytewax": run_bytewax}


def main() -> None:
    """Run one engine and print what it spent."""
    engine, address, topic, alerts, group, folder, count, seconds = sys.argv[1:]
    job = Job(int(count))
    with rare_collection():
        ENGINES[engine](job, address, topic, alerts, group, Path(folder), float(seconds))
    if not job.is_done():
        sys.exit(f"{engine}: {job.left:,} observations were not read")
    print(job.began)


if __name__ == "__main__":
    main()
