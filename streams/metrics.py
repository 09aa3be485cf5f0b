"""What a worker says of itself to Prometheus, and whether it lives and is ready. Labels have few values only."""

import collections
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, make_wsgi_app

from collector.errors import LenswatchError
from collector.observation import CAMERA_KINDS, Observation
from collector.page import Page
from rules.alert import Alert, AlertDetail, ListingBasis, Verdict
from rules.match import RuleSet
from rules.verdict import OUTCOMES
from streams.processors.canary import is_canary
from streams.rules_metrics import NONE, OTHER, PREFIX, RulesMeters

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MAX_SENSORS: Final = 100
DELIVERY_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELAY_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
FINDING_LABELS: Final = ("rule", "severity", "company", "role", "site", "sensor")
VERDICT_LABELS: Final = ("programme", "profile", "outcome")
COMPANY_LABELS: Final = ("company", "programme", "outcome", "site")
EGRESS_LABELS: Final = ("company", "country", "site")
FLOW: Final = "lenswatch.flow"
MAX_FINDING_SERIES: Final = 2_000
MAX_UPDATES: Final = 10_000
AGES: Final = (("30d", 30.0), ("90d", 90.0), ("180d", 180.0), ("365d", 365.0), ("older", math.inf))
"""How long ago a device was updated: the name, and the most days."""
NEVER: Final = "never"
UPDATE_LABELS: Final = ("step", "origin", "company")


