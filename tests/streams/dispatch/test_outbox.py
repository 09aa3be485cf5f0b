"""What waits is kept, in order, once, within its bounds, and over a kill."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError
from rules.alert import Alert
from streams.dispatch import outbox as module
from streams.dispatch.outbox import Outbox, device_of
from tests.house.tree import ROOT

Make = Callable[..., list[Alert]]
AT = 1_000.0


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path, 100)
    yield outbox
    outbox.close()


def ids(outbox: Outbox, sink: str, without: tuple[str, ...] = (), at: float = AT, limit: int = 1000) -> list[int]:
    return [int(alert.event.id, 16) for alert in outbox.alerts(outbox.take(sink, at, without, limit))]


def test_alerts_come_out_whole_in_order_and_to_each_sink(outbox: Outbox, alerts_of: Make) -> None:
    alerts = alerts_of(5)
    outbox.put(["a", "b"], alerts, AT)
    assert outbox.alerts(outbox.take("a", AT, (), 10)) == alerts
    outbox.done(outbox.take("a", AT, (), 2))
    assert ids(outbox, "a") == [2, 3, 4] and ids(outbox, "b") == [0, 1, 2, 3, 4]
    assert (outbox.count("a"), outbox.count("b"), outbox.count("none")) == (3, 5, 0)
    assert outbox.oldest("a") == AT and outbox.oldest("none") is None


def test_the_same_revision_waits_once_and_a_later_one_beside_it(outbox: Outbox, alerts_of: Make) -> None:
    for revision in (1, 1, 2, 1, 2):
        outbox.put(["a"], alerts_of(1, revision=revision), AT)
    assert [alert.lenswatch.revision for alert in outbox.alerts(outbox.take("a", AT, (), 10))] == [1, 2]


def test_past_the_bound_the_oldest_go_and_are_counted(outbox: Outbox, alerts_of: Make) -> None:
    assert outbox.put(["a", "b"], alerts_of(100), AT) == {}
    assert outbox.put(["a"], alerts_of(7, first=100), AT) == {"a": 7}
    assert outbox.count("a") == 100 and ids(outbox, "a")[0] == 7 and outbox.count("b") == 100


def test_devices_that_are_held_are_passed_over(outbox: Outbox, alerts_of: Make) -> None:
    outbox.put(["a"], alerts_of(6, devices=3), AT)
    assert ids(outbox, "a", ("site/0", "site/1")) == [2, 5]


def test_what_failed_waits_for_its_time_and_can_be_hastened(outbox: Outbox, alerts_of: Make) -> None:
    outbox.put(["a"], alerts_of(2, devices=2), AT)
    outbox.later(outbox.take("a", AT, (), 1), AT + 300)
    assert ids(outbox, "a") == [1] and outbox.waiting("a", AT) == {"site/0": AT + 300}
    assert [parcel.attempts for parcel in outbox.take("a", AT + 300, (), 10)] == [1, 0]
    outbox.hasten("a", AT + 1)
    assert ids(outbox, "a", at=AT + 1) == [0, 1]


def test_what_lasts_is_remembered_by_finding_and_forgotten_when_over(outbox: Outbox, alerts_of: Make) -> None:
    first, second = alerts_of(2)
    outbox.last("a", [(first, AT + 10), (second, AT + 20)])
    outbox.last("a", [(first, AT + 30)])
    assert outbox.lasting("a", "", 10) == [(first, AT + 30), (second, AT + 20)]
    assert outbox.lasting("a", first.event.id, 10) == [(second, AT + 20)]
    outbox.over("a", AT + 20)
    assert outbox.lasting("a", "", 10) == [(first, AT + 30)]


def test_what_lasts_has_a_bound(outbox: Outbox, alerts_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LASTING", 3)
    assert outbox.last("a", [(alert, AT + at) for at, alert in enumerate(alerts_of(5))]) == 2
    assert len(outbox.lasting("a", "", 10)) == 3


def test_a_closed_sink_is_closed_for_its_address_only(outbox: Outbox) -> None:
    outbox.close_sink("a", "https://x:443", "410 Gone")
    assert outbox.closed("a", "https://x:443") == "410 Gone" and outbox.closed("a", "https://y:443") is None
    outbox.open_sink("a")
    assert outbox.closed("a", "https://x:443") is None


KILLED = """
import os, signal, sys
from pathlib import Path
import msgspec
from rules.alert import Alert
from streams.dispatch.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), 1000)
alert = msgspec.json.decode(sys.stdin.buffer.read(), type=Alert)
outbox.put(["a"], [alert], 1000.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_put_outlives_a_kill(tmp_path: Path, alert: Alert) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    kept = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, input=msgspec.json.encode(alert), env=kept, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    outbox = Outbox(tmp_path, 100)
    assert outbox.alerts(outbox.take("a", AT, (), 10)) == [alert]
    outbox.close()


def test_a_file_that_is_no_outbox_is_named_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / module.FILE_NAME).write_bytes(b"no database, by far" * 100)
    with pytest.raises(LenswatchError, match=r"outbox\.sqlite: the outbox cannot be used: .*move the file away"):
        Outbox(tmp_path, 10)


