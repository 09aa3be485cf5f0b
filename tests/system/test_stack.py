"""The whole way with real parts: everything arrives, every panel shows it, and no flood grows the metrics."""

import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.streams.command import OFFICE, read_alerts
from tests.streams.dispatch.carrying import SECRET
from tests.system.broker import ROOT, Broker
from tests.system.centre import until
from tests.system.monitoring import run_program
from tests.system.stack import Stack, stack_at

pytestmark = [pytest.mark.system]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
CANARY = "lenswatch_canary_last_delivery_timestamp_seconds"
MACROS = {
    "$__rate_interval": "30s", "$site": ".*", "$sensor": ".*", "$instance": ".*", "$profile": ".*", "$company": ".*",
    "$programme": ".*",
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(broker: Broker, prometheus_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_at(broker.address, tmp_path_factory.mktemp("stack"), [OFFICE.read_bytes()]) as stack:
        until(lambda: len(stack.receiver.got) > 10, 60.0, f"alerts arrive: {stack.worker.said()}")
        stack.wait_delivered()
        until(lambda: stack.prometheus.query("lenswatch_sink_delay_seconds_count > 0"), 30, "Prometheus has seen it")
        # What comes now grows what Prometheus knows already.
        stack.collector.read(flood(200, seed=1))
        time.sleep(4)
        yield stack


def test_every_alert_reaches_every_sink_and_is_signed(stack: Stack) -> None:
    told = stack.wait_delivered()
    hooks = [got for got in stack.receiver.got if got.path == "/hook"]
    assert told <= {got.id for got in hooks}
    for got in hooks:
        Webhook(SECRET).verify(got.body, got.headers)
    sunk = stack.centre.folder.parent / "sunk.jsonl"
    wanted = set(stack.centre.told())
    until(lambda: {alert.event.id for alert in read_alerts(sunk.read_text("utf-8"))} >= wanted, 20, "the file has all")
    until(lambda: len(stack.alertmanager.alerts()) > 10, words="they fire", seconds=20)
    until(lambda: any(got.path == "/alertmanager" for got in stack.receiver.got), 20, "Alertmanager tells them on")


def test_a_canary_of_the_collector_has_reached_every_sink(stack: Stack) -> None:
    stack.collector.read(b"")
    found = {row["metric"]["sink"] for row in stack.prometheus.query(CANARY)}
    kinds = {json.loads(got.body).get("type") for got in stack.receiver.got if got.path == "/hook"}
    assert found == {"soc", "am", "lines"} and "lenswatch.canary" in kinds


def panels() -> Iterator[Any]:
    """Every query of every panel."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                yield pytest.param(target["expr"], id=f"{path.stem}: {panel['title']}")


@pytest.mark.parametrize("expression", list(panels()))
def test_every_panels_query_returns_data(stack: Stack, expression: str) -> None:
    for macro, value in MACROS.items():
        expression = expression.replace(macro, value)
    assert "$" not in expression
    rows = stack.prometheus.query_range(expression)
    assert rows, expression
    assert any(value != "NaN" for row in rows for _, value in row["values"]), expression


def test_promtool_has_nothing_against_our_metrics(stack: Stack) -> None:
    for text in (stack.worker.get("/metrics"), stack.collector.get()):
        code, words = run_program("promtool", "check", "metrics", given=text or "")
        assert code == 0 and not words.strip(), words


def test_no_label_holds_a_name_an_address_or_a_mac(stack: Stack) -> None:
    text = (stack.worker.get("/metrics") or "") + stack.collector.get()
    labels = set(re.findall(r'(\w+)="([^"]*)"', text))
    for name, value in labels:
        assert not re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}|([0-9a-f]{2}:){5}[0-9a-f]{2}", value), (name, value)
        assert not value.endswith((".com", ".net", ".cn", ".invalid")), (name, value)


def series(text: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}


def flood(count: int, seed: int = 7) -> bytes:
    """Packets of new names and new addresses, which no capture had, behind the office's file header."""
    from scapy.layers.dns import DNS, DNSQR
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    chance = random.Random(seed)
    stamp = int.from_bytes(OFFICE.read_bytes()[24:28], "little") + 3600
    rows = []
    for number in range(count):
        address = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
        name = f"n{number}.flood{chance.randrange(10**9)}.example.com"
        packet = bytes(
            Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
            / IP(src=address, dst="10.0.0.1")
            / UDP(sport=1024 + number % 60000, dport=53)
            / DNS(id=number % 65536, qd=DNSQR(qname=name))
        )
        rows.append(b"".join(each.to_bytes(4, "little") for each in (stamp, 0, len(packet), len(packet))) + packet)
    return b"".join(rows)


def test_rules_and_dashboards_name_only_metrics_that_are_there(stack: Stack) -> None:
    from streams.metrics import Meters

    known = {name for metric in Meters().registry.collect() for name in names_of(metric.name, metric.type)}
    text = stack.collector.get()
    known |= {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    places = [*DASHBOARDS, Path(ROOT / "deploy" / "prometheus" / "lenswatch.rules.yml")]
    for path in places:
        used = set(re.findall(r"\blenswatch_[a-z0-9_]+", path.read_text("utf-8")))
        assert used - known == set(), path


def names_of(name: str, kind: str) -> set[str]:
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",))
    return {f"{name}{end}" for end in ends}


def test_a_flood_of_new_names_and_addresses_adds_no_series(stack: Stack) -> None:
    before = series(stack.worker.get("/metrics") or "") | series(stack.collector.get())
    read = stack.prometheus.query("lenswatch_collector_packets_total")
    stack.collector.read(flood(3_000))
    stack.collector.process.stdin.close()  # type: ignore[union-attr]
    until(lambda: stack.centre.lag() == 0, 60.0, "the flood is read")
    after = series(stack.worker.get("/metrics") or "")
    grown = {each for each in after - before if "_bucket" not in each}
    assert read and len(grown) <= 3, grown
