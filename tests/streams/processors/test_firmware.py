"""The firmware transaction: one alert, step by step, in both shapes, over restarts; and the update clock."""

import datetime
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from collector.observation import Observation
from rules.alert import Alert, Step
from rules.match import RuleSet
from streams.processors.correlate import Correlate
from streams.processors.detect import Memory, judge
from streams.processors.entry import heads_of
from streams.processors.firmware import (
    CHECKED_SECONDS,
    DEVICES_EVICTED,
    MIN_FIRMWARE_BYTES,
    Updates,
    UpdateState,
    concerns_updates,
    merge_steps,
    update_of,
)
from streams.processors.fold import Fold
from streams.processors.partition import Batch, Partition

BEGIN = datetime.datetime(2026, 11, 2, 23, 30, tzinfo=datetime.UTC)
DEVICE = "site/9c:14:63:00:00:13"
CDN, NOBODY = "192.0.2.99", "cdn.example.org"
SERVER = "materialfile.dahuasecurity.com"
CHECK, FILE = "/cloudupgrade/check?model=IPC", "/uploads/soft/20261012/DH_IPC.bin"
DIGEST = "ab" * 32
IMAGE = {"size": 28_000_000, "hash": {"sha256": DIGEST}, "mime_type": "application/octet-stream"}
OURS = {"ip": "10.0.0.11", "port": 40_000}
Make = Callable[..., Observation]


def changes(kind: str, more: dict[str, Any]) -> dict[str, Any]:
    """What an observation of a kind says."""
    asked = {"url": {"original": CHECK, "domain": SERVER, "path": CHECK}, "destination.domain": SERVER}
    fetched = {"url": {"original": FILE, "domain": SERVER, "path": FILE}, "destination.domain": SERVER}
    known: dict[str, dict[str, Any]] = {
        "check": asked,
        "download": fetched,
        "file": fetched
        | {"event": {"dataset": "lenswatch.file", "action": "download"}, "file": IMAGE,
           "lenswatch.file": {"container": "Dahua zip (DH)"}},
        "flow": {"event.dataset": "lenswatch.flow", "lenswatch.flow": {"state": "closed", "duration_seconds": 60},
                 "destination": {"ip": CDN, "port": 443, "bytes": 28_500_000, "packets": 20_000, "domain": NOBODY}},
        "boot": {"event": {"dataset": "lenswatch.dhcp", "action": "DISCOVER"}, "network.direction": "internal",
                 "destination": {"ip": "255.255.255.255", "port": 67}},
        "here": {"event": {"dataset": "lenswatch.device", "action": "seen"}, "network.direction": "internal"},
        "plain": {"event.dataset": "lenswatch.tls", "destination.domain": "www.example.org"},
        "push": {"event": {"dataset": "lenswatch.push", "action": "firmware_push"}, "network.direction": "internal",
                 "source": {"ip": "10.0.9.5", "port": 50_000}, "destination": {"ip": "10.0.0.11", "port": 80},
                 "lenswatch.pushed_by": "10.0.9.5",
                 "url": {"original": "/ISAPI/System/updateFirmware", "path": "/ISAPI/System/updateFirmware"}},
    }  # fmt: skip
    return known[kind] | more


@pytest.fixture(scope="module")
def see(observe: Make) -> Make:
    """An observation of a kind, so many seconds after the beginning."""

    def make(kind: str, at: float, **more: Any) -> Observation:
        change = changes(kind, {name.replace("__", "."): value for name, value in more.items()})
        time = (BEGIN + datetime.timedelta(seconds=at)).isoformat()
        change = {"event.dataset": "lenswatch.http", "device.id": DEVICE, "@timestamp": time} | change
        return observe(change | {"event.id": f"{kind}-{at}"})

    return make


def says(firmware: str) -> dict[str, Any]:
    return {"lenswatch__device": {"type": "camera", "confidence": 0.9, "firmware": firmware}}


