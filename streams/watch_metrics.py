"""What `lenswatch watch` says of itself to Prometheus, in the words of collector and worker, whose work it does.

What the ledger counts is read when somebody asks, and never counted twice.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.observation import Observation
from collector.page import Reading
from rules.alert import Alert
from rules.match import RuleSet
from streams.local import LocalWatch
from streams.metrics import FindingMeters, SinkMeters, ages_of, serve
from streams.rules_metrics import PREFIX, RulesMeters
from streams.settings import Settings


class WatchMeters(Collector):
    """The metrics of one embedded run; also an output of its alerts and of its observations."""

    def __init__(self, rules: RuleSet) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.findings, self.sinks = FindingMeters(self.registry), SinkMeters(self.registry)
        self.rules = RulesMeters(self.registry)
        self.rules.show(rules)
        self._waived: Counter[str] = Counter()
        self._local: LocalWatch | None = None
        self._problem: Callable[[], str] = lambda: ""
        self._reading = Reading(lambda: 0 if self._local is None else self._local.run.ledger.packets_in)
        self.registry.register(self)

    def watches(self, local: LocalWatch, problem: Callable[[], str]) -> None:
        """The run that is spoken of; `problem` says why its reading stands still, "" when it does not."""
        self._local, self._problem = local, problem

    def problem(self) -> str:
        """Why the run does not get on; "" when it does."""
        return self._problem()

    def write(self, documents: Sequence[Observation | Alert]) -> None:
        """Count observations, or alerts."""
        self.findings.tell(each for each in documents if isinstance(each, Alert))
        if self._local is None:
            return
        sent: Counter[tuple[str, str, str]] = Counter()
        observations = (each for each in documents if isinstance(each, Observation))
        self.findings.add_sent(observations, self._local.rules, sent)
        self.findings.see(sent)
        if self._local.run.waived != self._waived:
            waived = self._local.run.waived.copy()
            self.rules.waive(waived - self._waived)
            self._waived = waived

    @property
    def is_ready(self) -> bool:
        """Whether packets are being read."""
        return not self._reading.why_not()

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        local = self._local
        if local is None:
            return
        ledger = local.run.ledger
        for name, words, value in (
            ("collector_packets", "Packets that came in", ledger.packets_in),
            ("collector_bytes", "Bytes of packets that came in", ledger.bytes_in),
            ("matcher_observations", "Observations that the rules were asked of", local.run.observations),
        ):
            yield CounterMetricFamily(PREFIX + name, words, value=value)
        seen = CounterMetricFamily(PREFIX + "collector_observations", "Observations made", labels=("dataset",))
        for dataset, count in sorted(dict(ledger.observations).items()):
            seen.add_metric((dataset,), count)
        yield seen
        unasked = CounterMetricFamily(PREFIX + "collector_unasked", "Read, and not to be told of", labels=("dataset",))
        for dataset, count in sorted(dict(ledger.unasked).items()):
            unasked.add_metric((dataset,), count)
        yield unasked
        words = "What a stage let go, in its own units"
        dropped = CounterMetricFamily(PREFIX + "collector_dropped", words, labels=("stage", "reason"))
        for (stage, reason), count in sorted(dict(ledger.let_go).items()):
            dropped.add_metric((stage, reason), count)
        yield dropped
        hits = CounterMetricFamily(PREFIX + "rule_hits", "Hits of the rules, by their fate", labels=("result",))
        hits.add_metric(("told",), local.run.told)
        hits.add_metric(("folded",), local.memory.fold.folded)
        hits.add_metric(("waived",), sum(local.run.waived.values()))
        yield hits
        sensor = GaugeMetricFamily(PREFIX + "sensor_info", "Which sensor this is", labels=("sensor", "site"))
        sensor.add_metric((local.canaries.sensor, local.canaries.site), 1)
        yield sensor
        ages = GaugeMetricFamily(
            PREFIX + "devices_updated", "Devices by the days since an update of theirs was seen", labels=("age",)
        )
        states = [state.clock.updated_at for state in list(local.memory.updates.devices.values())]
        updated = [None if at is None else at.timestamp() for at in states]
        for age, count in ages_of(updated, time.time()).items():
            ages.add_metric((age,), count)
        yield ages
        yield from local.evidence_metrics()
        for name, words, number in (
            ("devices_known", "Devices that were seen", len(local.pipeline.inventory)),
            ("findings_open", "Findings that have not ended", len(local.memory.fold)),
            ("ledger_open_sums", "Sums of the loss ledger that do not close", len(ledger.open_sums())),
            ("worker_ready", "1 when packets are being read", int(self.is_ready)),
        ):
            yield GaugeMetricFamily(PREFIX + name, words, value=number)


@contextlib.contextmanager
def watch_metrics(settings: Settings, rules: RuleSet) -> Iterator[WatchMeters]:
    """The metrics of a run, shown where the settings say. Raises LenswatchError when they cannot be."""
    meters = WatchMeters(rules)
    if not settings.watch.metrics:
        yield meters
        return
    host, _, port = settings.watch.metrics.rpartition(":")
    server = serve(
        host.strip("[]"), int(port), meters.registry, lambda: meters.is_ready, "[watch] metrics", meters.problem
    )
    try:
        yield meters
    finally:
        server.close()
