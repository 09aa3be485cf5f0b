"""What the tests of the formats share: every revision that the demo tells, and alerts full of what a device said."""

from collections.abc import Callable

import msgspec
import pytest

from collector.canary import make_canary
from rules.alert import Alert
from rules.match import RuleSet
from tests.streams.command import OFFICE, run
from tests.streams.formats.whole import read, whole_document

PROFILES = '["us-federal-agency", "uk-sensitive", "us-private"]'


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, rules: RuleSet, alert: Alert) -> list[Alert]:
    """All alerts of the demo, each revision, with the verdicts for three profiles; and a canary."""
    state = tmp_path_factory.mktemp("demo")
    ran = run("watch", OFFICE, "--alerts", "-", state=state, LENSWATCH_RULES_PROFILES=PROFILES)
    assert ran.code == 0 and len(ran.alerts) >= 20
    return [*ran.alerts, *rules.match(make_canary("sensor", "hq", alert.timestamp))]


@pytest.fixture(scope="session")
def whole() -> Alert:
    """An alert that has every field."""
    return read(whole_document())


@pytest.fixture(scope="session")
def hostile(whole: Alert) -> Callable[[str], Alert]:
    """An alert in which every text that a device can choose is this one."""

    def make(text: str) -> Alert:
        replace, detail = msgspec.structs.replace, whole.lenswatch
        assert whole.device is not None and detail.entity is not None and detail.steps is not None
        assert whole.threat is not None and whole.threat.indicator.url is not None
        url = replace(whole.threat.indicator.url, domain=text)
        return replace(
            whole,
            message=text,
            event=replace(whole.event, reason=text),
            rule=replace(whole.rule, name=text),
            observer=replace(whole.observer, name=text),
            source=replace(whole.source, domain=text),
            destination=replace(whole.destination, domain=text),
            related=replace(whole.related, hosts=[text] * 20),
            device=replace(whole.device, id=text, manufacturer=text, serial_number=text),
            threat=replace(whole.threat, indicator=replace(whole.threat.indicator, url=url, description=text)),
            lenswatch=replace(
                detail,
                site=text,
                entity=replace(detail.entity, name=text),
                steps=[replace(detail.steps[0], detail=text, mime_type=text)] * 4,
                device_evidence=[text] * 30,
            ),
        )

    return make