class Embedded:
    """One process; `restart` keeps of it what the device store keeps, and no finding."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.kept: dict[str, bytes] = {}
        self.memory = Memory(Fold(), Correlate(), Updates())

    def take(self, *found: Observation) -> list[Alert]:
        updates = self.memory.updates
        judged = judge(found, self.rules, lambda _: self.memory, pending=updates.pending)
        return judged.news

    def restart(self) -> None:
        kept = {device: msgspec.json.encode(state) for device, state in self.memory.updates.devices.items()}
        states = {device: msgspec.json.decode(data, type=UpdateState) for device, data in kept.items()}
        self.memory = Memory(Fold(), Correlate(), Updates(states))

    def state(self) -> UpdateState:
        return self.memory.updates.devices[DEVICE]


class Worker:
    """One partition, and the table that outlives it."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules, self.seq = rules, 0
        self.table: dict[str, bytes] = {}
        self.partition = Partition(0, self.table)

    def take(self, *found: Observation) -> list[Alert]:
        self.seq += 1
        outcome = self.partition.take(
            Batch("s", "01", self.seq, found[-1].timestamp.timestamp(), list(found)), self.rules
        )
        for key, data in self.partition.changes().items():
            if data is not None:
                self.table[key] = data
        return outcome.news

    def restart(self) -> None:
        self.partition = Partition(0, self.table, heads_of(self.table.items()).get(0, ()))

    def state(self) -> UpdateState:
        state = self.partition._device(f"d/{DEVICE}").update
        assert state is not None
        return state


@pytest.fixture(params=[Embedded, Worker])
def run(request: pytest.FixtureRequest, rules: RuleSet) -> Any:
    return request.param(rules)


def steps(alert: Alert) -> list[str]:
    return [step.step for step in alert.lenswatch.steps or ()]


def step(alert: Alert, name: str) -> Step:
    return next(each for each in alert.lenswatch.steps or () if each.step == name)


WHOLE = (
    ("here", 0, says("2.800.1")), ("check", 60, {}), ("download", 1_900, {}), ("file", 1_960, {}),
    ("plain", 1_990, {}), ("boot", 2_200, {}), ("here", 2_300, says("2.840.0")),
)  # fmt: skip


@pytest.mark.parametrize("restarts", [False, True])
def test_four_steps_over_midnight_are_one_alert(run: Any, see: Make, restarts: bool) -> None:
    news = []
    for kind, at, more in WHOLE:
        news += run.take(see(kind, at, **more))
        if restarts:
            run.restart()
    told = [(alert.event.id, steps(alert)) for alert in news if alert.lenswatch.steps]
    assert len({identifier for identifier, _ in told}) == 1
    assert [names for _, names in told if names][-1] == ["check", "download", "install", "new_version"]
    revisions = [alert.lenswatch.revision for alert in news if alert.event.id == told[0][0]]
    assert revisions == sorted(set(revisions))
    last = news[-1]
    assert last.lenswatch.update is not None
    assert last.lenswatch.update.not_seen == []
    assert (last.lenswatch.update.version_before, last.lenswatch.update.version_after) == ("2.800.1", "2.840.0")
    assert (last.lenswatch.update.origin, last.lenswatch.update.by) == ("maker", SERVER)
    fetched = step(last, "download")
    assert (fetched.sha256, fetched.size_bytes, fetched.container) == (DIGEST, 28_000_000, "Dahua zip (DH)")
    assert fetched.probable is None
    assert step(last, "install").silent_seconds == 210.0
    assert last.message.count("Update: ") == 1
    assert last.message.endswith(
        f"Update: it fetched 28,000,000 bytes Dahua zip (DH) from {SERVER} (SHA-256 {DIGEST}), was silent for 210 s "
        "and came back, says 2.840.0 now, 2.800.1 before. All of it was seen."
    )


