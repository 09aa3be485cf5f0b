"""The publisher without a broker: on disk within the linger, never waiting, never growing."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.canary import Canaries
from collector.cli import read_all
from collector.errors import LenswatchError
from collector.kafka_settings import KafkaSettings
from collector.ledger import Ledger
from collector.observation import Observation
from collector.packets import Block
from collector.publish.kafka import NS, TEND_SECONDS, KafkaPublisher
from collector.record import LINGER_SECONDS, MAX_VALUE_BYTES
from collector.running import Interrupts
from collector.settings import CollectorSettings
from collector.spool import SpoolSettings
from tests.collector.frames import block_of
from tests.collector.seen import seen

NOBODY = KafkaSettings(servers="127.0.0.1:1")
Open = Callable[..., KafkaPublisher]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def open_publisher(tmp_path: Path, told: list[str]) -> Iterator[Open]:
    made: list[KafkaPublisher] = []

    def publisher(spool: SpoolSettings = SpoolSettings(drain_seconds=0)) -> KafkaPublisher:  # noqa: B008
        collector = CollectorSettings(sensor="gate", site="main")
        made.append(KafkaPublisher(NOBODY, spool, tmp_path, collector, told.append, Ledger()))
        return made[-1]

    yield publisher
    for each in made:
        if each.spool._claim.closed:
            continue
        each.close()


def test_what_was_published_is_on_disk_after_the_linger_though_nothing_follows(open_publisher: Open) -> None:
    publisher = open_publisher()
    publisher.publish([seen(number) for number in range(3)])
    until = time.monotonic() + 10 * LINGER_SECONDS
    while not publisher.spooled and time.monotonic() < until:
        time.sleep(LINGER_SECONDS / 10)
    assert (publisher.taken, publisher.spooled, publisher.spool.observations) == (3, 3, 3)


def test_closing_keeps_everything_for_the_next_start_and_the_sums_close(open_publisher: Open) -> None:
    publisher = open_publisher()
    publisher.publish([seen(number, device=number) for number in range(1234)])
    publisher.close()
    assert (publisher.spool.observations, publisher.open_sums()) == (1234, [])
    again = open_publisher()
    assert again.spool.observations == 1234 and again.boot_id != publisher.boot_id


def test_a_dead_broker_neither_makes_publish_wait_nor_fills_memory(open_publisher: Open, told: list[str]) -> None:
    publisher = open_publisher(SpoolSettings(max_bytes=1 << 20, drain_seconds=0))
    slowest = 0.0
    for start in range(0, 60_000, 1000):
        block = [seen(number, device=number, name=os.urandom(32).hex()) for number in range(start, start + 1000)]
        began = time.perf_counter()
        publisher.publish(block)
        slowest = max(slowest, time.perf_counter() - began)
    publisher.close()
    assert slowest < 1 and publisher.spool.bytes <= 1 << 20
    dropped = publisher.dropped()
    assert dropped["full"] > 0 and dropped["full"] + publisher.spool.observations == publisher.spooled == 60_000
    assert publisher.open_sums() == [] and any("Connection refused" in each for each in told)


def test_what_no_record_can_hold_is_counted_and_the_sums_close(open_publisher: Open) -> None:
    publisher = open_publisher()
    publisher.publish([seen(1), seen(2, name="x" * MAX_VALUE_BYTES)])
    publisher.close()
    assert publisher.dropped() == {"too_large": 1} and (publisher.taken, publisher.spooled) == (2, 1)
    assert publisher.open_sums() == []


def test_a_sum_that_does_not_close_is_said(open_publisher: Open) -> None:
    publisher = open_publisher()
    publisher.taken += 1
    publisher.close()
    assert publisher.open_sums() == ["spool: 1 observations taken, 0 spooled, 0 let go"]


def test_the_next_start_tells_the_gap_since_the_last_packet_that_was_handed_over(
    open_publisher: Open, told: list[str]
) -> None:
    publisher = open_publisher()
    assert publisher.gap_seconds is None
    publisher.publish_up_to(1000 * NS, [seen(1)])
    assert publisher.gap_seconds == 0.0
    publisher.publish_up_to(1060 * NS, [])
    publisher.close()
    assert not [each for each in told if "packet time" in each]
    again = open_publisher()
    again.publish_up_to(1090 * NS, [])
    assert again.gap_seconds == 30.0
    assert any("ended in order" in each and "30.0 s of packet time may be missing" in each for each in told)
    assert again.heartbeat().lenswatch.gap_seconds == 30.0


class SlowToRead:
    """A pipeline that takes its time over the second block, and looks what the spool says meanwhile."""

    def __init__(self, publisher: KafkaPublisher) -> None:
        self.publisher, self.ledger, self.whole = publisher, Ledger(), list[int]()

    def process(self, block: Block) -> list[Observation]:
        if block.time_ns[-1] > 1000 * NS:
            time.sleep(TEND_SECONDS + 5 * LINGER_SECONDS)
            with contextlib.closing(sqlite3.connect(self.publisher.spool.path)) as database:
                self.whole += database.execute("SELECT value FROM state WHERE name = 'last_packet_ns'").fetchone()
        return [seen(1)]

    def finish(self) -> list[Observation]:
        return []


class TwoBlocks:
    """A source of two packets, a minute apart."""

    name, size_bytes = "two", 0

    def blocks(self) -> Iterator[Block]:
        yield from (block_of([(at * NS, b"")]) for at in (1000, 1060))


def test_nothing_is_whole_up_to_a_block_that_is_still_being_read(open_publisher: Open) -> None:
    publisher = open_publisher()
    pipeline = SlowToRead(publisher)
    never = Canaries("gate", "main", 0, 0)
    assert read_all(pipeline, [TwoBlocks()], Interrupts(), publisher, never) == []  # type: ignore[arg-type]
    assert pipeline.whole == [1000 * NS]
    publisher.close()
    assert open_publisher().spool.last_packet_ns == 1060 * NS


def test_an_older_capture_has_no_gap(open_publisher: Open, told: list[str]) -> None:
    publisher = open_publisher()
    publisher.publish_up_to(1000 * NS, [seen(1)])
    publisher.close()
    again = open_publisher()
    again.publish_up_to(900 * NS, [])
    assert again.gap_seconds == 0.0 and not any("packet time" in each for each in told)


def test_a_heartbeat_says_what_waits_and_why(open_publisher: Open, told: list[str]) -> None:
    publisher = open_publisher()
    publisher.ledger.drop("decode", "not_ip", 2)
    publisher.publish([seen(1)])
    while not (publisher.spooled and told):
        time.sleep(0.01)
    state = publisher.heartbeat().lenswatch
    assert (state.site, state.boot_id, state.seq) == ("main", publisher.boot_id, 1)
    assert (state.ledger.observations, state.ledger.spooled, state.ledger.published) == (1, 1, 0)
    assert state.ledger.dropped == {"decode.not_ip": 2} and state.spool.observations == 1
    assert len(state.problems) == 1 and "Connection refused" in state.problems[0]


def test_a_spool_in_use_is_refused(open_publisher: Open) -> None:
    open_publisher()
    with pytest.raises(LenswatchError, match="another collector uses this spool"):
        open_publisher()
