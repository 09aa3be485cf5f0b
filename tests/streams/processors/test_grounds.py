"""An alert without its grounds and the grounds come to the same alert; who needs them keeps them."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.observation import Observation
from rules.alert import Alert
from rules.match import RuleSet
from streams.processors.entry import Packing
from streams.processors.grounds import IDLE_SECONDS, Shelf

Table = dict[str, bytes]


@pytest.fixture(scope="module")
def alerts(rules: RuleSet, observe: Callable[..., Observation]) -> list[Alert]:
    """Alerts of three kinds, on other grounds each."""
    changes: list[dict[str, Any]] = [
        {"event.dataset": "lenswatch.tls", "destination.domain": name}
        for name in ("www.easy4ipcloud.com", "dev.ezvizlife.com", "dahuatec.xyz")
    ]
    return [rules.match(observe(change))[0] for change in changes]


def write(table: Table, shelf: Shelf, at: float = 0) -> tuple[set[str], set[str]]:
    """Write what changed; what came, and what went."""
    fresh, gone = shelf.changes(at)
    table.update({key: data for key, data in fresh.items() if data is not None})
    for key in gone:
        del table[key]
    return set(fresh), set(gone)


def lend(shelf: Shelf, alert: Alert, names: dict[str, None]) -> Alert:
    return shelf.lend(shelf.share(alert), names)


def reopen(table: Table) -> Shelf:
    shelf = Shelf(0, table, Packing())
    for key in table:
        shelf.find(key)
    return shelf


def test_an_alert_is_put_together_again_by_whoever_has_the_table(alerts: list[Alert]) -> None:
    table: Table = {}
    shelf, names = Shelf(0, table, Packing()), dict[str, None]()
    lent = [lend(shelf, alert, names) for alert in alerts]
    shelf.use("d/a", names)
    assert len(names) == 3 and [shelf.join(each) for each in lent] == alerts
    assert all(len(msgspec.json.encode(each)) < 1_500 for each in lent)
    assert write(table, shelf) == ({f"g/0/{name}" for name in names}, set())
    again = [msgspec.msgpack.decode(msgspec.msgpack.encode(each), type=Alert) for each in lent]
    other = reopen(table)
    whole = [other.join(each) for each in again]
    assert whole == alerts
    assert [lend(other, each, {}) for each in whole] == lent, "and taken apart again the same"


def test_grounds_hold_nothing_of_the_device(alerts: list[Alert]) -> None:
    table: Table = {}
    shelf, names = Shelf(0, table, Packing()), dict[str, None]()
    for alert in alerts:
        lend(shelf, alert, names)
    shelf.use("d/a", names)
    write(table, shelf)
    said = b"".join(Packing().unpack(data)[1] for data in table.values())
    for alert in alerts:
        assert alert.device is not None
        for own in (alert.device.id, alert.source.ip, alert.event.id, *alert.lenswatch.evidence, alert.observer.name):
            assert own.encode() not in said


def test_the_same_words_said_again_are_the_same_grounds(alerts: list[Alert]) -> None:
    shelf, names = Shelf(0, {}, Packing()), dict[str, None]()
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(alerts[0]), type=Alert)
    assert shelf.share(alerts[0]) is alerts[0] and shelf.share(copy) == copy
    assert shelf.share(copy).lenswatch.verdicts is alerts[0].lenswatch.verdicts is not copy.lenswatch.verdicts
    assert lend(shelf, alerts[0], names) == lend(shelf, copy, names) and len(names) == 1
    other = msgspec.structs.replace(copy, rule=msgspec.structs.replace(copy.rule, ruleset="another"))
    assert lend(shelf, other, names) != lend(shelf, copy, names) and len(names) == 2


def test_past_the_bound_an_alert_keeps_its_own(alerts: list[Alert]) -> None:
    shelf, names = Shelf(0, {}, Packing(), most=1), dict[str, None]()
    lent = [lend(shelf, alert, names) for alert in alerts]
    assert lent[0] != alerts[0] and lent[1:] == alerts[1:] and len(shelf) == len(names) == 1
    assert [shelf.join(each) for each in lent] == alerts


def test_grounds_on_which_nobody_stands_go_after_a_while_and_come_back_when_they_are_needed(
    alerts: list[Alert],
) -> None:
    table: Table = {}
    shelf, names = Shelf(0, table, Packing()), dict[str, None]()
    lent = lend(shelf, alerts[0], names)
    shelf.use("d/a", names)
    write(table, shelf)
    shelf.use("d/a", ())
    shelf.use("d/b", ())
    assert write(table, shelf, 100) == (set(), set()) == write(table, shelf, 99 + IDLE_SECONDS)
    shelf.use("d/b", names)
    shelf.use("d/b", ())
    assert write(table, shelf, 100 + IDLE_SECONDS) == (set(), set()), "they were needed in between"
    assert write(table, shelf, 100 + 2 * IDLE_SECONDS) == (set(), {f"g/0/{lent.rule.id}"})
    assert table == {} and len(shelf) == 0
    assert lend(shelf, alerts[0], {}) == lent
    shelf.use("d/a", names)
    assert len(write(table, shelf)[0]) == len(table) == 1 and shelf.join(lent) == alerts[0]


def test_what_nobody_stands_on_when_a_table_is_taken_over_goes_after_a_while(alerts: list[Alert]) -> None:
    table: Table = {}
    shelf, names = Shelf(0, table, Packing()), dict[str, None]()
    for alert in alerts[:2]:
        lend(shelf, alert, names)
    shelf.use("d/a", names)
    write(table, shelf)
    again = reopen(table)
    again.use("d/a", list(names)[:1])
    assert write(table, again, 50) == (set(), set())
    assert write(table, again, 50 + IDLE_SECONDS) == (set(), {f"g/0/{list(names)[1]}"})


def test_an_alert_whose_grounds_are_nowhere_is_let_go_and_counted(alerts: list[Alert]) -> None:
    lent = lend(Shelf(0, {}, Packing()), alerts[0], {})
    other = Shelf(0, {}, Packing())
    assert other.join(lent) is None and other.missed == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.integers(0, 2)), st.booleans()), max_size=12))
def test_what_an_entry_stands_on_is_there_and_nothing_else(
    alerts: list[Alert], moves: list[tuple[str, set[int], bool]]
) -> None:
    table: Table = {}
    entries: dict[str, list[Alert]] = {}
    at = 0.0
    shelf = Shelf(0, table, Packing())
    for key, wanted, anew in moves:
        names: dict[str, None] = {}
        entries[key] = [lend(shelf, alerts[number], names) for number in sorted(wanted)]
        shelf.use(key, names)
        if anew:
            write(table, shelf, at)
            at += IDLE_SECONDS
            write(table, shelf, at)
            assert set(table) == {f"g/0/{each.rule.id}" for lent in entries.values() for each in lent}
            shelf = reopen(table)
            for other, lent in entries.items():
                shelf.use(other, {each.rule.id: None for each in lent})
        assert [shelf.join(each) for each in entries[key]] == [alerts[number] for number in sorted(wanted)]
