"""An embedded run says what it reads and finds, in few series, while it runs."""

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from collector.capture.source import open_source
from collector.errors import LenswatchError
from rules.load import load_rules
from rules.match import RuleSet
from streams.local import LocalWatch
from streams.settings import Settings, WatchSettings
from streams.watch_metrics import WatchMeters, watch_metrics
from tests.streams.command import OFFICE, PROGRAM, environment
from tests.streams.dispatch.carrying import until
from tests.system.broker import free_ports


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A run that reads what is written to it, and where its metrics are."""
    (port,) = free_ports(1)
    variables = {"LENSWATCH_WATCH_METRICS": f"127.0.0.1:{port}"}
    process = subprocess.Popen(
        [str(PROGRAM), "watch", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(tmp_path, variables),
    )  # fmt: skip
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def test_a_run_shows_what_it_reads_and_finds_while_it_runs(page: tuple[str, subprocess.Popen[bytes]]) -> None:
    url, process = page
    until(lambda: get(f"{url}/healthz"), 30.0)
    assert get(f"{url}/readyz") is None, "ready is: packets are being read"
    assert process.stdin is not None
    process.stdin.write(OFFICE.read_bytes())
    process.stdin.flush()
    until(lambda: get(f"{url}/readyz"), 20.0)
    text = get(f"{url}/metrics") or ""
    assert "lenswatch_collector_packets_total" in text and "lenswatch_rules_info{" in text
    assert "lenswatch_sensor_info{" in text
    process.stdin.close()
    assert process.wait(30) == 0


def test_findings_and_egress_are_counted_by_company(rules: RuleSet) -> None:
    meters = WatchMeters(rules)
    local = LocalWatch(Settings(), rules, None, [meters])
    meters.watches(local, lambda: "")
    run = local.watch([open_source(str(OFFICE))], [meters])
    text = generate_latest(meters.registry).decode()
    found = [line for line in text.splitlines() if line.startswith("lenswatch_findings_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in found) == len(run.alerts)
    assert any('company="hikvision"' in line and 'severity="high"' in line for line in found)
    assert 'lenswatch_finding_programmes_total{programme="' in text
    assert 'lenswatch_device_egress_bytes_total{company="' in text
    assert f"lenswatch_collector_packets_total {float(run.ledger.packets_in)}" in text
    assert "lenswatch_ledger_open_sums 0.0" in text


def test_an_address_that_is_taken_is_named(rules: RuleSet) -> None:
    (port,) = free_ports(1)
    settings = Settings(watch=WatchSettings(metrics=f"127.0.0.1:{port}"))
    with (
        watch_metrics(settings, rules),
        pytest.raises(LenswatchError, match=r"metrics cannot be served there: .*set \[watch\] metrics"),
        watch_metrics(settings, rules),
    ):
        pass


def test_what_a_waiver_covers_is_counted_by_its_id(tmp_path: Path) -> None:
    waivers = tmp_path / "waivers.toml"
    waivers.write_text(
        '[[waiver]]\nid = "phase-out"\nground = "g"\napprover = "a"\nreference = "r"\nfrom = 2020-01-01\n'
        'until = 2099-12-31\ncompanies = ["hikvision"]\n',
        "utf-8",
    )
    rules = load_rules(waivers=[waivers])
    meters = WatchMeters(rules)
    local = LocalWatch(Settings(), rules, None, [meters])
    meters.watches(local, lambda: "")
    run = local.watch([open_source(str(OFFICE))], [meters])
    counted = meters.registry.get_sample_value("lenswatch_waived_hits_total", {"waiver": "phase-out"})
    assert counted == run.waived["phase-out"] > 0
