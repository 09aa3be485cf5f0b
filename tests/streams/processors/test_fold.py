"""Repeats of one finding become one alert, whatever order they come in."""

import datetime
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.observation import Observation
from rules.alert import LEVELS, WINDOW_SECONDS, Alert
from rules.match import Hit, RuleSet
from streams.processors.fold import MAX_EVIDENCE, SWEEP_SECONDS, Fold, FoldState

BEGIN = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)
SERVER = "materialfile.dahuasecurity.com"
FILE = "/uploads/soft/20261012/DH_IPC.bin"
CHECK = "/cloudupgrade/check?model=IPC"
See = Callable[..., Alert]


def change_of(kind: str, at: float, number: int) -> dict[str, Any]:
    """What a look-up, a check, a download or a bare flow changes about the camera's observation."""
    time = (BEGIN + datetime.timedelta(seconds=at)).isoformat()
    change: dict[str, Any] = {"@timestamp": time, "event.id": f"{kind}-{number}", "destination.domain": SERVER}
    if kind == "lookup":
        question = {"name": SERVER, "type": "A"}
        more: dict[str, Any] = {
            "event.dataset": "lenswatch.dns", "destination": {"ip": "10.0.0.1", "port": 53, "domain": None},
            "network.direction": "internal", "dns": {"type": "query", "question": question},
        }  # fmt: skip
        return change | more
    if kind == "cloud":
        return change | {"event.dataset": "lenswatch.tls", "destination.domain": "www.easy4ipcloud.com"}
    path = {"check": CHECK, "download": FILE}[kind]
    return change | {"url": {"original": path, "domain": SERVER, "path": path}}


@pytest.fixture(scope="module")
def hit(rules: RuleSet, observe: Callable[..., Observation]) -> Callable[..., Hit]:
    """The one hit of a sighting of this kind, so many seconds after the beginning."""

    def make(kind: str, at: float = 0, number: int = 0, device: str = "site/3c:ef:8c:00:53:11") -> Hit:
        (found,) = rules.hits(observe(change_of(kind, at, number) | {"device.id": device}))
        return found

    return make


@pytest.fixture(scope="module")
def see(hit: Callable[..., Hit]) -> See:
    """The one alert of a sighting."""
    return lambda *arguments, **more: hit(*arguments, **more).alert()


def steps(alert: Alert) -> list[str]:
    return [step.step for step in alert.lenswatch.steps or []]


def told_last(alerts: Iterable[Alert]) -> dict[str, Alert]:
    return {alert.event.id: alert for alert in alerts}


def test_a_new_finding_is_told_at_once(see: See) -> None:
    alert = see("lookup")
    assert Fold().add(alert) == [alert]
    assert (alert.lenswatch.revision, alert.lenswatch.state) == (1, "new")


def test_a_repeat_only_counts(see: See) -> None:
    fold = Fold()
    fold.add(see("lookup"))
    assert fold.add(see("lookup", 5, 1)) == [] and fold.folded == 1
    (last,) = fold.finish()
    assert (last.lenswatch.count, last.lenswatch.revision, last.lenswatch.state) == (2, 2, "ended")
    assert last.timestamp == last.lenswatch.last_seen == BEGIN + datetime.timedelta(seconds=5)
    assert last.lenswatch.evidence == ["lookup-0", "lookup-1"]


def test_a_finding_that_was_told_whole_is_not_told_again_at_its_end(see: See) -> None:
    fold = Fold()
    fold.add(see("lookup"))
    assert fold.finish() == [] and len(fold) == 0


def test_each_step_of_an_update_is_a_revision(see: See) -> None:
    fold = Fold()
    told = [fold.add(see(kind, at)) for at, kind in enumerate(("lookup", "check", "download"))]
    assert [[(alert.lenswatch.revision, alert.lenswatch.state, steps(alert)) for alert in news] for news in told] == [
        [(1, "new", [])], [(2, "step", ["check"])], [(3, "step", ["check", "download"])],
    ]  # fmt: skip
    assert [news[0].timestamp for news in told] == [BEGIN + datetime.timedelta(seconds=at) for at in range(3)]


def test_a_check_after_the_download_is_no_step(see: See) -> None:
    fold = Fold()
    fold.add(see("download"))
    assert fold.add(see("check", 30)) == []
    (last,) = fold.finish()
    assert steps(last) == ["download"] and last.lenswatch.count == 2


