"""What a record changes: once, whatever comes again, wherever the process died, and in one write a device."""

import datetime
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.observation import Observation
from rules.alert import WINDOW_SECONDS, Alert
from rules.match import RuleSet
from streams.processors.correlate import Correlate
from streams.processors.detect import Memory, judge
from streams.processors.entry import DEVICE, GROUNDS, Packing, heads_of
from streams.processors.firmware import Updates
from streams.processors.fold import Fold, FoldState
from streams.processors.grounds import IDLE_SECONDS
from streams.processors.liveness import STEP_SECONDS
from streams.processors.partition import FORGET_SECONDS, Batch, Outcome, Partition

BEGIN = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)
AT = BEGIN.timestamp()
SERVER, FILE, CHECK = (
    "materialfile.dahuasecurity.com",
    "/uploads/soft/20261012/DH_IPC.bin",
    "/cloudupgrade/check?model=IPC",
)
LOOKALIKES = {
    f"like{number}": name
    for number, name in enumerate(
        ("dahuatec.xyz", "edahua.top", "www.hikvlsion-update.com", "dahuatec.top", "hikvlsion.net", "hikvlsion.org")
    )
}
Make = Callable[..., Observation]
Table = dict[str, bytes]


@pytest.fixture(scope="module")
def see(observe: Make) -> Make:
    """An observation of a kind, so many seconds after the beginning, of this device."""

    def make(kind: str = "cloud", at: float = 0, number: int = 0, device: str = "site/a") -> Observation:
        change: dict[str, Any] = {
            "@timestamp": (BEGIN + datetime.timedelta(seconds=at)).isoformat(),
            "event.id": f"{kind}-{at}-{number}", "device.id": device,
        }  # fmt: skip
        if kind == "plain":
            return observe(change | {"event.dataset": "lenswatch.tls", "destination.domain": "www.example.org"})
        if kind.startswith("like"):
            return observe(change | {"event.dataset": "lenswatch.tls", "destination.domain": LOOKALIKES[kind]})
        if kind == "cloud":
            return observe(change | {"event.dataset": "lenswatch.tls", "destination.domain": "www.easy4ipcloud.com"})
        path = {"check": CHECK, "download": FILE}[kind]
        return observe(
            change | {"destination.domain": SERVER, "url": {"original": path, "domain": SERVER, "path": path}}
        )

    return make


def batch(seq: int, *observations: Observation, at: float = AT + 60, boot: str = "01") -> Batch:
    return Batch("sensor", boot, seq, at, list(observations))


def write(table: Table, partition: Partition, outcome: Outcome) -> list[Alert]:
    """Write what a record changed, as a worker does; its news."""
    for key, value in partition.changes().items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    return outcome.news


def reopen(table: Table, number: int = 0, **more: Any) -> Partition:
    """The partition as another worker finds it."""
    return Partition(number, table, heads_of(table.items()).get(number, ()), **more)


def told(alerts: list[Alert]) -> list[tuple[int, str, int]]:
    return [(alert.lenswatch.revision, alert.lenswatch.state, alert.lenswatch.count) for alert in alerts]


def test_a_device_is_written_once_however_often_it_changed(rules: RuleSet, see: Make) -> None:
    partition = Partition(0, {})
    outcome = partition.take(
        batch(1, *(see("cloud", at) for at in range(5)), see("check", 9), see(device="site/b")), rules
    )
    assert partition.unwritten == 3
    changes = [key for key in partition.changes() if not key.startswith(GROUNDS)]
    assert set(changes) == {"d/site/a", "d/site/b", "s/0/sensor"} and partition.changes() == {}
    assert partition.unwritten == 0
    assert outcome.matched == outcome.told + 4 and len(outcome.news) == outcome.told


def test_a_record_that_comes_again_changes_nothing(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table)
    write(table, partition, partition.take(batch(1, see("cloud")), rules))
    again = partition.take(batch(1, see("cloud")), rules)
    assert again.duplicate and again.news == [] and partition.changes() == {} and again.matched == 0


