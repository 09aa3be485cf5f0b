"""A real rsyslog takes what we write, over TCP and TLS with our certificate, dies in the middle, and has it all."""

import collections
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rules.alert import Alert
from streams.formats.syslog import SEVERITIES
from streams.sinks.syslog import Syslog
from tests.streams.command import OFFICE, read_alerts, run
from tests.streams.dispatch.carrying import carrying, until
from tests.streams.formats.test_cef import parse
from tests.streams.formats.test_ocsf import check as check_ocsf
from tests.streams.listener import PARAMETER
from tests.streams.told import many_alerts
from tests.system.syslogd import Certificates, Rsyslog

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("syslog_program")]


def settings(folder: Path, server: Rsyslog, body: str, certificates: Certificates) -> Path:
    """A settings file with a syslog sink over TLS."""
    keys = {"kind": "syslog", "address": f"127.0.0.1:{server.port}", "body": body} | certificates.table()
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    path = folder / f"{body}.toml"
    more = ['allow = ["127.0.0.1"]', "max_message_bytes = 65536", ""]
    path.write_text("\n".join(["[watch]", "drain_seconds = 20", "[sinks.siem]", *lines, *more]), "utf-8")
    return path


def read_body(body: str, text: str) -> tuple[str, int]:
    """Id and revision that a body names, after its own check."""
    if body == "cef":
        _, pairs = parse(text)
        return pairs["externalId"], int(pairs["cn1"])
    document = json.loads(text)
    if body == "ocsf":
        check_ocsf(document)
        return document["finding_info"]["uid"], document["metadata"]["sequence"]
    (alert,) = read_alerts(text)
    return alert.event.id, alert.lenswatch.revision


@pytest.mark.parametrize("body", ["json", "cef", "ocsf"])
def test_every_revision_of_a_watch_arrives_over_tls(tmp_path: Path, body: str) -> None:
    certificates = Certificates(tmp_path / "certificates")
    with Rsyslog(tmp_path / "rsyslog", certificates) as server:
        config = settings(tmp_path, server, body, certificates)
        ran = run("watch", OFFICE, "--config", config, "--alerts", tmp_path / "told.jsonl", state=tmp_path)
        assert ran.code == 0 and ran.complaints == []
        told = read_alerts((tmp_path / "told.jsonl").read_text("utf-8"))
        until(lambda: len(server.messages()) >= len(told), words=server.said())
        ran = run("sinks", "test", "siem", "--config", config, state=tmp_path)
        assert ran.code == 0 and ran.out.startswith("siem: 1 written, and the connection held")
        until(lambda: len(server.messages()) > len(told))
    *messages, canary = server.messages()
    assert canary["news"] == "canary"
    for alert, message in zip(told, messages, strict=True):
        assert message["severity"] == str(SEVERITIES[alert.lenswatch.level]) and message["facility"] == "local0"
        assert (message["host"], message["app"]) == (alert.observer.name, "lenswatch")
        values = dict(PARAMETER.findall(message["data"]))
        identity = (alert.event.id, alert.lenswatch.revision)
        assert (values["id"], int(values["revision"])) == identity == read_body(body, message["body"].strip())


def test_a_server_with_another_name_gets_nothing(tmp_path: Path, alert: Alert) -> None:
    certificates = Certificates(tmp_path / "certificates", server_name="other.example")
    with Rsyslog(tmp_path / "rsyslog", certificates) as server:
        config = settings(tmp_path, server, "json", certificates)
        ran = run("sinks", "test", "siem", "--config", config, state=tmp_path)
    assert ran.code == 1 and len(ran.complaints) == 1 and "its certificate is not taken" in ran.complaints[0]
    assert "siem.example" in ran.complaints[0] and server.messages() == []


def identities(server: Rsyslog) -> dict[str, set[str]]:
    """Every id and revision that rsyslog has written, with its bodies."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for message in server.messages():
        values = dict(PARAMETER.findall(message["data"]))
        found[f"{values['id']}-{values['revision']}"].add(message["body"])
    return found


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_killed_and_returned_in_the_middle_it_has_everything_and_nothing_new_under_an_old_id(
    tmp_path: Path, alert: Alert, tls: bool
) -> None:
    certificates = Certificates(tmp_path / "certificates") if tls else None
    server = Rsyslog(tmp_path / "rsyslog", certificates, slow=2_000)
    more: dict[str, Any] = certificates.table() if certificates is not None else {"tls": False}
    table = {"address": f"127.0.0.1:{server.port}", "allow": ["127.0.0.1"], "confirm_seconds": 0.2, **more}
    alerts = many_alerts(alert, 3_000, devices=300)
    wanted = {f"{each.event.id}-{each.lenswatch.revision}" for each in alerts}
    ends: list[Callable[[], None]] = [server.kill, server.stop, server.kill]
    with carrying([Syslog.build("siem", table)], tmp_path) as dispatch:
        server.start()
        try:
            for number, end in enumerate(ends):
                dispatch.put(alerts[1_000 * number : 1_000 * (number + 1)])
                until(lambda least=300 * number + 100: len(identities(server)) > least, 30.0, server.said())
                end()
                time.sleep(0.3)
                server.start()
            until(lambda: dispatch.left() == {"siem": 0}, 60.0, f"all is written: {dispatch.words()}")
            until(lambda: wanted <= set(identities(server)), 30.0, "all of it is there")
            found = identities(server)
            written = len(server.messages())
            print(f"\n{len(alerts)} alerts, {written} messages, {len(found)} ids")
            assert set(found) == wanted and all(len(bodies) == 1 for bodies in found.values())
        finally:
            server.stop()
