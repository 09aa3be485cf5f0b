"""The Faust wiring: observations → *detect* → the alerts topic → *deliver* → sinks.

Faust keeps the partitions, the tables and the commits; everything that is decided is decided in `processors`. Nothing
is committed before all that it changed is kept by the broker: first alerts and dead letters, then the tables, then the
offset (`Centre.settle`, `faust_patch`). Anything unforeseen takes the process down with the record uncommitted, and the
record is read again.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalStateError
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types import TP
from faust.types.auth import CredentialsT
from yarl import URL

from collector.kafka_settings import KafkaSettings
from collector.observation import Observation
from rules.alert import Alert
from rules.match import RuleSet
from streams import codec
from streams.connection import OAUTH, client_options
from streams.faust_patch import apply_patch, committed_offset, has_its_place, keep_place
from streams.handing import Handing
from streams.metrics import Meters, ages_of
from streams.processors.baseline import LEARNING_DAYS
from streams.processors.delivery import Deliveries, known_of
from streams.processors.detect import LookUp, enriched
from streams.processors.egress import Policies
from streams.processors.entry import heads_of
from streams.processors.partition import Outcome, Partition
from streams.reading import Place, Reading, Turn
from streams.sending import Sending
from streams.settings import WorkerSettings
from streams.sinks.sink import Taker
from streams.table import TextTable, pack_key
from streams.topics import DELIVERED_TABLE, DEVICES_TABLE
from streams.watchdog import Progress, go_down

COMMIT_EVERY: Final = 10_000
"""Records: Faust reads no more until such a commit is made, so that those by the clock must come before."""
BUFFERED_RECORDS: Final = 64
# What one fetch brings of a partition is handed out before the next one's turn, be it another's observations or alerts
# that wait to be delivered. One record always comes, however large it is.
FETCH_BYTES: Final = 256 << 10
BATCH_BYTES: Final = 256 << 10
REQUEST_BYTES: Final = 2 << 20
REQUEST_SECONDS: Final = 60.0
REBALANCE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 300.0
HAND_ON_SECONDS: Final = 0.02
"""So long the sinks rest after they were given alerts: what comes meanwhile goes with the next."""

MAX_UNWRITTEN: Final = 10_000
"""Entries that are changed and not written: what they were and what they are is in memory until they are, so that past
so many the next record waits for it."""
MAX_TOLD: Final = 1_000
"""Alerts that were told and are not back from their topic: of so many it is remembered what their bytes say."""


def credentials_of(kafka: KafkaSettings) -> CredentialsT | None:
    """Who we are, as Faust takes it; None where the connection is plain. Raises SettingsError."""
    options = client_options(kafka)
    context = options.get("ssl_context")
    if context is None:
        return None
    if kafka.sasl_mechanism is None:
        return SSLCredentials(context=context)
    # Without the context Faust would go on in plain text, and say nothing.
    if kafka.sasl_mechanism == OAUTH:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    return SASLCredentials(
        username=options["sasl_plain_username"], password=options["sasl_plain_password"],
        mechanism=kafka.sasl_mechanism, ssl_context=context,
    )  # fmt: skip


def time_of(message: Any) -> float:
    """When a record was sent, seconds since 1970."""
    return codec.believable(message.timestamp, time.time())


def make_app(kafka: KafkaSettings, settings: WorkerSettings, folder: Path) -> faust.App:
    """A Faust app that does nothing by itself: no web server, no topics of its own making, no discovery. Raises
    SettingsError."""
    apply_patch()
    return faust.App(
        settings.group,
        broker=[URL(f"kafka://{server}") for server in kafka.addresses],
        broker_credentials=credentials_of(kafka),
        version=1,
        datadir=str(folder),
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=kafka.partitions,
        table_standby_replicas=0,
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=settings.session_seconds / 10,
        broker_rebalance_timeout=REBALANCE_SECONDS,
        broker_max_poll_interval=POLL_SECONDS,
        broker_commit_interval=settings.commit_seconds,
        broker_commit_every=COMMIT_EVERY,
        stream_buffer_maxsize=BUFFERED_RECORDS,
        stream_wait_empty=True,
        consumer_max_fetch_size=FETCH_BYTES,
        broker_max_poll_records=BUFFERED_RECORDS,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance,
    )


class Centre:
    """The two agents and their tables. `rules` may be exchanged between two records."""

    def __init__(
        self,
        app: faust.App,
        kafka: KafkaSettings,
        settings: WorkerSettings,
        rules: RuleSet,
        sinks: Sequence[Taker],
        meters: Meters,
        look_up: LookUp | None = None,
        policies: Policies | None = None,
        learning_days: int = LEARNING_DAYS,
        down: Callable[[str], None] = go_down,
    ) -> None:
        self.app, self.settings, self.rules, self.sinks, self.meters = app, settings, rules, sinks, meters
        self.handing = Handing(
            sinks, lambda name, count: meters.deliveries.labels(name, "ok").inc(count), self._unkept, HAND_ON_SECONDS
        )  # fmt: skip
        self.look_up, self.policies, self.learning_days, self.down = look_up, policies, learning_days, down
        self.kafka, self.observations_topic = kafka, kafka.observations_topic
        self.progress = Progress(time.monotonic())
        self.partitions: dict[int, Partition] = {}
        self.deliveries: dict[int, Deliveries] = {}
        self.reading = Reading()
        self._told: dict[bytes, Alert] = {}
        self._telling, self._settling = asyncio.Lock(), asyncio.Lock()
        self.stopping = self.recovered = False
        self._busy = 0
        self.devices = self._table(DEVICES_TABLE, kafka.partitions)
        self.delivered = self._table(DELIVERED_TABLE, kafka.partitions)
        raw: dict[str, Any] = {
            "value_type": bytes,
            "value_serializer": "raw",
            "key_type": bytes,
            "key_serializer": "raw",
        }
        self.detect = app.agent(app.topic(kafka.observations_topic, **raw), name="detect", concurrency=1)(self._detect)
        self.deliver = app.agent(app.topic(settings.alerts_topic, **raw), name="deliver", concurrency=1)(self._deliver)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_recovered)
        meters.rules.show(rules)

    def _table(self, name: str, partitions: int) -> TextTable:
        return TextTable(self.app.Table(name, key_type=bytes, value_type=bytes, partitions=partitions))

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        """What was known of the partitions is another's now; their tables are read again when they come back."""
        self.recovered = False
        self._leave()
        self.meters.rebalances.inc()

    def _leave(self) -> None:
        self.reading.leave()
        for table in (self.devices, self.delivered):
            table.staged.clear()
        self.partitions.clear()
        self.deliveries.clear()
        self._told.clear()

    async def _on_recovered(self, *_: Any, **__: Any) -> None:
        """The tables are whole. Nobody may look at them before: half a table is taken for all there is. Faust may say
        so once too often, of a recovery that the next has overtaken; what was believed then is not believed on."""
        self._leave()
        self.recovered = True

    async def _detect(self, stream: Any) -> None:
        await self._work(stream, self.take)

    async def _deliver(self, stream: Any) -> None:
        await self._work(stream, self.hand_on)

    async def _work(self, stream: Any, do: Callable[[Any, bytes | None], Awaitable[None]]) -> None:
        async for event in stream.events():
            message = event.message
            place = Place(message.topic, message.partition)
            with self._unharmed(message):
                turn = self.reading.meet(place, message.offset)
                if turn is Turn.GO_BACK:
                    self.meters.turned_back.inc()
                    await self.read_again(place)
                elif turn is Turn.NOW:
                    await do(message, event.value)
                    self.reading.finish(place, message.offset)
                    self.meters.progress.set_to_current_time()

    async def read_again(self, place: Place) -> None:
        """Read a partition again from where it stands, unless it is another's by now."""
        offset = self.reading.done.get(place)
        if offset is not None:
            with contextlib.suppress(IllegalStateError):
                await self.app.consumer.seek_wait({TP(*place): offset})

    @contextlib.contextmanager
    def _unharmed(self, message: Any) -> Iterator[None]:
        """Whatever goes wrong with a record, it is not done for that, and the process ends."""
        self._busy += 1
        try:
            yield
        except BaseException as error:
            if not (self.stopping and isinstance(error, asyncio.CancelledError)):
                place = Place(message.topic, message.partition)
                self.down(f"{place} at {message.offset}: {type(error).__name__}: {error}")
            raise
        finally:
            self._busy -= 1

    async def take(self, message: Any, value: bytes | None) -> None:
        """One record of the observations topic: its alerts told, its devices written."""
        began = time.perf_counter()
        try:
            sent: Counter[tuple[str, str, str]] = Counter()
            read = codec.read_record(message.headers, value, time_of(message), lambda found: self._look(found, sent))
        except codec.Unreadable as error:
            self.meters.records.labels("dead").inc()
            await self._bury(error.reason, error.words, value or b"", message, value)
            return
        partition = self._partition(message.partition)
        # Between what a record changes and the telling of it nobody may write the change.
        async with self._telling:
            if isinstance(read, codec.Tick):
                self.meters.records.labels("tick").inc()
                outcome = partition.tick(read.at)
            elif isinstance(read, codec.Forget):
                self.meters.records.labels("forget").inc()
                partition.forget(read.device)
                outcome = Outcome([])
            else:
                outcome = self._match(partition, read, sent)
                fault = read.fault
                if fault is not None:
                    await self._bury(fault.reason, fault.words, b"\n".join(fault.lines), message, value)
            await self._tell(outcome.news, message.partition)
        self.meters.seconds.observe(time.perf_counter() - began)
        if sum(each.unwritten for each in self.partitions.values()) >= MAX_UNWRITTEN:
            await self.settle()

    def _look(self, found: list[Observation], sent: Counter[tuple[str, str, str]]) -> list[Observation]:
        """Observations with all that is known of them; `sent` counts what cameras sent out."""
        known = enriched(found, self.look_up, self.policies)
        self.meters.findings.add_sent(known, self.rules, sent)
        return known

    def _match(self, partition: Partition, read: codec.Read, sent: Counter[tuple[str, str, str]]) -> Outcome:
        outcome = partition.take(read.batch, self.rules)
        self.meters.records.labels("read").inc()
        self.meters.observations.inc(read.lines.count())
        if not outcome.duplicate:
            self.meters.findings.see(sent)
        if outcome.matched:
            self.meters.hits.labels("told").inc(outcome.told)
            waived = sum(outcome.waived.values())
            self.meters.rules.waive(outcome.waived)
            self.meters.hits.labels("waived").inc(waived)
            self.meters.hits.labels("folded").inc(outcome.matched - outcome.told - waived)
        if outcome.duplicate:
            self.meters.duplicates.labels("record").inc()
        return outcome

    async def _tell(self, news: Sequence[Alert], partition: int) -> None:
        for alert in news:
            value = codec.write_alert(alert)
            await self.send(self.settings.alerts_topic, partition, alert.event.id.encode(), value)
            if len(self._told) >= MAX_TOLD:
                del self._told[next(iter(self._told))]
            self._told[value] = alert
        self.meters.tell(news)

    async def _bury(self, reason: str, words: str, unreadable: bytes, message: Any, value: bytes | None) -> None:
        """Put what cannot be read on the dead-letter topic."""
        place = (message.topic, message.partition, message.offset)
        letter = codec.write_dead_letter(reason, words, unreadable, value, message.headers, place, time_of(message))
        await self.send(self.settings.dead_letters_topic, 0, None, letter)
        self.meters.dead_letters.labels(reason).inc()

    async def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Any = None
    ) -> None:
        """Send a record. Whether the broker has it is waited for before anything is committed."""
        await self.sending.send(Place(topic, partition), key, value, headers)

    def _untaken(self, error: BaseException) -> None:
        self.down(f"the broker did not take a record: {type(error).__name__}: {error}")

    def _unkept(self, error: BaseException) -> None:
        self.down(f"a sink did not take an alert: {type(error).__name__}: {error}")

    async def holds_its_place(self) -> bool:
        """Whether the partitions are still this worker's, as the broker knows it."""
        return await has_its_place(self.app.consumer)

    async def settle(self) -> bool:
        """Wait until the broker has all that was told, and the sinks all that was handed to them; then write what the
        same records changed: a record whose change is known is not told again. False, and nothing is written, when the
        partitions are another's by now, who writes by himself. Raises what went wrong."""
        # One after the other: of two values of a key the later one must be written last.
        async with self._settling:
            async with self._telling:
                for number, partition in self.partitions.items():
                    self.devices.stage(number, partition.changes())
            staged = [(table, dict(table.staged)) for table in (self.devices, self.delivered)]
            await asyncio.gather(self.sending.settle(), self.handing.settle())
            if not await self.holds_its_place():
                return False
            for table, changes in staged:
                table.keep(changes)
                for key, change in changes.items():
                    await self.send(table.topic, change.partition, pack_key(key), change.data)
            await self.sending.settle()
            return True

    async def hand_on(self, message: Any, value: bytes | None) -> None:
        """One record of the alerts topic: given to every sink, unless it was already."""
        if value is None:
            return
        try:
            # Most were told here a moment ago.
            alert = self._told.pop(value, None) or codec.read_alert(value)
        except codec.Unreadable as error:
            await self._bury(error.reason, error.words, value, message, value)
            return
        deliveries = self._deliveries(message.partition)
        if not deliveries.is_news(alert):
            self.meters.duplicates.labels("alert").inc()
            return
        await self.handing.take(alert)
        self.delivered.stage(message.partition, deliveries.delivered(alert))

    def _partition(self, number: int) -> Partition:
        """What is known of a partition; after a rebalance it is read from the table."""
        known = self.partitions.get(number)
        if known is None:
            heads = heads_of(self.devices.items())
            settle, learning = self.settings.settle_seconds, self.learning_days
            known = Partition(number, self.devices, heads.get(number, ()), settle, learning_days=learning)
            self.partitions[number] = known
        return known

    def _deliveries(self, number: int) -> Deliveries:
        known = self.deliveries.get(number)
        if known is None:
            known = Deliveries(number, known_of(self.delivered.items()).get(number, ()))
            self.deliveries[number] = known
        return known

    def assigned(self) -> set[int]:
        """The partitions of the observations topic that are this worker's now."""
        with contextlib.suppress(Exception):
            return {tp.partition for tp in self.app.consumer.assignment() if tp.topic == self.observations_topic}
        return set()

    def position(self, topic: str, partition: int) -> int:
        """The offset up to which all is done and committed. What Faust passed over stays below it, and waits."""
        return committed_offset(self.app.consumer, TP(topic, partition))

    @property
    def is_idle(self) -> bool:
        """Whether no record is at work."""
        return self._busy == 0

    @property
    def is_ready(self) -> bool:
        """Whether the worker has its partitions and its tables."""
        return self.recovered and self.app.flow_control.is_active()

    async def tick(self, at: float) -> None:
        """Put a tick into every partition of which one is due."""
        for number in self.assigned():
            if self.is_ready and self._partition(number).is_due(at):
                await self.send(self.observations_topic, number, None, b"", codec.write_tick(at))

    def measure(self, at: float) -> None:
        """Bring the gauges up to date; of a partition that has just come too, whose findings are open all the same."""
        if self.is_ready:
            for number in self.assigned():
                self._partition(number)
        meters, silent, devices = self.meters, 0, 0
        sensors: dict[str, float] = {}
        for partition in self.partitions.values():
            for key in partition.sensors:
                sensor, last = key.split("/", 2)[2], partition.seen[key]
                sensors[sensor] = max(last, sensors.get(sensor, last))
            devices += len(partition) - len(partition.sensors)
            silent += partition.silent(at - self.settings.silent_seconds)
            meters.evicted.labels(DEVICES_TABLE).inc(partition.evicted)
            meters.refused.inc(partition.refused)
            meters.missed.inc(partition.shelf.missed)
            partition.evicted = partition.refused = partition.shelf.missed = 0
            for reason, count in partition.let_go.items():
                meters.uncounted.labels(reason).inc(count)
            partition.let_go.clear()
        for deliveries in self.deliveries.values():
            meters.evicted.labels(DELIVERED_TABLE).inc(deliveries.evicted)
            deliveries.evicted = 0
        updated: list[float | None] = []
        for partition in self.partitions.values():
            partition.read_updates()
            updated += partition.updated.values()
        for age, count in ages_of(updated, at).items():
            meters.updated.labels(age).set(count)
        meters.open.set(sum(partition.open_findings for partition in self.partitions.values()))
        meters.devices.set(devices)
        meters.silent.set(silent)
        meters.set_sensors(sensors.items())
        meters.entries.labels(DEVICES_TABLE).set(sum(map(len, self.partitions.values())))
        meters.entries.labels(DELIVERED_TABLE).set(sum(map(len, self.deliveries.values())))
        meters.ready.set(self.is_ready)

    async def start(self) -> None:
        """Join the group, read the tables, begin."""
        # Nothing goes by Faust's own producer: it may send twice, forgets what failed, and a flush of it gives up.
        options = client_options(self.kafka) | {"request_timeout_ms": int(REQUEST_SECONDS * 1000)}
        self._teller = AIOKafkaProducer(
            **options, enable_idempotence=True, acks="all", compression_type="zstd", max_request_size=REQUEST_BYTES,
            max_batch_size=BATCH_BYTES,
        )  # fmt: skip
        await self._teller.start()
        self.sending = Sending(self._teller, self._untaken)
        keep_place(self.app.consumer, self.reading, lambda: self.recovered, self.settle)
        await self.app.start()

    async def drain(self) -> None:
        """Take no more, finish what was begun, commit it, and stop."""
        self.stopping = True
        self.app.flow_control.suspend()
        while self._busy:
            await asyncio.sleep(0.01)
        await self.app.stop()
        await self.sending.settle()
        await self._teller.stop()
        for sink in self.sinks:
            await sink.close()
