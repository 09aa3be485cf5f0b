"""What is kept as evidence, in Prometheus' words; read when somebody asks, never counted twice."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from collector.evidence.answering import Answering
from collector.evidence.ring import EvidenceRing
from collector.evidence.witness import Witness

PREFIX = "lenswatch_evidence_"


def evidence_metrics(witness: Witness | None, answering: Answering | None = None) -> Iterator[Metric]:
    """Every metric as it stands now; none where nothing is kept."""
    if witness is None or not isinstance(witness.keeper, EvidenceRing):
        return
    ring = witness.keeper
    for name, words, value in (
        ("bytes", "Bytes of packets on disk", ring.bytes),
        ("limit_bytes", "How many bytes may be on disk", ring.settings.max_bytes),
        ("held_bytes", "Bytes of packets in memory of which nothing was observed yet", witness.held_bytes),
    ):
        yield GaugeMetricFamily(PREFIX + name, words, value=value)
    yield CounterMetricFamily(PREFIX + "packets", "Packets that were kept", value=ring.packets)
    yield CounterMetricFamily(PREFIX + "unheard", "Observations of which no packet was held", value=witness.unheard)
    yield CounterMetricFamily(PREFIX + "evicted", "Flows whose packets were let go in memory", value=witness.evicted)
    dropped = CounterMetricFamily(PREFIX + "dropped_bytes", "Bytes that were let go, or not taken", labels=("reason",))
    for reason, count in sorted(dict(ring.dropped).items()):
        dropped.add_metric((reason,), count)
    yield dropped
    if answering is not None:
        told = CounterMetricFamily(PREFIX + "questions", "Questions for packets, by the answer", labels=("answer",))
        for state, count in sorted(dict(answering.told).items()):
            told.add_metric((state,), count)
        yield told