def test_sync_needs_no_log_to_be_there(outbox: Outbox, alerts_of: Make) -> None:
    outbox.put(["a"], alerts_of(1), AT)
    outbox.sync()
    outbox.path.with_name(f"{module.FILE_NAME}-wal").unlink()
    outbox.sync()


def test_what_waits_for_longer_than_is_set_is_let_go_and_counted(tmp_path: Path, alerts_of: Make) -> None:
    outbox = Outbox(tmp_path, 100, 60.0)
    assert outbox.put(["a", "b"], alerts_of(3), AT) == {}
    assert outbox.put(["a"], alerts_of(1, first=3), AT + 61) == {"a": 3, "b": 3}
    assert ids(outbox, "a", at=AT + 61) == [3] and outbox.count("b") == 0
    outbox.close()


def test_what_waits_of_a_device_is_forgotten_and_nothing_else(outbox: Outbox, alerts_of: Make) -> None:
    alerts = alerts_of(4, devices=2)
    outbox.put(["a"], alerts, AT)
    outbox.last("a", [(alert, AT + 100) for alert in alerts])
    assert outbox.forget("site/0") == 2 and outbox.forget("site/0") == 0
    assert ids(outbox, "a") == [1, 3]
    assert [alert.device.id for alert, _ in outbox.lasting("a", "", 10) if alert.device] == ["site/1", "site/1"]
    assert b"site/0" not in b"".join(path.read_bytes() for path in outbox.path.parent.iterdir())


def kept(outbox: Outbox) -> int:
    with sqlite3.connect(outbox.path) as database:
        return int(database.execute("SELECT count(*) FROM documents").fetchone()[0])


def test_a_document_is_kept_once_for_all_sinks_until_the_last_has_it(outbox: Outbox, alerts_of: Make) -> None:
    outbox.put(["a", "b", "c"], alerts_of(3), AT)
    assert kept(outbox) == 3
    outbox.done(outbox.take("a", AT, (), 3))
    outbox.done(outbox.take("b", AT, (), 2))
    assert kept(outbox) == 3
    outbox.done(outbox.take("c", AT, (), 3))
    assert kept(outbox) == 1 and ids(outbox, "b") == [2]


def test_who_is_behind_gets_the_same_as_who_is_not(
    tmp_path: Path, alerts_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_AT_HAND", 2)
    outbox, alerts = Outbox(tmp_path, 100), alerts_of(5)
    outbox.put(["a"], alerts, AT)
    assert outbox.alerts(outbox.take("a", AT, (), 10)) == alerts
    outbox.close()


def test_a_put_that_fails_gives_no_alert_in_the_place_of_another(outbox: Outbox, alerts_of: Make) -> None:
    first, second = alerts_of(2)
    with pytest.raises(LenswatchError):
        outbox.put(["a", object()], [first], AT)  # type: ignore[list-item]
    outbox.put(["a"], [second], AT)
    assert outbox.alerts(outbox.take("a", AT, (), 10)) == [second]


def test_what_is_forgotten_on_its_way_is_not_told(outbox: Outbox, alerts_of: Make) -> None:
    outbox.put(["a"], alerts_of(2, devices=2), AT)
    taken = outbox.take("a", AT, (), 10)
    outbox.forget("site/0")
    with pytest.raises(LenswatchError, match="forgotten"):
        outbox.alerts(taken)
    assert ids(outbox, "a") == [1]


BEFORE = """
CREATE TABLE parcels (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, device TEXT NOT NULL, id TEXT NOT NULL,
    revision INTEGER NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL, put_at REAL NOT NULL,
    document BLOB NOT NULL, UNIQUE (sink, id, revision)
);
CREATE TABLE sizes (sink TEXT PRIMARY KEY, parcels INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER parcel_in AFTER INSERT ON parcels BEGIN
    INSERT INTO sizes VALUES (NEW.sink, 1) ON CONFLICT (sink) DO UPDATE SET parcels = parcels + 1;
END;
CREATE TRIGGER parcel_out AFTER DELETE ON parcels BEGIN
    UPDATE sizes SET parcels = parcels - 1 WHERE sink = OLD.sink;
END;
"""


def test_what_waits_in_a_file_of_before_waits_on(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(3)
    with sqlite3.connect(tmp_path / module.FILE_NAME) as database:
        database.executescript(BEFORE)
        for sink, alert in [(sink, alert) for sink in "ab" for alert in alerts]:
            revision, document = alert.lenswatch.revision, msgspec.json.encode(alert)
            row = (sink, device_of(alert), alert.event.id, revision, AT, 2, AT, document)
            database.execute("INSERT INTO parcels VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        database.execute("DELETE FROM parcels WHERE sink = 'b' AND id = ?", (alerts[0].event.id,))
    database.close()
    for _ in range(2):
        outbox = Outbox(tmp_path, 100)
        taken = outbox.take("a", AT, (), 10)
        assert outbox.alerts(taken) == alerts and {parcel.attempts for parcel in taken} == {2}
        assert ids(outbox, "b") == [1, 2] and (outbox.count("a"), outbox.count("b"), kept(outbox)) == (3, 2, 3)
        outbox.close()
