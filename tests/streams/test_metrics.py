"""What a worker says of itself: over HTTP, with few series, and by names that Prometheus takes."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from collector.errors import LenswatchError
from streams.metrics import MAX_SENSORS, Meters, MetricsServer, serve


@pytest.fixture
def ready() -> list[bool]:
    return [True]


@pytest.fixture
def server(ready: list[bool]) -> Iterator[MetricsServer]:
    meters = Meters()
    meters.records.labels("read").inc(3)
    server = serve("127.0.0.1", 0, meters.registry, lambda: ready[0])
    yield server
    server.shutdown()
    server.server_close()


def get(server: MetricsServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_health_and_readiness_are_answered(server: MetricsServer, ready: list[bool]) -> None:
    status, text = get(server, "/metrics")
    assert status == 200 and 'lenswatch_matcher_records_total{result="read"} 3.0' in text
    assert get(server, "/healthz")[0] == get(server, "/readyz")[0] == 200
    ready[0] = False
    assert get(server, "/healthz")[0] == 200 and get(server, "/readyz")[0] == 503
    assert get(server, "/")[0] == 404


def test_a_port_that_is_taken_is_said_in_one_line(server: MetricsServer) -> None:
    with pytest.raises(LenswatchError, match=r"127.0.0.1:\d+: metrics cannot be served there: .*metrics_port"):
        serve("127.0.0.1", server.server_port, Meters().registry, lambda: True)


def test_sensors_past_the_bound_are_one_series() -> None:
    meters = Meters()
    meters.set_sensors((f"sensor-{number:04}", 1000.0 - number) for number in range(MAX_SENSORS + 50))
    lines = [
        line for line in generate_latest(meters.registry).decode().splitlines() if line.startswith("lenswatch_sen")
    ]
    assert len(lines) == MAX_SENSORS + 1 and 'sensor="other"} 851.0' in "\n".join(lines)


def test_only_the_rules_in_force_are_named() -> None:
    meters = Meters()
    for digest in ("aa", "bb"):
        meters.set_rules(digest)
    text = generate_latest(meters.registry).decode()
    assert 'digest="bb"} 1.0' in text and "aa" not in text
