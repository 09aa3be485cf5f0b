"""The Faust wiring without a broker: what goes where, and that a record is never acknowledged for an error.

What a broker keeps is tested on a real one, in tests/system/.
"""

import asyncio
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from collector.kafka_settings import KafkaSettings
from collector.observation import Observation
from collector.record import RecordHead, pack, write_head
from rules.alert import Alert
from rules.match import RuleSet
from streams import codec
from streams.app import Centre, credentials_of, make_app
from streams.metrics import Meters
from streams.reading import Place
from streams.sending import MAX_SENDING, Sending
from streams.settings import WorkerSettings
from tests.streams.answers import Answers

KAFKA = KafkaSettings(servers="127.0.0.1:1,127.0.0.1:2", partitions=1)
CLOUD: dict[str, Any] = {"event.dataset": "lenswatch.tls", "destination.domain": "www.easy4ipcloud.com"}


class Kept:
    """A sink that keeps what it is given, or fails."""

    name = "kept"

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.error: Exception | None = None

    async def deliver(self, alerts: Any) -> None:
        if self.error is not None:
            raise self.error
        self.alerts += alerts

    async def close(self) -> None:
        pass


class Offline(Centre):
    """A centre whose messages go to a list instead of to a broker."""

    sent: list[tuple[str, int, bytes]]
    sought: list[dict[Place, int]]
    error: Exception | None = None
    is_displaced = False

    async def holds_its_place(self) -> bool:
        return not self.is_displaced

    async def read_again(self, place: Place) -> None:
        self.sought.append({place: self.reading.done[place]})

    async def send(self, topic: str, partition: int, key: Any, value: Any, headers: Any = None) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((topic, partition, value))

    def goes_online(self, most: int = MAX_SENDING) -> Answers:
        """Send from now on as a worker does, to a broker that answers when it is told to."""
        broker = Answers()
        self.sending = Sending(broker, self._untaken, most)
        self.send = types.MethodType(Centre.send, self)  # type: ignore[method-assign]
        return broker

    async def take_one(self, observe: Callable[..., Observation]) -> None:
        """Take a record of one call to a maker's cloud."""
        value, headers = record(observe(CLOUD))
        await self._work(Handed(0, value=value, headers=headers), self.take)


@pytest.fixture
def run(rules: RuleSet, tmp_path: Path) -> Callable[[Callable[[Offline, Kept], Awaitable[None]]], list[str]]:
    """Run a test in a loop with a centre of its own; the words with which it went down."""

    def go(test: Callable[[Offline, Kept], Awaitable[None]]) -> list[str]:
        async def inside() -> list[str]:
            said: list[str] = []
            settings, sink = WorkerSettings(), Kept()
            app = make_app(KAFKA, settings, tmp_path)
            app.conf.stream_wait_empty = False
            centre = Offline(app, KAFKA, settings, rules, [sink], Meters(), down=said.append)
            centre.sent, centre.sought = [], []
            centre.sending = Sending(Answers(), centre._untaken)
            for topic in (KAFKA.observations_topic, settings.alerts_topic):
                centre.reading.begin(Place(topic, 0), 0)
            await test(centre, sink)
            return said

        return asyncio.run(inside())

    return go


def record(*observations: Observation, seq: int = 1) -> tuple[bytes, list[tuple[str, bytes]]]:
    value = pack(map(msgspec.json.encode, observations))
    return value, write_head(RecordHead(sensor="s", boot_id="0a", seq=seq, count=len(observations)))


def test_nothing_is_served_made_or_discovered_by_itself(tmp_path: Path) -> None:
    app = make_app(KAFKA, WorkerSettings(group="night", instance="w1"), tmp_path)
    conf = app.conf
    assert not (conf.web_enabled or conf.topic_allow_declare or conf.autodiscover or conf.producer_threaded)
    assert str(conf.processing_guarantee) == "ProcessingGuarantee.AT_LEAST_ONCE" and conf.stream_wait_empty
    assert conf.id == "night" and conf.consumer_group_instance_id == "w1" and conf.table_standby_replicas == 0
    assert [url.authority for url in conf.broker] == KAFKA.addresses
    assert conf.broker_credentials is None


