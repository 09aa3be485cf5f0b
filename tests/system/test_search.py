"""Alerts in a real OpenSearch: each once, found by its fields, whatever the server goes through."""

import asyncio
import os
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.alert import Alert
from streams.sinks.elastic import Elastic
from streams.sinks.sink import Partly, Refused, Undelivered
from tests.streams.command import OFFICE, read_alerts, run
from tests.streams.dispatch.carrying import carrying, metric
from tests.streams.told import many_alerts
from tests.system.centre import until
from tests.system.search import SearchServer, find_search_libs

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchServer]:
    """A server for the tests of this file. Without its jars a person's run skips, and a machine's run fails."""
    libs = find_search_libs()
    if libs is None:
        missing = "no OpenSearch here: type 'make opensearch', or name a folder in LENSWATCH_TEST_OPENSEARCH_LIBS"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    server = SearchServer(tmp_path_factory.mktemp("search"), libs).start()
    yield server
    server.kill()


def elastic(search: SearchServer, index: str, **more: Any) -> Elastic:
    return Elastic.build("search", {"url": search.url, "index": index, "allow": ["127.0.0.1"], **more})


def deliver(sink: Elastic, alerts: list[Alert]) -> str | Undelivered:
    async def tell() -> str | Undelivered:
        try:
            return await sink.deliver(alerts)
        except Undelivered as error:
            return error
        finally:
            await sink.close()

    return asyncio.run(tell())


def ids_of(alerts: list[Alert]) -> set[str]:
    return {f"{alert.event.id}-{alert.lenswatch.revision}" for alert in alerts}


def test_every_revision_of_a_watch_is_there_and_found_by_its_fields(search: SearchServer, tmp_path: Path) -> None:
    config, lines = tmp_path / "lenswatch.toml", tmp_path / "told.jsonl"
    config.write_text(
        f'[watch]\ndrain_seconds = 60\n[sinks.search]\nkind = "elastic"\nurl = "{search.url}"\nallow = ["127.0.0.1"]\n',
        "utf-8",
    )
    tested = run("sinks", "test", "search", "--config", config, state=tmp_path)
    assert tested.code == 0 and ", 1 in lenswatch-alerts, after " in tested.out, tested.err
    assert len(search.documents("lenswatch-alerts")) == 1
    ran = run("watch", OFFICE, "--config", config, "--alerts", lines, state=tmp_path)
    assert ran.code == 0 and ran.complaints == []
    told = read_alerts(lines.read_text("utf-8"))
    found = search.documents("lenswatch-alerts", {"bool": {"must_not": {"term": {"observer.name": "sinks-test"}}}})
    assert set(found) == ids_of(told) and len(told) > 10
    for alert in told:
        document = found[f"{alert.event.id}-{alert.lenswatch.revision}"]
        assert msgspec.convert(document, Alert, strict=False) == alert, "the whole alert is kept as it was"
    by_network = search.documents("lenswatch-alerts", {"term": {"source.ip": "10.0.0.0/8"}})
    by_company = search.documents("lenswatch-alerts", {"term": {"lenswatch.entity.id": "dahua"}})
    by_time = search.documents("lenswatch-alerts", {"range": {"@timestamp": {"gte": "2020-01-01", "lt": "now"}}})
    by_words = search.documents("lenswatch-alerts", {"match": {"message": "camera"}})
    assert by_network and by_company and by_words and set(by_time) >= set(by_company)
    template = search.ask("GET", "/_index_template/lenswatch-alerts")["index_templates"][0]["index_template"]
    assert template["version"] == 1 and template["priority"] == 500


@pytest.mark.parametrize("data_stream", [False, True])
def test_a_repeat_is_no_second_document(search: SearchServer, alert: Alert, data_stream: bool) -> None:
    index = f"again-{str(data_stream).lower()}"
    alerts = many_alerts(alert, 5)
    sink = elastic(search, index, data_stream=data_stream)
    assert deliver(sink, alerts) == f"200 OK, 5 in {index}"
    assert deliver(sink, alerts) == f"200 OK, 5 in {index}"
    assert set(search.documents(index)) == ids_of(alerts)
    streams = search.ask("GET", "/_data_stream")["data_streams"]
    assert (index in {stream["name"] for stream in streams}) is data_stream


