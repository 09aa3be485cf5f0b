"""The embedded wiring: one process, from packets to alerts. Source → pipeline → enrich → rules → fold → outputs."""

import dataclasses
import datetime
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from collector.canary import DATASET, Canaries
from collector.capture.source import Source
from collector.errors import CaptureError, SettingsError
from collector.identify.fingerprint import read_fingerprints
from collector.ledger import Ledger
from collector.observation import FLOW_DATASET, Observation
from collector.opening import pipeline_for
from collector.packets import Block
from collector.watched import watched_by
from rules.alert import Alert
from rules.match import RuleSet
from streams.geo import GeoFiles
from streams.processors.baseline import Baseline, Habits
from streams.processors.canary import is_canary
from streams.processors.correlate import Correlate
from streams.processors.declared import DATASET as DECLARED_DATASET
from streams.processors.declared import Register
from streams.processors.detect import Memory, enriched, judge
from streams.processors.egress import Policies
from streams.processors.firmware import Updates, UpdateState
from streams.processors.fold import Fold
from streams.settings import Settings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from collector.workers import Crew

MAX_RUN_ALERTS: Final = 10_000


class Output(Protocol):
    """Takes observations, or alerts, in order."""

    def write(self, documents: Sequence[Observation | Alert]) -> None:
        """Take some documents."""
        ...


@dataclasses.dataclass(slots=True)
class Run:
    """What one run came to. `alerts` holds the last revision of each finding, canaries apart, at most MAX_RUN_ALERTS:
    past that those go that were first, and `gone` counts them by level. `matched` = `told` + `folded` + `waived` (by
    the waiver's id), or the ledger is open. `geo`: addresses of which something is not known, and files taken or
    refused; `uncounted`: what correlations let go, by reason; `declared`: how many devices were declared, how many of
    them seen, and the differences told."""

    ledger: Ledger
    problems: list[str] = dataclasses.field(default_factory=list)
    alerts: dict[str, Alert] = dataclasses.field(default_factory=dict)
    gone: Counter[str] = dataclasses.field(default_factory=Counter)
    observations: int = 0
    matched: int = 0
    told: int = 0
    folded: int = 0
    waived: Counter[str] = dataclasses.field(default_factory=Counter)
    devices: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    geo: Counter[str] = dataclasses.field(default_factory=Counter)
    uncounted: Counter[str] = dataclasses.field(default_factory=Counter)
    declared: Counter[str] = dataclasses.field(default_factory=Counter)

    def by_level(self) -> Counter[str]:
        """Findings by level."""
        return self.gone + Counter(alert.lenswatch.level for alert in self.alerts.values())

    def tell(self, news: Iterable[Alert]) -> None:
        """Keep the last revision of each finding."""
        for alert in news:
            if not is_canary(alert):
                self.alerts.pop(alert.event.id, None)
                self.alerts[alert.event.id] = alert
        for first in list(itertools.islice(self.alerts, max(0, len(self.alerts) - MAX_RUN_ALERTS))):
            self.gone[self.alerts.pop(first).lenswatch.level] += 1

    def open_sums(self) -> list[str]:
        """The sums that do not close, in words."""
        sums = self.ledger.open_sums()
        seen = sum(self.ledger.observations.values())
        if seen != self.observations:
            sums.append(f"rules: {seen} observations made, {self.observations} matched against the rules")
        waived = self.waived.total()
        if self.matched != self.told + self.folded + waived:
            sums.append(f"fold: {self.matched} alerts in, {self.told} told, {self.folded} folded, {waived} waived")
        return sums


class Stories(Output, Protocol):
    """Takes observations, and knows what is usual for a device that they tell of."""

    def habits_of(self, identifier: str) -> Habits | None:
        """What is usual for a device; None where nothing is known of it."""
        ...


