"""The compacted alerts topic as a store: the last revision of each alert."""

from typing import Final

from aiokafka import TopicPartition

from collector.errors import LenswatchError
from collector.kafka_settings import KafkaSettings
from rules.alert import Alert
from streams.codec import Unreadable, read_alert
from streams.connection import consuming

MAX_ALERTS: Final = 1_000_000
POLL_MS: Final = 1_000
MAX_SILENT_POLLS: Final = 30


async def read_alert_topic(kafka: KafkaSettings, topic: str, prefix: str = "") -> list[Alert]:
    """The alerts on the topic now whose id begins so, the newest last. What cannot be read is left out. Raises
    LenswatchError."""
    last: dict[str, Alert] = {}
    async with consuming(kafka) as consumer:
        if topic not in await consumer.topics():
            raise LenswatchError(f"{topic}: there is no such topic; `lenswatch topics create` makes it")
        places = [TopicPartition(topic, number) for number in range(kafka.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        waiting = {place for place, end in ends.items() if end > await consumer.position(place)}
        silent = 0
        while waiting:
            answer = await consumer.getmany(*waiting, timeout_ms=POLL_MS)
            silent = 0 if answer else silent + 1
            if silent > MAX_SILENT_POLLS:
                raise LenswatchError(f"{kafka.servers}: {topic}: the broker gives no more records; try again")
            for records in answer.values():
                for record in records:
                    keep(last, record.key, record.value, prefix)
            waiting = {place for place in waiting if await consumer.position(place) < ends[place]}
    return sorted(last.values(), key=lambda alert: (alert.lenswatch.last_seen, alert.event.id))


def keep(last: dict[str, Alert], key: bytes | None, value: bytes | None, prefix: str) -> None:
    """Keep a record's alert in place of an earlier revision; a record without a value takes its alert away."""
    name = (key or b"").decode("utf-8", "replace")
    if value is None:
        last.pop(name, None)
    elif name.startswith(prefix) and (name in last or len(last) < MAX_ALERTS):
        try:
            alert = read_alert(value)
        except Unreadable:
            return
        known = last.get(name)
        if known is None or alert.lenswatch.revision >= known.lenswatch.revision:
            last[name] = alert
