"""`watch` delivers what it finds to the sinks of the settings, and says what still waits."""

from pathlib import Path

from standardwebhooks import Webhook

from streams.delivery import what_waits
from tests.streams.command import OFFICE, read_alerts, run
from tests.streams.dispatch.carrying import SECRET, write_secret
from tests.streams.receiver import Receiver


def settings(folder: Path, url: str, more: str = "") -> Path:
    """A settings file with a webhook and a file."""
    write_secret(folder / "secret")
    path = folder / "lenswatch.toml"
    path.write_text(
        f'[watch]\ndrain_seconds = 20\n[sinks.soc]\nkind = "webhook"\nurl = "{url}"\nallow = ["127.0.0.1"]\n'
        f'secret_file = "{folder / "secret"}"\n[sinks.lines]\nkind = "jsonl"\npath = "{folder / "sunk.jsonl"}"\n{more}',
        "utf-8",
    )
    return path


def test_every_revision_of_a_watch_reaches_every_sink(tmp_path: Path) -> None:
    lines = tmp_path / "told.jsonl"
    with Receiver() as receiver:
        ran = run("watch", OFFICE, "--config", settings(tmp_path, receiver.url), "--alerts", lines, state=tmp_path)
    assert ran.code == 0 and ran.complaints == []
    told = read_alerts(lines.read_text("utf-8"))
    wanted = [f"{alert.event.id}-{alert.lenswatch.revision}" for alert in told]
    assert sorted(receiver.ids()) == sorted(wanted) and len(told) > 10
    for got in receiver.got:
        Webhook(SECRET).verify(got.body, got.headers)
    assert read_alerts((tmp_path / "sunk.jsonl").read_text("utf-8")) == told


def test_what_could_not_be_delivered_is_said_kept_and_sent_later(tmp_path: Path) -> None:
    receiver = Receiver().start()
    receiver.stop()
    config = settings(tmp_path, receiver.url)
    ran = run("watch", OFFICE, "--config", config, state=tmp_path)
    (line,) = ran.complaints
    assert line.startswith("lenswatch: sinks.soc: ") and "`lenswatch sinks drain`" in line and "Connect" in line
    assert "waiting" in run("sinks", "list", "--config", config, state=tmp_path).out
    with receiver:
        drained = run("sinks", "drain", "--config", config, state=tmp_path)
    assert drained.code == 0 and "none waits now" in drained.out
    assert len(set(receiver.ids())) == len(receiver.got) > 10


def test_a_wrong_sink_stops_the_command_before_it_reads(tmp_path: Path) -> None:
    config = settings(tmp_path, "http://example.org/")
    config.write_text(config.read_text("utf-8").replace('allow = ["127.0.0.1"]\n', ""), "utf-8")
    ran = run("watch", OFFICE, "--config", config, state=tmp_path)
    assert ran.code == 2 and "sinks.soc: url is http://" in ran.err


def test_what_waits_is_said_for_each_sink() -> None:
    (one, other) = what_waits({"a": 3, "b": 1}, {"a": "x: refused"})
    assert one.startswith("sinks.a: 3 alerts wait (x: refused)") and "not delivered yet" in other
