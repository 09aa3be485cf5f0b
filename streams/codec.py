"""Kafka records ↔ structs, nowhere else.

A record of the observations topic holds up to 500 observations as JSON lines; its headers say where it is from. A tick
is a record of the same topic without a value, whose header says what time it is; so is the word that a device is to be
forgotten. What cannot be read is told with a
reason of a few kinds, so that it can be counted, and kept as a dead letter.
"""

import base64
import collections
import datetime
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from collector.errors import Malformed
from collector.observation import Observation
from collector.record import SCHEMA, read_head
from rules.alert import Alert
from streams.processors.partition import Batch

MAX_VALUE_BYTES: Final = 2 << 20
MAX_OBSERVATIONS: Final = 5_000
MAX_LINE_BYTES: Final = 256 << 10
MAX_LETTER_BYTES: Final = 256 << 10
PIECE_BYTES: Final = 32 << 10
"""So much of a record is observations at a time. They are worked on and forgotten while they are still in the
processor's cache; a record's as a whole would not be, and cost half as much again."""
MAX_WORDS: Final = 300
MAX_AHEAD_SECONDS: Final = 86_400.0
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
TICK, FORGET = "tick", "forget"
MAX_DEVICE_BYTES: Final = 1_024
EMPTY, TOO_BIG, HEADERS, NEWER, NOT_JSON, WRONG, COUNT, COMPRESSED = (
    "empty", "too_big", "headers", "newer_schema", "not_json", "wrong_fields", "count", "compressed",
)  # fmt: skip

Headers = Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None
Through = Callable[[list[Observation]], list[Observation]]
_observations = msgspec.json.Decoder(Observation)
_alerts = msgspec.json.Decoder(Alert)
_encoder = msgspec.json.Encoder()


class Unreadable(ValueError):
    """A record that is none. `reason` is one of the few words above."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason, self.words = reason, words[:MAX_WORDS]


class Tick(NamedTuple):
    """What time it is, seconds since 1970."""

    at: float


class Forget(NamedTuple):
    """The device of this id is to be forgotten."""

    device: str


class Fault(NamedTuple):
    """Lines of a record that could not be read: why the first could not, and all of them."""

    reason: str
    words: str
    lines: list[bytes]


class Lines:
    """The observations of a record of `count`: JSON lines, PIECE_BYTES of which are read at a time, when they are
    wanted. Each piece goes `through` what is to be done with it first. Raises Unreadable when no line can be read."""

    def __init__(self, value: bytes, count: int, through: Through) -> None:
        self._value, self._said, self._through = value, count, through
        if value.startswith(ZSTD_MAGIC):
            raise Unreadable(COMPRESSED, "the value is a zstd frame; compression is Kafka's, not the value's")
        if value.count(b"\n") >= MAX_OBSERVATIONS:
            lines = sum(1 for line in value.split(b"\n") if line.strip())
            if lines > MAX_OBSERVATIONS:
                raise Unreadable(TOO_BIG, f"{lines} lines, and {MAX_OBSERVATIONS} are the most")
        self._ahead: list[Observation] | None = None
        self._begin()
        ahead: list[Observation] = []
        while not ahead and self._at < len(value):
            ahead = self._next()
        if not ahead:
            raise Unreadable(*(self._first or (EMPTY, "the value holds nothing but line ends")))
        self._ahead = ahead

    def _begin(self) -> None:
        self._at = self._found = 0
        self._is_read = False
        self._bad: list[bytes] = []
        self._first: tuple[str, str] | None = None

    def __iter__(self) -> Iterator[Observation]:
        found, self._ahead = self._ahead, None
        if found is None:
            self._begin()
            found = self._next()
        while True:
            yield from self._through(found)
            # Or they would be there while the next are made.
            del found
            if self._at >= len(self._value):
                break
            found = self._next()
        self._is_read = True

    def count(self) -> int:
        """How many there are."""
        if not self._is_read:
            collections.deque(self, maxlen=0)
        return self._found

    @property
    def fault(self) -> Fault | None:
        """The lines that could not be read, or that there are not as many as was said."""
        found = self.count() + len(self._bad)
        if self._first is not None:
            return Fault(self._first[0], self._first[1][:MAX_WORDS], self._bad)
        if self._said != found:
            return Fault(
                COUNT, f"the header says {self._said} observations, and there are {found}", [self._value]
            )  # fmt: skip
        return None

    def _next(self) -> list[Observation]:
        """The observations of the next piece, which ends with a line."""
        value, start = self._value, self._at
        end = value.find(b"\n", start + PIECE_BYTES)
        self._at = end = len(value) if end < 0 else end + 1
        piece = value[start:end]
        try:
            found = _observations.decode_lines(piece)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            found = self._one_by_one(piece)
        self._found += len(found)
        return found

    def _one_by_one(self, piece: bytes) -> list[Observation]:
        found: list[Observation] = []
        for line in piece.split(b"\n"):
            if not line.strip():
                continue
            try:
                if len(line) > MAX_LINE_BYTES:
                    raise ValueError(f"{len(line)} bytes, and {MAX_LINE_BYTES} are the most")
                found.append(_observations.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
                if self._first is None:
                    reason = WRONG if isinstance(error, msgspec.ValidationError) else NOT_JSON
                    self._first = (reason, f"line {self._found + len(found) + len(self._bad) + 1}: {error}")
                self._bad.append(line)
        return found


class Read(NamedTuple):
    """A record as far as it could be read. Its observations are read when they are looked at."""

    batch: Batch
    lines: Lines

    @property
    def fault(self) -> Fault | None:
        """What is wrong with it."""
        return self.lines.fault


class Origin(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Where a dead letter is from."""

    topic: str
    partition: int
    offset: int
    sensor: str | None = None
    boot_id: str | None = None
    seq: str | None = None


