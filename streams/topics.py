"""The Kafka topics: their names, how many partitions each has and what is kept of it; making and checking them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from collector.errors import LenswatchError
from collector.kafka_settings import KafkaSettings
from streams.connection import administering
from streams.settings import WorkerSettings

DEVICES_TABLE: Final = "devices"
DELIVERED_TABLE: Final = "delivered"
DELETE: Final = "delete"
COMPACT: Final = "compact"
DAY_MS: Final = 86_400_000
EVIDENCE_PARTITIONS: Final = 2
"""Questions for packets, and their answers."""
EVIDENCE_DAYS: Final = 1 / 24
"""An answer is read at once, or never."""
MAX_REPLICAS: Final = 3
MAKE: Final = "`lenswatch topics create` makes what is missing"


class Topic(NamedTuple):
    """One topic as it should be. `max_message_bytes` bounds a batch of records as it is sent, compressed."""

    name: str
    partitions: int
    cleanup: str
    retention_days: float | None = None
    max_message_bytes: int = 2 << 20

    def config(self) -> dict[str, str]:
        """The topic's settings as Kafka names them."""
        config = {"cleanup.policy": self.cleanup, "max.message.bytes": str(self.max_message_bytes)}
        if self.retention_days is not None:
            config["retention.ms"] = str(int(self.retention_days * DAY_MS))
            if self.retention_days < 1:
                # Kafka removes whole segments only, and one is a week by itself.
                config["segment.ms"] = config["retention.ms"]
        return config


class Found(NamedTuple):
    """A topic as it is."""

    partitions: int
    config: dict[str, str]


def changelog(group: str, table: str) -> str:
    """The topic that keeps a table of the workers of this group."""
    return f"{group}-{table}-changelog"


def wanted_topics(kafka: KafkaSettings, worker: WorkerSettings) -> list[Topic]:
    """Every topic that is needed. Those that hold a device's things have the same number of partitions, so that one
    worker has all of a device."""
    return [
        Topic(kafka.observations_topic, kafka.partitions, DELETE, retention_days=worker.observations_days),
        Topic(kafka.heartbeats_topic, 1, DELETE, retention_days=worker.observations_days),
        Topic(kafka.evidence_topic, EVIDENCE_PARTITIONS, DELETE, retention_days=EVIDENCE_DAYS),
        Topic(worker.alerts_topic, kafka.partitions, COMPACT),
        Topic(worker.dead_letters_topic, 1, DELETE, retention_days=worker.dead_letters_days),
        Topic(worker.rules_topic, 1, COMPACT, max_message_bytes=16 << 20),
        Topic(worker.replay_topic, kafka.partitions, DELETE, retention_days=worker.observations_days),
        Topic(changelog(worker.group, DEVICES_TABLE), kafka.partitions, COMPACT),
        Topic(changelog(worker.group, DELIVERED_TABLE), kafka.partitions, COMPACT),
    ]


def faults(wanted: Sequence[Topic], found: dict[str, Found]) -> list[str]:
    """What is wrong with the topics, a line each. More partitions, or less kept, would lose or mix up state."""
    lines = []
    for topic in wanted:
        there = found.get(topic.name)
        if there is None:
            lines.append(f"{topic.name}: there is no such topic; {MAKE}")
            continue
        if there.partitions != topic.partitions:
            lines.append(
                f"{topic.name}: has {there.partitions} partitions, and {topic.partitions} are expected; set [kafka] "
                "partitions to what the observations topic has, and make the others anew"
            )
        cleanup = there.config.get("cleanup.policy")
        if cleanup != topic.cleanup:
            lines.append(f"{topic.name}: cleanup.policy is {cleanup}; set it to {topic.cleanup}")
        size = there.config.get("max.message.bytes", "")
        if size.isdigit() and int(size) < topic.max_message_bytes:
            lines.append(f"{topic.name}: max.message.bytes is {size}; set it to {topic.max_message_bytes} or more")
    return lines


async def find_topics(kafka: KafkaSettings, wanted: Sequence[Topic]) -> dict[str, Found]:
    """The wanted topics as far as they are there. Raises LenswatchError."""
    configs: dict[str, dict[str, str]] = {}
    async with administering(kafka) as admin:
        there = set(await admin.list_topics()) & {topic.name for topic in wanted}
        if not there:
            return {}
        described = await admin.describe_topics(sorted(there))
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(there)]
        for answer in await admin.describe_configs(resources):
            for _, _, _, name, entries in answer.resources:
                configs[name] = {entry[0]: entry[1] for entry in entries}
    return {each["topic"]: Found(len(each["partitions"]), configs.get(each["topic"], {})) for each in described}


async def create_topics(kafka: KafkaSettings, wanted: Sequence[Topic], replicas: int | None = None) -> list[str]:
    """Make what is missing; the names of what was made. `replicas`: how many brokers keep each partition, by default
    three, or as many as there are. Raises LenswatchError."""
    found = await find_topics(kafka, wanted)
    missing = [topic for topic in wanted if topic.name not in found]
    if not missing:
        return []
    async with administering(kafka) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
        copies = replicas or min(MAX_REPLICAS, brokers)
        answer = await admin.create_topics(
            [NewTopic(topic.name, topic.partitions, copies, topic_configs=topic.config()) for topic in missing]
        )
        for name, code, *words in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise LenswatchError(f"{name}: could not be made: {words[0] if words else for_code(code).__name__}")
    return [topic.name for topic in missing]
