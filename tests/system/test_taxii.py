"""OASIS's own TAXII server takes our sightings, dies in the middle, and has each version of each once."""

import collections
import json
import time
from pathlib import Path

import pytest

from rules.alert import Alert
from streams.sinks.taxii import Taxii
from tests.streams.command import OFFICE, read_alerts, run
from tests.streams.dispatch.carrying import carrying, until, write_secret
from tests.streams.formats.test_stix import check
from tests.streams.told import many_alerts, write_sightings
from tests.system.taxii_server import PASSWORD, USER, TaxiiServer

pytestmark = pytest.mark.system


def table(folder: Path, server: TaxiiServer) -> dict[str, object]:
    """What the settings say of the server."""
    secret = write_secret(folder / "password", PASSWORD)
    return {"url": server.url, "username": USER, "password_file": str(secret), "allow": ["127.0.0.1"]}


def keys(objects: list[dict[str, object]]) -> list[tuple[object, object]]:
    """Id and version of each object."""
    return [(each["id"], each.get("modified")) for each in objects]


def test_every_revision_of_a_watch_is_a_version_of_a_sighting(tmp_path: Path) -> None:
    with TaxiiServer(tmp_path / "taxii") as server:
        lines = [f"{key} = {json.dumps(value)}" for key, value in table(tmp_path, server).items()]
        config = tmp_path / "lenswatch.toml"
        head = ["[watch]", "drain_seconds = 60", "[sinks.cti]", 'kind = "taxii"']
        config.write_text("\n".join([*head, *lines, ""]), "utf-8")
        ran = run("watch", OFFICE, "--config", config, "--alerts", tmp_path / "told.jsonl", state=tmp_path)
        assert ran.code == 0 and ran.complaints == []
        told = read_alerts((tmp_path / "told.jsonl").read_text("utf-8"))
        there = server.objects()
        assert sorted(keys(there), key=str) == sorted(keys(write_sightings(told)), key=str)
        sightings = [each for each in there if each["type"] == "sighting"]
        assert len(sightings) == len(told) and len({each["id"] for each in sightings}) == len(
            {alert.event.id for alert in told}
        )
        check(write_sightings(told))
        ran = run("sinks", "test", "cti", "--config", config, state=tmp_path)
        assert ran.code == 0 and "objects are there" in ran.out


def test_a_wrong_password_is_said_without_it(tmp_path: Path, alert: Alert) -> None:
    with TaxiiServer(tmp_path / "taxii") as server:
        made = table(tmp_path, server)
        write_secret(tmp_path / "password", "another word")
        with carrying([Taxii.build("cti", made)], tmp_path) as dispatch:
            dispatch.put([alert])
            until(lambda: dispatch.words())
            assert "answered 401" in dispatch.words()["cti"] and "another" not in dispatch.words()["cti"]
            assert dispatch.left() == {"cti": 1}


def test_killed_and_returned_in_the_middle_it_has_every_sighting_once(tmp_path: Path, alert: Alert) -> None:
    server = TaxiiServer(tmp_path / "taxii")
    alerts = many_alerts(alert, 200, devices=40) + many_alerts(alert, 100, devices=40, revision=2)
    wanted = set(keys([each for each in write_sightings(alerts) if each["type"] == "sighting"]))
    assert len(wanted) == len(alerts)

    def there() -> list[tuple[object, object]]:
        return keys([each for each in server.kept() if each["type"] == "sighting"])

    with carrying([Taxii.build("cti", table(tmp_path, server))], tmp_path) as dispatch:
        server.start()
        try:
            dispatch.put(alerts)
            for least in (40, 120):
                until(lambda least=least: len(there()) >= least, 60.0, f"some are there: {dispatch.words()}")
                server.kill()
                time.sleep(0.3)
                server.start()
            until(lambda: dispatch.left() == {"cti": 0}, 120.0, f"all has arrived: {dispatch.words()}")
            found = collections.Counter(there())
            print(f"\n{len(alerts)} alerts, {len(found)} versions of sightings")
            assert set(found) == wanted and set(found.values()) == {1}
        finally:
            server.kill()


def test_what_is_there_already_has_arrived(tmp_path: Path, alert: Alert) -> None:
    """Medallion counts an object that it has as a failure."""
    with TaxiiServer(tmp_path / "taxii") as server:
        for _ in range(2):
            with carrying([Taxii.build("cti", table(tmp_path, server))], tmp_path) as dispatch:
                dispatch.put([alert])
                until(lambda d=dispatch: d.left() == {"cti": 0})
        statuses = json.loads((tmp_path / "taxii" / "data.json").read_text("utf-8"))["cti"]["status"]
        assert [each["failure_count"] > 0 for each in statuses] == [False, True]
