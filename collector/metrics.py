"""What a collector counts, as Prometheus metrics: read where it is counted, when somebody asks; never counted twice.

Labels have few values: stages, reasons and datasets of ours; never a name or an address.
"""

import importlib.metadata
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from collector.errors import SettingsError
from collector.ledger import Ledger
from collector.page import Page
from collector.publish.kafka import NS, KafkaPublisher
from collector.sending import BUCKETS_SECONDS

Ready = Callable[[], str]


class CollectorMetrics:
    """One collector's metrics, and `more` that others count; a `prometheus_client.registry.Collector`."""

    def __init__(
        self, ledger: Ledger, publisher: KafkaPublisher, more: Sequence[Callable[[], Iterable[Metric]]] = ()
    ) -> None:
        self._ledger, self._publisher, self._more = ledger, publisher, more

    def collect(self) -> Iterator[Metric]:
        """Every metric as it stands now."""
        yield from self._seen()
        yield from self._spooled()
        yield from self._published()
        sensor = GaugeMetricFamily("lenswatch_sensor_info", "Which sensor this is", labels=("sensor", "site"))
        sensor.add_metric((self._publisher.sensor, self._publisher.site), 1)
        yield sensor
        for metrics in self._more:
            yield from metrics()
        build = GaugeMetricFamily("lenswatch_build_info", "The version that runs", labels=("version",))
        build.add_metric((importlib.metadata.version("lenswatch"),), 1)
        yield build

    def _seen(self) -> Iterator[Metric]:
        ledger, publisher = self._ledger, self._publisher
        yield counter("collector_packets", "Packets that came in", ledger.packets_in)
        yield counter("collector_bytes", "Bytes of packets that came in", ledger.bytes_in)
        seen = CounterMetricFamily("lenswatch_collector_observations", "Observations made", labels=("dataset",))
        for dataset, count in sorted(dict(ledger.observations).items()):
            seen.add_metric((dataset,), count)
        yield seen
        unasked = CounterMetricFamily("lenswatch_collector_unasked", "Read, and not to be told of", labels=("dataset",))
        for dataset, count in sorted(dict(ledger.unasked).items()):
            unasked.add_metric((dataset,), count)
        yield unasked
        dropped = CounterMetricFamily(
            "lenswatch_collector_dropped", "What a stage let go, in its own units", labels=("stage", "reason")
        )
        for (stage, reason), count in sorted(dict(ledger.let_go).items()):
            dropped.add_metric((stage, reason), count)
        yield dropped
        yield gauge("collector_last_packet_timestamp_seconds", "Time of the latest packet", publisher.packet_ns / NS)
        yield gauge("ledger_open_sums", "Sums of the loss ledger that do not close", float(len(ledger.open_sums())))
        gap = publisher.gap_seconds or 0.0
        yield gauge("collector_gap_seconds", "Packet time that may be missing before this run", gap)

    def _spooled(self) -> Iterator[Metric]:
        publisher, spool = self._publisher, self._publisher.spool
        age = time.time() - spool.oldest if spool.batches and spool.oldest else 0.0
        yield counter("collector_observations_spooled", "Observations that went into the spool", publisher.spooled)
        yield gauge("spool_bytes", "Compressed bytes that wait", spool.bytes)
        yield gauge("spool_limit_bytes", "How many bytes may wait", spool.settings.max_bytes)
        yield gauge("spool_records", "Batches that wait", spool.batches)
        yield gauge("spool_observations", "Observations that wait", spool.observations)
        yield gauge("spool_oldest_age_seconds", "How long the oldest batch has waited", max(0.0, age))
        yield gauge("spool_writable", "1 while the disk takes batches", float(spool.is_writable))
        for name, text, counts in (
            ("spool_dropped_records", "Batches that were let go", dict(spool.dropped_batches)),
            ("spool_dropped_observations", "Observations that were let go before Kafka", dict(publisher.dropped())),
        ):
            dropped = CounterMetricFamily(f"lenswatch_{name}", text, labels=("reason",))
            for reason, count in sorted(counts.items()):
                dropped.add_metric((reason,), count)
            yield dropped

    def _published(self) -> Iterator[Metric]:
        sender = self._publisher.sender
        sent = sender.sent
        yield gauge("collector_connected", "1 while Kafka takes batches", float(not sender.problem))
        yield counter("collector_records_published", "Batches that Kafka has", sent.batches)
        yield counter("collector_observations_published", "Observations that Kafka has", sent.observations)
        yield counter("collector_publish_failures", "Connections and batches that failed", sent.failures)
        yield counter("collector_heartbeats", "Heartbeats sent", sent.heartbeats)
        yield gauge("collector_last_publish_timestamp_seconds", "When Kafka last took a batch", sent.last_at)
        yield gauge("inflight_bytes", "Compressed bytes under way to Kafka", sender.flying_bytes)
        took = HistogramMetricFamily("lenswatch_collector_publish_duration_seconds", "How long a batch was under way")
        buckets, total = [], 0
        for bound, count in zip((*map(str, BUCKETS_SECONDS), "+Inf"), list(sent.seconds), strict=True):
            total += count
            buckets.append((bound, total))
        took.add_metric((), buckets, sent.seconds_sum)
        yield took


def counter(name: str, text: str, value: float) -> Metric:
    """A counter without labels; prometheus_client adds `_total`."""
    return CounterMetricFamily(f"lenswatch_{name}", text, value=value)


def gauge(name: str, text: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(f"lenswatch_{name}", text, value=value)


class MetricsPage:
    """`/metrics`, `/healthz` and `/readyz` at `address` (host:port), in a thread. `ready` and `alive` answer "" or why
    not. Raises SettingsError when the address cannot be had."""

    def __init__(
        self, address: str, metrics: CollectorMetrics, ready: Ready, alive: Ready = lambda: ""
    ) -> None:  # fmt: skip
        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)
        self._metrics, self._asked = make_wsgi_app(registry), {"/healthz": alive, "/readyz": ready}
        host, _, port = address.rpartition(":")
        try:
            self._page = Page(host.strip("[]"), int(port), self._answer)
        except OSError as error:
            raise SettingsError(
                f"{address}: metrics cannot be shown there: {error.strerror}; name another HOST:PORT at [collector] "
                'metrics, or "" for none'
            ) from error
        self.address = f"{host}:{self._page.port}"

    def _answer(self, question: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = question.get("PATH_INFO", "")
        if path == "/metrics":
            page: Iterable[bytes] = self._metrics(question, start)
            return page
        asked = self._asked.get(path)
        problem = "there is no such page" if asked is None else asked()
        status = "200 OK" if not problem else "404 Not Found" if asked is None else "503 Service Unavailable"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{problem or 'ok'}\n".encode()]

    def close(self) -> None:
        """Answer no more."""
        self._page.close()