def test_an_encrypted_download_is_probable_by_its_size_and_says_so(run: Any, see: Make) -> None:
    run.take(see("check", 0))
    (alert,) = run.take(see("flow", 900))
    assert steps(alert) == ["check", "download"]
    fetched = step(alert, "download")
    assert (fetched.probable, fetched.size_bytes, fetched.host) == (True, 28_500_000, NOBODY)
    assert "it probably fetched 28,500,000 bytes from cdn.example.org." in alert.message
    assert alert.lenswatch.update is not None
    assert alert.lenswatch.update.not_seen == ["the restart", "the new version", "the file itself"]
    assert alert.lenswatch.activity == "update_check"


@pytest.mark.parametrize(
    ("at", "more"),
    [
        (CHECKED_SECONDS + 1, {}),
        (900, {"destination": {"ip": CDN, "bytes": MIN_FIRMWARE_BYTES}}),
        (900, {"network__direction": "internal"}),
        (900, {"device__id": "site/another"}),
    ],
)
def test_what_is_late_small_within_or_anothers_is_no_download(
    run: Any, see: Make, at: float, more: dict[str, Any]
) -> None:
    run.take(see("check", 0))
    assert [alert for alert in run.take(see("flow", at, **more)) if "download" in steps(alert)] == []


def test_without_a_check_a_large_flow_is_nothing(run: Any, see: Make) -> None:
    assert run.take(see("flow", 0)) == []


def test_a_makers_container_from_a_host_that_nobody_knows_is_a_download_for_sure(run: Any, see: Make) -> None:
    run.take(see("check", 0))
    other = {
        "destination__domain": "cdn.example",
        "url": {"original": "/x/abc", "domain": "cdn.example", "path": "/x/abc"},
    }
    (alert,) = run.take(see("file", 60, **other))
    fetched = step(alert, "download")
    assert (fetched.probable, fetched.sha256, fetched.host) == (None, DIGEST, "cdn.example")


def test_the_end_of_the_connection_says_how_much_a_download_was_that_no_digest_was_taken_of(
    run: Any, see: Make
) -> None:
    run.take(see("download", 0))
    run.take(see("flow", 50, destination={"ip": "192.0.2.82", "port": 80, "bytes": 28_500_000}))
    (alert,) = run.take(see("here", 60, **says("1")), see("boot", 300))
    assert step(alert, "download").size_bytes == 28_500_000
    assert "the file itself" in alert.lenswatch.update.not_seen


@pytest.mark.parametrize(
    ("kind", "at", "every", "installs"),
    [
        ("boot", 110.0, 3_600, False), ("boot", 121.0, 3_600, True),
        ("here", 7_000.0, 3_600, False), ("here", 7_700.0, 3_600, True), ("here", 7_700.0, 6 * 3_600, False),
        ("here", 13 * 3_600.0, 6 * 3_600, True),
    ],
)  # fmt: skip
def test_a_device_was_gone_when_it_begins_anew_or_was_silent_for_longer_than_it_ever_is(
    run: Any, see: Make, kind: str, at: float, every: int, installs: bool
) -> None:
    for number in range(4, 0, -1):
        run.take(see("here", -number * every))
    run.take(see("download", 0), see("plain", 100))
    news = run.take(see(kind, at))
    told = [steps(alert) for alert in news if "install" in steps(alert)]
    assert told == ([["download", "install"]] if installs else [])


def test_of_a_device_that_was_hardly_heard_of_no_silence_is_long(run: Any, see: Make) -> None:
    run.take(see("here", -60), see("download", 0))
    assert run.take(see("here", 9_000)) == []


def test_a_device_that_goes_on_talking_was_not_gone(run: Any, see: Make) -> None:
    run.take(see("download", 0))
    for at in range(600, 20_000, 600):
        assert not any("install" in steps(alert) for alert in run.take(see("plain", at)))


