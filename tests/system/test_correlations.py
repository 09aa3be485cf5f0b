"""What correlations count lives with its device: the same findings as one process tells, whoever is killed."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from rules.load import load_rules
from tests.system.broker import Broker
from tests.system.centre import centre_at
from tests.system.load import TALLIED, expected, make_load
from tests.system.test_centre import same

pytestmark = pytest.mark.system


def test_correlations_are_the_same_in_both_shapes_with_a_worker_killed_and_another_joining(
    broker: Broker, tmp_path: Path
) -> None:
    rules = load_rules()
    observations = make_load(2_000, 12, kinds=TALLIED)
    wanted = expected(observations, rules)
    titles = Counter(alert.rule.name for alert in wanted.values() if alert.lenswatch.correlation is not None)
    assert set(titles) == {each.head.title for each in rules.correlations}
    with centre_at(broker.address, tmp_path / "centre") as centre:
        centre.worker("w1").wait_ready()
        records = centre.records(observations, size=20)
        sending = threading.Thread(target=centre.send, args=(records, 20))
        sending.start()
        time.sleep(2)
        centre.workers[-1].kill()
        centre.worker("w1").wait_ready()
        centre.worker("w2").wait_ready()
        sending.join()
        # Some records once more, as a collector that was not answered sends them.
        centre.send(records[::7])
        centre.wait_done(120)
        told = centre.told()
    same(told, wanted)
