"""The distributed shape on a real broker: the same alerts as the embedded one, whoever comes, goes or dies."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.observation import Observation
from rules.alert import Alert
from tests.streams.command import OFFICE, spawn
from tests.system.broker import Broker
from tests.system.centre import Centre, centre_at, until

pytestmark = pytest.mark.system


@pytest.fixture
def centre(broker: Broker, tmp_path: Path) -> Iterator[Centre]:
    """Topics of its own on the broker of the run."""
    with centre_at(broker.address, tmp_path / "centre") as made:
        yield made


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Observation], dict[str, Alert]]:
    """What the embedded shape sees and tells of the small office."""
    folder = tmp_path_factory.mktemp("embedded")
    seen, told = folder / "seen.jsonl", folder / "told.jsonl"
    ran = spawn("watch", OFFICE, "--observations", seen, "--alerts", told, state=folder)
    assert ran.code == 0, ran.err
    observations = [msgspec.json.decode(line, type=Observation) for line in seen.read_bytes().splitlines()]
    alerts = [msgspec.json.decode(line, type=Alert) for line in told.read_bytes().splitlines()]
    return observations, {alert.event.id: alert for alert in alerts}


def test_one_capture_through_both_shapes_gives_equal_alerts(
    centre: Centre, office: tuple[list[Observation], dict[str, Alert]]
) -> None:
    observations, embedded = office
    worker = centre.worker("one").wait_ready()
    centre.send(centre.records(observations))
    centre.wait_done()
    assert centre.told() == embedded and len(embedded) > 10
    until(lambda: {alert.event.id: alert for alert in worker.alerts()} == embedded, 10, "the sink has them too")
    assert len({(alert.event.id, alert.lenswatch.revision) for alert in worker.alerts()}) == len(worker.alerts())
    listed = spawn("alerts", "--kafka", centre.address, "--config", centre.config, "--json", state=centre.folder)
    assert listed.code == 0, listed.err
    assert {alert.event.id: alert for alert in listed.alerts} == embedded
    shown = spawn("alerts", "show", next(iter(embedded))[:10], "--config", centre.config, "--kafka", centre.address,
                  state=centre.folder)  # fmt: skip
    assert shown.code == 0, shown.err
    assert worker.end() == 0, worker.said()
