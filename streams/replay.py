"""Kept observations through today's rules, into a topic beside: what would have been found.

A replay reads the observations topic with a consumer of its own, which joins no group and commits nothing, keeps its
state in memory, and writes to the replay topic only. So whatever it does, no worker and no live table knows of it.
"""

import asyncio
import datetime
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from collector.errors import LenswatchError, SettingsError
from collector.kafka_settings import KafkaSettings
from rules.alert import Alert
from rules.match import RuleSet
from streams import codec
from streams.connection import client_options, consuming, reaching
from streams.geo import GeoFiles
from streams.processors.detect import LookUp, enriched
from streams.processors.egress import Policies
from streams.processors.partition import Outcome, Partition
from streams.settings import Settings
from streams.sinks.sink import Taker
from streams.topics import faults, find_topics, wanted_topics

EARLIEST: Final = "earliest"
POLL_MS: Final = 1_000
MAX_FETCH_BYTES: Final = 4 << 20
STALL_SECONDS: Final = 60.0
_AGO: Final = re.compile(r"(\d{1,5})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Span(NamedTuple):
    """Which records are replayed: those that the broker took in from `since` on, and before `until`. `since` None: all
    that are kept; `until` None: all that are there when the replay begins."""

    since: datetime.datetime | None
    until: datetime.datetime | None


class Replay(msgspec.Struct):
    """What a replay came to. `unreadable` is by reason, `alerts` counts findings by level, `revisions` what was
    written."""

    run: str
    ruleset: str
    topic: str
    records: int = 0
    observations: int = 0
    revisions: int = 0
    duplicates: int = 0
    unreadable: Counter[str] = msgspec.field(default_factory=Counter)
    alerts: Counter[str] = msgspec.field(default_factory=Counter)

    def words(self) -> str:
        """A line for the person who asked."""
        told = ", ".join(f"{count:,} {level}" for level, count in sorted(self.alerts.items())) or "none"
        bad = f", {self.unreadable.total():,} unreadable" if self.unreadable else ""
        return (
            f"replay {self.run}: {self.records:,} records{bad}, {self.observations:,} observations; findings: {told}; "
            f"{self.revisions:,} revisions on {self.topic}; rules {self.ruleset[:12]}"
        )


def read_time(text: str, now: datetime.datetime, option: str) -> datetime.datetime | None:
    """A time as a person writes it: 2026-11-02, 2026-11-02T08:00:00Z (UTC where no zone is said), 7d or 12h ago, or
    `earliest` (None). Raises SettingsError that names the option."""
    if text == EARLIEST:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return now - datetime.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        reason = f"{text!r} is no time; write 2026-11-02T08:00:00Z, 7d or {EARLIEST}"
        raise SettingsError(f"{option}: {reason}") from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


async def replay(
    kafka: KafkaSettings,
    topic: str,
    rules: RuleSet,
    span: Span,
    sinks: Sequence[Taker] = (),
    look_up: LookUp | None = None,
    settle_seconds: float = 30.0,
    policies: Policies | None = None,
) -> Replay:
    """Run the observations' records of a span through the rules, and put what they find on `topic`. Raises
    LenswatchError."""
    done = Replay(uuid.uuid4().hex[:12], rules.digest, topic)
    with reaching(kafka):
        producer = AIOKafkaProducer(
            **client_options(kafka), acks="all", enable_idempotence=True, linger_ms=20, compression_type="zstd",
            max_request_size=codec.MAX_VALUE_BYTES,
        )  # fmt: skip
        await producer.start()
        try:
            run = Run(rules, look_up, settle_seconds, Out(producer, sinks, done), done, policies)
            async with consuming(kafka, max_partition_fetch_bytes=MAX_FETCH_BYTES) as consumer:
                places = await find_places(consumer, kafka.observations_topic, kafka.partitions, span)
                await read_through(consumer, places, run.take)
            await run.finish()
        finally:
            await producer.stop()
    return done


Places = dict[TopicPartition, tuple[int, int]]


async def find_places(consumer: Any, topic: str, count: int, span: Span) -> Places:
    """For each partition that holds anything of the span, its first offset and the one after its last."""
    partitions = [TopicPartition(topic, number) for number in range(count)]
    consumer.assign(partitions)
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    firsts = await _at_time(consumer, partitions, span.since)
    lasts = await _at_time(consumer, partitions, span.until)
    found = {}
    for each in partitions:
        begin = begins[each] if span.since is None else firsts.get(each, ends[each])
        end = min(lasts.get(each, ends[each]), ends[each])
        if begin < end:
            found[each] = (begin, end)
    return found


async def _at_time(
    consumer: Any, partitions: list[TopicPartition], at: datetime.datetime | None
) -> dict[TopicPartition, int]:
    if at is None:
        return {}
    asked = dict.fromkeys(partitions, int(at.timestamp() * 1000))
    found = await consumer.offsets_for_times(asked)
    return {each: answer.offset for each, answer in found.items() if answer is not None}


async def read_through(consumer: Any, places: Places, take: Callable[[Any], Any]) -> None:
    """Every record of the places, in the order of its partition. Raises LenswatchError when the broker gives no more
    before the end."""
    if not places:
        return
    consumer.assign(list(places))
    for each, (begin, _) in places.items():
        consumer.seek(each, begin)
    left, quiet_since = dict(places), asyncio.get_running_loop().time()
    while left:
        found = await consumer.getmany(*left, timeout_ms=POLL_MS)
        now = asyncio.get_running_loop().time()
        for each, records in found.items():
            quiet_since = now
            for record in records:
                if record.offset < places[each][1]:
                    await take(record)
        for each in list(left):
            if await consumer.position(each) >= places[each][1]:
                del left[each]
                consumer.pause(each)
        if now - quiet_since > STALL_SECONDS:
            raise LenswatchError(f"the broker gave nothing for {STALL_SECONDS:.0f} s; the replay is not whole")


def run_replay(settings: Settings, rules: RuleSet, since: str, until: str | None, sinks: Sequence[Taker] = ()) -> str:
    """A replay from the command line: what it came to, in a line. Raises SettingsError, LenswatchError."""
    now = datetime.datetime.now(datetime.UTC)
    span = Span(read_time(since, now, "--replay"), None if until is None else read_time(until, now, "--until"))
    rules.prepare()
    geo = GeoFiles(settings.geo.asn, settings.geo.country)
    worker = settings.worker

    async def whole() -> Replay:
        needed = (settings.kafka.observations_topic, worker.replay_topic)
        wanted = [topic for topic in wanted_topics(settings.kafka, worker) if topic.name in needed]
        wrong = faults(wanted, await find_topics(settings.kafka, wanted))
        if wrong:
            raise LenswatchError("\n".join(wrong))
        try:
            return await replay(
                settings.kafka, worker.replay_topic, rules, span, sinks, geo.look_up, worker.settle_seconds,
                Policies(settings.egress),
            )  # fmt: skip
        finally:
            for sink in sinks:
                await sink.close()

    return asyncio.run(whole()).words()


class Out:
    """Where the findings go."""

    def __init__(self, producer: Any, sinks: Sequence[Taker], done: Replay) -> None:
        self._producer, self._sinks, self._done = producer, sinks, done
        self._headers = [("replay", done.run.encode()), ("ruleset", done.ruleset.encode())]
        self._levels: dict[str, str] = {}

    async def tell(self, news: Sequence[Alert], partition: int) -> None:
        """Put news on the replay topic and into the sinks."""
        sent = [
            await self._producer.send(
                self._done.topic, codec.write_alert(alert), alert.event.id.encode(), partition, headers=self._headers
            )
            for alert in news
        ]
        await asyncio.gather(*sent)
        for alert in news:
            self._levels[alert.event.id] = alert.lenswatch.level
        self._done.revisions += len(news)
        self._done.alerts = Counter(self._levels.values())
        for sink in self._sinks if news else ():
            await sink.deliver(news)


class Run:
    """The partitions of a replay, their tables in memory."""

    def __init__(
        self, rules: RuleSet, look_up: LookUp | None, settle_seconds: float, out: Out, done: Replay,
        policies: Policies | None = None,
    ) -> None:  # fmt: skip
        self._rules, self._look_up, self._settle_seconds, self._policies = rules, look_up, settle_seconds, policies
        self._out, self._done = out, done
        self._tables: dict[int, dict[str, bytes]] = {}
        self._partitions: dict[int, Partition] = {}

    async def take(self, record: Any) -> None:
        """One record, as a worker takes it."""
        number, done = record.partition, self._done
        if number not in self._partitions:
            self._tables[number] = {}
            self._partitions[number] = Partition(number, self._tables[number], (), self._settle_seconds)
        partition = self._partitions[number]
        done.records += 1
        try:
            read = codec.read_record(
                record.headers, record.value, codec.believable(record.timestamp / 1000, time.time()),
                lambda found: enriched(found, self._look_up, self._policies),
            )  # fmt: skip
        except codec.Unreadable as error:
            done.unreadable[error.reason] += 1
            return
        if isinstance(read, codec.Tick):
            outcome = partition.tick(read.at)
        elif isinstance(read, codec.Forget):
            partition.forget(read.device)
            outcome = Outcome([])
        else:
            outcome = partition.take(read.batch, self._rules)
            done.observations += read.lines.count()
            done.duplicates += outcome.duplicate
            fault = read.fault
            if fault is not None:
                done.unreadable[fault.reason] += len(fault.lines)
        for key, data in partition.changes().items():
            if data is None:
                self._tables[number].pop(key, None)
            else:
                self._tables[number][key] = data
        await self._out.tell(outcome.news, number)

    async def finish(self) -> None:
        """No more will come: the last revision of what has counted on."""
        for number, partition in self._partitions.items():
            await self._out.tell(partition.tick(math.inf).news, number)
