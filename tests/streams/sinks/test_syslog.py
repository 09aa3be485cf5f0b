"""Syslog: what may have been lost is written again under its id, in every body, and never longer than was said."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.errors import SettingsError
from rules.alert import Alert
from streams.sinks.sink import Refused, Unreachable
from streams.sinks.syslog import Recent, Syslog
from tests.streams.dispatch.carrying import carrying, deliver, metric, until
from tests.streams.dispatch.test_stream import Tls
from tests.streams.listener import Listener, read_message

Make = Callable[..., list[Alert]]


def sink(port: int, **more: Any) -> Syslog:
    """A sink to a listener, that is satisfied quickly."""
    table = {"address": f"127.0.0.1:{port}", "tls": False, "allow": ["127.0.0.1"], "confirm_seconds": 0.1, **more}
    return Syslog.build("siem", table)


def ids(listener: Listener) -> list[str]:
    """The id and revision of each message, as they came."""
    values = [read_message(message)[1] for message in listener.messages()]
    return [f"{each['id']}-{each['revision']}" for each in values]


def names(alerts: list[Alert]) -> list[str]:
    """The id and revision of each alert."""
    return [f"{alert.event.id}-{alert.lenswatch.revision}" for alert in alerts]


@pytest.mark.parametrize("body", ["json", "cef", "ocsf"])
def test_every_body_arrives_as_what_it_is(alert: Alert, body: str) -> None:
    with Listener() as listener:
        words = deliver(sink(listener.port, body=body, max_message_bytes=65_536, facility="local3"), alert)
    (message,) = listener.messages()
    head, values, text = read_message(message)
    assert "syslog confirms no more than that" in words and head[0] == str(19 * 8 + 3)
    assert values["company"] == "dahua" and values["listed"] == "true"
    if body == "cef":
        assert text.startswith(b"CEF:0|lenswatch|lenswatch|")
    else:
        document = json.loads(text)
        assert alert.event.id in (document.get("event", {}).get("id"), document.get("finding_info", {}).get("uid"))


@pytest.mark.parametrize("body", ["json", "cef", "ocsf"])
@pytest.mark.parametrize("most", [2_048, 4_096, 8_192])
def test_no_message_is_longer_than_was_said(alert: Alert, body: str, most: int) -> None:
    made = sink(9, body=body, max_message_bytes=most)
    for text in ("x", "😀" * 5_000, "=]\\\x00" * 9_000, "\u202e" * 500):
        long = Alert(**{**{key: getattr(alert, key) for key in alert.__struct_fields__}, "message": text})
        message = made.message(long)
        assert len(message) <= most
        assert read_message(message)[1]["id"] == alert.event.id


def test_a_message_that_has_no_room_at_all_is_refused(alert: Alert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.syslog.bodies", lambda *_: iter(["x" * 9_000]))
    with pytest.raises(Refused, match=r"no form of .* has room in 2048 bytes"):
        sink(9, max_message_bytes=2_048).message(alert)


def test_over_tls_with_our_certificate(tmp_path: Path, alert: Alert) -> None:
    tls = Tls(tmp_path, wants_ours=True)
    tls.keyfile.chmod(0o600)
    more = {"tls": True, "server_name": "localhost", "cafile": str(tls.cafile)}
    ours = {"certfile": str(tls.certfile), "keyfile": str(tls.keyfile)}
    with Listener(tls.server) as listener:
        deliver(sink(listener.port, **more, **ours), alert)
        assert len(ids(listener)) == 1
        bare = sink(listener.port, **more)

        async def probe() -> None:
            try:
                await bare.probe()
            finally:
                await bare.close()

        with pytest.raises(Unreachable, match=r"certificate required|closed|reset"):
            asyncio.run(probe())


def test_what_was_written_before_a_connection_died_is_written_again_before_what_is_new(alerts_of: Make) -> None:
    first, second = alerts_of(3), alerts_of(3, first=3)

    async def run(made: Syslog) -> None:
        await made.deliver(first)
        listener.drop()
        await asyncio.sleep(0.2)
        await made.deliver(second)
        await made.close()

    with Listener() as listener:
        asyncio.run(run(sink(listener.port)))
    assert ids(listener) == names(first) + names(first) + names(second)
    assert listener.messages()[:3] == listener.messages()[3:6], "again is the same again"


def test_it_is_written_again_when_there_is_nothing_new_too(alerts_of: Make) -> None:
    async def run(made: Syslog) -> None:
        await made.deliver(alerts_of(3))
        listener.drop()
        for _ in range(200):
            await asyncio.sleep(0.02)
            if len(ids(listener)) >= 6:
                break
        await asyncio.sleep(0.3)
        await made.close()

    with Listener() as listener:
        asyncio.run(run(sink(listener.port)))
    assert ids(listener) == names(alerts_of(3)) * 2, "once, and not once more for each look"


def test_at_the_end_what_a_dead_connection_may_have_swallowed_is_written_again(alerts_of: Make) -> None:
    """Though the next look at the receiver would be seconds away; and nothing is left that goes on."""

    async def run(made: Syslog) -> None:
        await made.deliver(alerts_of(3))
        listener.stop()
        await asyncio.sleep(0.3)
        listener.start()
        await made.close()
        assert asyncio.all_tasks() == {asyncio.current_task()} and not made._stream.is_open

    with Listener() as listener:
        asyncio.run(run(sink(listener.port)))
    assert ids(listener) == names(alerts_of(3)) * 2


def test_what_was_written_long_before_is_not_written_again(alerts_of: Make) -> None:
    times = iter([0.0, 0.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0])

    async def run(made: Syslog) -> None:
        made._clock = lambda: next(times)
        await made.deliver(alerts_of(3))
        listener.drop()
        await asyncio.sleep(0.2)
        await made.deliver(alerts_of(1, first=3))
        await made.close()

    with Listener() as listener:
        asyncio.run(run(sink(listener.port)))
    assert ids(listener) == names(alerts_of(4))


def test_a_receiver_that_dies_again_and_again_loses_nothing(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(60, devices=20)
    with Listener() as listener, carrying([sink(listener.port)], tmp_path) as dispatch:
        for start in range(0, 60, 20):
            dispatch.put(alerts[start : start + 20])
            listener.stop()
            listener.start()
        until(lambda: dispatch.left() == {"siem": 0}, 30.0, "everything is written")
        until(lambda: set(ids(listener)) == set(names(alerts)), words="all is there")


def test_a_dead_receiver_is_probed_and_gets_all_when_it_is_back(tmp_path: Path, alerts_of: Make) -> None:
    listener = Listener().start()
    listener.stop()
    with carrying([sink(listener.port)], tmp_path) as dispatch:
        dispatch.put(alerts_of(5))
        until(lambda: dispatch.words())
        assert "Connect" in dispatch.words()["siem"] and dispatch.left() == {"siem": 5}
        with listener:
            until(lambda: dispatch.left() == {"siem": 0})
    assert ids(listener) == names(alerts_of(5))


def test_what_there_is_no_room_to_remember_is_counted(
    tmp_path: Path, alerts_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recent.__init__, "__defaults__", (10_000,))
    with Listener() as listener, carrying([sink(listener.port)], tmp_path) as dispatch:
        dispatch.put(alerts_of(20))
        until(lambda: dispatch.left() == {"siem": 0})
        until(lambda: 0 < metric(dispatch, 'sink_deliveries_total{result="not_remembered",sink="siem"}') < 20)


def test_what_is_remembered_is_bounded() -> None:
    recent = Recent(30.0, max_bytes=100)
    recent.add([b"x" * 40] * 4, 10.0)
    assert len(recent.before(10.0)) == 2 and recent.evicted == 2
    recent.add([b"y"], 50.0)
    assert recent.before(50.0) == [b"y"] and recent.evicted == 2, "what is too old is no loss"
    recent.forget()
    assert recent.before(0.0) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"address": "siem.example"}, "which is no HOST:PORT"),
        ({"address": "siem.example:70000"}, "which is no HOST:PORT"),
        ({"tls": False}, "tls is false, which anybody on the way can read"),
        ({"tls": False, "cafile": "/x"}, "tls is false, but certificates"),
        ({"body": "leef"}, "leef"),
        ({"facility": "kern"}, "facility is 'kern'; there are user, daemon"),
        ({"max_message_bytes": 480}, "max_message_bytes is not 2048 to"),
        ({"enterprise": 0}, "enterprise is no private enterprise number"),
        ({"confirm_seconds": -1}, "confirm_seconds"),
        ({"cafile": "/nowhere"}, "cafile /nowhere cannot be read"),
        ({"certfile": "/nowhere"}, "certfile and keyfile go together"),
    ],
)
def test_a_wrong_table_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        Syslog.build("siem", {"address": "siem.example:6514"} | change)


def test_a_key_that_everybody_can_read_is_refused_with_the_mend(tmp_path: Path) -> None:
    tls = Tls(tmp_path)
    tls.keyfile.chmod(0o644)
    table = {"address": "siem.example:6514", "certfile": str(tls.certfile), "keyfile": str(tls.keyfile)}
    with pytest.raises(SettingsError, match=f"by every user of this machine: chmod 600 {tls.keyfile}"):
        Syslog.build("siem", table)


def test_its_address_says_whether_it_is_encrypted(alert: Alert) -> None:
    assert sink(514).address == "tcp://127.0.0.1:514"
    assert Syslog.build("siem", {"address": "[2001:db8::1]:6514"}).address == "tls://[2001:db8::1]:6514"
