"""Splunk has an alert only when an indexer acknowledged it; each code of its table is the failure that it is."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.errors import SettingsError
from rules.alert import Alert
from streams.dispatch.connect import Reply
from streams.dispatch.outbox import Outbox
from streams.sinks.sink import Gone, Refused, Throttled, Undelivered, Unreachable
from streams.sinks.splunk import Splunk, read_answer
from tests.streams.command import OFFICE, PROGRAM, environment, run
from tests.streams.dispatch.carrying import carrying, deliver, metric, until, write_secret
from tests.streams.hec import CODES, TOKEN, Hec

Make = Callable[..., list[Alert]]


def splunk(url: str, folder: Path, token: str = TOKEN, **more: Any) -> Splunk:
    path = write_secret(folder / "hec.token", token)
    return Splunk.build("hec", {"url": url, "token_file": str(path), "allow": ["127.0.0.1"], **more})


def wanted(alerts: list[Alert]) -> list[str]:
    return [f"{alert.event.id}-{alert.lenswatch.revision}" for alert in alerts]


@pytest.mark.parametrize("packed", [False, True])
def test_an_alert_is_an_event_with_the_packets_time_and_the_same_id_for_the_same_news(
    tmp_path: Path, alert: Alert, packed: bool
) -> None:
    with Hec() as hec:
        words = deliver(splunk(hec.url, tmp_path, index="cameras", gzip=packed), alert)
    (event,) = hec.indexed
    assert words.startswith("200 OK, acknowledged after 0.")
    assert event["time"] == alert.timestamp.timestamp() and event["host"] == "sensor"
    assert (event["source"], event["sourcetype"], event["index"]) == ("lenswatch", "lenswatch:alert", "cameras")
    assert event["event"]["event"]["id"] == alert.event.id and event["event"]["@timestamp"] == "2026-11-02T08:00:00Z"
    assert event["fields"] == {"lenswatch_id": f"{alert.event.id}-1"}
    assert (hec.got[0].headers.get("content-encoding") == "gzip") is packed


def test_it_has_arrived_only_when_an_indexer_has_it(tmp_path: Path, alerts_of: Make) -> None:
    with Hec(index_seconds=0.8) as hec, carrying([splunk(hec.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts_of(3, devices=3))
        until(lambda: [got for got in hec.got if got.path.endswith("/event")])
        assert dispatch.left() == {"hec": 3} and hec.ids() == []
        until(lambda: dispatch.left() == {"hec": 0})
        assert hec.ids() == wanted(alerts_of(3, devices=3))


def test_killed_before_it_indexed_and_back_it_gets_the_same_again(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(30, devices=5)
    hec = Hec(index_seconds=1.0).start()
    with carrying([splunk(hec.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts)
        until(lambda: hec.channels)
        hec.stop()
        assert hec.ids() == [], "it took them, and lost them"
        until(lambda: metric(dispatch, 'sink_up{sink="hec"}') == 0, words="nobody answers")
        hec.index_seconds, hec.health = 0.05, 18
        hec.start()
        time.sleep(1.0)
        assert dispatch.left() == {"hec": 30}, "a collector that is not healthy is not sent to"
        hec.health = 17
        until(lambda: dispatch.left() == {"hec": 0})
        hec.stop()
    assert hec.ids() == wanted(alerts)


def test_an_acknowledgement_of_another_life_is_not_taken_for_ours(tmp_path: Path, alerts_of: Make) -> None:
    """After a restart the numbers begin at 0 again, so that what comes first then has the number that we wait for."""
    hec = Hec(index_seconds=0.6).start()
    sink = splunk(hec.url, tmp_path)

    async def run() -> None:
        first, second = alerts_of(2)
        sending = asyncio.create_task(sink.deliver([first]))
        while not hec.channels:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(hec.stop)
        with pytest.raises(Unreachable):
            await sending
        hec.index_seconds = 0.0
        await asyncio.to_thread(hec.start)
        await sink.deliver([second])
        await sink.close()

    asyncio.run(run())
    hec.stop()
    assert len(hec.channels) == 2


def test_what_is_never_acknowledged_is_sent_again_later(tmp_path: Path, alert: Alert) -> None:
    with Hec(index_seconds=60.0) as hec, pytest.raises(Undelivered, match="not acknowledged within 1 s"):
        deliver(splunk(hec.url, tmp_path, ack_seconds=1.0), alert)
    polls = [got for got in hec.got if got.path.endswith("/ack")]
    assert 2 <= len(polls) <= 4 and json.loads(polls[0].body) == {"acks": [0]}


def test_a_token_without_acknowledgement_closes_the_sink_and_says_the_mend(tmp_path: Path, alert: Alert) -> None:
    with Hec(acknowledges=False) as hec:
        with pytest.raises(Gone, match="turn it on there, or set acknowledge = false; then `lenswatch sinks test hec`"):
            deliver(splunk(hec.url, tmp_path), alert)
        assert deliver(splunk(hec.url, tmp_path, acknowledge=False), alert) == "200 OK"


KINDS = {
    **dict.fromkeys((0, 24, 25), None),
    **dict.fromkeys((1, 14), Gone),
    **dict.fromkeys((5, 6, 12, 13, 15), Refused),
    **dict.fromkeys((9, 18, 19, 20, 26, 27), Throttled),
    23: Unreachable,
}


@pytest.mark.parametrize("code", [code for code in CODES if code != 17])
def test_each_code_of_splunks_table_is_the_failure_that_it_is(code: int) -> None:
    status, text = CODES[code]
    reply = Reply(status, "Word", "", None, json.dumps({"text": text, "code": code}).encode())
    kind = KINDS.get(code, Undelivered)
    if kind is None:
        assert read_answer(reply, "x").code == code
    else:
        with pytest.raises(Undelivered, match=rf"\(code {code}\)") as failed:
            read_answer(reply, "x")
        assert type(failed.value) is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(200, Undelivered), (302, Undelivered), (502, Unreachable), (413, Refused), (429, Throttled)]
)
def test_what_is_no_collector_is_judged_by_its_status(status: int, kind: type[Undelivered]) -> None:
    with pytest.raises(kind) as failed:
        read_answer(Reply(status, "Word", "", None, b"<html>sign in</html>"), "x")
    assert type(failed.value) is kind


def test_a_busy_collector_is_left_alone_for_a_while(tmp_path: Path, alerts_of: Make) -> None:
    with Hec() as hec, carrying([splunk(hec.url, tmp_path)], tmp_path) as dispatch:
        hec.code = 26
        dispatch.put(alerts_of(2))
        until(lambda: metric(dispatch, 'sink_deliveries_total{result="throttled",sink="hec"}') == 2)
        time.sleep(0.5)
        assert len(hec.got) == 1 and dispatch.couriers[0].state == "paused"


def test_of_a_batch_that_is_refused_the_others_arrive(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(4, devices=4)

    def answer(got: Any) -> Any:
        is_bad = got.path.endswith("/event") and alerts[2].event.id.encode() in got.body
        return handle(got) if not is_bad else (400, {}, json.dumps({"text": "Invalid data format", "code": 6}))

    with Hec() as hec, carrying([splunk(hec.url, tmp_path)], tmp_path) as dispatch:
        handle, hec.answer = hec.answer, answer
        dispatch.put(alerts)
        until(lambda: dispatch.left() == {"hec": 1})
        assert sorted(set(hec.ids())) == sorted(set(wanted(alerts)) - {wanted(alerts)[2]})


def test_an_event_is_at_fault_only_where_the_collector_takes_another(tmp_path: Path, alerts_of: Make) -> None:
    bad, other, good = alerts_of(3)
    steps = [(15, bad, Undelivered), (15, other, Undelivered), (None, good, None), (15, bad, Refused)]

    async def go(sink: Splunk) -> list[type[Exception] | None]:
        found: list[type[Exception] | None] = []
        for code, alert, _ in steps:
            hec.code = code
            try:
                await sink.deliver([alert])
                found.append(None)
            except Undelivered as error:
                found.append(type(error))
        await sink.close()
        return found

    with Hec() as hec:
        assert asyncio.run(go(splunk(hec.url, tmp_path))) == [kind for _, _, kind in steps]


def test_the_token_shows_in_no_failure_and_no_address(tmp_path: Path, alert: Alert) -> None:
    with Hec() as hec:
        sink = splunk(hec.url, tmp_path, token="wr0ng-T0KEN")
        with pytest.raises(Undelivered, match=r"403 Forbidden: Invalid token \(code 4\)") as failed:
            deliver(sink, alert)
    assert "T0KEN" not in f"{failed.value!r} {failed.value.__cause__!r} {sink.address}"


def test_a_token_that_changes_while_we_run_counts_from_then_on(tmp_path: Path, alert: Alert) -> None:
    with Hec() as hec:
        sink = splunk(hec.url, tmp_path, token="old")
        write_secret(tmp_path / "hec.token", TOKEN)
        deliver(sink, alert)
    assert len(hec.indexed) == 1


def config_of(folder: Path, hec: Hec) -> Path:
    """A settings file with this sink."""
    write_secret(folder / "token", TOKEN)
    path = folder / "lenswatch.toml"
    path.write_text(
        f'[sinks.hec]\nkind = "splunk"\nurl = "{hec.url}"\ntoken_file = "{folder / "token"}"\nallow = ["127.0.0.1"]\n',
        "utf-8",
    )
    return path


def test_sinks_test_says_what_was_acknowledged(tmp_path: Path) -> None:
    with Hec() as hec:
        ran = run("sinks", "test", "hec", "--config", config_of(tmp_path, hec), state=tmp_path)
    assert ran.code == 0 and ran.out.startswith("hec: 200 OK, acknowledged after "), ran.err
    assert hec.indexed[0]["event"]["observer"]["name"] == "sinks-test"


@pytest.mark.system
def test_a_watch_that_is_killed_before_the_acknowledgement_loses_nothing(tmp_path: Path) -> None:
    told = wanted(run("watch", OFFICE, "--alerts", "-", state=tmp_path / "other").alerts)
    with Hec(index_seconds=3600.0) as hec:
        config = config_of(tmp_path, hec)
        command = [str(PROGRAM), "watch", str(OFFICE), "--config", str(config)]
        with subprocess.Popen(command, env=environment(tmp_path, {}), stdout=-3, stderr=-3) as watching:
            folder = tmp_path / "lenswatch" / "outbox"
            until(lambda: Outbox.is_in(folder), 60)
            with contextlib.closing(Outbox(folder, 1_000)) as outbox:
                until(lambda: outbox.count("hec") == len(told) and hec.channels, 60, "all are kept, some are sent")
            watching.kill()
        hec.stop()
        assert hec.ids() == []
        hec.index_seconds = 0.05
        hec.start()
        drained = run("sinks", "drain", "--config", config, state=tmp_path)
        assert drained.out == f"{len(told)} alerts waited, and none waits now\n", drained.err
        assert sorted(hec.ids()) == sorted(told) and len(told) > 10


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({}, "url"),
        ({"url": "https://splunk.example:8088"}, "token_file and token_env: name one of them"),
        ({"url": "https://splunk.example:8088", "token_env": "NOT_THERE"}, "no such environment variable"),
        ({"url": "http://splunk.example:8088", "token_env": "HEC_TOKEN"}, "anybody on the way can read"),
        ({"url": "http://a.example", "token_env": "HEC_TOKEN", "allow": ["a.example"]}, "the credentials readable"),
        ({"url": "https://splunk.example", "token_env": "HEC_TOKEN", "ack_seconds": 0}, "ack_seconds"),
        ({"url": "https://splunk.example", "token_env": "HEC_TOKEN", "timeout_seconds": 61}, "timeout_seconds"),
    ],
)
def test_a_wrong_table_is_refused(table: dict[str, Any], word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEC_TOKEN", TOKEN)
    with pytest.raises(SettingsError, match=word):
        Splunk.build("hec", table)
