"""A real Alertmanager takes what we push, tells it on in its own format, and resolves it when the finding ends."""

import json
import re
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.alert import Alert
from streams.sinks.alertmanager import Alertmanager
from tests.streams.dispatch.carrying import carrying, until
from tests.streams.receiver import Receiver
from tests.streams.told import many_alerts
from tests.system.broker import ROOT
from tests.system.monitoring import AlertmanagerServer, run_program

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("prometheus_programs")]


VARIABLE = r"\$\{__(?:field\.labels|data\.fields)\.(\w+)\}|\$\{(\w+):regex\}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[AlertmanagerServer]:
    server = AlertmanagerServer(tmp_path / "alertmanager", receiver.url)
    server.start()
    yield server
    server.stop()


def told(receiver: Receiver, status: str) -> list[dict[str, Any]]:
    """The alerts of a status in what Alertmanager told on; its format is the fourth."""
    rows = []
    for got in receiver.got:
        document = json.loads(got.body)
        assert document["version"] == "4" and document["receiver"] == "test"
        rows += [alert for alert in document["alerts"] if alert["status"] == status]
    return rows


def test_findings_are_pushed_told_on_repeated_and_resolved(
    tmp_path: Path, server: AlertmanagerServer, receiver: Receiver, alert: Alert
) -> None:
    table = {"url": server.url, "repeat_seconds": 1.0, "hold_seconds": 8.0}
    with carrying([Alertmanager.build("am", table)], tmp_path) as dispatch:
        dispatch.put([alert])
        until(lambda: server.alerts(), words="it fires")
        until(lambda: told(receiver, "firing"), words="it is told on")
        (firing,) = told(receiver, "firing")
        assert firing["labels"]["company"] == "dahua" and firing["labels"]["severity"] == "high"
        assert firing["annotations"]["summary"] == alert.message
        assert firing["annotations"]["alert_id"] == alert.event.id
        (now,) = server.alerts()
        time.sleep(2.5)
        (later,) = server.alerts()
        assert later["updatedAt"] > now["updatedAt"], "it is repeated while it lasts"
        until(lambda: told(receiver, "resolved"), 20.0, "it is resolved when the finding is over")
        until(lambda: not server.alerts())
        until(lambda: not dispatch.outbox.lasting("am", "", 1))


def links() -> Iterator[Any]:
    """The link of every panel of every dashboard."""
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            (link,) = panel["fieldConfig"]["defaults"]["links"]
            yield f"{path.stem}: {panel['title']}", link["url"]


def test_the_link_of_every_panel_finds_its_alerts_and_no_others(
    tmp_path: Path, server: AlertmanagerServer, alert: Alert
) -> None:
    """Filled in as Grafana does, and asked with Alertmanager's own reader of filters."""
    with carrying([Alertmanager.build("am", {"url": server.url, "hold_seconds": 60.0})], tmp_path) as dispatch:
        dispatch.put([alert])
        until(lambda: server.alerts(), words="it fires")
    (labels,) = (each["labels"] for each in server.alerts())
    ours = labels | {"rule": labels["alertname"], "programme": labels["programmes"].split(",")[0]}
    asked: dict[str, list[str]] = {}
    for title, url in links():
        filters = urllib.parse.unquote(url.partition("&filter=")[2])
        asked.setdefault(re.sub(VARIABLE, lambda found: ours.get(found[1] or found[2], ".*"), filters), []).append(
            title
        )
        if re.search(VARIABLE, filters):
            asked.setdefault(f"not {re.sub(VARIABLE, 'another', filters)}", []).append(title)
    assert 8 < len(asked) < 40
    for filters, titles in asked.items():
        matchers = [each for each in filters.removeprefix("not ").strip("{}").split(",") if each]
        code, text = run_program(
            "amtool", "alert", "query", "--alertmanager.url", server.url, "--output=json", *matchers
        )
        assert code == 0, (titles, text)
        assert len(json.loads(text)) == (not filters.startswith("not ")), (titles, filters)


def test_what_lasts_is_known_again_after_alertmanager_restarts(
    tmp_path: Path, server: AlertmanagerServer, alert: Alert
) -> None:
    table = {"url": server.url, "repeat_seconds": 0.5, "hold_seconds": 60.0}
    with carrying([Alertmanager.build("am", table)], tmp_path) as dispatch:
        dispatch.put([alert])
        until(lambda: server.alerts())
        server.stop()
        server.start()
        until(lambda: server.alerts(), 20.0, "it fires again without any news of it")


def test_two_hundred_findings_arrive_and_no_label_of_theirs_is_refused(
    tmp_path: Path, server: AlertmanagerServer, alert: Alert
) -> None:
    odd = msgspec.structs.replace(alert, message='a "quoted"\n\\ and 漢字 \x01')
    with carrying([Alertmanager.build("am", {"url": server.url, "hold_seconds": 60})], tmp_path) as dispatch:
        dispatch.put([odd, *many_alerts(alert, 200, devices=200)])
        until(lambda: dispatch.left() == {"am": 0})
        until(lambda: len(server.alerts()) == 201)


def test_the_shipped_configuration_is_one_that_alertmanager_takes() -> None:
    code, text = run_program("amtool", "check-config", "deploy/alertmanager/alertmanager.yml")
    assert code == 0, text
