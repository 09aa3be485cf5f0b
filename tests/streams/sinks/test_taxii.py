"""TAXII: what a server says of each object counts, and what it has already has arrived."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from collector.canary import make_canary
from collector.errors import SettingsError
from rules.alert import Alert
from rules.match import RuleSet
from streams.processors.canary import TEST_SENSOR
from streams.sinks.sink import Refused, Throttled, Undelivered
from streams.sinks.taxii import MAX_IDS, MEDIA_TYPE, Taxii
from tests.streams.dispatch.carrying import carrying, deliver, until, write_secret
from tests.streams.receiver import Receiver
from tests.streams.told import write_sightings

Make = Callable[..., list[Alert]]
ROOT = "/cti/collections/one/"


class Collection(Receiver):
    """A TAXII server of one collection, by the specification: `fails` says which objects it does not take, and whether
    it names them; `pends` how often a status is pending before it is complete; `readable` whether its manifest is."""

    def __init__(self, pends: int = 0, fails: Callable[[dict[str, Any]], bool] = lambda each: False) -> None:
        super().__init__()
        self.pends, self.fails, self.names, self.readable, self.page = pends, fails, True, True, 1_000
        self.objects: list[dict[str, Any]] = []
        self.known: set[str] = set()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.status: dict[str, Any] = {}
        self.answers: list[web.Response] = []

    async def _take(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path, {key.lower(): each for key, each in request.headers.items()}))
        if self.answers:
            return self.answers.pop(0)
        if request.path == f"{ROOT}objects/" and request.method == "POST":
            return self.told(self.add(json.loads(await request.read())["objects"]), 202)
        if request.path == "/cti/status/s1/":
            self.pends -= 1
            return self.told(self.status | {"status": "pending" if self.pends > 0 else "complete"})
        if request.path == f"{ROOT}manifest/":
            return self.manifest(request) if self.readable else web.Response(status=403)
        return web.Response(status=200 if request.path == ROOT else 404)

    @staticmethod
    def told(resource: dict[str, Any], status: int = 200) -> web.Response:
        return web.Response(status=status, body=json.dumps(resource).encode(), headers={"Content-Type": MEDIA_TYPE})

    def add(self, objects: list[dict[str, Any]]) -> dict[str, Any]:
        failures = []
        for each in objects:
            text = json.dumps(each, sort_keys=True)
            if self.fails(each) or text in self.known:
                failures.append({"id": each["id"], "version": "", "message": "not taken"})
            else:
                self.objects.append(each)
                self.known.add(text)
        self.status = {
            "id": "s1", "status": "pending" if self.pends else "complete", "total_count": len(objects),
            "success_count": len(objects) - len(failures), "failure_count": len(failures), "pending_count": 0,
        }  # fmt: skip
        if self.names:
            self.status["failures"] = failures
        return self.status

    def manifest(self, request: web.Request) -> web.Response:
        ids = request.query["match[id]"].split(",")
        assert len(ids) <= MAX_IDS and request.query["match[version]"] == "all"
        # Another precision than ours, as a server may have.
        entries = [
            {"id": each["id"], "version": each.get("modified", "2026-01-01T00:00:00Z").replace("Z", "000Z")}
            for each in self.objects
            if each["id"] in ids
        ]
        start = int(request.query.get("next", "0"))
        page: dict[str, Any] = {"objects": entries[start : start + self.page]}
        if start + self.page < len(entries):
            page |= {"more": True, "next": str(start + self.page)}
        return self.told(page if entries else {})

    def sink(self, **more: Any) -> Taxii:
        return Taxii.build("cti", {"url": f"http://127.0.0.1:{self.port}{ROOT}", "allow": ["127.0.0.1"], **more})


def test_objects_are_added_in_one_envelope_of_the_right_type(alert: Alert) -> None:
    with Collection() as server:
        assert deliver(server.sink(), alert) == f"{len(write_sightings([alert]))} objects are there"
    ((method, path, headers),) = server.asked
    assert (method, path) == ("POST", f"{ROOT}objects/")
    assert headers["content-type"] == headers["accept"] == MEDIA_TYPE
    assert server.objects == json.loads(json.dumps(write_sightings([alert])))


@pytest.mark.parametrize(("sensor", "methods"), [("gate", ["GET"]), (TEST_SENSOR, ["POST"])])
def test_a_canary_is_no_sighting_but_for_one_that_a_person_asked_for(
    rules: RuleSet, alert: Alert, sensor: str, methods: list[str]
) -> None:
    (canary,) = rules.match(make_canary(sensor, "hq", alert.timestamp))
    with Collection() as server:
        deliver(server.sink(), canary)
    assert [method for method, _, _ in server.asked] == methods


def test_a_status_that_is_pending_is_asked_for_until_it_is_complete(alert: Alert) -> None:
    with Collection(pends=2) as server:
        deliver(server.sink(), alert)
    assert [path for _, path, _ in server.asked][1:] == ["/cti/status/s1/"] * 2


def test_a_status_that_stays_pending_is_no_arrival(alert: Alert) -> None:
    with Collection(pends=1_000) as server, pytest.raises(Undelivered, match="still pending"):
        deliver(server.sink(status_seconds=0.6), alert)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("page", [1, 1_000])
def test_what_is_there_already_has_arrived(alerts_of: Make, names: bool, page: int) -> None:
    with Collection() as server:
        server.names, server.page = names, page
        for _ in range(2):
            deliver(server.sink(), *alerts_of(5))
        assert server.status["failure_count"] == len(write_sightings(alerts_of(5)))


@pytest.mark.parametrize("names", [True, False])
def test_what_failed_and_is_not_there_is_refused_with_the_servers_words(alert: Alert, names: bool) -> None:
    with Collection(fails=lambda each: each["type"] == "sighting") as server:
        server.names = names
        with pytest.raises(Refused, match=r"1 of \d+ objects were not taken: sighting--.*") as failed:
            deliver(server.sink(), alert)
    assert str(failed.value).endswith("not taken" if names else "it does not say why")


def test_another_version_of_it_is_not_this_one(alerts_of: Make) -> None:
    with Collection() as server:
        deliver(server.sink(), *alerts_of(1))
        server.fails = lambda each: each["type"] in ("sighting", "observed-data")
        with pytest.raises(Refused, match="2 of"):
            deliver(server.sink(), *alerts_of(1, revision=2))


def test_where_the_manifest_may_not_be_read_what_is_shared_is_taken_to_be_there(alerts_of: Make) -> None:
    with Collection() as server:
        server.readable = False
        deliver(server.sink(), *alerts_of(1))
        deliver(server.sink(), *alerts_of(1, first=1))
        with pytest.raises(Refused, match="observed-data--"):
            deliver(server.sink(), *alerts_of(1))


def test_of_a_batch_only_what_is_refused_is_kept_back(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(10, devices=10)
    bad = next(each for each in write_sightings([alerts[4]]) if each["type"] == "sighting")
    with (
        Collection(fails=lambda each: each["id"] == bad["id"]) as server,
        carrying([server.sink()], tmp_path) as dispatch,
    ):
        dispatch.put(alerts)
        until(lambda: dispatch.left() == {"cti": 1} and dispatch.words())
        assert bad["id"] in dispatch.words()["cti"]
        sightings = [each for each in server.objects if each["type"] == "sighting"]
        assert len(sightings) == 9


@pytest.mark.parametrize(
    ("answer", "kind", "word"),
    [
        ((200, "no JSON"), Undelivered, "answers what is no status"),
        ((200, '{"id": "x"}'), Undelivered, "answers what is no status"),
        ((401, ""), Undelivered, "401"),
        ((404, ""), Undelivered, "404"),
        ((413, ""), Refused, "413"),
        ((422, ""), Refused, "422"),
        ((429, ""), Throttled, "429"),
    ],
)
def test_a_bad_answer_is_what_it_is_for_every_sink(
    alert: Alert, answer: tuple[int, str], kind: type[Undelivered], word: str
) -> None:
    with Collection() as server:
        server.answers.append(web.Response(status=answer[0], text=answer[1]))
        with pytest.raises(kind, match=word):
            deliver(server.sink(), alert)


def test_who_we_are_is_said_and_never_shown(tmp_path: Path, alert: Alert, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = write_secret(tmp_path / "secret", "a word: of two")
    monkeypatch.setenv("CTI_TOKEN", "t0ken")
    with Collection() as server:
        deliver(server.sink(username="lenswatch", password_file=str(secret)), alert)
        deliver(server.sink(token_env="CTI_TOKEN"), alert)
    said = {headers["authorization"] for _, _, headers in server.asked}
    basic = base64.b64encode(b"lenswatch:a word: of two").decode()
    assert said == {f"Basic {basic}", "Bearer t0ken"}
    with Collection() as server:
        server.answers.append(web.Response(status=401))
        with pytest.raises(Undelivered) as failed:
            deliver(server.sink(token_env="CTI_TOKEN"), alert)
    assert "t0ken" not in str(failed.value) and "collections" not in str(failed.value)


def test_credentials_go_to_nobody_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTI_TOKEN", "t0ken")
    plain = {"url": "http://cti.example/cti/collections/one/", "allow": ["cti.example"]}
    Taxii.build("cti", plain)
    for more in ({"token_env": "CTI_TOKEN"}, {"username": "x", "password_env": "CTI_TOKEN"}):
        with pytest.raises(SettingsError, match="would send the credentials readable: use https://"):
            Taxii.build("cti", plain | more)


def test_a_probe_asks_for_the_collection(alert: Alert) -> None:
    async def run(made: Taxii) -> None:
        await made.probe()
        await made.close()

    with Collection() as server:
        asyncio.run(run(server.sink()))
    assert [(method, path) for method, path, _ in server.asked] == [("GET", ROOT)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"url": "https://cti.example/cti/"}, "it ends in /collections/ID/"),
        ({"url": "https://cti.example/cti/collections/one/objects/"}, "it ends in /collections/ID/"),
        ({"url": "http://cti.example/cti/collections/one/"}, "anybody on the way can read"),
        ({"username": "x"}, "go together"),
        ({"password_env": "X"}, "go together"),
        ({"username": "x", "password_env": "X", "token_env": "Y"}, "name one of them"),
        ({"token_env": "A_VARIABLE_THAT_IS_NOT_THERE"}, "there is no such environment variable"),
        ({"status_seconds": 0}, "status_seconds"),
    ],
)
def test_a_wrong_table_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        Taxii.build("cti", {"url": "https://cti.example/cti/collections/one/"} | change)
