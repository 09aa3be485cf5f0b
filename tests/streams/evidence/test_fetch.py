"""An alert's packets come from the ring of this machine, and where there are none one line says why."""

from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError
from collector.evidence.exchange import MAX_ASKED
from collector.evidence.ring import EvidenceRing, EvidenceSettings
from collector.evidence.segments import Kept
from collector.observation import Observation
from rules.alert import Alert, Step
from streams.evidence.fetch import fetch, observations_of
from streams.settings import Settings
from tests.collector.frames import BEGIN_NS, udp_frame
from tests.collector.seen import seen

FRAME = udp_frame(b"here")
PACKET: Kept = (BEGIN_NS, 1, len(FRAME), FRAME)


def with_evidence(alert: Alert, *ids: str) -> Alert:
    return msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, evidence=list(ids)))


def observation(number: int) -> Observation:
    made = seen(number)
    made.event.id = f"{number:032x}"
    return made


def kept(folder: Path, *numbers: int) -> Settings:
    settings = EvidenceSettings(folder=folder)
    ring = EvidenceRing(folder, settings, print)
    for number in numbers:
        ring.keep([observation(number)], [PACKET])
    ring.close()
    return Settings(evidence=settings)


def test_the_packets_of_an_alert_are_fetched_and_what_is_missing_is_named(tmp_path: Path, alert: Alert) -> None:
    settings = kept(tmp_path, 1)
    fetched = fetch(with_evidence(alert, f"{1:032x}", f"{2:032x}"), settings, by_kafka=False)
    assert FRAME in fetched.exhibit and fetched.missing == [f"{2:032x}"] and fetched.left == 0


def test_what_has_expired_is_said_with_the_bounds(tmp_path: Path, alert: Alert) -> None:
    with pytest.raises(LenswatchError, match=r"its packets have expired, .* \(at most 256 MiB for 7 days\)"):
        fetch(with_evidence(alert, f"{2:032x}"), kept(tmp_path, 1), by_kafka=False)


def test_that_nothing_is_kept_is_said(tmp_path: Path, alert: Alert) -> None:
    settings = Settings(evidence=EvidenceSettings(folder=tmp_path, keep=False))
    with pytest.raises(LenswatchError, match=r"no packets are kept: \[evidence\] keep is false"):
        fetch(alert, settings, by_kafka=False)


def test_the_observations_of_its_steps_are_asked_for_too_and_not_too_many(alert: Alert) -> None:
    steps = [Step(step="check", at=alert.timestamp, detail="", observation=f"{number:032x}") for number in range(100)]
    detail = msgspec.structs.replace(alert.lenswatch, evidence=["a" * 32, f"{1:032x}"], steps=steps)
    asked = observations_of(msgspec.structs.replace(alert, lenswatch=detail))
    assert asked[:3] == ["a" * 32, f"{1:032x}", f"{0:032x}"] and len(asked) == len(set(asked)) == MAX_ASKED