def test_killed_and_back_in_the_middle_nothing_is_lost_and_nothing_is_there_twice(
    search: SearchServer, alert: Alert, tmp_path: Path
) -> None:
    alerts = many_alerts(alert, 1_000, devices=60)
    with carrying([elastic(search, "chaos")], tmp_path) as dispatch:
        dispatch.put(alerts[:600])
        until(lambda: dispatch.left()["search"] <= 400, 120, f"the first arrive: {dispatch.words()}", 0.05)
        search.kill()
        dispatch.put(alerts[600:])
        until(lambda: metric(dispatch, 'sink_up{sink="search"}') == 0, 60, "the sink is down", 0.2)
        waited = dispatch.left()["search"]
        assert waited >= 400
        search.start()
        began = time.monotonic()
        until(lambda: dispatch.left() == {"search": 0}, 240, f"all is delivered: {dispatch.words()}", 0.2)
        print(f"\n{waited} waited; all there {time.monotonic() - began:.1f} s after the server was back")
        assert metric(dispatch, 'sink_dropped_total{reason="undelivered",sink="search"}') == 0
    assert set(search.documents("chaos")) == ids_of(alerts)


def test_a_document_that_the_mapping_refuses_is_refused_and_the_others_arrive(
    search: SearchServer, alert: Alert
) -> None:
    search.ask("PUT", "/narrow", {"mappings": {"properties": {"source": {"properties": {"port": {"type": "byte"}}}}}})
    good, bad = many_alerts(alert, 4), many_alerts(alert, 1, first=4)
    good = [msgspec.structs.replace(each, source=msgspec.structs.replace(each.source, port=7)) for each in good]
    sink = elastic(search, "narrow", template=False)
    error = deliver(sink, [*good[:2], *bad, *good[2:]])
    assert isinstance(error, Partly) and {place: type(each) for place, each in error.failures.items()} == {2: Refused}
    assert "400 mapper_parsing_exception: failed to parse field [source.port] of type [byte]" in str(error)
    assert set(search.documents("narrow")) == ids_of(good)


def test_an_index_that_refuses_every_document_is_a_failure_and_loses_none(
    search: SearchServer, alert: Alert, tmp_path: Path
) -> None:
    search.ask("PUT", "/wrong", {"mappings": {"properties": {"device": {"type": "long"}}}})
    alerts = many_alerts(alert, 20, devices=20)
    with carrying([elastic(search, "wrong", template=False)], tmp_path) as dispatch:
        dispatch.put(alerts)
        until(
            lambda: metric(dispatch, 'sink_deliveries_total{result="undelivered",sink="search"}') >= 20, 30, "a no", 0.2
        )
        assert dispatch.left() == {"search": 20} and "mapper_parsing_exception" in dispatch.words()["search"]
        assert metric(dispatch, 'sink_deliveries_total{result="refused",sink="search"}') == 0
        assert metric(dispatch, 'sink_last_delivery_timestamp_seconds{sink="search"}') == 0
        search.ask("DELETE", "/wrong")
        until(lambda: dispatch.left() == {"search": 0}, 30, "an index of its own making takes them")
    assert set(search.documents("wrong")) == ids_of(alerts)


def test_an_index_that_is_closed_to_writers_keeps_them_waiting(search: SearchServer, alert: Alert) -> None:
    search.ask("PUT", "/blocked", {"settings": {"index.blocks.write": True}})
    alerts = many_alerts(alert, 2)
    error = deliver(elastic(search, "blocked", template=False), alerts)
    assert isinstance(error, Partly) and {type(each) for each in error.failures.values()} == {Undelivered}
    assert "403 cluster_block_exception" in str(error)
    search.ask("PUT", "/blocked/_settings", {"index.blocks.write": False})
    assert deliver(elastic(search, "blocked", template=False), alerts) == "200 OK, 2 in blocked"


def test_a_template_that_overlaps_anothers_is_said(search: SearchServer, alert: Alert) -> None:
    body = {"index_patterns": ["crowded*"], "priority": 500}
    search.ask("PUT", "/_index_template/first-there", body)
    error = deliver(elastic(search, "crowded"), many_alerts(alert, 1))
    assert type(error) is Undelivered and "the index template is not taken" in str(error)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        search.ask("GET", "/_index_template/crowded")
