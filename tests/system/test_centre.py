"""The distributed shape on a real broker: the same alerts as the embedded one, whoever comes, goes or dies."""

import hashlib
import itertools
import signal
import threading
import time
from collections import Counter

import msgspec
import pytest
import zstandard

from collector.observation import Observation
from collector.record import RecordHead, write_head
from rules.alert import Alert
from rules.load import load_rules
from streams.codec import DeadLetter
from streams.processors.entry import Packing
from streams.processors.partition import Body
from streams.topics import DEVICES_TABLE, changelog
from tests.streams.command import spawn
from tests.system.centre import Centre, until
from tests.system.load import expected, make_load, substance

pytestmark = pytest.mark.system


def test_one_capture_through_both_shapes_gives_equal_alerts(
    centre: Centre, embedded_office: tuple[list[Observation], dict[str, Alert]]
) -> None:
    observations, embedded = embedded_office
    worker = centre.worker("one").wait_ready()
    centre.send(centre.records(observations))
    centre.wait_done()
    assert centre.told() == embedded and len(embedded) > 10
    until(lambda: {alert.event.id: alert for alert in worker.alerts()} == embedded, 10, "the sink has them too")
    assert len({(alert.event.id, alert.lenswatch.revision) for alert in worker.alerts()}) == len(worker.alerts())
    listed = spawn("alerts", "--kafka", centre.address, "--config", centre.config, "--json", state=centre.folder)
    assert listed.code == 0, listed.err
    assert {alert.event.id: alert for alert in listed.alerts} == embedded
    shown = spawn("alerts", "show", next(iter(embedded))[:10], "--config", centre.config, "--kafka", centre.address,
                  state=centre.folder)  # fmt: skip
    assert shown.code == 0, shown.err
    assert worker.end() == 0, worker.said()


Load = tuple[list[Observation], dict[str, Alert]]


@pytest.fixture(scope="module")
def load() -> Load:
    """Observations of forty cameras, and what the embedded shape tells of them."""
    observations = make_load(9_000, 40)
    return observations, expected(observations, load_rules())


def same(told: dict[str, Alert], wanted: dict[str, Alert]) -> None:
    """Fails with the difference alone."""
    got, want = substance(told), substance(wanted)
    assert set(got) == set(want), f"{len(set(want) - set(got))} missing, {len(set(got) - set(want))} too many"
    counts = [(got[key].lenswatch.count, want[key].lenswatch.count) for key in want if got[key] != want[key]]
    assert counts == [], f"{len(counts)} of {len(want)} differ; the counts, got and wanted: {counts[:20]}"


def in_background(centre: Centre, observations: list[Observation], size: int, rate: float) -> threading.Thread:
    """Send at this many records a second, while the test goes on."""
    thread = threading.Thread(target=centre.send, args=(centre.records(observations, size), rate))
    thread.start()
    return thread


def test_workers_that_join_and_leave_under_load_tell_the_same(centre: Centre, load: Load) -> None:
    observations, wanted = load
    first = centre.worker("w1").wait_ready()
    sending = in_background(centre, observations, size=25, rate=25)
    time.sleep(2)
    second = centre.worker("w2").wait_ready()
    others = [centre.worker(name) for name in ("w3", "w4")]
    for worker in others:
        worker.wait_ready()
    assert first.end() == 0, first.said()
    sending.join()
    assert second.end() == 0, second.said()
    centre.wait_done(90)
    same(centre.told(), wanted)


def test_a_killed_worker_loses_and_doubles_nothing(centre: Centre, load: Load) -> None:
    observations, wanted = load
    centre.worker("w1").wait_ready()
    sending = in_background(centre, observations, size=25, rate=60)
    for _ in range(2):
        time.sleep(2)
        centre.workers[-1].kill()
        # The same name: it is the same member come back, and need not be waited for.
        centre.worker("w1").wait_ready()
    sending.join()
    centre.wait_done(90)
    same(centre.told(), wanted)
    revisions = [(alert.event.id, alert.lenswatch.revision) for alert in centre.workers[-1].alerts()]
    assert {key for key, _ in revisions} == set(wanted)
    # What a killed worker had handed on, and not yet noted, is handed on again: the same revision, never another.
    told = {(key, each.lenswatch.revision): each for key, each in all_told(centre)}
    for alert in centre.workers[-1].alerts():
        assert told[alert.event.id, alert.lenswatch.revision] == alert


def test_a_worker_that_stood_still_writes_nothing_of_what_is_anothers_by_now(centre: Centre, load: Load) -> None:
    observations, _ = load
    centre.variables = {"LENSWATCH_WORKER_COMMIT_SECONDS": "12", "LENSWATCH_WORKER_STALL_SECONDS": "120"}
    frozen = centre.worker("w1").wait_ready()
    records = centre.records(observations, 25)
    half = len(records) // 2
    centre.send(records[:half])
    until(lambda: frozen.metric("matcher_records_total") >= half, 10, "the first has read half of it")
    assert not centre.read(changelog(centre.group, DEVICES_TABLE)), "and written nothing yet"
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        # It is out of the group after session_seconds; whoever comes reads what it had not committed.
        centre.variables = {}
        other = centre.worker("w2").wait_ready()
        centre.send(records[half:])
        until(lambda: other.metric("matcher_records_total") >= len(records), 60, "the second has read all of it")
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    until(lambda: frozen.metric("rebalances_total") >= 2 and frozen.get("/readyz") is not None, 60, "the first is back")
    assert sets_back(centre) == []