def test_a_check_that_came_first_and_is_told_late_is_a_step(see: See) -> None:
    fold = Fold()
    fold.add(see("download", 30))
    (news,) = fold.add(see("check"))
    assert steps(news) == ["check", "download"] and news.lenswatch.state == "step"


def test_the_strongest_activity_leads(see: See) -> None:
    fold = Fold()
    fold.add(see("lookup"))
    fold.add(see("download", 5))
    fold.add(see("lookup", 9, 1))
    (last,) = fold.finish()
    assert last.lenswatch.activity == "update_received" and FILE in (last.lenswatch.steps or [])[0].detail
    assert last.destination.ip == "192.0.2.82" and set(last.related.ip) == {"10.0.0.11", "10.0.0.1", "192.0.2.82"}


def test_a_higher_level_is_a_revision_and_a_lower_one_is_not(see: See) -> None:
    first = see("cloud")
    raised = msgspec.structs.replace(
        see("cloud", 5, 1),
        lenswatch=msgspec.structs.replace(see("cloud", 5, 1).lenswatch, level="critical"),
        event=msgspec.structs.replace(first.event, severity=5, risk_score=99),
    )
    fold = Fold()
    fold.add(first)
    (news,) = fold.add(raised)
    assert (news.lenswatch.level, news.event.severity, news.lenswatch.state) == ("critical", 5, "severity")
    assert fold.add(see("cloud", 9, 2)) == []
    (last,) = fold.finish()
    assert (last.lenswatch.level, last.event.severity, last.lenswatch.count) == ("critical", 5, 3)


def test_the_end_of_the_window_ends_a_finding(see: See) -> None:
    fold = Fold()
    fold.add(see("lookup"))
    fold.add(see("lookup", 5, 1))
    tomorrow = see("lookup", WINDOW_SECONDS, 2)
    ended, new = fold.add(tomorrow)
    assert (ended.lenswatch.state, ended.lenswatch.count) == ("ended", 2)
    assert new == tomorrow and new.event.id != ended.event.id and len(fold) == 1


def test_a_finding_that_has_ended_goes_on_where_another_capture_holds_more_of_it(see: See) -> None:
    fold = Fold()
    told = [*fold.add(see("lookup")), *fold.add(see("lookup", 5, 1)), *fold.add(see("lookup", WINDOW_SECONDS, 2))]
    told += [*fold.add(see("check", 20, 3)), *fold.add(see("lookup", 25, 4)), *fold.finish()]
    revisions = [alert.lenswatch for alert in told if alert.event.id == see("lookup").event.id]
    assert [(each.revision, each.state, each.count) for each in revisions] == [
        (1, "new", 1), (2, "ended", 2), (3, "step", 3), (4, "ended", 4),
    ]  # fmt: skip


def test_what_is_remembered_of_ended_findings_is_bounded(see: See) -> None:
    fold = Fold(max_remembered=2)
    for number in range(5):
        fold.add(see("lookup", 0, number, device=f"site/{number}"))
    fold.finish()
    again = [fold.add(see("lookup", 5, 9, device=f"site/{number}")) for number in range(5)]
    assert [bool(news) for news in again] == [True, True, True, False, False]


def test_past_the_bound_the_oldest_finding_is_ended_and_counted(see: See) -> None:
    fold = Fold(max_findings=2)
    for number in range(2):
        fold.add(see("lookup", number, number, device=f"site/{number}"))
    fold.add(see("lookup", 2, 2, device="site/0"))
    news = fold.add(see("lookup", 3, 3, device="site/2"))
    assert [(alert.device and alert.device.id, alert.lenswatch.state) for alert in news] == [
        ("site/0", "ended"), ("site/2", "new"),
    ]  # fmt: skip
    assert fold.evicted == 1 and len(fold) == 2


def test_an_evicted_finding_that_was_told_whole_is_not_told_twice(see: See) -> None:
    fold = Fold(max_findings=1)
    fold.add(see("lookup", device="site/0"))
    (news,) = fold.add(see("lookup", 1, 1, device="site/1"))
    assert news.device is not None and news.device.id == "site/1" and fold.evicted == 1


def test_evidence_is_bounded_and_the_first_stays(see: See) -> None:
    fold = Fold()
    for number in range(3 * MAX_EVIDENCE):
        fold.add(see("lookup", number, number))
    (last,) = fold.finish()
    assert last.lenswatch.evidence == [f"lookup-{number}" for number in range(MAX_EVIDENCE)]
    assert last.lenswatch.count == 3 * MAX_EVIDENCE


