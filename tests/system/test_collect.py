"""`lenswatch collect` on a real Kafka: everything arrives, once, in order, whatever dies on the way."""

import collections
import contextlib
import json
import os
import random
import re
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from collector.errors import LenswatchError
from collector.observation import Observation
from collector.spool import count_waiting
from tests.streams.command import OFFICE
from tests.system.broker import Broker, free_ports
from tests.system.edge import GAP, Edge, Feed, edge_of, office_observations, read_heartbeats, read_topic

pytestmark = [pytest.mark.system, pytest.mark.alone]
RATE = 5000
MiB = 1 << 20


@pytest.fixture(scope="module")
def breakable(kafka_libs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for the tests here that break one."""
    broker = Broker(tmp_path_factory.mktemp("breakable"), kafka_libs)
    yield broker
    broker.stop()


@pytest.fixture
def own_broker(breakable: Broker) -> Broker:
    """A broker that the test may break."""
    return breakable if breakable.is_running else breakable.start()


def waiting(folder: Path) -> int:
    """How many observations wait in a spool, which may be about to be made."""
    try:
        return count_waiting(folder)
    except LenswatchError:
        return 0


def wait_until(edge: Edge, happened: Callable[[], bool], seconds: float = 90) -> None:
    """Until it has happened."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"it never happened; the collector said:\n{edge.errors}"
        time.sleep(0.05)


def wait_for(edge: Edge, words: str) -> None:
    """Until the collector has said it."""
    wait_until(edge, lambda: words in edge.errors)


def test_what_kafka_has_is_what_dump_shows(broker: Broker, tmp_path: Path) -> None:
    edge = edge_of(broker, tmp_path)
    ran = edge.run(str(OFFICE))
    assert ran.returncode == 0, ran.stderr
    dumped = edge.run(str(OFFICE), "--dump")
    wanted = [msgspec.json.decode(line, type=Observation) for line in dumped.stdout.splitlines()]
    arrived = read_topic(broker, edge.topic)
    arrived.check()
    found = [each for _, _, observations in arrived.records for each in observations]
    assert (
        len(wanted) == office_observations()
        and f"{len(wanted)} observations made, {len(wanted)} published" in ran.stderr
    )
    assert sorted(map(msgspec.json.encode, found)) == sorted(map(msgspec.json.encode, wanted))
    assert [head.seq for _, head, _ in sorted(arrived.records, key=lambda each: each[1].seq)] == list(
        range(len(arrived.records))
    )
    last = read_heartbeats(broker, edge.heartbeats)[-1].lenswatch
    assert (last.ledger.observations, last.ledger.spooled, last.ledger.published) == (len(wanted),) * 3
    assert last.spool.batches == 0 and last.ledger.packets == 478 and last.problems == []


def test_a_broker_that_is_away_at_the_start_gets_everything_later(own_broker: Broker, tmp_path: Path) -> None:
    edge = edge_of(own_broker, tmp_path)
    own_broker.stop()
    feed = Feed(RATE)
    feed.attach(edge.start())
    wait_for(edge, "Connection refused; observations wait in the spool")
    wait_until(edge, lambda: waiting(tmp_path / "lenswatch" / "spool") > 2 * RATE)
    own_broker.start()
    wait_for(edge, "connected")
    feed.stop()
    assert edge.finish() == 0, edge.errors
    assert read_topic(own_broker, edge.topic).check() == set(range(len(feed.fed)))
    assert len(feed.fed) > 2 * RATE


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_broker_that_is_away_for_a_while_costs_nothing_and_memory_stays_flat(
    own_broker: Broker, tmp_path: Path, how: str, outage_seconds: float
) -> None:
    edge = edge_of(own_broker, tmp_path)
    feed = Feed(RATE)
    feed.attach(edge.start())
    wait_until(edge, lambda: bool(read_topic(own_broker, edge.topic).records))
    time.sleep(2)
    before = edge.memory_bytes
    getattr(own_broker, how)()
    seen = []
    until = time.monotonic() + outage_seconds
    while time.monotonic() < until:
        time.sleep(0.5)
        seen.append(edge.memory_bytes)
    own_broker.start() if how == "kill" else own_broker.resume()
    feed.stop()
    assert edge.finish() == 0, edge.errors
    assert read_topic(own_broker, edge.topic).check() == set(range(len(feed.fed)))
    assert len(feed.fed) > outage_seconds * RATE
    # What a queue in memory would have come to: a document is about 500 bytes.
    assert max(seen) - before < min(24 * MiB, outage_seconds * RATE * 250), [each // MiB for each in [before, *seen]]


def lost_in_gaps(edge: Edge, feed: Feed, arrived: set[int]) -> int:
    """How many are missing; each must lie in a gap that a later start reported."""
    gaps = [
        (datetime.fromisoformat(first).timestamp(), datetime.fromisoformat(last).timestamp())
        for first, last, _ in GAP.findall(edge.errors)
    ]
    missing = sorted(set(range(len(feed.fed))) - arrived)
    for number in missing:
        at = feed.fed[number]
        assert any(first - 1e-5 <= at <= last + 1e-5 for first, last in gaps), (number, at, gaps, missing[-9:])
    return len(missing)


def test_kills_of_collector_and_broker_in_any_order_lose_no_more_than_the_gaps_that_are_told(
    own_broker: Broker, tmp_path: Path, chaos_rounds: int
) -> None:
    dice = random.Random(20261102)
    edge = edge_of(own_broker, tmp_path)
    feed = Feed(RATE)
    feed.attach(edge.start())
    # Who was killed before it read a packet cannot tell of a gap.
    wait_until(edge, lambda: bool(read_topic(own_broker, edge.topic).records))
    kills: list[float] = []
    for _ in range(chaos_rounds):
        for victim in dice.sample(["collector", "broker"], 2):
            time.sleep(dice.uniform(0.2, 1.5))
            if victim == "broker":
                own_broker.kill()
                time.sleep(dice.uniform(0, 1))
                own_broker.start(wait=dice.random() < 0.5)
            else:
                edge.kill()
                kills.append(time.time())
                feed.attach(edge.start())
                wait_until(edge, lambda: len(GAP.findall(edge.errors)) == len(kills))
                time.sleep(dice.uniform(0, 1))
    own_broker.wait()
    feed.stop()
    assert edge.finish() == 0, edge.errors
    lost = lost_in_gaps(edge, feed, read_topic(own_broker, edge.topic).check())
    begins = [datetime.fromisoformat(first).timestamp() for first, _, _ in GAP.findall(edge.errors)]
    late = max(at - first for at, first in zip(kills, begins, strict=True))
    # The linger, the pipe, and what a busy machine adds.
    assert late < 15 and edge.errors.count("was cut off") == len(kills)
    print(
        f"{chaos_rounds} rounds, {len(feed.fed)} fed, {lost} in the gaps of {len(kills)} kills; "
        f"a kill cost at most {late:.2f} s of packets"
    )


def test_an_orderly_end_loses_nothing_that_was_read_and_leaves_nothing_to_send(broker: Broker, tmp_path: Path) -> None:
    edge = edge_of(broker, tmp_path)
    feed = Feed(RATE)
    feed.attach(edge.start())
    wait_until(
        edge, lambda: any(each.lenswatch.ledger.published > RATE for each in read_heartbeats(broker, edge.heartbeats))
    )
    assert edge.stop() == 0, edge.errors
    feed.stop()
    made, published = map(int, re.findall(r"(\d+) observations made, (\d+) published", edge.errors)[-1])
    arrived = read_topic(broker, edge.topic)
    numbers = arrived.check()
    # What still lay in the pipe was not read; everything before it is there.
    assert numbers == set(range(len(numbers))) and len(numbers) > RATE
    assert made == published == sum(head.count for _, head, _ in arrived.once())
    assert "wait for the next start" not in edge.errors


def test_what_a_dead_broker_left_in_the_spool_is_sent_by_the_next_start(own_broker: Broker, tmp_path: Path) -> None:
    edge = edge_of(own_broker, tmp_path, LENSWATCH_SPOOL_DRAIN_SECONDS="0.5")
    own_broker.stop()
    ran = edge.run(str(OFFICE))
    assert ran.returncode == 1
    assert (
        f"{office_observations()} observations wait for the next start" in ran.stderr
        and "Connection refused" in ran.stderr
    )
    own_broker.start()
    edge.settings["LENSWATCH_SPOOL_DRAIN_SECONDS"] = "30"
    again = edge.run(str(OFFICE))
    assert again.returncode == 0, again.stderr
    arrived = read_topic(own_broker, edge.topic)
    assert sum(head.count for _, head, _ in arrived.records) == 2 * office_observations()
    assert len({head.boot_id for _, head, _ in arrived.records}) == 2


def test_a_topic_with_other_partitions_or_none_is_one_clear_line(broker: Broker, tmp_path: Path) -> None:
    edge = edge_of(broker, tmp_path, LENSWATCH_SPOOL_DRAIN_SECONDS="0.5")
    edge.topic = broker.create_topic(partitions=4)
    words = f"topic {edge.topic} has 4 partitions, and kafka.partitions is 12: set it to 4, on every sensor and worker"
    for arguments in ((str(OFFICE), "--check"), (str(OFFICE),)):
        ran = edge.run(*arguments)
        assert ran.returncode == 1 and words in ran.stderr
    edge.topic = "not-there"
    ran = edge.run(str(OFFICE), "--check")
    assert ran.returncode == 1 and "there is no topic not-there: type 'lenswatch topics create'" in ran.stderr


def test_check_says_what_would_be_done_and_does_nothing(broker: Broker, tmp_path: Path) -> None:
    edge = edge_of(broker, tmp_path)
    ran = edge.run(str(OFFICE), "--check")
    assert ran.returncode == 0, ran.stderr
    for words in ("office.pcap", edge.servers, edge.topic, "12 partitions", "0 observations wait", "answered"):
        assert words in ran.stdout
    assert read_topic(broker, edge.topic).records == [] and not (tmp_path / "lenswatch").exists()


def test_metrics_and_readiness_say_whether_packets_are_read(broker: Broker, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    edge = edge_of(broker, tmp_path, LENSWATCH_COLLECTOR_METRICS=f"127.0.0.1:{port}")

    def ask(page: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    process = edge.start()
    until = time.monotonic() + 60
    while True:
        try:
            assert ask("healthz") == (200, "ok\n")
            break
        except OSError:
            assert time.monotonic() < until, edge.errors
            time.sleep(0.1)
    assert ask("readyz") == (503, "no packet has been read yet\n")
    feed = Feed(RATE)
    feed.attach(process)
    until = time.monotonic() + 60
    while "lenswatch_collector_observations_published_total 0.0" in (text := ask("metrics")[1]):
        assert time.monotonic() < until, edge.errors
        time.sleep(0.2)
    assert ask("readyz") == (200, "ok\n")
    feed.stop()
    assert edge.finish() == 0, edge.errors
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["lenswatch_collector_packets_total"]) > 0
    assert float(values["lenswatch_collector_observations_published_total"]) > 0
    assert float(values["lenswatch_collector_connected"]) == 1
    assert json.loads(values["lenswatch_spool_limit_bytes"]) == 1 << 30


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, made for the test and taken away."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "lenswatch-test", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_under_the_spool_is_told_and_counted_and_the_capture_goes_on(
    own_broker: Broker, tmp_path: Path, small_disk: Path
) -> None:
    edge = edge_of(own_broker, tmp_path, LENSWATCH_SPOOL_FOLDER=str(small_disk / "spool"))
    own_broker.stop()
    filling = small_disk / "filling"
    feed = Feed(RATE)
    feed.attach(edge.start())
    wait_until(edge, lambda: waiting(small_disk / "spool") > RATE)
    with contextlib.suppress(OSError), filling.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    wait_for(edge, "the spool cannot be written: database or disk is full")
    time.sleep(2)
    own_broker.start()
    wait_for(edge, "connected")
    filling.unlink()
    wait_for(edge, "the spool can be written again")
    time.sleep(1)
    feed.stop()
    assert edge.finish() == 0, edge.errors
    arrived = read_topic(own_broker, edge.topic).check()
    lost = int(re.search(r"let go: (\d+) disk", edge.errors)[1])  # type: ignore[index]
    made, published = map(int, re.findall(r"(\d+) observations made, (\d+) published", edge.errors)[-1])
    assert made == published + lost and lost > 0
    missing = sorted(set(range(len(feed.fed))) - arrived)
    # Besides the queries, their flows are observed too; of those the count is all that is known here.
    assert 0 < len(missing) <= lost and missing[-1] - missing[0] < 30 * RATE
    assert len(feed.fed) - 1 in arrived and edge.errors.count("cannot be written") == 1


def test_a_broken_spool_is_read_up_to_its_last_good_row_and_the_capture_goes_on(
    own_broker: Broker, tmp_path: Path
) -> None:
    edge = edge_of(own_broker, tmp_path, LENSWATCH_SPOOL_DRAIN_SECONDS="0")
    own_broker.stop()
    feed = Feed(RATE)
    feed.attach(edge.start())
    wait_until(edge, lambda: waiting(tmp_path / "lenswatch" / "spool") > 3 * RATE)
    edge.kill()
    path = tmp_path / "lenswatch" / "spool" / "spool.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        kept = database.execute("SELECT count(*) FROM batches").fetchone()[0]
    database.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size * 2 // 3 // 4096 * 4096)
        file.write(b"\xa5" * 3 * 4096)
    own_broker.start()
    edge.settings["LENSWATCH_SPOOL_DRAIN_SECONDS"] = "30"
    feed.attach(edge.start())
    wait_for(edge, "the spool is broken")
    wait_for(edge, "and this one begins at")
    feed.stop()
    assert edge.finish() == 0, edge.errors
    words = re.search(r"(\d+) batches were read up to the last good row, at most (\d+) are lost", edge.errors)
    assert words is not None, edge.errors
    read, lost = int(words[1]), int(words[2])
    # How much of the file is before the third that is bad depends on how full the batches were.
    assert read + lost == kept and lost > 0 and read > kept / 3
    arrived = read_topic(own_broker, edge.topic)
    boots = collections.Counter(head.boot_id for _, head, _ in arrived.records)
    assert read in boots.values() and len(boots) == 2
    assert len(feed.fed) - 1 in arrived.check()
