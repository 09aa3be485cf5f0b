"""Who looked at what is kept, in order, and read again."""

import datetime
from pathlib import Path

import pytest

from collector.errors import LenswatchError
from streams.acks import FILE_NAME, Ack, add_ack, read_acks
from tests.streams.command import OFFICE, run

AT = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)


def test_the_last_word_on_an_alert_counts_and_the_first_stays_in_the_file(tmp_path: Path) -> None:
    for note in ("looking", "known, ticket 12"):
        add_ack(tmp_path, Ack(timestamp=AT, id="a", revision=1, by="kim", note=note))
    add_ack(tmp_path, Ack(timestamp=AT, id="b", revision=2, by="lee"))
    assert {key: ack.note for key, ack in read_acks(tmp_path).items()} == {"a": "known, ticket 12", "b": ""}
    assert len((tmp_path / FILE_NAME).read_text("utf-8").splitlines()) == 3


def test_where_nobody_has_acknowledged_there_is_nothing(tmp_path: Path) -> None:
    assert read_acks(tmp_path / "none") == {}


@pytest.mark.parametrize("by", ["", "  ", "x" * 2_001])
def test_somebody_must_have_looked(tmp_path: Path, by: str) -> None:
    with pytest.raises(LenswatchError, match="--by"):
        add_ack(tmp_path, Ack(timestamp=AT, id="a", revision=1, by=by))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("\n{\n", "utf-8")
    with pytest.raises(LenswatchError, match=r"acks\.jsonl:2: .*mend or remove the line"):
        read_acks(tmp_path)


def test_an_alert_is_acknowledged_shown_so_and_no_longer_unseen(tmp_path: Path) -> None:
    assert run("watch", OFFICE, state=tmp_path).code == 0
    listed = run("alerts", "--json", state=tmp_path).alerts
    one = listed[0].event.id
    acked = run("alerts", "ack", one[:10], "--by", "kim", "--note", "known\x1b[31m", state=tmp_path)
    assert acked.code == 0 and one[:8] in acked.out
    shown = run("alerts", "show", one, state=tmp_path).out
    assert "by kim: known" in shown and "\x1b" not in shown
    unseen = run("alerts", "--unseen", "--json", state=tmp_path).alerts
    assert {alert.event.id for alert in unseen} == {alert.event.id for alert in listed} - {one}