def test_a_record_that_is_read_again_after_a_crash_counts_once(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    records = [batch(number, see("cloud", number, number), see("check", number)) for number in range(6)]
    partition = Partition(0, table)
    for record in records[:4]:
        write(table, partition, partition.take(record, rules))
    partition = reopen(table)
    for record in records[2:]:
        write(table, partition, partition.take(record, rules))
    partition = reopen(table)
    counts = [alert.lenswatch.count for alert in write(table, partition, partition.tick(AT + 2 * WINDOW_SECONDS))]
    assert counts and set(counts) == {6}


def test_news_that_was_told_before_a_crash_is_told_again_the_same(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    write(table, (p := Partition(0, table)), p.take(batch(1, see("check")), rules))
    first = reopen(table).take(batch(2, see("download", 5)), rules).news
    assert first and reopen(table).take(batch(2, see("download", 5)), rules).news == first


def test_the_same_number_of_another_start_of_the_sensor_is_another_record(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table)
    write(table, partition, partition.take(batch(1, see("cloud")), rules))
    outcome = partition.take(batch(1, see("cloud", 5), boot="02"), rules)
    assert not outcome.duplicate and outcome.matched == 1


def test_a_tick_ends_a_finding_whose_window_is_over_and_that_has_settled(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table, settle_seconds=30)
    late = AT + 2 * WINDOW_SECONDS
    write(table, partition, partition.take(batch(1, see("cloud"), see("cloud", 1, 1), at=late), rules))
    assert not partition.is_due(late + 29) and partition.tick(late + 29).news == []
    assert partition.is_due(late + 30)
    assert told(write(table, partition, partition.tick(late + 30))) == [(2, "ended", 2)]
    assert write(table, partition, partition.tick(late + 31)) == [] and not partition.is_due(late + 31)


def test_a_tick_within_the_window_ends_nothing(rules: RuleSet, see: Make) -> None:
    partition = Partition(0, {})
    partition.take(batch(1, see("cloud"), see("cloud", 1, 1)), rules)
    assert partition.tick(AT + 3600) == Outcome([])


def test_a_tick_is_due_with_the_first_device_that_was_not_put_off(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition, late = reopen(table), AT + 2 * WINDOW_SECONDS
    for seq, (device, after) in enumerate((("site/a", 0), ("site/b", 20), ("site/a", 40))):
        record = batch(seq, see("cloud", after, device=device), at=late + after)
        write(table, partition, partition.take(record, rules))
        assert not partition.is_due(late + 29)
    for each in (partition, reopen(table)):
        assert [each.is_due(late + after) for after in (49, 50, 49, 50)] == [False, True, False, True]


def test_devices_that_are_silent_are_counted_without_the_sensors(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = reopen(table)
    seen = [see("plain", after, device=f"site/{after}") for after in (0, 10, 20)]
    write(table, partition, partition.take(batch(1, *seen), rules))
    for each in (partition, reopen(table)):
        assert each.sensors == {"s/0/sensor"} and len(each) == 4
        assert [each.silent(AT + after) for after in (0, 1, 20, 21)] == [0, 1, 2, 3]
    partition.forget("site/0")
    assert partition.silent(AT + 21) == 2


def test_another_worker_ends_what_the_first_had_begun(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    write(table, (p := Partition(0, table)), p.take(batch(1, see("cloud"), see("cloud", 1, 1)), rules))
    assert told(reopen(table).tick(AT + 2 * WINDOW_SECONDS).news) == [(2, "ended", 2)]


def test_revisions_go_on_rising_after_the_end(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table)
    late = AT + 2 * WINDOW_SECONDS
    write(table, partition, partition.take(batch(1, see("check"), see("check", 1), at=late), rules))
    write(table, partition, partition.tick(late + 30))
    partition = reopen(table)
    revisions = [
        each[0]
        for each in told(write(table, partition, partition.take(batch(2, see("download", 7), at=late + 40), rules)))
    ]
    assert revisions and min(revisions) == 3


def test_a_device_of_which_nothing_was_heard_for_days_is_forgotten(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table)
    write(table, partition, partition.take(batch(1, see("cloud"), see("plain", device="site/b")), rules))
    write(table, partition, partition.tick(AT + 2 * WINDOW_SECONDS))
    write(table, partition, partition.tick(AT + 60 + FORGET_SECONDS))
    assert {key[:2] for key in table} == {GROUNDS}
    write(table, partition, partition.tick(AT + 60 + FORGET_SECONDS + IDLE_SECONDS))
    assert table == {} and len(partition) == 0


def test_a_device_that_is_to_be_forgotten_is_gone_from_memory_and_table_and_begins_anew(
    rules: RuleSet, see: Make
) -> None:
    table: Table = {}
    partition = reopen(table)
    first = write(table, partition, partition.take(batch(1, see(), see(device="site/b")), rules))
    gone = "site/a"
    assert DEVICE + gone in table
    assert partition.forget(gone) and not partition.forget(gone)
    write(table, partition, Outcome([]))
    assert DEVICE + gone not in table and DEVICE + gone not in partition.seen
    assert [key for key in table if key.startswith(DEVICE)] != []
    assert not reopen(table).forget(gone)
    again = write(table, partition, partition.take(batch(2, see()), rules))
    assert told(again) == told([each for each in first if each.device is not None and each.device.id == gone])


def test_who_was_seen_is_written_rarely(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table)
    partition.take(batch(1, see("plain")), rules)
    assert set(partition.changes()) == {"d/site/a", "s/0/sensor"}
    late = AT + STEP_SECONDS + 60
    partition.take(batch(2, see("plain", STEP_SECONDS - 1), at=late), rules)
    assert partition.changes() == {}
    partition.take(batch(3, see("plain", STEP_SECONDS), at=late), rules)
    assert set(partition.changes()) == {
        "d/site/a",
        "s/0/sensor",
    }


def test_a_clock_that_runs_ahead_is_held_at_the_records_own_time(rules: RuleSet, see: Make) -> None:
    partition = Partition(0, {})
    partition.take(batch(1, see("plain", 10**9), at=AT), rules)
    assert partition.seen["d/site/a"] == AT


def test_past_the_bound_the_device_known_first_is_forgotten_and_counted(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table, max_devices=3)
    for number in range(4):
        write(table, partition, partition.take(batch(number, see("plain", number, device=f"site/{number}")), rules))
    assert len(partition) == len(table) == 3 and partition.evicted == 2 and "d/site/3" in table


def test_entries_of_other_partitions_are_left_alone(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    for number in range(3):
        write(table, (p := Partition(number, table)), p.take(batch(1, see("cloud", device=f"site/{number}")), rules))
    assert [sorted(reopen(table, number).seen) for number in range(3)] == [
        [f"d/site/{number}", f"s/{number}/sensor"] for number in range(3)
    ]


STREAM = st.lists(
    st.tuples(
        st.sampled_from(("cloud", "check", "download", "plain", *(f"like{number}" for number in range(6)))),
        st.integers(0, 4000), st.sampled_from("ab"),
    ),
    min_size=1, max_size=16,
)  # fmt: skip


@settings(max_examples=40)
@given(sightings=STREAM, cuts=st.sets(st.integers(0, 12)), again=st.integers(0, 12))
def test_records_crashes_and_repeats_come_to_what_one_process_comes_to(
    rules: RuleSet, see: Make, sightings: list[Any], cuts: set[int], again: int
) -> None:
    observations = [see(kind, at, number, f"site/{device}") for number, (kind, at, device) in enumerate(sightings)]
    memory = Memory(Fold(), Correlate(), Updates())
    whole = [*judge(observations, rules, lambda _: memory).news, *memory.fold.finish()]
    table: Table = {}
    got: list[Alert] = []
    records = [batch(seq, observation) for seq, observation in enumerate(observations)]
    partition = Partition(0, table)
    for seq, record in enumerate(records):
        got += write(table, partition, partition.take(record, rules))
        if seq in cuts:
            partition = reopen(table)
        if seq == again:
            for old in records[: seq + 1]:
                assert write(table, partition, partition.take(old, rules)) == []
    got += write(table, (p := reopen(table)), p.tick(AT + 2 * WINDOW_SECONDS))
    assert {alert.event.id: alert for alert in got} == {alert.event.id: alert for alert in whole}


def test_a_correlation_is_counted_over_records_and_workers_and_once_for_a_record_that_is_read_again(
    rules: RuleSet, see: Make
) -> None:
    table: Table = {}
    records = [batch(number, see(f"like{number}", number * 60)) for number in range(5)]
    news: list[Alert] = []
    for record in (*records, *records):
        news += write(table, (p := reopen(table)), p.take(record, rules))
    (found,) = [alert for alert in news if alert.lenswatch.correlation is not None]
    assert found.rule.name == "Device asks for many names that resemble camera makers'"
    assert found.lenswatch.evidence == [f"like{number}-{number * 60}-0" for number in range(5)]


def test_a_lost_table_write_and_the_same_record_again_find_the_same_correlation(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    for number in range(4):
        write(table, (p := reopen(table)), p.take(batch(number, see(f"like{number}", number)), rules))
    last = batch(4, see("like4", 4))
    lost, again = reopen(table).take(last, rules), reopen(table).take(last, rules)
    assert [alert.event.id for alert in lost.news] == [alert.event.id for alert in again.news]
    assert any(alert.lenswatch.correlation for alert in again.news)


def test_what_a_correlation_lets_go_is_counted_by_the_partition(rules: RuleSet, see: Make) -> None:
    partition = Partition(0, {})
    partition.take(batch(1, see("like0", 7 * 3600), see("like1", 0)), rules)
    # Two correlations are fed by such a name.
    assert partition.let_go == {"late": 2}


def call(observe: Make, day: int, address: str, number: int = 0) -> Observation:
    """A flow of a camera to outside that ended on a day."""
    return observe({
        "@timestamp": (BEGIN + datetime.timedelta(days=day)).isoformat(), "event.id": f"flow-{day}-{number}",
        "event.dataset": "lenswatch.flow", "device.id": "site/a", "network.direction": "outbound",
        "destination": {"ip": address, "bytes": 10, "as": {"number": int(address.rpartition(".")[2])}},
        "lenswatch.flow": {"state": "closed", "duration_seconds": 1.0},
    })  # fmt: skip


def first_calls(alerts: list[Alert]) -> list[list[str] | None]:
    return [each.lenswatch.baseline.new for each in alerts if each.lenswatch.baseline and each.lenswatch.revision == 1
            and each.rule.name.startswith("First call")]  # fmt: skip


def test_what_is_usual_for_a_device_outlives_every_worker_and_a_record_that_comes_again(
    rules: RuleSet, observe: Make
) -> None:
    table: Table = {}
    news: list[Alert] = []
    for day in range(16):
        address = "203.0.113.2" if day == 14 else "203.0.113.1"
        record = batch(day + 1, call(observe, day, address), at=AT + day * 86_400 + 60)
        for _ in range(2):
            news += write(table, (p := reopen(table)), p.take(record, rules))
        news += write(table, (p := reopen(table)), p.tick(AT + day * 86_400 + FORGET_SECONDS + 120))
    assert first_calls(news) == [["AS 2"]]


def test_a_camera_that_is_silent_for_a_month_keeps_its_habits_and_is_forgotten_at_last(
    rules: RuleSet, observe: Make
) -> None:
    table: Table = {}
    for day in range(15):
        record = batch(day + 1, call(observe, day, "203.0.113.1"), at=AT + day * 86_400)
        write(table, (p := reopen(table)), p.take(record, rules))
    last = AT + 14 * 86_400
    write(table, (p := reopen(table)), p.tick(last + 30 * 86_400))
    record = batch(99, call(observe, 45, "203.0.113.2"), at=AT + 45 * 86_400)
    news = write(table, (p := reopen(table)), p.take(record, rules))
    assert first_calls(news) == [["AS 2"]]
    for day in (47, 45 + 91):
        write(table, (p := reopen(table)), p.tick(AT + day * 86_400 + 60))
    assert "d/site/a" not in table


def test_without_learning_no_habits_are_kept(rules: RuleSet, observe: Make) -> None:
    table: Table = {}
    partition = Partition(0, table, learning_days=0)
    record = batch(1, call(observe, 400, "203.0.113.1"))
    assert first_calls(write(table, partition, partition.take(record, rules))) == []
    assert partition._device("d/site/a").habits is None


def test_what_the_rules_say_is_kept_once_for_all_devices_and_written_before_them(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table)
    outcome = partition.take(batch(1, *(see("cloud", 0, 0, f"site/{number}") for number in range(50))), rules)
    changes = partition.changes()
    kinds = "".join(key[0] for key in changes)
    assert kinds == "g" + 50 * "d" + "s"
    first, *others = (changes[f"d/site/{number}"] or b"" for number in range(50))
    entry, body = Packing().unpack(first)
    assert entry.grounds == [next(iter(changes)).rpartition("/")[2]]
    verdicts = outcome.news[0].lenswatch.verdicts
    assert verdicts and verdicts[0].says.encode() not in body and len(body) < 1_500
    assert all(len(other) < 1_000 for other in others)


def test_what_the_rules_say_goes_some_time_after_the_last_device_that_it_is_said_of(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = reopen(table)
    write(table, partition, partition.take(batch(1, see(), see("check"), see(device="site/b")), rules))
    before = {key for key in table if key.startswith(GROUNDS)}
    assert len(before) == 2
    partition.forget("site/a")
    write(table, partition, Outcome([]))
    assert before < set(table)
    write(table, partition, partition.tick(AT + 60 + IDLE_SECONDS))
    assert len(before & set(table)) == 1, "of the look for an update nobody else is suspected"
    write(table, partition := reopen(table), partition.take(batch(2, see(device="site/c")), rules))
    assert len([key for key in table if key.startswith(GROUNDS)]) == 1


def test_a_finding_of_which_half_is_lost_is_let_go_and_found_anew(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = reopen(table)
    news = write(table, partition, partition.take(batch(1, see(), see("check"), see("download")), rules))
    for key in [key for key in table if key.startswith(GROUNDS)]:
        del table[key]
    again = reopen(table)
    found = write(table, again, again.take(batch(2, see("cloud", 5), see("check", 6), see("download", 7)), rules))
    assert {each.event.id for each in found} == {each.event.id for each in news} and again.shelf.missed > 1
    assert reopen(table).tick(AT + 2 * WINDOW_SECONDS).news == []


def test_however_little_of_a_write_was_kept_all_can_be_read_and_the_record_brings_the_same_news(
    rules: RuleSet, see: Make
) -> None:
    records = [
        batch(1, see(), see("check", 1), see("like1", 2, device="site/b")),
        batch(2, see("download", 5), see("check", 5, device="site/b"), see("cloud", 6, device="site/c")),
    ]
    table: Table = {}
    for record in records:
        partition = reopen(table)
        news, changes = partition.take(record, rules).news, partition.changes()
        for kept in range(len(changes)):
            torn = table | {key: data for key, data in list(changes.items())[:kept] if data is not None}
            again = reopen(torn)
            told_again = again.take(record, rules).news
            assert [each for each in news if each in told_again] == told_again
            write(torn, again, Outcome([]))
            ended = write(torn, (p := reopen(torn)), p.tick(AT + 2 * WINDOW_SECONDS))
            assert all(each.rule.name and each.rule.ruleset == rules.digest for each in ended)
            assert p.shelf.missed == again.shelf.missed == 0
        table |= {key: data for key, data in changes.items() if data is not None}


def test_an_entry_of_before_whose_alerts_are_whole_is_read(rules: RuleSet, see: Make) -> None:
    partition = Partition(0, {})
    (alert, *_) = partition.take(batch(1, see()), rules).news
    state = FoldState({alert.event.id: alert}, {alert.event.id: 1})
    packed = msgspec.msgpack.encode([{}, state, None, None, None])
    entry = [0, AT, AT, AT, 1, zstandard.ZstdCompressor(1).compress(packed)]
    table = {"d/site/a": msgspec.msgpack.encode(entry)}
    again = reopen(table)
    assert again.open_findings == 1
    write(table, again, again.take(batch(2, see("cloud", 5)), rules))
    (ended,) = reopen(table).tick(AT + 2 * WINDOW_SECONDS).news
    assert ended.lenswatch.count == 2 and ended.lenswatch.verdicts == alert.lenswatch.verdicts


def test_when_devices_were_updated_is_read_again_after_a_rebalance_a_few_at_a_time(rules: RuleSet, see: Make) -> None:
    table: Table = {}
    partition = Partition(0, table)
    seen = [see("download", number, device=f"site/{number}") for number in range(3)]
    write(table, partition, partition.take(batch(1, *seen, see("check", 9, device="site/9")), rules))
    known = {f"d/site/{number}": AT + number for number in range(3)} | {"d/site/9": None}
    assert partition.updated == known
    again = reopen(table)
    assert again.updated == {}
    again.read_updates(1)
    assert len(again.updated) == 1
    again.read_updates()
    assert again.updated == known
