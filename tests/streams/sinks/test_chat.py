"""People hear of what concerns them, at a bounded pace, over a real mail server and real web servers."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from collector.canary import make_canary
from collector.errors import SettingsError
from rules.alert import Alert
from rules.match import RuleSet
from streams.processors.canary import TEST_SENSOR
from streams.processors.fold import revise
from streams.sinks.chat import Chat
from streams.sinks.sink import Undelivered, Unreachable
from tests.streams.command import run
from tests.streams.dispatch.carrying import carrying, deliver_all, metric, until, write_secret
from tests.streams.mailbox import PASSWORD, USER, Mailbox
from tests.streams.receiver import Receiver

Make = Callable[..., list[Alert]]
TOKEN = "abcdefghijklmnopqrstuvwxyz"


def chat(url: str, folder: Path, **more: Any) -> Chat:
    path = write_secret(folder / "chat.url", url)
    settings = {"allow": ["127.0.0.1", "localhost"], "every_seconds": 0} | more
    return Chat.build("team", {"url_file": str(path), **settings})


def mail(port: int, folder: Path, **more: Any) -> Chat:
    return chat(f"mailto://127.0.0.1:{port}/?from=lenswatch@example.org&to=soc@example.org", folder, **more)


def mattermost(receiver: Receiver, folder: Path, **more: Any) -> Chat:
    return chat(f"mmost://127.0.0.1:{receiver.port}/{TOKEN}", folder, **more)


def id_of(alert: Alert) -> str:
    return f"id {alert.event.id}-{alert.lenswatch.revision}"


def test_an_alert_comes_as_a_mail(tmp_path: Path, alert: Alert) -> None:
    with Mailbox() as mailbox:
        assert deliver_all(mail(mailbox.port, tmp_path), [alert]) == ["taken"]
    (message,), (text,) = mailbox.got, mailbox.texts()
    assert message["Subject"] == f"lenswatch: high: {alert.rule.name}"
    assert message["To"] == "soc@example.org" and "lenswatch@example.org" in message["From"]
    assert alert.message in text and id_of(alert) in text


def test_an_alert_comes_to_a_chat(tmp_path: Path, alert: Alert) -> None:
    with Receiver(lambda got: (200, {}, "ok")) as receiver:
        assert deliver_all(mattermost(receiver, tmp_path), [alert]) == ["200 OK"]
    (got,) = receiver.got
    assert got.path == f"/hooks/{TOKEN}" and alert.message in json.loads(got.body)["text"]


def test_what_is_below_the_bar_ended_or_a_canary_is_not_told(rules: RuleSet, tmp_path: Path, alert: Alert) -> None:
    low = msgspec.structs.replace(alert, lenswatch=msgspec.structs.replace(alert.lenswatch, level="low"))
    ended = revise(alert, alert.timestamp, "ended")
    (canary,) = rules.match(make_canary("sensor", "hq", alert.timestamp))
    with Receiver(lambda got: (200, {}, "ok")) as receiver:
        told = deliver_all(mattermost(receiver, tmp_path), [low], [ended], [canary], [low, alert])
    assert told == ["nothing of severity high or above"] * 3 + ["200 OK"]
    (got,) = receiver.got
    assert json.loads(got.body)["text"].count("\nid ") == 1


def test_a_canary_has_come_only_where_somebody_listens(rules: RuleSet, tmp_path: Path, alert: Alert) -> None:
    (canary,) = rules.match(make_canary("sensor", "hq", alert.timestamp))
    receiver = Receiver().start()
    receiver.stop()
    (error,) = deliver_all(mattermost(receiver, tmp_path), [canary])
    assert isinstance(error, Unreachable)


def test_a_person_who_asks_sees_it_arrive(rules: RuleSet, tmp_path: Path, alert: Alert) -> None:
    (canary,) = rules.match(make_canary(TEST_SENSOR, "hq", alert.timestamp))
    with Mailbox() as mailbox:
        assert deliver_all(mail(mailbox.port, tmp_path, min_severity="critical"), [canary]) == ["taken"]
    assert canary.message in mailbox.texts()[0]


def test_a_burst_is_a_few_messages_that_count_what_they_do_not_tell(tmp_path: Path, alerts_of: Make) -> None:
    with Mailbox() as mailbox, carrying([mail(mailbox.port, tmp_path, every_seconds=1.0)], tmp_path) as dispatch:
        dispatch.put(alerts_of(1))
        until(lambda: mailbox.got)
        began = time.monotonic()
        dispatch.put(alerts_of(300, devices=30, first=1))
        until(lambda: dispatch.left() == {"team": 0})
        assert time.monotonic() - began > 0.7
        first, second = mailbox.texts()
        assert "alerts --unseen" not in first and "and 295 more (295 high): lenswatch alerts --unseen" in second


def test_a_mail_server_that_dies_and_comes_back_gets_all_the_news_and_no_other(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(12, devices=4)
    mailbox = Mailbox().start()
    with carrying([mail(mailbox.port, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts[:4])
        until(lambda: dispatch.left() == {"team": 0})
        mailbox.stop()
        dispatch.put(alerts[4:7])
        until(lambda: metric(dispatch, 'sink_up{sink="team"}') == 0, words="nobody answers")
        dispatch.put(alerts[7:])
        assert dispatch.left() == {"team": 8}
        mailbox.start()
        until(lambda: dispatch.left() == {"team": 0})
    mailbox.stop()
    text = "\n".join(mailbox.texts())
    told = {line for line in text.splitlines() if line.startswith("id ")}
    assert told <= {id_of(alert) for alert in alerts}
    assert len(told) + text.count("and 3 more") * 3 + text.count("and 2 more") * 2 == 12


def test_a_chat_that_dies_and_comes_back_gets_all_the_news_and_no_other(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(20, devices=5)
    receiver = Receiver(lambda got: (200, {}, "ok"), delay=0.2).start()
    with carrying([mattermost(receiver, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts[:1])
        until(lambda: receiver.got)
        receiver.stop()
        dispatch.put(alerts[1:])
        until(lambda: metric(dispatch, 'sink_up{sink="team"}') == 0, words="nobody answers")
        receiver.start()
        until(lambda: dispatch.left() == {"team": 0})
    receiver.stop()
    texts = [json.loads(got.body)["text"] for got in receiver.got]
    told = [line for text in texts for line in text.splitlines() if line.startswith("id ")]
    assert set(told) <= {id_of(alert) for alert in alerts}
    counted = sum(int(found) for text in texts for found in re.findall(r"and (\d+) more \(", text))
    assert len(set(told)) + counted == 20


def test_an_answer_without_an_end_holds_nobody_for_ever(
    tmp_path: Path, alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.sinks.chat.CALL_SECONDS", 0.3)
    with Receiver(lambda got: (200, {}, "ok"), delay=1.0) as receiver:
        (error,) = deliver_all(mattermost(receiver, tmp_path), [alert])
        assert type(error) is Undelivered and "no end of an answer within 0 s" in str(error)
        time.sleep(1.0)


def test_a_mail_server_of_our_own_has_tls_and_our_password(tmp_path: Path, alert: Alert) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with Mailbox(authority) as mailbox:

        def told(password: str, cafile: str) -> str | Undelivered:
            url = f"mailtos://{USER}:{password}@localhost:{mailbox.port}/?from=l@example.org&to=soc@example.org"
            sink = chat(url, tmp_path, cafile=str(tmp_path / cafile))
            assert PASSWORD not in sink.address
            (found,) = deliver_all(sink, [alert])
            return found

        assert told(PASSWORD, "ca.pem") == "taken"
        assert isinstance(told(PASSWORD, "other.pem"), Undelivered)
        refused = told("wrong", "ca.pem")
        assert type(refused) is Undelivered and "answered 535" in str(refused) and "wrong" not in str(refused)
    assert len(mailbox.got) == 1


def test_a_refused_mail_is_kept_and_tried_again(tmp_path: Path, alert: Alert) -> None:
    with Mailbox() as mailbox:
        mailbox.refusal = "452 4.3.1 Insufficient system storage"
        (error,) = deliver_all(mail(mailbox.port, tmp_path), [alert])
        assert type(error) is Undelivered and "answered 452 4.3.1 Insufficient system storage" in str(error)
        mailbox.refusal = None
        assert deliver_all(mail(mailbox.port, tmp_path), [alert]) == ["taken"]


def test_sinks_test_and_list_show_no_token(tmp_path: Path) -> None:
    with Receiver(lambda got: (200, {}, "ok")) as receiver:
        write_secret(tmp_path / "url", f"mmost://127.0.0.1:{receiver.port}/{TOKEN}")
        config = tmp_path / "lenswatch.toml"
        config.write_text(
            f'[sinks.team]\nkind = "chat"\nurl_file = "{tmp_path / "url"}"\nallow = ["127.0.0.1"]\n', "utf-8"
        )
        tested = run("sinks", "test", "team", "--config", config, state=tmp_path)
        listed = run("sinks", "list", "--config", config, state=tmp_path)
        receiver.answer = lambda got: (403, {}, "no")
        failed = run("sinks", "test", "team", "--config", config, state=tmp_path)
    assert tested.code == 0 and tested.out.startswith("team: 200 OK, after ")
    assert f"mmost://127.0.0.1:{receiver.port}" in listed.out
    assert failed.code == 1 and "answered 403 Forbidden" in failed.err
    assert TOKEN not in "".join((tested.out, tested.err, listed.out, listed.err, failed.out, failed.err))


def test_nothing_of_it_is_loaded_where_no_chat_is_named() -> None:
    code = (
        "import sys, streams.dispatch.opening as opening\n"
        "opening.open_sinks({'a': {'kind': 'alertmanager', 'url': 'http://127.0.0.1:9'}})\n"
        "print(sorted({'apprise', 'requests', 'markdown', 'smtplib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"min_severity": "grave"}, "min_severity"),
        ({"every_seconds": -1}, "every_seconds"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"url_env": "CHAT_URL"}, "url_file and url_env: name one of them"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, more: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        chat(f"mmosts://chat.example.org/{TOKEN}", tmp_path, **more)
