"""The broker that the system tests stand on is a real one: it keeps what it acknowledged over SIGKILL."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.net.compat import KafkaNetClient

from collector.kafka_link import connect, discard, wait_while_busy
from collector.kafka_settings import KafkaSettings
from tests.system.broker import Broker, BrokerFailed


def read_all(broker: Broker, topic: str, partition: int = 0) -> list[bytes]:
    """Every value of a partition."""
    place = TopicPartition(topic, partition)
    consumer = KafkaConsumer(bootstrap_servers=broker.address, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        consumer.assign([place])
        end = consumer.end_offsets([place])[place]
        values: list[bytes] = []
        while consumer.position(place) < end:
            for records in consumer.poll(1000).values():
                values += [record.value for record in records]
        return values
    finally:
        consumer.close()


def send(broker: Broker, topic: str, *values: bytes) -> None:
    """Send, each acknowledged, to partition 0."""
    producer = KafkaProducer(bootstrap_servers=broker.address, compression_type="zstd")
    try:
        for value in values:
            producer.send(topic, value, partition=0).get(30)
    finally:
        producer.close()


@pytest.mark.system
def test_what_was_acknowledged_is_there_after_sigkill_on_the_same_port(kafka_libs: Path, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka", kafka_libs).start()
    try:
        topic, address = broker.create_topic(partitions=1), broker.address
        send(broker, topic, b"one", b"two")
        broker.kill()
        assert not broker.is_running
        broker.start()
        assert broker.address == address
        assert read_all(broker, topic) == [b"one", b"two"]
        broker.stop()
        broker.start()
        send(broker, topic, b"three")
        assert read_all(broker, topic) == [b"one", b"two", b"three"]
    finally:
        broker.stop()


@pytest.mark.system
def test_a_session_broker_answers_and_makes_topics(broker: Broker) -> None:
    compacted = broker.create_topic(partitions=3, cleanup_policy="compact")
    with broker.admin() as admin:
        assert compacted in admin.list_topics()


@pytest.mark.system
def test_a_broker_that_ends_says_why(kafka_libs: Path, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka", kafka_libs, properties={"log.segment.bytes": "no number"})
    with pytest.raises(BrokerFailed, match="no number"):
        broker.start()


def delay_of_kafka_python(client: KafkaNetClient, node_id: object) -> float:
    """What kafka-python itself answers."""
    return float(client._manager.connection_delay(node_id))


@pytest.mark.system
@pytest.mark.parametrize(("delay", "rests"), [(wait_while_busy, True), (delay_of_kafka_python, False)])
def test_a_producer_rests_while_a_broker_hangs_as_kafka_python_by_itself_does_not(
    delay: Callable[[KafkaNetClient, object], float],
    rests: bool,
    kafka_libs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KafkaNetClient, "connection_delay", delay)
    partitions = 12
    broker = Broker(tmp_path / "kafka", kafka_libs).start()
    try:
        topic = broker.create_topic(partitions=partitions)
        producer = connect(
            KafkaSettings(servers=broker.address, observations_topic=topic, partitions=partitions), "test"
        )
        for partition in range(partitions):
            producer.send(topic, b"before", partition=partition).get(30)
        broker.pause()
        sent = []
        for partition in range(partitions):
            sent.append(producer.send(topic, b"after", partition=partition))
            time.sleep(0.05)
        before = time.process_time()
        time.sleep(2)
        assert (time.process_time() - before < 0.4) is rests
        broker.resume()
        for each in sent:
            each.get(30)
        discard(producer)
    finally:
        broker.resume()
        broker.stop()