class LocalWatch:
    """One sensor in one process. `renew`, where it is set, is asked after each block for rules to go on with; what was
    found and counted so far stays."""

    def __init__(
        self,
        settings: Settings,
        rules: RuleSet,
        on: datetime.date | None = None,
        observations: Sequence[Output] = (),
        crew: "Crew | None" = None,
        stories: Stories | None = None,
        register: Register | None = None,
        updates: MutableMapping[str, UpdateState] | None = None,
    ) -> None:
        self.rules, self.on, self.observations, self.stories = rules, on, observations, stories
        self.renew: Callable[[Block], RuleSet | None] | None = None
        # Where nobody takes every observation, only those that a detection may ask about need be made.
        concerns = None if observations else self._concerns
        self.policies = Policies(settings.egress, register)
        unknown = self.policies.unknown()
        if unknown:
            raise SettingsError(f'the inventory names the policy {unknown[0]!r}: set it at [egress."{unknown[0]}"]')
        watched = (*settings.collector.watched, *self.policies.members())
        collector = msgspec.structs.replace(settings.collector, watched=watched)
        touches = watched_by(collector, lambda: self._touches)
        self.pipeline = pipeline_for(
            settings.capture, collector, read_fingerprints(), concerns, crew, settings.deep, touches,
            lambda: self.rules,
        )  # fmt: skip
        self.register = register
        if register is not None:
            self.pipeline.inventory.expect(register.addresses, register.hardware)
        baseline = None if stories is None else Baseline(stories.habits_of, settings.baseline.learning_days)
        counts: Counter[str] = Counter()
        self.memory = Memory(Fold(), Correlate(counts=counts), Updates(updates, counts=counts), baseline)
        self.geo = GeoFiles(settings.geo.asn, settings.geo.country)
        self.run = Run(self.pipeline.ledger, geo=self.geo.counts, uncounted=self.memory.correlate.counts)
        self.canaries = Canaries(collector.sensor, collector.site, collector.canary_seconds, time.time())

    def watch(
        self,
        sources: Iterable[Source],
        alerts: Sequence[Output] = (),
        progress: Callable[[Block], None] | None = None,
    ) -> Run:
        """Read every source to its end. What cannot be read is a line in `problems`; an interrupt ends the run early,
        and what was read by then is told."""
        began = time.perf_counter()
        try:
            for source in sources:
                try:
                    for block in source.blocks():
                        self._take(self.pipeline.process(block), alerts)
                        self._sing(alerts)
                        self.rules = (self.renew(block) if self.renew is not None else None) or self.rules
                        if progress is not None:
                            progress(block)
                except CaptureError as error:
                    self.run.problems.append(str(error))
        except KeyboardInterrupt:
            self.run.interrupted = True
        self._take(self.pipeline.finish(), alerts)
        self._tell(self.memory.fold.finish(), alerts)
        self.run.folded = self.memory.fold.folded
        self.run.devices = len(self.pipeline.inventory)
        self.run.geo.update(self.policies.counts)
        if self.register is not None:
            self.run.declared = self.register.counts | Counter(
                declared=len(self.register.rows), seen=self.register.seen
            )
        self.run.seconds = time.perf_counter() - began
        return self.run

    def evidence_metrics(self) -> Iterator["Metric"]:
        """What is kept of packets, in Prometheus' words."""
        from collector.evidence.meters import evidence_metrics

        return evidence_metrics(self.pipeline.witness)

    def _concerns(self, dataset: str, name: str | None, direction: str, *more: Any) -> bool:
        # A story tells of every flow to outside that has a name; of one without, detections ask.
        if dataset == FLOW_DATASET and name is not None and direction == "outbound" and self.stories is not None:
            return True
        # The rules that are in force when it is asked, not those of the beginning.
        return self.rules.concerns(dataset, name, direction, *more)

    def _touches(self, *what: Any) -> bool:
        return self.rules.touches(*what)

    def _sing(self, alerts: Sequence[Output]) -> None:
        canaries = self.canaries.due(time.time())
        if canaries:
            self.run.ledger.observations[DATASET] += len(canaries)
            self._take(canaries, alerts)

    def _take(self, found: list[Observation], alerts: Sequence[Output]) -> None:
        problem = self.geo.refresh()
        if problem is not None:
            self.run.problems.append(problem)
        found = enriched(found, self.geo.look_up, self.policies)
        if self.register is not None:
            differences = self.register.compare(found)
            self.run.ledger.observations[DECLARED_DATASET] += len(differences)
            found = found + differences
        if self.stories is not None:
            # First: what is usual for a device is a part of its story.
            self.stories.write(found)
        judged = judge(found, self.rules, lambda _: self.memory, self.on, self.memory.updates.pending)
        self.run.matched += judged.matched
        self.run.told += judged.told
        self.run.waived += judged.waived
        self.run.observations += len(found)
        for output in self.observations:
            output.write(found)
        self._tell(judged.news, alerts)

    def _tell(self, news: list[Alert], alerts: Sequence[Output]) -> None:
        self.run.tell(news)
        for output in alerts:
            output.write(news)
