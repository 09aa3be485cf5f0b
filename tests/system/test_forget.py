"""A device is forgotten by the workers and in Kafka: out of memory and table, and its alerts off their topic."""

import asyncio

import pytest

from collector.errors import LenswatchError
from collector.observation import Observation
from rules.alert import Alert
from streams.forgetting import forget_in_kafka
from streams.kafka_cli import kafka_settings
from tests.streams.command import spawn
from tests.system.centre import Centre, until

pytestmark = pytest.mark.system
Office = tuple[list[Observation], dict[str, Alert]]


def keys_left(centre: Centre) -> set[bytes]:
    """The keys of the devices' table that have a value, as the changelog has them now."""
    last = {record.key: record.value for record in centre.read(f"{centre.group}-devices-changelog")}
    return {key for key, value in last.items() if value is not None}


def alerts_left(centre: Centre) -> dict[bytes, bytes]:
    last = {record.key: record.value for record in centre.read(centre.alerts_topic)}
    return {key: value for key, value in last.items() if value is not None}


def test_a_forgotten_device_is_nowhere_and_all_others_stay(centre: Centre, embedded_office: Office) -> None:
    observations, embedded = embedded_office
    worker = centre.worker("one").wait_ready()
    centre.send(centre.records(observations))
    centre.wait_done()
    device = next(each.device.id for each in embedded.values() if each.device is not None)
    its = {name.encode() for name, each in embedded.items() if each.device is not None and each.device.id == device}
    before = keys_left(centre)
    assert f"d/{device}".encode() in before and set(alerts_left(centre)) == {name.encode() for name in embedded}

    said = spawn("devices", "forget", device, "--alerts", "--kafka", centre.address, "--config", centre.config,
                 state=centre.folder)  # fmt: skip
    assert said.code == 0 and f"{device} is forgotten by the workers, with {len(its)} alerts" in said.out, said.err
    assert keys_left(centre) == before - {f"d/{device}".encode()}
    assert set(alerts_left(centre)) == {name.encode() for name in embedded} - its
    until(lambda: worker.metric("matcher_records_total", 'result="forget"') == 1, 10, "it is counted")

    # Another worker takes over, and knows nothing of it either; the device is told of anew from what is seen of it.
    worker.kill()
    centre.worker("two").wait_ready()
    assert keys_left(centre) == before - {f"d/{device}".encode()}
    centre.send(centre.records((each for each in observations if each.device and each.device.id == device), boot="0b"))
    centre.wait_done()
    assert its <= set(alerts_left(centre)) and f"d/{device}".encode() in keys_left(centre)


def test_where_no_worker_runs_the_word_waits_for_one_and_one_line_says_so(centre: Centre) -> None:
    said = spawn("devices", "forget", "hq/10.0.0.9", "--kafka", centre.address, "--config", centre.config,
                 state=centre.folder)  # fmt: skip
    assert said.code == 0 and "is forgotten when the workers read it" in said.out, said.err
    settings = kafka_settings(centre.config, None)
    with pytest.raises(LenswatchError, match="no worker has read within 1 s"):
        asyncio.run(forget_in_kafka(settings, "hq/10.0.0.9", alerts=True, wait_seconds=1))
    assert len(centre.read(centre.observations)) == 2
    centre.worker("one").wait_ready()
    until(lambda: centre.lag() == 0, 20, "the worker has read what waited")
    assert centre.read(centre.dead) == []
