"""A device is forgotten in Kafka; what a broker does of it is in tests/system/test_forget.py."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError
from streams.forgetting import forget_in_kafka
from streams.settings import Settings
from tests.streams.command import spawn


def test_an_id_that_no_record_can_hold_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(LenswatchError, match="longer than 1024"):
        asyncio.run(forget_in_kafka(Settings(), "hq/" + "x" * 1_100, alerts=True))


def test_no_broker_is_one_clear_line() -> None:
    settings = Settings()
    kafka = msgspec.structs.replace(settings.kafka, servers="127.0.0.1:1")
    settings = msgspec.structs.replace(settings, kafka=kafka)
    with pytest.raises(LenswatchError, match=r"127\.0\.0\.1:1: no broker answers there"):
        asyncio.run(forget_in_kafka(settings, "hq/10.0.0.9", alerts=False))


def test_a_part_of_an_id_is_not_enough_where_no_stories_are_kept(tmp_path: Path) -> None:
    said = spawn("devices", "forget", "10.0.0.9", "--kafka", "127.0.0.1:1", state=tmp_path)
    assert said.code == 1 and "is no whole id" in said.err and len(said.err.splitlines()) == 1