class DeadLetter(msgspec.Struct, omit_defaults=True, kw_only=True, rename={"timestamp": "@timestamp"}):
    """A value of the dead-letter topic: why a record, or lines of it, could not be read; `digest` is the SHA-256 over
    the record's whole value of `size_bytes`, `original` the unreadable part in base 64, cut at 256 KiB."""

    timestamp: datetime.datetime
    reason: str
    words: str
    digest: str
    size_bytes: int
    origin: Origin
    original: str


def read_headers(headers: Headers) -> dict[str, str]:
    """Headers as text; the last of a name counts, and what is no UTF-8 is replaced."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return {str(name): (value or b"").decode("utf-8", "replace")[:MAX_WORDS] for name, value in pairs}


def as_they_are(found: list[Observation]) -> list[Observation]:
    """Nothing is to be done with them."""
    return found


def read_record(
    headers: Headers, value: bytes | None, at: float, through: Through = as_they_are
) -> Read | Tick | Forget:
    """A record of the observations topic. `at` is the record's own time; its observations go `through` what is to be
    done with them first, some at a time. Raises Unreadable."""
    known = read_headers(headers)
    schema = known.get("schema", "")
    if schema.isascii() and schema.isdigit() and int(schema[:9]) > SCHEMA:
        raise Unreadable(NEWER, f"schema {schema}, and this worker reads up to {SCHEMA}; upgrade the workers first")
    if TICK in known:
        if schema != str(SCHEMA) or not (known[TICK].isascii() and known[TICK].isdigit()):
            raise Unreadable(HEADERS, f"a tick of schema {schema[:40]!r} and time {known[TICK][:40]!r}")
        return Tick(int(known[TICK][:15]) / 1000)
    if FORGET in known and not value:
        return Forget(_read_forget(headers))
    if not value:
        raise Unreadable(EMPTY, "the record has no value")
    if len(value) > MAX_VALUE_BYTES:
        raise Unreadable(TOO_BIG, f"{len(value)} bytes, and {MAX_VALUE_BYTES} are the most")
    try:
        head = read_head(headers.items() if isinstance(headers, Mapping) else headers or ())
    except Malformed as error:
        raise Unreadable(HEADERS, str(error)) from error
    lines = Lines(value, head.count, through)
    return Read(Batch(head.sensor, head.boot_id, head.seq, at, lines), lines)


def _read_forget(headers: Headers) -> str:
    """The id whole, however long."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    data = next(value for name, value in pairs if name == FORGET)
    if not data:
        raise Unreadable(HEADERS, "the device to be forgotten has no id")
    try:
        return data[:MAX_DEVICE_BYTES].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Unreadable(HEADERS, f"the device to be forgotten: {error}") from error


def believable(at: float | None, now: float) -> float:
    """The time of a record, seconds since 1970, of one that its sender's clock gave: no earlier, and a day ahead of
    `now` at most."""
    return min(max(at or 0.0, 0.0), now + MAX_AHEAD_SECONDS)


def write_tick(at: float) -> list[tuple[str, bytes]]:
    """The headers of a tick; it has no value."""
    return [("schema", str(SCHEMA).encode()), (TICK, str(int(at * 1000)).encode())]


def write_forget(device: str) -> list[tuple[str, bytes]]:
    """The headers of the word that a device is to be forgotten; it has no value. Raises ValueError for a long id."""
    data = device.encode("utf-8", "surrogatepass")
    if len(data) > MAX_DEVICE_BYTES:
        raise ValueError(f"an id of {len(data)} bytes is longer than {MAX_DEVICE_BYTES}")
    return [("schema", str(SCHEMA).encode()), (FORGET, data)]


def write_dead_letter(
    reason: str, words: str, unreadable: bytes, value: bytes | None, headers: Headers, place: tuple[str, int, int],
    at: float,
) -> bytes:  # fmt: skip
    """A dead letter of a record at (topic, partition, offset) and of this time."""
    whole, known = value or b"", read_headers(headers)
    letter = DeadLetter(
        timestamp=datetime.datetime.fromtimestamp(at, datetime.UTC),
        reason=reason,
        words=words,
        digest=hashlib.sha256(whole).hexdigest(),
        size_bytes=len(whole),
        origin=Origin(
            topic=place[0], partition=place[1], offset=place[2],
            sensor=known.get("sensor"), boot_id=known.get("boot_id"), seq=known.get("seq"),
        ),
        original=base64.b64encode(unreadable[:MAX_LETTER_BYTES]).decode(),
    )  # fmt: skip
    return _encoder.encode(letter)


def write_alert(alert: Alert) -> bytes:
    """An alert as a value of the alerts topic; its key is the alert's id."""
    return _encoder.encode(alert)


def read_alert(value: bytes) -> Alert:
    """A value of the alerts topic. Raises Unreadable."""
    try:
        return _alerts.decode(value)
    except msgspec.ValidationError as error:
        raise Unreadable(WRONG, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Unreadable(NOT_JSON, str(error)) from error