class Meters:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, words, labels, registry=registry)

        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(PREFIX + name, words, labels, registry=registry)

        self.records = counter("matcher_records", "Records of the observations topic that were read.", "result")
        self.observations = counter("matcher_observations", "Observations that the rules were asked of.")
        self.seconds = Histogram(
            PREFIX + "matcher_record_duration_seconds", "Time from a record's reading to its being done.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.duplicates = counter("matcher_duplicates", "What came again and was not counted again.", "scope")
        self.hits = counter("rule_hits", "Hits of the rules, told or folded.", "result")
        self.dead_letters = counter("dead_letters", "Records, or lines of one, that could not be read.", "reason")
        self.alerts = counter("alerts_emitted", "Revisions of alerts that were told.", "severity")
        self.findings, self.sinks = FindingMeters(registry), SinkMeters(registry)
        self.deliveries = self.sinks.deliveries
        self.evicted = counter("table_evictions", "Entries that were let go for want of room.", "table")
        self.open = gauge("findings_open", "Findings that have not ended, of this worker's partitions.")
        self.refused = counter("findings_ended_early", "Findings that were ended for want of room.")
        self.missed = counter(
            "findings_without_grounds", "Findings that were let go: what the rules say in them is not in the table."
        )
        self.uncounted = counter("correlation_let_go", "What correlations did not count, or forgot.", "reason")
        self.addresses = counter(
            "geo_events", "Addresses of which something is not known; files taken, refused.", "what"
        )
        self.rules = RulesMeters(registry)
        self.devices = gauge("devices_known", "Devices of this worker's partitions.")
        self.updated = gauge("devices_updated", "Devices by the days since an update of theirs was seen.", "age")
        self.silent = gauge("devices_silent", "Devices that were not seen for a while.")
        self.sensors = gauge("sensor_last_seen_timestamp_seconds", "When a sensor's newest packet was.", "sensor")
        self.entries = gauge("table_entries", "Entries of a table, of this worker's partitions.", "table")
        self.lag = gauge("consumer_lag_records", "Records that wait to be read.", "topic", "partition")
        self.progress = gauge("last_progress_timestamp_seconds", "When a record was last done.")
        self.rebalances = counter("rebalances", "Times that the partitions were shared out anew.")
        self.turned_back = counter("turned_back", "Times that a record came before its turn and was read again.")
        self.ready = gauge("worker_ready", "1 when the worker has its partitions and its tables.")

    def set_sensors(self, seen: Iterable[tuple[str, float]]) -> None:
        """When each sensor was last seen; past the bound they are one, the oldest time of them."""
        self.sensors.clear()
        oldest = None
        for number, (sensor, at) in enumerate(sorted(seen)):
            if number < MAX_SENSORS:
                self.sensors.labels(sensor).set(at)
            else:
                oldest = at if oldest is None else min(oldest, at)
        if oldest is not None:
            self.sensors.labels(OTHER).set(oldest)

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Revisions of alerts were told."""
        for level, count in collections.Counter(alert.lenswatch.level for alert in alerts).items():
            self.alerts.labels(level).inc(count)
        self.findings.tell(alerts)


class SinkMeters:
    """What becomes of alerts on their way to each sink. The sinks are those of the settings, twenty at most."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str) -> Gauge:
            return Gauge(PREFIX + name, words, ("sink",), registry=registry)

        def histogram(name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(PREFIX + name, words, ("sink",), buckets=buckets, registry=registry)

        self.deliveries = Counter(
            PREFIX + "sink_deliveries", "Revisions of alerts that a sink was given, by what became of it.",
            ("sink", "result"), registry=registry,
        )  # fmt: skip
        self.dropped = Counter(
            PREFIX + "sink_dropped", "Revisions of alerts that were let go undelivered.", ("sink", "reason"),
            registry=registry,
        )  # fmt: skip
        self.up = gauge("sink_up", "1 while the sink takes alerts.")
        self.queue = gauge("sink_queue_depth", "Revisions of alerts that wait for the sink.")
        self.oldest = gauge("sink_oldest_age_seconds", "How long the first of them has waited.")
        self.delivered_at = gauge("sink_last_delivery_timestamp_seconds", "When the sink last took an alert.")
        self.canary = gauge("canary_last_delivery_timestamp_seconds", "When the sink last took a canary.")
        self.seconds = histogram("sink_delivery_duration_seconds", "How long a delivery took.", DELIVERY_SECONDS)
        self.delay = histogram("sink_delay_seconds", "From an alert's being told to its delivery.", DELAY_SECONDS)

    def prepare(self, sink: str) -> None:
        """Show a sink before anything has become of it."""
        self.up.labels(sink).set(1)
        for result in ("ok", "undelivered", "unreachable"):
            self.deliveries.labels(sink, result)
        self.dropped.labels(sink, "full")
        self.seconds.labels(sink)
        self.delay.labels(sink)


class Labels(NamedTuple):
    """What findings are told apart by: FINDING_LABELS, the country that was called, and which listings and verdicts
    they have, by identity, since many have the very same."""

    finding: tuple[str, ...]
    country: str
    listings: tuple[int, ...]
    verdicts: tuple[int, ...]


class Series(NamedTuple):
    """The counter of some labels; `folded` is the name of its metric where it stands for others too."""

    counter: Counter
    folded: str | None = None


class Alike(NamedTuple):
    """What findings of the same labels have, and where they are counted."""

    listings: Sequence[ListingBasis] | None
    verdicts: Sequence[Verdict] | None
    series: list[Series]


class FindingMeters:
    """What was found: each finding counts once, when it is new. Past `max_series` combinations of labels, what is more
    counts as "other", and `label_overflow` says how often."""

    def __init__(self, registry: CollectorRegistry, max_series: int = MAX_FINDING_SERIES) -> None:
        self.max_series = max_series
        self._known: dict[str, dict[tuple[str, ...], Series]] = {}
        self._alike: dict[Labels, Alike] = {}

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, words, labels, registry=registry)

        self.findings = counter("findings", "Findings.", *FINDING_LABELS)
        self.programmes = counter("finding_programmes", "Findings, by programme in force.", "programme", "severity")
        self.countries = counter("finding_countries", "Findings, by the country of the address called.", "country")
        self.egress = counter("device_egress_bytes", "Bytes that cameras sent out, and to whom.", *EGRESS_LABELS)
        self.updates = counter("firmware_steps", "Steps of firmware updates, each once.", *UPDATE_LABELS)
        self._steps: OrderedDict[str, set[str]] = OrderedDict()
        self.overflow = counter("label_overflow", "Times that a label was folded into other.", "metric")
        self.verdicts = counter(
            "finding_verdicts", "Findings, by what each programme says of them to whom.", *VERDICT_LABELS
        )
        self.companies = counter(
            "finding_company_verdicts", "Findings, by company, and what each programme says of it.", *COMPANY_LABELS
        )

    def see(self, sent: Mapping[tuple[str, str, str], int]) -> None:
        """Count what `add_sent` has added up."""
        for values, count in sent.items():
            self._inc("device_egress_bytes", self.egress, values, count)

    @staticmethod
    def add_sent(
        observations: Iterable[Observation], rules: RuleSet, sent: collections.Counter[tuple[str, str, str]]
    ) -> None:
        """Add up what cameras and recorders sent out, by EGRESS_LABELS: the flows that have ended."""
        for observation in observations:
            count, detail = observation.source.bytes, observation.lenswatch
            if not count or observation.event.dataset != FLOW or observation.network.direction != "outbound":
                continue
            if detail is None or detail.device is None or detail.device.type not in CAMERA_KINDS:
                continue
            contact = rules.contact(observation)
            geo = observation.destination.geo
            company = contact.entity_id if contact is not None else NONE
            sent[company, geo.country_iso_code if geo is not None else NONE, detail.site or NONE] += count

    def tell(self, alerts: Iterable[Alert]) -> None:
        """Count findings when they are new; a canary is none."""
        counts: collections.Counter[Labels] = collections.Counter()
        alike: dict[Labels, Alert] = {}
        for alert in alerts:
            self._tell_steps(alert)
            if alert.lenswatch.state == "new" and not is_canary(alert):
                labels = labels_of(alert)
                counts[labels] += 1
                alike[labels] = alert
        for labels, count in counts.items():
            self._tell_new(labels, alike[labels].lenswatch, count)

    def _tell_new(self, labels: Labels, detail: AlertDetail, count: int) -> None:
        """Count so many findings that have the same labels, listings and verdicts."""
        known = self._alike.get(labels)
        if known is None:
            if len(self._alike) >= self.max_series:
                self._alike.clear()
            # With the listings and the verdicts, or others could come to have their identity.
            known = self._alike[labels] = Alike(detail.listings, detail.verdicts, list(self._series_of(labels, detail)))
        for series in known.series:
            self._add(series, count, count)

    def _series_of(self, labels: Labels, detail: AlertDetail) -> Iterator[Series]:
        yield self._series("findings", self.findings, labels.finding)
        for programme in sorted({each.programme for each in detail.listings or ()}):
            yield self._series("finding_programmes", self.programmes, (programme, detail.level))
        # Several companies stand behind one finding: of what a programme says of each the strongest counts.
        said: dict[tuple[str, str], str] = {}
        of: dict[tuple[str, str], str] = {}
        for verdict in detail.verdicts or ():
            if verdict.waiver is None and verdict.concerns:
                key, whose = (verdict.programme, verdict.profile or NONE), (verdict.entity, verdict.programme)
                said[key] = min(said.get(key, verdict.outcome), verdict.outcome, key=OUTCOMES.index)
                of[whose] = min(of.get(whose, verdict.outcome), verdict.outcome, key=OUTCOMES.index)
        for key, outcome in sorted(said.items()):
            yield self._series("finding_verdicts", self.verdicts, (*key, outcome))
        for whose, outcome in sorted(of.items()):
            yield self._series("finding_company_verdicts", self.companies, (*whose, outcome, detail.site or NONE))
        yield self._series("finding_countries", self.countries, (labels.country,))

    def _tell_steps(self, alert: Alert) -> None:
        detail = alert.lenswatch
        if not detail.steps or detail.update is None:
            return
        known = self._steps.pop(alert.event.id, None) or set()
        if len(self._steps) >= MAX_UPDATES:
            self._steps.popitem(last=False)
        self._steps[alert.event.id] = known
        for step in detail.steps:
            if step.step not in known:
                known.add(step.step)
                company = detail.entity.id if detail.entity is not None else NONE
                self._inc("firmware_steps", self.updates, (step.step, detail.update.origin, company))

    def _inc(self, name: str, counter: Counter, values: tuple[str, ...], by: float = 1) -> None:
        self._add(self._series(name, counter, values), by, 1)

    def _add(self, series: Series, by: float, times: int) -> None:
        if series.folded is not None:
            self.overflow.labels(series.folded).inc(times)
        series.counter.inc(by)

    def _series(self, name: str, counter: Counter, values: tuple[str, ...]) -> Series:
        known = self._known.setdefault(name, {})
        series = known.get(values)
        if series is None:
            if len(known) >= self.max_series:
                return Series(counter.labels(*(OTHER,) * len(values)), name)
            series = known[values] = Series(counter.labels(*values))
        return series


def labels_of(alert: Alert) -> Labels:
    """The labels of a finding, for as long as it lives."""
    detail, geo = alert.lenswatch, alert.destination.geo
    company = detail.entity.id if detail.entity is not None else NONE
    finding = (alert.rule.name, detail.level, company, detail.role or NONE, detail.site or NONE, alert.observer.name)
    country = geo.country_iso_code if geo is not None else NONE
    return Labels(finding, country, tuple(map(id, detail.listings or ())), tuple(map(id, detail.verdicts or ())))


def ages_of(updated: Iterable[float | None], at: float) -> dict[str, int]:
    """How many devices were last updated so long before a time (seconds since 1970), by AGES; never: they only asked
    for updates, or said their version, as far as was seen."""
    counts = dict.fromkeys((*(name for name, _ in AGES), NEVER), 0)
    for each in updated:
        days = math.inf if each is None else (at - each) / 86_400
        counts[NEVER if each is None else next(name for name, most in AGES if days <= most)] += 1
    return counts


def serve(
    host: str, port: int, registry: CollectorRegistry, is_ready: Callable[[], bool], key: str = "[worker] metrics_port",
    problem: Callable[[], str | None] = lambda: None,
) -> Page:  # fmt: skip
    """A running server of /metrics, /healthz (`problem` says why not) and /readyz. Raises LenswatchError when the
    address cannot be had."""
    metrics = make_wsgi_app(registry)

    def answer(environ, start_response):  # type: ignore[no-untyped-def]
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        why_not = problem() if path == "/healthz" else None
        known, good = path in ("/healthz", "/readyz"), not why_not and (path == "/healthz" or is_ready())
        status = "404 Not Found" if not known else "200 OK" if good else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{why_not or status[4:]}\n".encode()]

    try:
        return Page(host, port, answer)
    except OSError as error:
        raise LenswatchError(f"{host}:{port}: metrics cannot be served there: {error.strerror}; set {key}") from error