@pytest.mark.parametrize("mechanism", [None, "SCRAM-SHA-512", "OAUTHBEARER"])
def test_credentials_never_go_without_tls(mechanism: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    token.chmod(0o600)
    more: dict[str, Any] = {
        None: {"security_protocol": "SSL"},
        "SCRAM-SHA-512": {"security_protocol": "SASL_SSL", "username": "u", "password": "p"},
        "OAUTHBEARER": {"security_protocol": "SASL_SSL", "token_file": token},
    }[mechanism]
    credentials: Any = credentials_of(KafkaSettings(servers="a:1", sasl_mechanism=mechanism, **more))
    assert credentials.protocol.value == ("SSL" if mechanism is None else "SASL_SSL")
    assert getattr(credentials, "ssl_context", None) or credentials.context
    assert mechanism is None or credentials.mechanism.value == mechanism


def test_alerts_are_told_and_the_device_is_written(run: Any, observe: Callable[..., Observation]) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        async with centre.detect.test_context() as agent:
            value, headers = record(observe(CLOUD), observe(CLOUD | {"event.id": "again"}))
            for _ in range(2):
                await agent.put(value, headers=headers, partition=0)
                await asyncio.sleep(0.05)
            ((topic, partition, alert),) = centre.sent
            assert (topic, partition) == ("lenswatch.alerts.v1", 0)
            assert codec.read_alert(alert).lenswatch.revision == 1
            await centre.settle()
            assert [topic for topic, *_ in centre.sent[1:]] == [centre.devices.topic] * 3
            grounds, *rest = centre.devices
            assert grounds.startswith("g/0/") and rest == ["d/site/3c:ef:8c:00:53:11", "s/0/s"]

    assert run(test) == []


def test_what_cannot_be_read_is_buried_and_the_stream_goes_on(run: Any, observe: Callable[..., Observation]) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        async with centre.detect.test_context() as agent:
            await agent.put(b"not json", headers=record()[1], partition=0)
            value, headers = record(observe(CLOUD))
            await agent.put(value, headers=headers, partition=0)
            await asyncio.sleep(0.05)
        assert [topic for topic, _, _ in centre.sent] == ["lenswatch.deadletters.v1", "lenswatch.alerts.v1"]
        letter = msgspec.json.decode(centre.sent[0][2], type=codec.DeadLetter)
        assert letter.reason == "not_json" and letter.origin.seq == "1"

    assert run(test) == []


def test_an_alert_is_delivered_once_and_no_alert_is_buried(run: Any, rules: RuleSet, observe: Any) -> None:
    (alert,) = rules.match(observe(CLOUD))

    async def test(centre: Offline, sink: Kept) -> None:
        async with centre.deliver.test_context() as agent:
            for value in (codec.write_alert(alert), codec.write_alert(alert), b"{}"):
                await agent.put(value, partition=0)
                await asyncio.sleep(0.05)
        assert sink.alerts == [alert] and [topic for topic, _, _ in centre.sent] == ["lenswatch.deadletters.v1"]

    assert run(test) == []


def test_an_alert_that_was_told_here_is_delivered_as_it_was_told_and_any_other_is_read(
    run: Any, observe: Callable[..., Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.app.MAX_TOLD", 1)
    read = mock.Mock(wraps=codec.read_alert)
    monkeypatch.setattr(codec, "read_alert", read)

    async def test(centre: Offline, sink: Kept) -> None:
        seen = [observe(CLOUD), observe(CLOUD | {"device.id": "site/other"}), observe(CLOUD | {"device.id": "site/3"})]
        value, headers = record(*seen[:2])
        await centre._work(Handed(0, value=value, headers=headers), centre.take)
        first, second = (value for _, _, value in centre.sent)
        async with centre.deliver.test_context() as agent:
            for value, reads in ((second, 0), (first, 1), (second, 2)):
                await agent.put(value, partition=0)
                await asyncio.sleep(0.05)
                assert read.call_count == reads, "what was told is looked for once, and of so many"
        assert [codec.write_alert(each) for each in sink.alerts] == [second, first]
        value, headers = record(seen[2], seq=2)
        await centre._work(Handed(1, value=value, headers=headers), centre.take)
        assert len(centre._told) == 1
        await centre.app.on_partitions_revoked.send(set())
        assert not centre._told

    assert run(test) == []


SEEN = Place(KAFKA.observations_topic, 0)


class Handed:
    """A stream that hands out records of these offsets, all the same one."""

    def __init__(self, *offsets: int, value: bytes = b"", headers: Any = None, at: float = 0.0) -> None:
        self.offsets, self.value, self.headers, self.at = offsets, value, headers, at

    async def events(self) -> AsyncIterator[Any]:
        for offset in self.offsets:
            message = types.SimpleNamespace(
                topic=SEEN.topic, partition=0, offset=offset, timestamp=self.at, headers=self.headers
            )
            yield types.SimpleNamespace(message=message, value=self.value)


def test_a_record_that_its_sender_dates_beyond_all_years_is_buried_and_holds_up_no_time(
    run: Any, observe: Callable[..., Observation]
) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        value, headers = record(observe(CLOUD))
        await centre._work(Handed(0, value=b"not json", headers=headers, at=1.7e12), centre.take)
        await centre._work(Handed(1, value=value, headers=headers, at=1.7e12), centre.take)
        assert [topic for topic, _, _ in centre.sent] == ["lenswatch.deadletters.v1", "lenswatch.alerts.v1"]
        assert centre.partitions[0].is_due(time.time() + 30 * 86_400)

    assert run(test) == []


def test_what_was_believed_of_a_recovery_that_another_overtook_is_not_believed_on(
    run: Any, observe: Callable[..., Observation]
) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        await centre.app.on_rebalance_complete.send()
        centre._partition(0)
        await centre.app.on_rebalance_complete.send()
        assert centre.partitions == {} and centre.reading.done == {} and centre.recovered

    assert run(test) == []


@pytest.mark.parametrize("error", [OSError("no"), KeyError("x"), MemoryError(), asyncio.CancelledError()])
def test_a_record_is_never_done_for_an_error(run: Any, error: BaseException) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        async def fail(*_: Any) -> None:
            raise error

        with pytest.raises(type(error)):
            await centre._work(Handed(0), fail)
        assert centre.reading.done[SEEN] == 0

    (words,) = run(test)
    assert words.startswith(f"{SEEN.topic} [0] at 0: {type(error).__name__}")


def test_a_record_that_is_done_is_progress(run: Any) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        await centre._work(Handed(0, 1), centre.hand_on)
        assert centre.reading.done[SEEN] == 2
        assert centre.meters.registry.get_sample_value("lenswatch_last_progress_timestamp_seconds")

    assert run(test) == []


def test_a_record_before_its_turn_is_left_and_read_again(run: Any) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        taken: list[int] = []

        async def take(message: Any, _: Any) -> None:
            taken.append(message.offset)

        await centre._work(Handed(0, 3, 4, 1, 2, 3), take)
        assert taken == [0, 1, 2, 3] and centre.sought == [{SEEN: 1}] and centre.reading.done[SEEN] == 4
        assert centre.meters.registry.get_sample_value("lenswatch_turned_back_total") == 1

    assert run(test) == []


def test_nothing_is_taken_before_the_tables_are_whole_nor_after_they_are_anothers(run: Any) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        async def take(*_: Any) -> None:
            raise AssertionError

        await centre.app.on_partitions_revoked.send(set())
        await centre._work(Handed(0, 1), take)

    assert run(test) == []


def test_an_alert_that_the_broker_refuses_takes_the_process_down_before_the_device_is_written(
    run: Any, observe: Callable[..., Observation]
) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        centre.error = OSError("refused")
        value, headers = record(observe(CLOUD))
        with pytest.raises(OSError, match="refused"):
            await centre._work(Handed(0, value=value, headers=headers), centre.take)
        assert len(centre.devices) == 0 and centre.reading.done[SEEN] == 0

    assert run(test) == [f"{SEEN.topic} [0] at 0: OSError: refused"]


def test_what_was_told_is_kept_by_the_broker_before_a_change_is_written(
    run: Any, observe: Callable[..., Observation]
) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        broker = centre.goes_online()
        await centre.take_one(observe)
        settled = asyncio.create_task(centre.settle())
        await asyncio.sleep(0.01)
        assert broker.topics() == ["lenswatch.alerts.v1"] and not settled.done() and len(centre.devices.staged) == 3
        broker.answer()
        await asyncio.sleep(0.01)
        changelog = centre.devices.topic
        assert broker.topics() == ["lenswatch.alerts.v1", *[changelog] * 3] and not settled.done()
        broker.answer()
        await settled
        assert not centre.devices.staged and len(centre.devices) == 3

    assert run(test) == []


def test_a_commit_of_many_changes_has_a_bounded_number_of_them_under_way(run: Any) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        broker = centre.goes_online(2)
        centre.devices.stage(0, {f"d/{number}": b"1" for number in range(5)})
        settled = asyncio.create_task(centre.settle())
        for sent in (2, 4, 5):
            await asyncio.sleep(0.01)
            assert len(broker.topics()) == sent and not settled.done()
            broker.answer()
        await settled
        assert len(centre.devices) == 5 and not centre.devices.staged

    assert run(test) == []


def test_past_so_many_changes_the_next_record_waits_until_they_are_written(
    run: Any, observe: Callable[..., Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.app.MAX_UNWRITTEN", 2)

    async def test(centre: Offline, sink: Kept) -> None:
        broker = centre.goes_online()
        taking = asyncio.create_task(centre.take_one(observe))
        for topics in (["lenswatch.alerts.v1"], [centre.devices.topic] * 3):
            await asyncio.sleep(0.01)
            assert broker.topics()[-len(topics) :] == topics and not taking.done()
            assert centre.reading.done[SEEN] == 0, "what is not written may not be committed"
            broker.answer()
        await taking
        assert not centre.devices.staged and len(centre.devices) == 3 and centre.reading.done[SEEN] == 1

    assert run(test) == []


def test_a_worker_whose_partitions_are_anothers_by_now_writes_nothing(
    run: Any, observe: Callable[..., Observation]
) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        await centre.take_one(observe)
        centre.is_displaced = True
        assert not await centre.settle()
        assert [topic for topic, *_ in centre.sent] == ["lenswatch.alerts.v1"] and not centre.devices._table.data
        centre.is_displaced = False
        assert await centre.settle() and len(centre.devices) == 3

    assert run(test) == []


def test_of_two_values_of_a_key_the_later_is_written_last_whoever_else_writes(run: Any) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        broker = centre.goes_online(1)
        both = []
        for changes in (dict.fromkeys("uvw", b"1") | {"x": b"before"}, {"x": b"after"}):
            centre.devices.stage(0, changes)
            both.append(asyncio.create_task(centre.settle()))
            await asyncio.sleep(0.01)
        while not all(each.done() for each in both):
            broker.answer()
            await asyncio.sleep(0.01)
        written = [value for _, _, records in broker.sent for key, value, _ in records if key == b"x"]
        assert written == [b"before", b"after"] and centre.devices["x"] == b"after" and not centre.devices.staged

    assert run(test) == []


def test_nothing_is_written_between_a_change_and_the_telling_of_it(
    run: Any, observe: Callable[..., Observation]
) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        free = asyncio.Event()

        async def send(topic: str, *_: Any, **__: Any) -> None:
            if topic == "lenswatch.alerts.v1":
                await free.wait()
            told.append(topic)

        told: list[str] = []
        centre.send = send  # type: ignore[method-assign]
        taking = asyncio.create_task(centre.take_one(observe))
        await asyncio.sleep(0.01)
        settled = asyncio.create_task(centre.settle())
        await asyncio.sleep(0.01)
        assert told == [] and not centre.devices.staged and not settled.done()
        free.set()
        await asyncio.gather(taking, settled)
        assert told == ["lenswatch.alerts.v1", *[centre.devices.topic] * 3]

    assert run(test) == []


def test_a_record_that_the_broker_does_not_take_ends_the_worker_and_settles_nothing(run: Any) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        broker = Answers()
        centre.sending = Sending(broker, centre._untaken)
        await Centre.send(centre, "lenswatch.alerts.v1", 0, b"id", b"{}")
        centre.devices.stage(0, {"d/x": b"1"})
        settled = asyncio.create_task(centre.settle())
        await asyncio.sleep(0.01)
        broker.answer(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await settled
        assert broker.topics() == ["lenswatch.alerts.v1"]

    assert run(test) == ["the broker did not take a record: OSError: gone"]


def test_no_table_is_looked_at_before_it_is_whole(run: Any) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        centre.app.flow_control.resume()
        assert not centre.is_ready
        await centre.app.on_rebalance_complete.send()
        assert centre.is_ready
        await centre.app.on_partitions_revoked.send(set())
        assert not centre.is_ready

    assert run(test) == []


def test_what_is_open_in_a_partition_that_has_just_come_is_told_before_a_record_of_it_is(
    run: Any, observe: Callable[..., Observation]
) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        await centre.take_one(observe)
        await centre.settle()
        centre.partitions.clear()
        centre.assigned = lambda: {0}  # type: ignore[method-assign]
        centre.measure(0.0)
        read = centre.meters.registry.get_sample_value
        assert read("lenswatch_findings_open") == 0, "half a table says nothing"
        centre.app.flow_control.resume()
        await centre.app.on_rebalance_complete.send()
        centre.measure(0.0)
        assert read("lenswatch_findings_open") == 1

    assert run(test) == []


def test_gauges_tell_of_devices_sensors_and_tables(run: Any, observe: Callable[..., Observation]) -> None:
    async def test(centre: Offline, sink: Kept) -> None:
        async with centre.detect.test_context() as agent:
            value, headers = record(observe(CLOUD))
            await agent.put(value, headers=headers, partition=0)
            await asyncio.sleep(0.05)
        at = observe(CLOUD).timestamp.timestamp()
        centre.measure(at + 1000)
        read = centre.meters.registry.get_sample_value
        assert read("lenswatch_devices_known") == 1 and read("lenswatch_devices_silent") == 1
        assert read("lenswatch_sensor_last_seen_timestamp_seconds", {"sensor": "s"}) == at
        assert read("lenswatch_table_entries", {"table": "devices"}) == 2 and read("lenswatch_findings_open") == 1

    assert run(test) == []
