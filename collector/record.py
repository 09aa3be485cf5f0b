"""A Kafka record of observations: up to MAX_OBSERVATIONS lines of JSON of one partition's devices, and its headers.

The value is ECS documents, one a line (`observation.Observation`), not compressed: that is Kafka's part (zstd). The
headers, all text, say `schema` (1), `sensor`, `boot_id` (hexadecimal, new at each start), `seq` (rising with each
record of a sensor and boot_id, over all partitions) and `count`, the number of lines. A record that was sent twice has
the same (sensor, boot_id, seq) twice.
"""

from collections.abc import Iterable, Sequence

import msgspec

from collector.errors import Malformed
from collector.observation import Observation

OBSERVATIONS_TOPIC = "lenswatch.observations.v1"
HEARTBEATS_TOPIC = "lenswatch.heartbeats.v1"
EVIDENCE_TOPIC = "lenswatch.evidence.v1"
SCHEMA = 1
DEFAULT_PARTITIONS = 12
MAX_OBSERVATIONS = 500
MAX_VALUE_BYTES = 512 << 10
MAX_HEADER_BYTES = 256
MAX_NUMBER_DIGITS = 18
MAX_REMEMBERED_KEYS = 200_000
LINGER_SECONDS = 0.1
# Of such documents, level 3 saves a fiftieth more and costs half as much again.
ZSTD_LEVEL = 1

Headers = Sequence[tuple[str, bytes]]


class RecordHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a record's headers say."""

    sensor: str
    boot_id: str
    seq: int
    count: int
    schema: int = SCHEMA


def write_head(head: RecordHead) -> list[tuple[str, bytes]]:
    """The headers of a record."""
    return [(name, str(getattr(head, name)).encode()) for name in ("schema", "sensor", "boot_id", "seq", "count")]


def read_head(headers: Iterable[tuple[str, bytes]]) -> RecordHead:
    """What the headers say; further ones are let pass. Raises Malformed, naming the header."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name in RecordHead.__struct_fields__:
            if name in found:
                raise Malformed(f"header {name} stands twice")
            if not value or len(value) > MAX_HEADER_BYTES:
                raise Malformed(f"header {name} has {len(value or b'')} bytes; 1 to {MAX_HEADER_BYTES} are allowed")
            try:
                found[name] = value.decode()
            except UnicodeDecodeError as error:
                raise Malformed(f"header {name} is not UTF-8") from error
    missing = [name for name in RecordHead.__struct_fields__ if name not in found]
    if missing:
        raise Malformed(f"header {missing[0]} is missing")
    schema, seq, count = (read_number(name, found[name]) for name in ("schema", "seq", "count"))
    return RecordHead(sensor=found["sensor"], boot_id=found["boot_id"], schema=schema, seq=seq, count=count)


def read_number(name: str, text: str) -> int:
    """A header's decimal number. Raises Malformed."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS):
        raise Malformed(f"header {name} is no number: {text[:40]!r}")
    return int(text)


def pack(lines: Iterable[bytes]) -> bytes:
    """A record's value from its documents' JSON."""
    return b"\n".join(lines)


def unpack(value: bytes) -> list[bytes]:
    """A record's documents, each still JSON."""
    return value.split(b"\n") if value else []


def partition_key(observation: Observation) -> str:
    """What decides the partition: the device, where there is one, else the side that began the flow."""
    return observation.device.id if observation.device is not None else observation.source.ip


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key, as Kafka's own clients choose it (murmur2), so that a device's state lives in one place
    whatever sensor saw it."""
    from kafka.partitioner.default import murmur2

    number: int = (murmur2(key.encode()) & 0x7FFF_FFFF) % partitions
    return number
