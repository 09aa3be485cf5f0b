"""What a worker says of itself to Prometheus, and whether it lives and is ready. Labels have few values only."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, make_wsgi_app

from collector.errors import LenswatchError

PREFIX: Final = "lenswatch_"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MAX_SENSORS: Final = 100
OTHER: Final = "other"


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
        self.deliveries = counter("sink_deliveries", "Revisions of alerts that a sink was given.", "sink", "result")
        self.evicted = counter("table_evictions", "Entries that were let go for want of room.", "table")
        self.open = gauge("findings_open", "Findings that have not ended, of this worker's partitions.")
        self.refused = counter("findings_ended_early", "Findings that were ended for want of room.")
        self.uncounted = counter("correlation_let_go", "What correlations did not count, or forgot.", "reason")
        self.addresses = counter(
            "geo_events", "Addresses of which something is not known; files taken, refused.", "what"
        )
        self.reloads = counter("rules_reloads", "Times that the rules were read again.", "result")
        self.rules = gauge("rules_info", "1 for the rules that are in force, by digest.", "digest")
        self.devices = gauge("devices_known", "Devices of this worker's partitions.")
        self.silent = gauge("devices_silent", "Devices that were not seen for a while.")
        self.sensors = gauge("sensor_last_seen_timestamp_seconds", "When a sensor's newest packet was.", "sensor")
        self.entries = gauge("table_entries", "Entries of a table, of this worker's partitions.", "table")
        self.lag = gauge("consumer_lag_records", "Records that wait to be read.", "topic", "partition")
        self.progress = gauge("last_progress_timestamp_seconds", "When a record was last done.")
        self.rebalances = counter("rebalances", "Times that the partitions were shared out anew.")
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

    def set_rules(self, digest: str) -> None:
        """Which rules are in force."""
        self.rules.clear()
        self.rules.labels(digest).set(1)


class QuietRequest(WSGIRequestHandler):
    """A request of which no line is written."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Answers /metrics, /healthz and /readyz, each request in a thread of its own."""

    daemon_threads = True


def serve(host: str, port: int, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> MetricsServer:
    """A running server. Raises LenswatchError when the address cannot be had."""
    metrics = make_wsgi_app(registry)

    def answer(environ, start_response):  # type: ignore[no-untyped-def]
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        ready = path == "/healthz" or (path == "/readyz" and is_ready())
        status = "200 OK" if ready else "503 Service Unavailable" if path == "/readyz" else "404 Not Found"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{status[4:]}\n".encode()]

    try:
        server = make_server(host, port, answer, server_class=MetricsServer, handler_class=QuietRequest)
    except OSError as error:
        raise LenswatchError(
            f"{host}:{port}: metrics cannot be served there: {error.strerror}; set [worker] metrics_port"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
