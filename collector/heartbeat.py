"""What a sensor says of itself, now and then: that it lives, and what became of everything it saw."""

import datetime

import msgspec

from collector.observation import Fields

DATASET = "lenswatch.heartbeat"


class HeartbeatEvent(Fields):
    """`event.*`: `kind` is "metric"."""

    kind: str
    dataset: str


class HeartbeatObserver(Fields):
    """`observer.*`: the sensor."""

    name: str


class SpoolState(Fields):
    """`lenswatch.spool.*`: what waits, in batches, observations and compressed bytes; `oldest` when the first came."""

    batches: int
    observations: int
    bytes: int
    oldest: datetime.datetime | None = None


class Counts(Fields):
    """`lenswatch.ledger.*`: since the start. Observations made = spooled + dropped before that; `published` are those
    that Kafka has, also of earlier runs. `dropped` is by "<stage>.<reason>"."""

    packets: int = 0
    bytes: int = 0
    observations: int = 0
    spooled: int = 0
    published: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)


class HeartbeatState(Fields):
    """`lenswatch.*` of a heartbeat. `seq` is the number of the next record, `last_packet` the latest packet's time,
    `gap_seconds` the packet time that was missed before this run, `problems` are lines for a person."""

    site: str
    boot_id: str
    seq: int
    started: datetime.datetime
    ledger: Counts
    spool: SpoolState
    last_packet: datetime.datetime | None = None
    gap_seconds: float | None = None
    problems: list[str] = msgspec.field(default_factory=list)


class Heartbeat(Fields, rename={"timestamp": "@timestamp"}):
    """A sensor's heartbeat: an ECS document; the record's key is the sensor's name."""

    timestamp: datetime.datetime
    event: HeartbeatEvent
    observer: HeartbeatObserver
    lenswatch: HeartbeatState


def moment(seconds: float) -> datetime.datetime | None:
    """Seconds since 1970 as a time; None for 0 and for what no calendar holds."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC) if seconds else None
    except (OverflowError, ValueError, OSError):
        return None


def encode(heartbeat: Heartbeat) -> bytes:
    """The heartbeat as JSON."""
    return msgspec.json.encode(heartbeat)
