"""The broker that the system tests stand on is a real one: it keeps what it acknowledged over SIGKILL."""

from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

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
