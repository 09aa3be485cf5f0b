"""What the bulk API answers for each document is what becomes of each alert. A real server is asked in tests/system."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.errors import SettingsError
from rules.alert import Alert
from streams.ecs_mapping import MAPPING_VERSION
from streams.sinks.elastic import Elastic, index_template
from streams.sinks.sink import Gone, Partly, Refused, Throttled, Undelivered, Unreachable
from tests.streams.dispatch.carrying import carrying, deliver_all, metric, until, write_secret
from tests.streams.receiver import Got, Receiver

Make = Callable[..., list[Alert]]
MAPPER = {"type": "mapper_parsing_exception", "reason": "failed to parse field [source.ip] of type [ip]"}


class Engine(Receiver):
    """Answers the bulk API with a status for each document: `judge` says which, by its id; what it takes is `taken`."""

    methods = ("POST", "GET", "PUT")

    def __init__(self, judge: Callable[[str], int] = lambda identifier: 201) -> None:
        super().__init__(self._handle)
        self.judge, self.taken, self.template = judge, [], None  # type: ignore[var-annotated]
        self.refused_template = 0

    def _handle(self, got: Got) -> tuple[int, dict[str, str], str]:
        if got.path.startswith("/_index_template/"):
            return self._templates(got)
        lines = [json.loads(line) for line in got.body.splitlines()]
        items = []
        for action in lines[::2]:
            identifier = action["create"]["_id"]
            status = self.judge(identifier)
            if status == 201:
                self.taken.append(identifier)
            item: dict[str, Any] = {"status": status}
            if status >= 300:
                item["error"] = MAPPER if status == 400 else {"type": "some_exception", "reason": "words"}
            items.append({"create": item})
        errors = any(each["create"]["status"] >= 300 for each in items)
        return 200, {}, json.dumps({"errors": errors, "items": items})

    def _templates(self, got: Got) -> tuple[int, dict[str, str], str]:
        if self.refused_template:
            return self.refused_template, {}, "{}"
        if got.method == "PUT":
            self.template = json.loads(got.body)
            return 200, {}, '{"acknowledged": true}'
        if self.template is None:
            return 404, {}, "{}"
        version = self.template["version"]
        return 200, {}, json.dumps({"index_templates": [{"index_template": {"version": version}}]})

    @property
    def url(self) -> str:
        """Its address, as the settings name it."""
        return f"http://127.0.0.1:{self.port}"


def elastic(url: str, **more: Any) -> Elastic:
    return Elastic.build("search", {"url": url, "allow": ["127.0.0.1"], **more})


def id_of(alert: Alert) -> str:
    return f"{alert.event.id}-{alert.lenswatch.revision}"


def test_a_document_is_made_under_the_id_of_its_news(alert: Alert) -> None:
    with Engine() as engine:
        (words,) = deliver_all(elastic(engine.url), [alert])
    bulk = engine.got[-1]
    action, document = map(json.loads, bulk.body.splitlines())
    assert words == "200 OK, 1 in lenswatch-alerts"
    assert action == {"create": {"_index": "lenswatch-alerts", "_id": f"{alert.event.id}-1"}}
    assert document["event"]["id"] == alert.event.id and bulk.headers["content-type"] == "application/x-ndjson"
    assert bulk.path == "/_bulk" and "filter_path=errors" in bulk.query


def test_what_is_there_already_has_arrived(alert: Alert) -> None:
    with Engine(lambda identifier: 409) as engine:
        assert deliver_all(elastic(engine.url), [alert]) == ["200 OK, 1 in lenswatch-alerts"]


def test_of_several_documents_each_has_its_own_fate(alerts_of: Make) -> None:
    alerts = alerts_of(5)
    statuses = dict(zip(map(id_of, alerts), (201, 400, 429, 503, 409), strict=True))
    with Engine(statuses.__getitem__) as engine:
        (error,) = deliver_all(elastic(engine.url), alerts)
    assert isinstance(error, Partly) and str(error).startswith("3 of 5 are not taken; the first: ")
    assert {place: type(each) for place, each in error.failures.items()} == {1: Refused, 2: Throttled, 3: Undelivered}
    assert "400 mapper_parsing_exception: failed to parse field [source.ip]" in str(error.failures[1])


def test_an_index_that_rejects_every_document_is_at_fault_and_no_document_is(alerts_of: Make) -> None:
    with Engine(lambda identifier: 400) as engine:
        many, one, again = deliver_all(elastic(engine.url), alerts_of(3), alerts_of(1, first=5), alerts_of(1, first=5))
    assert isinstance(many, Partly) and {type(each) for each in many.failures.values()} == {Undelivered}
    assert type(one) is type(again) is Undelivered


def test_a_document_is_at_fault_once_the_index_has_taken_another(alerts_of: Make) -> None:
    bad, good = alerts_of(2)
    with Engine(lambda identifier: 400 if identifier == id_of(bad) else 201) as engine:
        first, taken, second = deliver_all(elastic(engine.url), [bad], [good], [bad])
    assert type(first) is Undelivered and isinstance(taken, str) and type(second) is Refused


def test_what_is_refused_holds_nobody_else_and_is_counted_when_it_is_let_go(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(6, devices=6)
    with (
        Engine(lambda identifier: 400 if identifier == id_of(alerts[2]) else 201) as engine,
        carrying([elastic(engine.url)], tmp_path) as dispatch,
    ):
        dispatch.put(alerts)
        until(lambda: metric(dispatch, 'sink_deliveries_total{result="refused",sink="search"}') == 1)
        assert dispatch.left() == {"search": 1}
        assert sorted(engine.taken) == sorted(map(id_of, alerts[:2] + alerts[3:]))
        assert metric(dispatch, 'sink_deliveries_total{result="ok",sink="search"}') == 5
        assert metric(dispatch, 'sink_up{sink="search"}') == 1


def test_a_document_too_many_pauses_the_sink_and_the_others_have_arrived(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(4, devices=4)
    busy = {id_of(alerts[3])}
    with (
        Engine(lambda identifier: 429 if identifier in busy else 201) as engine,
        carrying([elastic(engine.url)], tmp_path) as dispatch,
    ):
        dispatch.put(alerts)
        until(lambda: dispatch.left() == {"search": 1})
        until(lambda: dispatch.couriers[0].state == "paused")
        busy.clear()
        until(lambda: dispatch.left() == {"search": 0})
        assert engine.taken == list(map(id_of, alerts)), "nothing is sent twice"


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (200, "<html>sign in</html>", Undelivered),
        (200, '{"errors": false, "items": []}', Undelivered),
        (400, "{}", Undelivered),
        (401, "{}", Undelivered),
        (404, "{}", Undelivered),
        (410, "{}", Gone),
        (413, "{}", Refused),
        (429, "{}", Throttled),
        (503, "{}", Unreachable),
    ],
)
def test_an_answer_to_the_whole_is_judged_by_its_status(
    alert: Alert, status: int, text: str, kind: type[Undelivered]
) -> None:
    with Engine() as engine:
        engine.answer = lambda got: (status, {}, text)
        (error,) = deliver_all(elastic(engine.url, template=False), [alert])
    assert type(error) is kind


def test_the_template_is_put_once_and_a_newer_one_is_left(alert: Alert) -> None:
    with Engine() as engine:
        deliver_all(elastic(engine.url), [alert], [alert])
        assert engine.template == json.loads(json.dumps(index_template("lenswatch-alerts", False)))
        deliver_all(elastic(engine.url), [alert])
        assert [got.method for got in engine.got if "_index_template" in got.path] == ["GET", "PUT", "GET"]
        engine.template["version"] = MAPPING_VERSION + 7
        deliver_all(elastic(engine.url), [alert])
        assert engine.template["version"] == MAPPING_VERSION + 7
        engine.template["version"] = MAPPING_VERSION - 1
        deliver_all(elastic(engine.url), [alert])
        assert engine.template["version"] == MAPPING_VERSION


def test_a_template_that_is_not_taken_is_said_with_the_mend_and_no_alert_is_refused(alert: Alert) -> None:
    for status, word in ((403, "set template = false"), (400, "the index template cannot be read"), (500, "500")):
        with Engine() as engine:
            engine.refused_template = status
            (error,) = deliver_all(elastic(engine.url), [alert])
        assert type(error) is Undelivered and word in str(error)


def test_a_data_stream_is_a_template_that_says_so() -> None:
    assert index_template("logs-cameras", True)["data_stream"] == {}
    assert index_template("logs-cameras", True)["index_patterns"] == ["logs-cameras", "logs-cameras-*"]


@pytest.mark.parametrize(
    ("table", "secret", "header"),
    [
        ({"api_key_env": "ES_SECRET"}, "VnVhQ2ZHY0JDZGJrU", "ApiKey VnVhQ2ZHY0JDZGJrU"),
        ({"api_key_env": "ES_SECRET"}, "id:key", f"ApiKey {base64.b64encode(b'id:key').decode()}"),
        ({"username": "kim", "password_env": "ES_SECRET"}, "a b", f"Basic {base64.b64encode(b'kim:a b').decode()}"),
        ({}, "", None),
    ],
)
def test_who_we_are_is_said_as_the_settings_say(
    alert: Alert, table: dict[str, str], secret: str, header: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ES_SECRET", secret)
    with Engine() as engine:
        sink = elastic(engine.url, **table)
        deliver_all(sink, [alert])
    assert {got.headers.get("authorization") for got in engine.got} == {header}
    assert not secret or secret not in sink.address


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"index": "Alerts"}, "no name of an index"),
        ({"index": "a b"}, "no name of an index"),
        ({"username": "kim"}, "username and password_file"),
        ({"password_file": "x"}, "username and password_file"),
        ({"username": "kim", "password_file": "x", "api_key_file": "y"}, "name one of them"),
        ({"username": "k:m", "password_env": "ES_SECRET"}, "holds a colon"),
        ({"api_key_env": "NOT_THERE"}, "api_key_env NOT_THERE: there is no such environment variable"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_a_wrong_table_is_refused(more: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        elastic("https://search.example:9200", **more)


def test_its_own_host_must_be_named_where_it_is_private(alert: Alert) -> None:
    with Engine() as engine:
        sink = Elastic.build("search", {"url": f"https://127.0.0.1:{engine.port}"})
        (error,) = deliver_all(sink, [alert])
    assert type(error) is Unreachable and "private or loopback" in str(error) and engine.got == []


def test_a_secret_file_of_everybody_is_refused(tmp_path: Path) -> None:
    path = write_secret(tmp_path / "key")
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        elastic("https://search.example", api_key_file=str(path))