def test_firmware_from_inside_is_told_apart_and_says_by_whom(run: Any, see: Make) -> None:
    run.take(see("here", 0, **says("V5.5.0")))
    (first,) = run.take(see("push", 60))
    assert first.rule.name == "Camera is given firmware from inside"
    assert first.lenswatch.update is not None
    assert (first.lenswatch.update.origin, first.lenswatch.update.by) == ("inside", "10.0.9.5")
    (second,) = run.take(see("push", 61, file=IMAGE))
    assert second.event.id == first.event.id
    (third,) = run.take(see("boot", 200))
    (last,) = run.take(see("here", 230, **says("V5.7.3")))
    assert steps(last) == ["download", "install", "new_version"]
    assert last.lenswatch.update is not None
    assert last.lenswatch.update.not_seen == []
    assert "Camera 10.0.0.11" in last.message
    assert "was given 28,000,000 bytes from inside, by 10.0.9.5 (SHA-256 abab" in last.message
    assert (third.lenswatch.revision, last.lenswatch.revision) == (3, 4)
    clock = run.state().clock
    assert (clock.origin, clock.updated_by) == ("inside", "10.0.9.5")


def test_a_version_that_changes_without_a_call_is_on_the_clock_and_no_alert(run: Any, see: Make) -> None:
    assert run.take(see("here", 0, **says("1"))) == []
    assert run.take(see("here", 3_600, **says("2"))) == []
    state = run.state()
    assert state.clock.updated_at == BEGIN + datetime.timedelta(seconds=3_600)
    assert (state.clock.updated_by, state.clock.origin, state.version) == (None, None, "2")


def test_the_clock_knows_the_last_check_and_of_whom(run: Any, see: Make) -> None:
    run.take(see("check", 0), see("check", 86_400))
    clock = run.state().clock
    assert (clock.checked_at, clock.checked_with) == (BEGIN + datetime.timedelta(seconds=86_400), SERVER)
    assert clock.updated_at is None


def test_a_check_each_day_is_an_alert_each_day_until_something_is_fetched(run: Any, see: Make) -> None:
    ids = {alert.event.id for day in range(3) for alert in run.take(see("check", day * 86_400.0))}
    assert len(ids) == 3


def test_an_older_word_of_a_version_changes_nothing(run: Any, see: Make) -> None:
    run.take(see("here", 3_600, **says("2")))
    run.take(see("here", 0, **says("1")))
    assert run.state().version == "2"


def test_only_what_may_tell_of_an_update_is_asked_for(see: Make) -> None:
    asked = {
        kind: concerns_updates(see(kind, 0)) for kind in ("flow", "file", "boot", "here", "plain", "check", "push")
    }
    assert asked == {
        "flow": True, "file": True, "boot": True, "here": True, "plain": False, "check": False, "push": False,
    }  # fmt: skip
    assert not concerns_updates(see("here", 0, device=None))


def test_more_devices_than_the_bound_let_the_first_go(see: Make) -> None:
    updates = Updates(max_devices=2)
    for number in range(3):
        updates.follow(see("here", number, device__id=f"site/{number}", **says("1")))
    assert list(updates.devices) == ["site/1", "site/2"]
    assert updates.counts == {DEVICES_EVICTED: 1}


def at_step(name: str, at: float, **more: Any) -> Step:
    time = BEGIN + datetime.timedelta(seconds=at)
    return Step(step=name, at=time, detail="", observation=f"{name}-{at}", **more)


def test_a_step_keeps_its_first_time_and_gains_what_is_known_later_in_any_order() -> None:
    some = [at_step("download", 1, host="h"), at_step("download", 2, sha256=DIGEST, size_bytes=5), at_step("check", 0)]
    for order in (some, some[::-1]):
        check, download = merge_steps(order)
        assert (check.step, download.at) == ("check", some[0].at)
        assert (download.host, download.sha256, download.size_bytes) == ("h", DIGEST, 5)


def test_a_check_that_comes_after_the_download_is_no_step_to_it() -> None:
    assert [each.step for each in merge_steps([at_step("check", 5), at_step("download", 1)])] == ["download"]


def test_what_was_not_seen_is_said() -> None:
    update = update_of([at_step("check", 0, host="h")])
    assert update.not_seen == ["the download", "the restart", "the new version"]
    assert update.says == "Not seen: the download, the restart, the new version."
