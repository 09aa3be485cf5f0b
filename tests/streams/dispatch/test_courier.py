"""Whatever becomes of a receiver: every revision arrives, in order per device, and again only under the same id."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rules.alert import Alert
from streams.sinks.alertmanager import Alertmanager
from streams.sinks.sink import Partly, Sink, Throttled, Undelivered
from tests.streams.dispatch.carrying import carrying, metric, until, webhook
from tests.streams.receiver import Got, Receiver

Make = Callable[..., list[Alert]]


def wanted(alerts: list[Alert]) -> list[str]:
    return [f"{alert.event.id}-{alert.lenswatch.revision}" for alert in alerts]


def in_order(ids: list[str], alerts: list[Alert]) -> bool:
    """Whether the first arrivals of each device's alerts came in the order in which they were told."""
    place = {identifier: number for number, identifier in reversed(list(enumerate(ids)))}
    devices: dict[str, list[int]] = {}
    for alert, identifier in zip(alerts, wanted(alerts), strict=True):
        assert alert.device is not None
        devices.setdefault(alert.device.id, []).append(place[identifier])
    return all(places == sorted(places) for places in devices.values())


def test_alerts_arrive_once_in_order_per_device_and_several_devices_at_a_time(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(60, devices=6)
    with Receiver(delay=0.05) as receiver, carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
        began = time.monotonic()
        dispatch.put(alerts)
        until(lambda: len(receiver.got) == 60)
        assert time.monotonic() - began < 2.5, "one after the other they would take three seconds"
        until(lambda: dispatch.left() == {"soc": 0})
        assert sorted(receiver.ids()) == sorted(wanted(alerts)) and in_order(receiver.ids(), alerts)
        assert metric(dispatch, 'sink_deliveries_total{result="ok",sink="soc"}') == 60


def test_a_receiver_that_dies_and_comes_back_gets_all_at_once_when_the_probe_sees_it(
    tmp_path: Path, alerts_of: Make
) -> None:
    alerts = alerts_of(40, devices=4)
    receiver = Receiver(delay=0.02).start()
    with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts[:20])
        until(lambda: len(receiver.got) >= 5)
        receiver.stop()
        dispatch.put(alerts[20:])
        until(lambda: metric(dispatch, 'sink_up{sink="soc"}') == 0, words="the sink is down")
        time.sleep(0.7)
        assert dispatch.left()["soc"] >= 20
        receiver.start()
        until(lambda: dispatch.left() == {"soc": 0}, 8.0, "all is delivered once the receiver is back")
        assert receiver.probes >= 1
    receiver.stop()
    assert set(receiver.ids()) == set(wanted(alerts)) and in_order(receiver.ids(), alerts)


def test_a_probe_is_no_message(tmp_path: Path, alerts_of: Make) -> None:
    receiver = Receiver().start()
    receiver.stop()
    with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path, probe_seconds=0.1) as dispatch:
        dispatch.put(alerts_of(3))
        until(lambda: metric(dispatch, 'sink_up{sink="soc"}') == 0)
        receiver.probe_status = 503
        receiver.start()
        until(lambda: receiver.probes >= 3)
        assert receiver.got == [], "a gateway without its receiver behind it is no receiver"
        receiver.probe_status = 404
        until(lambda: len(receiver.got) == 3)
    receiver.stop()


def test_a_server_error_is_tried_again_by_the_schedule_and_holds_only_its_device(
    tmp_path: Path, alerts_of: Make
) -> None:
    alerts = alerts_of(8, devices=2)

    def answer(got: Got) -> tuple[int, dict[str, str]]:
        return (500 if int(got.id.split("-")[0], 16) == 0 else 204), {}

    with Receiver(answer) as receiver, carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts)
        until(lambda: dispatch.left() == {"soc": 4})
        now = time.time()
        (due,) = dispatch.outbox.waiting("soc", now).values()
        assert 3.0 < due - now <= 6.0
        assert receiver.ids().count(wanted(alerts)[0]) == 1
        receiver.answer = lambda got: (204, {})
        until(lambda: dispatch.left() == {"soc": 0}, 9.0)
        assert receiver.ids().count(wanted(alerts)[0]) == 2 and in_order(receiver.ids(), alerts)


def test_what_is_refused_for_what_it_is_is_let_go_after_three_tries_and_counted(
    tmp_path: Path, alerts_of: Make
) -> None:
    with (
        Receiver(lambda got: (413, {})) as receiver,
        carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch,
    ):
        dispatch.put(alerts_of(1))
        for tries in (1, 2, 3):
            until(lambda tries=tries: len(receiver.got) == tries)  # type: ignore[misc]
            until(lambda: not dispatch.couriers[0]._tasks or dispatch.left() == {"soc": 0})
            dispatch.outbox.hasten("soc", time.time())
            dispatch.couriers[0]._waiting.clear()
            dispatch._call(dispatch._wake)
        until(lambda: dispatch.left() == {"soc": 0})
        assert metric(dispatch, 'sink_dropped_total{reason="refused",sink="soc"}') == 1


def test_retry_after_is_obeyed_for_the_whole_receiver(tmp_path: Path, alerts_of: Make) -> None:
    times: list[float] = []

    def answer(got: Got) -> tuple[int, dict[str, str]]:
        times.append(time.monotonic())
        return (429, {"Retry-After": "2"}) if len(times) == 1 else (204, {})

    with Receiver(answer) as receiver, carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts_of(1))
        until(lambda: len(times) == 1)
        dispatch.put(alerts_of(5, devices=5, first=1))
        until(lambda: dispatch.left() == {"soc": 0})
        assert min(times[1:]) - times[0] >= 1.9 and len(times) == 7


