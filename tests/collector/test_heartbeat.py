"""A heartbeat is an ECS document that reads back as it was."""

import datetime
import json

import msgspec

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

NOW = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)


def test_a_heartbeat_reads_back_as_it_was() -> None:
    heartbeat = Heartbeat(
        timestamp=NOW,
        event=HeartbeatEvent(kind="metric", dataset=DATASET),
        observer=HeartbeatObserver(name="gate"),
        lenswatch=HeartbeatState(
            site="main",
            boot_id="00ff",
            seq=3,
            started=NOW,
            ledger=Counts(packets=9, dropped={"decode.not_ip": 2}),
            spool=SpoolState(batches=1, observations=4, bytes=99, oldest=NOW),
            problems=["127.0.0.1:1: Connection refused"],
        ),
    )
    document = json.loads(encode(heartbeat))
    assert document["@timestamp"] == "2026-11-02T08:00:00Z"
    assert document["event"] == {"kind": "metric", "dataset": "lenswatch.heartbeat"}
    assert document["lenswatch"]["ledger"] == {"packets": 9, "dropped": {"decode.not_ip": 2}}
    assert msgspec.json.decode(encode(heartbeat), type=Heartbeat) == heartbeat


def test_a_time_that_no_calendar_holds_is_none() -> None:
    assert moment(NOW.timestamp()) == NOW
    assert moment(0) is None and moment(1e30) is None and moment(float("nan")) is None