SIGHTINGS = st.lists(
    st.tuples(
        st.sampled_from(("lookup", "check", "download", "cloud")),
        st.integers(0, 50),
        st.sampled_from(("site/a", "site/b")),
    ),
    min_size=1,
    max_size=12,
)
Told = dict[str, tuple[Any, ...]]


def outcome(alerts: Iterable[Alert]) -> Told:
    """What must not depend on the order: by id, how often, from when to when, which steps, how grave."""
    return {
        key: (
            alert.lenswatch.count, alert.lenswatch.first_seen, alert.lenswatch.last_seen, alert.lenswatch.steps,
            alert.lenswatch.level, alert.lenswatch.activity, frozenset(alert.related.ip),
        )
        for key, alert in told_last(alerts).items()
    }  # fmt: skip


@settings(max_examples=60)
@given(sightings=SIGHTINGS, data=st.data())
def test_the_order_within_a_window_does_not_change_the_outcome(see: See, sightings: list[Any], data: Any) -> None:
    alerts = [see(kind, at, number, device=device) for number, (kind, at, device) in enumerate(sightings)]
    outcomes = []
    for order in (alerts, data.draw(st.permutations(alerts))):
        fold = Fold()
        told = [news for alert in order for news in fold.add(alert)]
        outcomes.append(outcome([*told, *fold.finish()]))
        assert len(alerts) == fold.folded + len([alert for alert in told if alert.lenswatch.state != "ended"])
    assert outcomes[0] == outcomes[1]


@settings(max_examples=60)
@given(sightings=SIGHTINGS, data=st.data())
def test_counting_a_hit_without_making_its_alert_says_the_same(
    hit: Callable[..., Hit], sightings: list[Any], data: Any
) -> None:
    hits = [hit(kind, at, number, device=device) for number, (kind, at, device) in enumerate(sightings)]
    hits = data.draw(st.permutations(hits))
    short, whole = Fold(), Fold()
    told = [news for each in hits if not short.counts(each) for news in short.add(each.alert())]
    assert [*told, *short.finish()] == [
        *itertools.chain.from_iterable(whole.add(each.alert()) for each in hits), *whole.finish(),
    ]  # fmt: skip
    assert short.folded == whole.folded


def test_every_level_and_activity_has_its_weight(rules: RuleSet) -> None:
    from streams.processors.fold import ACTIVITY_STRENGTH, weight

    assert set(rules.facts.activities.values()) <= set(ACTIVITY_STRENGTH)
    assert [weight(level, None)[0] for level in LEVELS] == list(range(len(LEVELS)))


def test_a_fold_goes_on_from_what_was_kept_of_another(see: See) -> None:
    whole, first = Fold(), Fold()
    kinds = ("lookup", "check", "lookup", "download", "lookup")
    alerts = [see(kind, at, at) for at, kind in enumerate(kinds)]
    expected = [news for alert in alerts for news in whole.add(alert)] + whole.finish()
    told = [news for alert in alerts[:3] for news in first.add(alert)]
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(first.state()), type=FoldState)
    second = Fold(state=kept)
    told += [news for alert in alerts[3:] for news in second.add(alert)] + second.finish()
    assert told == expected


def test_what_only_counted_is_in_what_is_kept(hit: Callable[..., Hit]) -> None:
    fold = Fold()
    fold.add(hit("lookup").alert())
    assert fold.counts(hit("lookup", 5, 1))
    assert [alert.lenswatch.count for alert in fold.state().open.values()] == [2]


def test_a_repeat_minutes_later_only_counts_while_no_window_is_over(hit: Callable[..., Hit]) -> None:
    fold = Fold()
    fold.add(hit("lookup").alert())
    assert fold.counts(hit("lookup", 3 * SWEEP_SECONDS, 1))
    assert not fold.counts(hit("lookup", 2 * WINDOW_SECONDS, 2))
    (ended, new) = fold.add(hit("lookup", 2 * WINDOW_SECONDS, 2).alert())
    assert (ended.lenswatch.count, ended.lenswatch.state, new.lenswatch.state) == (2, "ended", "new")


def test_windows_end_by_a_time_from_outside_with_a_minute_for_what_comes_late(see: See) -> None:
    fold = Fold()
    fold.add(see("lookup"))
    fold.add(see("lookup", 5, 1))
    end = fold.next_end()
    assert end == (BEGIN.timestamp() // WINDOW_SECONDS + 1) * WINDOW_SECONDS + 60
    assert fold.windows_over(end - 1) == []
    assert [alert.lenswatch.state for alert in fold.windows_over(end)] == ["ended"]
    assert fold.next_end() is None
