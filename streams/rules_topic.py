"""The rules' journey: a pack is put on a compacted topic of one partition, and every worker takes the newest.

A record's value is the pack (`rules.pack`), its headers say `schema` (1), `digest` (of the files), `ruleset` (the
digest of the facts and detections as a worker tells it), `signature` (`rules.signature`) where it was signed, and
`may_shrink` where it may have lost more than half of the indicators. A pack is taken whole or not at all, and one that
is refused leaves in force what was.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from collector.errors import LenswatchError
from collector.kafka_settings import KafkaSettings
from rules.errors import first_line
from rules.load import load_pack
from rules.match import RuleSet
from rules.pack import MAX_PACK_BYTES, digest_of, unpack
from streams.connection import client_options, consuming, reaching

SCHEMA: Final = b"1"
KEY: Final = b"rules"
MAX_RECORD_BYTES: Final = MAX_PACK_BYTES + (64 << 10)
POLL_MS: Final = 1_000

ReadPack = Callable[[bytes, bytes | None], RuleSet]
Take = Callable[[RuleSet, bool], None]
Refuse = Callable[[str], None]


class Published(NamedTuple):
    """A pack that is on its way: the digest over its files, that of the rules in it, and its place on the topic."""

    digest: str
    ruleset: str
    offset: int
    size_bytes: int


def read_unsigned(packed: bytes, signature: bytes | None) -> RuleSet:
    """The rules of a pack, whoever signed it."""
    return load_pack(packed)


async def publish(
    kafka: KafkaSettings, topic: str, packed: bytes, signature: bytes | None = None, may_shrink: bool = False
) -> Published:
    """Put a pack on the topic, once it is known that it can be loaded. Raises PackError, RuleErrors, or LenswatchError
    that names the broker."""
    digest, ruleset = digest_of(unpack(packed)), load_pack(packed).digest
    headers = [("schema", SCHEMA), ("digest", digest.encode()), ("ruleset", ruleset.encode())]
    headers += [("signature", signature)] if signature is not None else []
    headers += [("may_shrink", b"1")] if may_shrink else []
    with reaching(kafka):
        producer = AIOKafkaProducer(
            **client_options(kafka), acks="all", enable_idempotence=True, max_request_size=MAX_RECORD_BYTES
        )
        await producer.start()
        try:
            sent = await producer.send_and_wait(topic, packed, KEY, 0, headers=headers)
        except UnknownTopicOrPartitionError as error:
            raise LenswatchError(f"{topic}: there is no such topic; `lenswatch topics create` makes it") from error
        finally:
            await producer.stop()
    return Published(digest, ruleset, sent.offset, len(packed))


def load(record: Any, read: ReadPack = read_unsigned) -> RuleSet:
    """The rules of a record, ready to match. Raises LenswatchError that says what is wrong with it."""
    headers = dict(record.headers)
    if headers.get("schema") != SCHEMA:
        said = (headers.get("schema") or b"")[:20]
        raise LenswatchError(f"{record.topic} at {record.offset}: schema {said!r}; upgrade the worker")
    try:
        rules = read(record.value, headers.get("signature"))
    except LenswatchError as error:
        raise LenswatchError(f"{record.topic} at {record.offset}: {first_line(error)}") from error
    rules.prepare()
    return rules


class RulesTopic:
    """A reader of the topic, over a consumer of its own that joins no group and commits nothing."""

    def __init__(self, consumer: Any, topic: str, read: ReadPack = read_unsigned) -> None:
        self._consumer, self._read = consumer, read
        self._place = TopicPartition(topic, 0)
        consumer.assign([self._place])

    async def current(self) -> Any | None:
        """The newest pack's record that is there now, or None. Raises KafkaError."""
        newest = None
        await self._consumer.seek_to_beginning(self._place)
        end = (await self._consumer.end_offsets([self._place]))[self._place]
        while await self._consumer.position(self._place) < end:
            newest = await self._next() or newest
        return newest

    async def follow(self, take: Take, refuse: Refuse) -> None:
        """Hand on the rules of each pack that comes, for as long as the task runs; refused ones in a line."""
        while True:
            try:
                record = await self._next()
            except KafkaError:
                # It tries again by itself; that the broker is away is said by others.
                await asyncio.sleep(POLL_MS / 1000)
                continue
            if record is not None:
                await hand_on(record, take, refuse, self._read)

    async def _next(self) -> Any | None:
        """The newest of the packs that have come, or None after a second."""
        found = await self._consumer.getmany(self._place, timeout_ms=POLL_MS)
        packs = [each for each in found.get(self._place, ()) if each.key == KEY and each.value]
        return packs[-1] if packs else None


@contextlib.asynccontextmanager
async def reading_rules(kafka: KafkaSettings, topic: str, read: ReadPack = read_unsigned) -> AsyncIterator[RulesTopic]:
    """A reader of the topic for as long as it is needed. Raises LenswatchError."""
    async with consuming(kafka, max_partition_fetch_bytes=MAX_RECORD_BYTES) as consumer:
        yield RulesTopic(consumer, topic, read)


async def hand_on(record: Any, take: Take, refuse: Refuse, read: ReadPack = read_unsigned) -> None:
    """Load the rules of a record beside the work, and hand them on, with whether they may have shrunk; or refuse them
    and say why."""
    try:
        rules = await asyncio.to_thread(load, record, read)
    except LenswatchError as error:
        refuse(str(error))
    else:
        take(rules, "may_shrink" in dict(record.headers))