def sets_back(centre: Centre) -> list[bytes]:
    """The devices of which the changelog says less than it had said before: fewer records counted."""
    packing, body = Packing(), msgspec.msgpack.Decoder(Body)
    most: dict[bytes, int] = {}
    fewer = []
    for record in centre.read(changelog(centre.group, DEVICES_TABLE)):
        if record.key.startswith(b"d/") and record.value is not None:
            last = max(itertools.chain(*body.decode(packing.unpack(record.value)[1]).marks.values()), default=-1)
            if last < most.setdefault(record.key, last):
                fewer.append(record.key)
            most[record.key] = max(most[record.key], last)
    assert most
    return fewer


POISON = ("not JSON", "wrong schema", "truncated zstd", "huge", "future schema", "wrong types", "empty")


def poison(kind: str, line: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """A record that is none, of a kind."""
    headers = write_head(RecordHead(sensor="bad", boot_id="0b", seq=POISON.index(kind), count=1))
    others = [header for header in headers if header[0] != "schema"]
    return {
        "not JSON": (headers, b"GET / HTTP/1.1\r\n"),
        "wrong schema": ([*others, ("schema", b"one")], line),
        "truncated zstd": (headers, zstandard.compress(line)[:-4]),
        "huge": (headers, b"x" * (2 << 20 | 1)),
        "future schema": ([*others, ("schema", b"2")], line),
        "wrong types": (headers, line.replace(b'"id"', b'"id":5,"was"', 1)),
        "empty": (headers, b""),
    }[kind]


def without_odd(told: dict[str, Alert]) -> dict[str, Alert]:
    """The alerts of the cameras that the load is of."""
    return {key: alert for key, alert in told.items() if alert.device is None or "/odd-" not in alert.device.id}


def test_poison_is_buried_or_passed_by_rule_and_the_stream_goes_on(centre: Centre, load: Load) -> None:
    observations, _ = load
    worker = centre.worker("w1").wait_ready()
    records = centre.records(observations[:2000], 25)
    line = records[0][2].split(b"\n")[0]
    bad = [(0, *poison(kind, line)) for kind in POISON]
    # Three more are passed by rule: a dataset that nobody knows, a number that comes again, a clock in 1970.
    other = line.replace(b"site/", b"site/odd-")
    unknown, old = other.replace(b"lenswatch.", b"lenswatch.quantum-", 1), other.replace(b"2026-", b"1970-")
    head = [write_head(RecordHead(sensor="odd", boot_id="0c", seq=seq, count=1)) for seq in range(2)]
    odd = [(1, head[0], unknown), (1, head[1], old), (1, head[1], old)]
    centre.send([*bad[:4], *records[:40], *odd, *bad[4:], *records[40:]])
    until(lambda: worker.metric("dead_letters_total") == len(bad), 60, f"{worker.metric('dead_letters_total')} buried")
    centre.wait_done()
    letters = [msgspec.json.decode(record.value, type=DeadLetter) for record in centre.read(centre.dead)]
    reasons = Counter(letter.reason for letter in letters)
    assert reasons == {
        "not_json": 1, "headers": 1, "compressed": 1, "too_big": 1, "newer_schema": 1, "wrong_fields": 1, "empty": 1,
    }  # fmt: skip
    for letter, (_, _, value) in zip(sorted(letters, key=lambda each: each.origin.offset), bad, strict=True):
        assert letter.digest == hashlib.sha256(value).hexdigest() and letter.size_bytes == len(value)
        assert letter.origin.topic == centre.observations and letter.origin.partition == 0
    assert worker.metric("matcher_duplicates_total", 'scope="record"') == 1
    same(without_odd(centre.told()), expected(observations[:2000], load_rules()))


def test_an_old_worker_keeps_working_while_new_sensors_say_more(centre: Centre, load: Load) -> None:
    observations, _ = load
    worker = centre.worker("w1").wait_ready()
    records = centre.records(observations[:1000], 25)
    more = []
    for number, headers, value in records:
        documents = [msgspec.json.decode(line) for line in value.split(b"\n")]
        for document in documents:
            document["quantum"] = {"state": ["both", {"deep": 1.5}]}
            document["destination"]["mood"] = "fine"
        event = {"kind": "event", "dataset": "lenswatch.quantum", "id": "q"}
        documents.append(documents[0] | {"event": event, "device": {"id": "site/odd-1"}})
        headers = [header for header in headers if header[0] != "count"]
        new = [("count", str(len(documents)).encode()), ("colour", b"\xff\x00")]
        more.append((number, [*headers, *new], b"\n".join(map(msgspec.json.encode, documents))))
    centre.send(more)
    centre.wait_done()
    same(without_odd(centre.told()), expected(observations[:1000], load_rules()))
    assert worker.metric("dead_letters_total") == 0 and worker.end() == 0


def all_told(centre: Centre) -> list[tuple[str, Alert]]:
    """Every record of the alerts topic that is still there."""
    records = centre.read(centre.alerts_topic)
    return [(record.key.decode(), msgspec.json.decode(record.value, type=Alert)) for record in records]
