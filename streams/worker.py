"""One worker: started, kept, reloaded and drained. Signals, the watchdog and the gauges; what is done with a record is
in `app`."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from collector.errors import LenswatchError
from collector.notify import Notices
from collector.running import rare_collection
from rules.errors import first_line
from rules.match import RuleSet
from rules.succession import refusal, standing_of
from streams.app import Centre, make_app
from streams.connection import consuming, reaching
from streams.delivery import open_dispatch
from streams.geo import GeoFiles
from streams.metrics import Meters, serve
from streams.processors.egress import Policies
from streams.reading import Place
from streams.rule_files import SETTLE_SECONDS, RuleFiles
from streams.rules_topic import RulesTopic, hand_on, reading_rules
from streams.ruleset import rules_for, rules_in
from streams.settings import Settings, state_folder
from streams.sinks.sink import Taker
from streams.topics import faults, find_topics, wanted_topics
from streams.watchdog import DOWN_SECONDS, down_by, go_down, watch

ROUND_SECONDS: Final = 1.0
# With many devices it takes a while to count them: the records have forty times as long.
MEASURE_REST: Final = 40
LAG_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 60.0

LoadRules = Callable[[], RuleSet]


def run_worker(settings: Settings, load: LoadRules, sinks: Sequence[Taker], files: RuleFiles | None = None) -> None:
    """Run until SIGTERM or SIGINT has drained the worker. Raises LenswatchError when it cannot begin, or ended by
    itself."""
    logging.basicConfig(level=logging.ERROR, format="lenswatch: %(name)s: %(message)s", stream=sys.stderr)
    # That no broker answers, it says a hundred times; the lag and the watchdog say it once.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    rules = load()
    rules.prepare()
    with rare_collection():
        asyncio.run(Worker(settings, load, rules, sinks, files).run())


class Worker:
    """The life of one worker in its event loop."""

    def __init__(
        self, settings: Settings, load: LoadRules, rules: RuleSet, sinks: Sequence[Taker],
        files: RuleFiles | None = None,
    ) -> None:  # fmt: skip
        self.settings, self._load, self._rules, self._sinks, self._files = settings, load, rules, sinks, files
        self.meters = Meters()
        self._ended = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None
        self._from_topic = False
        self.centre: Centre | None = None
        self.notices = Notices()
        self.geo = GeoFiles(settings.geo.asn, settings.geo.country)

    async def run(self) -> None:
        """See `run_worker`."""
        settings, worker = self.settings, self.settings.worker
        await self._check_topics()
        if self.geo.missing:
            say(f"no geo file is named for {' and '.join(self.geo.missing)}; `lenswatch doctor` says what is missed")
        dispatch = open_dispatch(settings, self.meters.sinks)
        if dispatch is not None:
            self._sinks = [*self._sinks, dispatch]
        async with reading_rules(settings.kafka, worker.rules_topic, self._read_pack) as topic:
            with reaching(settings.kafka):
                record = await topic.current()
            if record is not None:
                await hand_on(record, self._take, self._refuse, self._read_pack)
            await self._run(topic)

    def _read_pack(self, packed: bytes, signature: bytes | None) -> RuleSet:
        return rules_in(self.settings, packed, signature)

    async def _run(self, topic: RulesTopic) -> None:
        settings, worker = self.settings, self.settings.worker
        app = make_app(settings.kafka, worker, make_folder(state_folder(settings.store) / "worker"))
        self.centre = centre = Centre(
            app, settings.kafka, worker, self._rules, self._sinks, self.meters, self.geo.look_up,
            Policies(settings.egress), settings.baseline.learning_days,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        with contextlib.ExitStack() as stack:
            if worker.metrics_port:
                server = serve(
                    worker.metrics_host, worker.metrics_port, self.meters.registry, lambda: centre.is_ready,
                    problem=lambda: centre.progress.verdict(time.monotonic(), worker.stall_seconds),
                )  # fmt: skip
                stack.callback(server.close)
            watch(centre.progress, worker.stall_seconds, notices=self.notices)
            await self._live(centre, topic)

    async def _check_topics(self) -> None:
        wanted = wanted_topics(self.settings.kafka, self.settings.worker)
        wrong = faults(wanted, await find_topics(self.settings.kafka, wanted))
        if wrong:
            raise LenswatchError("\n".join(wrong))

    async def _live(self, centre: Centre, topic: RulesTopic) -> None:
        """Start, keep the gauges and ticks going, and end: in good order when asked to, at once when the app fails."""
        follow = topic.follow(self._take, self._refuse)
        loops = [self._beats(centre), self._rounds(centre), self._lags(centre), follow]
        if self._files is not None and self.settings.rules.poll_seconds:
            loops.append(self._look(self._files))
        tasks = [asyncio.create_task(each) for each in loops]
        ended = asyncio.create_task(self._ended.wait())
        started = asyncio.create_task(self._start(centre))
        stopped = asyncio.create_task(centre.app.wait_until_stopped())
        try:
            await asyncio.wait({started, ended}, return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                await started
                await asyncio.wait({stopped, ended, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    await task
            if not self._ended.is_set():
                go_down(f"the stream has ended by itself: {centre.app.crash_reason!r}")
            self.notices.stopping()
            timer = down_by(DRAIN_SECONDS, "draining took too long")
            await centre.drain()
            timer.cancel()
        finally:
            for each in (*tasks, started, stopped, ended):
                each.cancel()

    async def _start(self, centre: Centre) -> None:
        with reaching(self.settings.kafka):
            await centre.start()

    async def _beats(self, centre: Centre) -> None:
        """Apart from the rounds, which may wait for a broker: that is no loop that stands still."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            centre.progress.beat = time.monotonic()

    async def _rounds(self, centre: Centre) -> None:
        measure_at = 0.0
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            centre.progress.ready(centre.is_ready, time.monotonic())
            if centre.is_ready:
                self.notices.ready("observations are being read")
            if centre.app.crash_reason is not None:
                down_by(DOWN_SECONDS, f"the stream has failed: {centre.app.crash_reason!r}")
            if not centre.stopping:
                began = time.monotonic()
                if began >= measure_at:
                    centre.measure(time.time())
                    self._measure_geo()
                    measure_at = began + MEASURE_REST * (time.monotonic() - began)
                await centre.tick(time.time())

    async def _lags(self, centre: Centre) -> None:
        """Ask the broker, over a connection of its own, how many records wait."""
        async with consuming(self.settings.kafka) as consumer:
            while True:
                await asyncio.sleep(min(LAG_SECONDS, self.settings.worker.stall_seconds / 4))
                centre.progress.lags(await self._lag(centre, consumer), time.monotonic())
                # Before the watchdog ends the worker: what was read and dropped is asked for once more.
                for place in centre.progress.standing(time.monotonic(), self.settings.worker.stall_seconds / 2):
                    if centre.is_idle:
                        await centre.read_again(place)

    async def _lag(self, centre: Centre, consumer: Any) -> dict[Place, tuple[int, int]] | None:
        """Where each of the worker's partitions stands and where it ends; None when the broker does not say, or the
        tables are not read yet."""
        topics = (centre.observations_topic, self.settings.worker.alerts_topic)
        places = [TopicPartition(topic, number) for topic in topics for number in centre.assigned()]
        if not places or not centre.is_ready:
            return None
        try:
            ends = await asyncio.wait_for(consumer.end_offsets(places), LAG_SECONDS)
        except (KafkaError, OSError, TimeoutError):
            return None
        self.meters.lag.clear()
        known = {}
        for place, end in ends.items():
            position = centre.position(place.topic, place.partition)
            known[Place(place.topic, place.partition)] = (position, end)
            self.meters.lag.labels(place.topic, str(place.partition)).set(max(0, end - position))
        return known

    def _measure_geo(self) -> None:
        """Take geo files that have changed, and say how often they knew nothing."""
        problem = self.geo.refresh()
        if problem is not None:
            say(problem)
        for what, count in self.geo.counts.items():
            self.meters.addresses.labels(what).inc(count)
        self.geo.counts.clear()

    def reload(self) -> None:
        """Read the rules again, beside the work; a reading that is under way goes on. Rules that came by their topic
        are exchanged there."""
        if self._from_topic:
            say(f"the rules are those of {self.settings.worker.rules_topic}; `lenswatch rules publish` sends others")
        elif self._reloading is None or self._reloading.done():
            self.notices.reloading()
            self._reloading = asyncio.create_task(self._reload())

    async def _look(self, files: RuleFiles) -> None:
        """Read the rules again when a file of theirs has changed, as long as they are read from files."""
        while True:
            await asyncio.sleep(SETTLE_SECONDS if files.is_settling else self.settings.rules.poll_seconds)
            # What changes while they are being read is looked at after that, or it would be missed.
            reading = self._reloading is not None and not self._reloading.done()
            if not reading and not self._from_topic and await asyncio.to_thread(files.changed):
                self.reload()

    async def _reload(self) -> None:
        try:
            rules = await asyncio.to_thread(self._load)
            await asyncio.to_thread(rules.prepare)
        except LenswatchError as error:
            self._refuse(first_line(error))
        else:
            if not self._from_topic:
                self._succeed(rules, self.settings.rules.may_shrink)
        finally:
            self.notices.reloaded()

    def _take(self, rules: RuleSet, may_shrink: bool) -> None:
        """Rules that came by their topic; the first take the place of this worker's own, whatever those were."""
        if self._from_topic:
            self._succeed(rules, may_shrink or self.settings.rules.may_shrink)
        else:
            self._from_topic = True
            self._put_in_force(rules)

    def _succeed(self, rules: RuleSet, may_shrink: bool) -> None:
        reason = refusal(standing_of(self._rules), standing_of(rules), may_shrink)
        if reason is None:
            self._put_in_force(rules)
        else:
            self._refuse(reason)

    def _put_in_force(self, rules: RuleSet) -> None:
        self._rules = rules
        if self.centre is not None:
            self.centre.rules = rules
        self.meters.rules.take(rules)
        say(f"rules {rules.digest[:12]} are in force")

    def _refuse(self, reason: str) -> None:
        self.meters.rules.refuse()
        say(f"the rules stay as they were: {reason}")


def make_folder(folder: Path) -> Path:
    """The folder, made where it was missing. Raises LenswatchError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LenswatchError(f"{folder}: cannot be made: {error.strerror}; name another at [store] folder") from error
    return folder


def say(words: str) -> None:
    """A line for the person on standard error."""
    sys.stderr.write(f"lenswatch: {words}\n")
    sys.stderr.flush()


def alert_sink(name: str | None) -> list[Taker]:
    """The sinks that the command line names. Raises LenswatchError."""
    from streams.sinks.jsonl import AlertLines

    return [] if name is None else [AlertLines(name)]


def rules_loader(settings: Settings, folders: Sequence[Path]) -> LoadRules:
    """What reads the rules, at the start and again when asked."""
    return lambda: rules_for(settings, folders)
