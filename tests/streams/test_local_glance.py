"""With the shipped facts and rules, what is passed at a glance changes no alert, no observation and no sum."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.traffic import camera_frames, hard_frames
from collector.capture.source import open_source
from rules.match import RuleSet
from streams.local import LocalWatch, Run
from streams.settings import Settings
from tests.collector.frames import BEGIN_NS, pcap
from tests.streams.command import OFFICE
from tests.truth.test_devices import captures

CAPTURES = Path(__file__).parents[1] / "captures"


class Told:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.alerts: list[Any] = []

    def write(self, documents: Sequence[Any]) -> None:
        self.alerts += documents


def watch(rules: RuleSet, path: Path, glance: bool) -> tuple[Run, tuple[Any, ...]]:
    told, watched = Told(), LocalWatch(Settings(), rules)
    assert watched.pipeline._glance is not None  # type: ignore[union-attr]
    if not glance:
        watched.pipeline._glance = None  # type: ignore[union-attr]
    run = watched.watch([open_source(str(path))], [told])
    return run, (told.alerts, run.ledger, run.observations, run.matched, run.told, run.waived, run.devices)


@pytest.fixture
def mixes(tmp_path: Path) -> Iterator[Path]:
    """The mixes of the benchmarks, small."""

    def written() -> Iterator[Path]:
        for name, mix in (("hard", hard_frames), ("camera", camera_frames)):
            path = tmp_path / f"{name}.pcap"
            path.write_bytes(pcap([(BEGIN_NS + at * 2_000, data) for at, data in enumerate(mix(3_000))]))
            yield path

    return written()


def test_alerts_and_sums_are_the_same_with_and_without_a_glance(rules: RuleSet, mixes: Iterator[Path]) -> None:
    own = (OFFICE, CAPTURES / "protocols.pcap", CAPTURES / "web.pcap")
    for path in (*own, *mixes, *(path for path, _ in captures())):
        assert watch(rules, path, True)[1] == watch(rules, path, False)[1], path


def test_the_shipped_rules_let_a_flood_be_passed(rules: RuleSet, mixes: Iterator[Path]) -> None:
    watched = LocalWatch(Settings(), rules)
    watched.watch([open_source(str(next(mixes)))])
    glance = watched.pipeline._glance  # type: ignore[union-attr]
    assert glance is not None and any(glance._nobodys.values())
    assert watched.run.ledger.unasked.total() > 500
