"""`lenswatch sinks`: what there is, whether it arrives, and what the other side says."""

import json
from pathlib import Path

from standardwebhooks import Webhook

from tests.streams.command import run
from tests.streams.dispatch.carrying import SECRET
from tests.streams.receiver import Receiver
from tests.streams.test_delivery import settings


def test_a_test_sends_a_canary_and_prints_the_answer(tmp_path: Path) -> None:
    with Receiver() as receiver:
        config = settings(tmp_path, receiver.url)
        ran = run("sinks", "test", "soc", "--config", config, state=tmp_path)
    assert ran.code == 0 and ran.out.startswith("soc: 204 No Content, after ")
    (got,) = receiver.got
    assert Webhook(SECRET).verify(got.body, got.headers)["type"] == "lenswatch.canary"


def test_a_test_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    with Receiver(lambda got: (401, {})) as receiver:
        config = settings(tmp_path, receiver.url)
        ran = run("sinks", "test", "soc", "--config", config, state=tmp_path)
    assert ran.code == 1 and ran.complaints == [
        f"lenswatch: http://127.0.0.1:{receiver.port}: answered 401 Unauthorized: words"
    ]


def test_sinks_are_listed_without_their_secrets(tmp_path: Path) -> None:
    config = settings(tmp_path, "https://hooks.example.org/T0KEN?key=T0KEN")
    ran = run("sinks", "list", "--config", config, state=tmp_path)
    assert ran.code == 0 and "https://hooks.example.org:443" in ran.out and "T0KEN" not in ran.out
    rows = [json.loads(line) for line in run("sinks", "list", "--json", "--config", config, state=tmp_path).out.split()]
    assert [(row["name"], row["kind"], row["waiting"]) for row in rows] == [
        ("soc", "webhook", 0),
        ("lines", "jsonl", 0),
    ]


def test_a_sink_that_is_not_there_and_settings_without_any_are_usage_errors(tmp_path: Path) -> None:
    config = settings(tmp_path, "https://hooks.example.org/")
    ran = run("sinks", "test", "pager", "--config", config, state=tmp_path)
    assert ran.code == 2 and "pager: no such sink; there are soc, lines" in ran.err
    ran = run("sinks", "list", state=tmp_path)
    assert ran.code == 2 and "no sink is named" in ran.err


def test_a_closed_sink_is_told_and_opened_again_by_a_test(tmp_path: Path) -> None:
    from streams.dispatch.outbox import Outbox

    with Receiver() as receiver:
        config = settings(tmp_path, receiver.url)
        outbox = Outbox(tmp_path / "lenswatch" / "outbox", 10)
        outbox.close_sink("soc", f"http://127.0.0.1:{receiver.port}", "answered 410 Gone")
        outbox.close()
        assert "; closed: answered 410 Gone" in run("sinks", "list", "--config", config, state=tmp_path).out
        assert run("sinks", "test", "soc", "--config", config, state=tmp_path).code == 0
        assert "; closed" not in run("sinks", "list", "--config", config, state=tmp_path).out


def test_drain_with_nothing_waiting_says_so(tmp_path: Path) -> None:
    config = settings(tmp_path, "https://hooks.example.org/")
    ran = run("sinks", "drain", "--config", config, state=tmp_path)
    assert ran.code == 0 and ran.out == "0 alerts waited, and none waits now\n"