def test_a_receiver_that_asks_for_a_pause_of_no_length_is_not_asked_without_end(
    tmp_path: Path, alerts_of: Make
) -> None:
    with (
        Receiver(lambda got: (429, {"Retry-After": "0"})) as receiver,
        carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch,
    ):
        dispatch.put(alerts_of(1))
        until(lambda: len(receiver.got) == 1)
        time.sleep(1.0)
        assert len(receiver.got) == 1 and dispatch.left() == {"soc": 1}


class Stumbling(Alertmanager):
    """One that cannot tell again what lasts, the first time."""

    stumbled = False

    async def repeat(self, lasting: Sequence[tuple[Alert, float]], at: float) -> None:
        """See `Sink.repeat`."""
        if not self.stumbled:
            self.stumbled = True
            raise ValueError("unforeseen")
        await super().repeat(lasting, at)


def test_what_lasts_is_told_again_though_telling_it_failed_once(tmp_path: Path, alerts_of: Make) -> None:
    with Receiver() as receiver:
        table = {"url": f"http://127.0.0.1:{receiver.port}", "repeat_seconds": 0.1}
        sink = Stumbling.build("am", table)
        with carrying([sink], tmp_path) as dispatch:
            dispatch.put(alerts_of(1))
            until(lambda: len(receiver.got) >= 3)
            assert sink.stumbled and metric(dispatch, 'sink_deliveries_total{result="repeat_failed",sink="am"}') == 1


def test_410_closes_the_sink_and_keeps_what_waits_until_a_person_opens_it(tmp_path: Path, alerts_of: Make) -> None:
    with Receiver(lambda got: (410, {})) as receiver:
        sink = webhook("soc", receiver.url, tmp_path)
        with carrying([sink], tmp_path) as dispatch:
            dispatch.put(alerts_of(3))
            until(lambda: len(receiver.got) == 1)
            dispatch.put(alerts_of(3, first=3))
            time.sleep(0.3)
            assert len(receiver.got) == 1 and dispatch.left() == {"soc": 6}
            assert "410" in dispatch.words()["soc"]
        receiver.answer = lambda got: (204, {})
        with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
            time.sleep(0.3)
            assert len(receiver.got) == 1, "it stays closed over a restart"
            dispatch.outbox.open_sink("soc")
            dispatch._call(dispatch._wake)
            until(lambda: dispatch.left() == {"soc": 0})


def test_a_receiver_that_died_before_it_answered_sees_the_same_id_again(tmp_path: Path, alerts_of: Make) -> None:
    receiver = Receiver(delay=5.0).start()
    with carrying([webhook("soc", receiver.url, tmp_path)], tmp_path) as dispatch:
        dispatch.put(alerts_of(1))
        until(lambda: len(receiver.got) == 1)
        receiver.stop()
        receiver.delay = 0.0
        receiver.start()
        until(lambda: dispatch.left() == {"soc": 0}, 12.0)
    receiver.stop()
    assert set(receiver.ids()) == {wanted(alerts_of(1))[0]} and len(receiver.got) == 2


class Sorting(Sink):
    """A sink that takes some of a batch, and says of each other why not."""

    kind, name, address, max_batch, lanes = "sorting", "sorting", "here", 10, 1

    def __init__(self, failures: dict[str, Undelivered]) -> None:
        self.failures, self.taken = failures, []  # type: ignore[var-annotated]

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        found = {
            place: self.failures[alert.event.id]
            for place, alert in enumerate(alerts)
            if alert.event.id in self.failures
        }
        self.taken += [alert.event.id for place, alert in enumerate(alerts) if place not in found]
        if found:
            raise Partly("some", found)
        return "taken"

    async def probe(self) -> None: ...

    async def close(self) -> None: ...


def test_what_arrived_of_a_batch_is_not_sent_again_and_each_other_waits_for_its_own_reason(
    tmp_path: Path, alerts_of: Make
) -> None:
    alerts = alerts_of(5, devices=5)
    ids = [alert.event.id for alert in alerts]
    sink = Sorting({ids[1]: Undelivered("later"), ids[3]: Throttled("not now", 0.5)})
    with carrying([sink], tmp_path) as dispatch:
        dispatch.put(alerts)
        until(lambda: dispatch.left() == {"sorting": 2})
        assert dispatch.couriers[0].state == "paused"
        del sink.failures[ids[3]]
        until(lambda: dispatch.left() == {"sorting": 1})
        # Both may be tried again at once, and then the one that failed waits again only after the other has left.
        until(lambda: list(dispatch.outbox.waiting("sorting", time.time())) == ["site/1"])
        assert sorted(sink.taken) == sorted(set(ids) - {ids[1]}), "nothing comes twice"
        assert metric(dispatch, 'sink_deliveries_total{result="ok",sink="sorting"}') == 4


def test_a_batch_of_which_nothing_arrived_counts_no_delivery(tmp_path: Path, alerts_of: Make) -> None:
    alerts = alerts_of(3, devices=3)
    sink = Sorting({alert.event.id: Undelivered("later") for alert in alerts})
    with carrying([sink], tmp_path) as dispatch:  # type: ignore[list-item]
        dispatch.put(alerts)
        until(lambda: metric(dispatch, 'sink_deliveries_total{result="undelivered",sink="sorting"}') == 3)
        assert dispatch.left() == {"sorting": 3}
        assert metric(dispatch, 'sink_last_delivery_timestamp_seconds{sink="sorting"}') == 0
