"""What is kept is a metric; where nothing is, there is none."""

from pathlib import Path

from prometheus_client.core import Metric

from collector.evidence.meters import evidence_metrics
from collector.evidence.ring import EvidenceRing, EvidenceSettings
from collector.evidence.witness import Witness
from tests.collector.evidence.test_ring import observation, packet


def values(metrics: list[Metric]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("lenswatch_evidence_"), *sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def test_every_count_is_a_metric(tmp_path: Path) -> None:
    ring = EvidenceRing(tmp_path, EvidenceSettings(), print)
    ring.keep([observation(1)], [packet(1), packet(2)])
    ring.close()
    ring.dropped["full"] += 9
    told = values(list(evidence_metrics(Witness(ring))))
    assert told["packets_total",] == 2 and told["bytes",] == ring.bytes > 1_800
    assert told["dropped_bytes_total", "full"] == 9 and told["limit_bytes",] == EvidenceSettings().max_bytes
    assert told["unheard_total",] == told["evicted_total",] == told["held_bytes",] == 0


def test_where_nothing_is_kept_there_is_no_metric() -> None:
    assert list(evidence_metrics(None)) == [] and list(evidence_metrics(Witness(None))) == []
