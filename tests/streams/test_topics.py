"""Topics as they should be, and every way in which they can be otherwise."""

import pytest

from collector.kafka_settings import KafkaSettings
from streams.settings import WorkerSettings
from streams.topics import COMPACT, Found, Topic, changelog, faults, wanted_topics

WANTED = wanted_topics(KafkaSettings(partitions=6), WorkerSettings(group="night"))
SOUND = {topic.name: Found(topic.partitions, topic.config()) for topic in WANTED}


def test_what_holds_a_devices_things_has_as_many_partitions_as_the_observations() -> None:
    together = [
        "lenswatch.observations.v1", "lenswatch.alerts.v1", "night-devices-changelog", "night-delivered-changelog",
    ]  # fmt: skip
    assert {topic.partitions for topic in WANTED if topic.name in together} == {6}
    assert set(together) < {topic.name for topic in WANTED}


def test_state_is_compacted_and_never_deleted_by_age() -> None:
    for topic in WANTED:
        if topic.name.endswith("-changelog") or topic.name == "lenswatch.alerts.v1":
            assert topic.config()["cleanup.policy"] == COMPACT and "retention.ms" not in topic.config()


def test_questions_and_answers_are_apart_and_answers_go_after_an_hour() -> None:
    (topic,) = [topic for topic in WANTED if topic.name == "lenswatch.evidence.v1"]
    assert topic.partitions == 2 and topic.config()["cleanup.policy"] == "delete"
    # Kafka removes whole segments only: one must not last for longer.
    assert topic.config()["retention.ms"] == topic.config()["segment.ms"] == "3600000"


def test_names_follow_the_settings() -> None:
    worker = WorkerSettings(group="g", alerts_topic="alerts", dead_letters_topic="dead")
    names = {topic.name for topic in wanted_topics(KafkaSettings(observations_topic="seen"), worker)}
    assert {"seen", "alerts", "dead", changelog("g", "devices")} < names


def test_sound_topics_have_no_faults() -> None:
    assert faults(WANTED, SOUND) == []
    more = {
        name: Found(each.partitions, each.config | {"max.message.bytes": "99999999"}) for name, each in SOUND.items()
    }
    assert faults(WANTED, more) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "there is no such topic; `lenswatch topics create`"),
        (Found(4, {}), "has 4 partitions, and 6 are expected"),
        (Found(6, {"cleanup.policy": "delete"}), "cleanup.policy is delete; set it to compact"),
        (Found(6, {}), "cleanup.policy is None; set it to compact"),
        (Found(6, {"cleanup.policy": "compact", "max.message.bytes": "1000"}), "max.message.bytes is 1000"),
    ],
)
def test_a_topic_that_is_otherwise_is_named_with_the_mend(found: Found | None, words: str) -> None:
    topic = Topic("alerts", 6, COMPACT)
    lines = faults([topic], {} if found is None else {"alerts": found})
    assert lines[0].startswith("alerts: ") and words in "\n".join(lines)
