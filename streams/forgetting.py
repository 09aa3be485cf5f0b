"""A device is forgotten in Kafka too: the workers are told, and with its alerts the topic that keeps them.

The workers hold what is known of a device in memory and in a changelog. Only who holds it can let it go: a word on the
device's own partition of the observations topic, read in its turn like any other record, takes it out of both. Its
alerts go when the workers have read that word: before, one of an open finding might be told again.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from collector.errors import LenswatchError
from collector.record import partition_of
from streams.alert_topic import read_alert_topic
from streams.codec import write_forget
from streams.connection import administering, client_options, reaching
from streams.settings import Settings

WAIT_SECONDS: Final = 60.0
ASK_EVERY_SECONDS: Final = 0.5


async def forget_in_kafka(settings: Settings, device: str, alerts: bool, wait_seconds: float = WAIT_SECONDS) -> int:
    """Tell the workers to forget the device with this whole id; with `alerts`, wait until they have, and take its
    alerts off their topic. How many alerts went. Raises LenswatchError."""
    kafka, worker = settings.kafka, settings.worker
    place = TopicPartition(kafka.observations_topic, partition_of(device, kafka.partitions))
    try:
        headers = write_forget(device)
    except ValueError as error:
        raise LenswatchError(f"{device[:40]}…: {error}") from error
    with reaching(kafka):
        producer = AIOKafkaProducer(**client_options(kafka), acks="all", enable_idempotence=True)
        try:
            await producer.start()
            sent = await _send(producer, place, b"", headers=headers)
            if not alerts:
                return 0
            async with administering(kafka) as admin:
                await _wait(admin, worker.group, place, sent.offset + 1, wait_seconds)
            found = await read_alert_topic(kafka, worker.alerts_topic)
            gone = [each.event.id for each in found if each.device is not None and each.device.id == device]
            for name in gone:
                await _send(producer, TopicPartition(worker.alerts_topic, place.partition), None, name.encode())
        finally:
            await producer.stop()
    return len(gone)


async def _send(
    producer: AIOKafkaProducer, place: TopicPartition, value: bytes | None, key: bytes | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> Any:  # fmt: skip
    """Where the broker put a record. Raises LenswatchError where there is no such topic."""
    try:
        return await producer.send_and_wait(place.topic, value, key, place.partition, headers=list(headers))
    except UnknownTopicOrPartitionError as error:
        raise LenswatchError(f"{place.topic}: there is no such topic; `lenswatch topics create` makes it") from error


async def _wait(
    admin: AIOKafkaAdminClient, group: str, place: TopicPartition, offset: int, wait_seconds: float
) -> None:
    """Return when the group has read so far. Raises LenswatchError when it has not in time."""
    end = time.monotonic() + wait_seconds
    while True:
        done = (await admin.list_consumer_group_offsets(group)).get(place)
        if done is not None and done.offset >= offset:
            return
        if time.monotonic() >= end:
            raise LenswatchError(
                f"{group}: no worker has read within {wait_seconds:.0f} s that the device is to be forgotten, and its "
                "alerts are still there; they will read it when they run: then say the same again"
            )
        await asyncio.sleep(ASK_EVERY_SECONDS)
