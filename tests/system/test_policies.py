"""A policy is judged the same in both shapes, on a real broker: by workers, of observations that know nothing of it."""

from pathlib import Path

import pytest

from collector.observation import Observation
from rules.alert import Alert
from tests.streams.command import OFFICE, last_revisions, read_alerts, spawn
from tests.system.broker import Broker
from tests.system.centre import centre_at

pytestmark = pytest.mark.system

POLICIES = """
[egress.few]
egress = "listed names only"
listed = ["hik-connect.com"]
devices = ["10.20.8.21"]
[egress.stay]
egress = "none"
"""


def test_a_policy_is_judged_the_same_in_both_shapes(
    broker: Broker, tmp_path: Path, embedded_office: tuple[list[Observation], dict[str, Alert]]
) -> None:
    config = tmp_path / "embedded.toml"
    config.write_text(POLICIES, "utf-8")
    ran = spawn("watch", OFFICE, "--alerts", "-", "--config", config, state=tmp_path / "embedded")
    embedded = last_revisions(read_alerts(ran.out))
    observations, without = embedded_office
    assert not any(each.lenswatch is not None and each.lenswatch.egress for each in observations)
    with centre_at(broker.address, tmp_path / "centre", more=POLICIES) as centre:
        centre.worker("one").wait_ready()
        centre.send(centre.records(observations))
        centre.wait_done()
        assert centre.told() == embedded
    broken = {alert.lenswatch.egress.policy for key, alert in embedded.items()
              if key not in without and alert.lenswatch.egress is not None}  # fmt: skip
    assert broken == {"few", "stay"} and without.keys() < embedded.keys()
