"""The metrics read back as Prometheus reads them, have few labels, and a taken address is one line."""

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.errors import SettingsError
from collector.kafka_settings import KafkaSettings
from collector.ledger import Ledger
from collector.metrics import CollectorMetrics, MetricsPage
from collector.publish.kafka import KafkaPublisher
from collector.settings import CollectorSettings
from collector.spool import Row, SpoolSettings
from tests.collector.seen import seen


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[KafkaPublisher]:
    ledger = Ledger(packets_in=5, bytes_in=500)
    ledger.observations["lenswatch.dns"] += 3
    ledger.drop("decode", "not_ip", 2)
    publisher = KafkaPublisher(
        KafkaSettings(servers="127.0.0.1:1"), SpoolSettings(drain_seconds=0), tmp_path, CollectorSettings(),
        lambda words: None, ledger,
    )  # fmt: skip
    yield publisher
    publisher.close()


@pytest.fixture
def page(publisher: KafkaPublisher) -> Iterator[MetricsPage]:
    metrics = CollectorMetrics(publisher.ledger, publisher)
    page = MetricsPage("127.0.0.1:0", metrics, lambda: "" if publisher.packet_ns else "nothing read")
    yield page
    page.close()


def ask(page: MetricsPage, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{page.address}/{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_every_count_is_a_metric(publisher: KafkaPublisher, page: MetricsPage) -> None:
    publisher.spool.dropped["full"] += 7
    publisher.sender.sent.add(Row(1, 0, 0.0, "s", "b", 0, 9, 1, b""), 0.02, 1000.0)
    publisher.publish([seen(1)])
    status, text = ask(page, "metrics")
    assert status == 200
    values = {
        (sample.name.removeprefix("lenswatch_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    wanted = {
        ("collector_packets_total",): 5, ("collector_bytes_total",): 500,
        ("collector_observations_total", "lenswatch.dns"): 3, ("collector_dropped_total", "not_ip", "decode"): 2,
        ("spool_dropped_observations_total", "full"): 7, ("collector_connected",): 0, ("spool_writable",): 1,
        ("collector_observations_published_total",): 9, ("collector_records_published_total",): 1,
        ("collector_publish_duration_seconds_bucket", "0.01"): 0,
        ("collector_publish_duration_seconds_bucket", "0.025"): 1,
        ("collector_publish_duration_seconds_bucket", "+Inf"): 1, ("collector_publish_duration_seconds_count",): 1,
        ("collector_last_publish_timestamp_seconds",): 1000, ("spool_limit_bytes",): 1 << 30,
        ("sensor_info", publisher.sensor, publisher.site): 1,
    }  # fmt: skip
    assert {key: values[key] for key in wanted} == wanted
    assert len(values) < 100


def test_health_is_life_and_readiness_is_reading(publisher: KafkaPublisher, page: MetricsPage) -> None:
    assert ask(page, "healthz") == (200, "ok\n")
    assert ask(page, "readyz") == (503, "nothing read\n")
    publisher.packet_ns = 1
    assert ask(page, "readyz") == (200, "ok\n")
    assert ask(page, "table")[0] == 404


def test_a_reading_that_stands_still_is_not_healthy(publisher: KafkaPublisher) -> None:
    still = MetricsPage(
        "127.0.0.1:0", CollectorMetrics(publisher.ledger, publisher), lambda: "", lambda: "stands still"
    )
    with contextlib.closing(still):
        assert ask(still, "healthz") == (503, "stands still\n") and ask(still, "readyz") == (200, "ok\n")


def test_an_address_that_is_taken_is_one_line_with_the_mend(publisher: KafkaPublisher, page: MetricsPage) -> None:
    with pytest.raises(SettingsError, match="Address already in use; name another HOST:PORT"):
        MetricsPage(page.address, CollectorMetrics(publisher.ledger, publisher), lambda: "")
