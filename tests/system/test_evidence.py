"""An alert's packets, in the distributed shape and from a live interface: the right sensor answers with what it has."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer

from collector.evidence.exchange import EXPIRED, FOUND, MAX_QUESTION_BYTES, QUESTIONS
from collector.evidence.exhibit import read_exhibit
from collector.evidence.segments import find_packets, list_segments, read_records, read_segment
from rules.alert import Alert
from streams.evidence.asking import ask
from streams.evidence.fetch import observations_of
from streams.screen import peer_words
from streams.settings import Settings, load_settings
from tests.collector.wireshark.answering import needs_tshark
from tests.streams.command import OFFICE, PROGRAM, environment, run, spawn
from tests.system.centre import Centre, until
from tests.veth import needs_a_wire, wire

pytestmark = [pytest.mark.system, needs_tshark]


@contextlib.contextmanager
def collecting(centre: Centre, sensor: str, state: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A collector that reads its standard input, and answers for as long as that is open."""
    ours = {
        "LENSWATCH_COLLECTOR_SENSOR": sensor,
        "LENSWATCH_COLLECTOR_METRICS": "",
        "LENSWATCH_COLLECTOR_TRAFFIC": "all",
    }
    command = [str(PROGRAM), "collect", "-", "--config", str(centre.config)]
    state.mkdir(exist_ok=True)
    with (state / "said.txt").open("ab") as said:
        process = subprocess.Popen(command, env=environment(state, ours), stdin=subprocess.PIPE, stderr=said)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


def feed(process: "subprocess.Popen[bytes]", state: Path) -> None:
    """The office, and wait until its packets are kept."""
    assert process.stdin is not None
    process.stdin.write(OFFICE.read_bytes())
    process.stdin.flush()
    folder = state / "lenswatch" / "evidence"
    until(lambda: any(each.size_bytes > 100_000 for each in list_segments(folder)), 60, "packets are kept")


def answered(settings: Settings, sensor: str, observations: list[str]) -> tuple[str | None, float]:
    """What a sensor says of observations, and how long that took."""
    began = time.monotonic()
    answer = asyncio.run(ask(settings.kafka, sensor, observations))
    return None if answer is None else answer.state, time.monotonic() - began


def test_the_sensor_that_saw_it_answers_for_every_alert_and_says_what_has_expired(
    centre: Centre, tmp_path: Path
) -> None:
    settings, gate, yard = load_settings(centre.config, {}), tmp_path / "gate", tmp_path / "yard"
    worker = centre.worker("one").wait_ready()
    with collecting(centre, "gate", gate) as process, collecting(centre, "yard", yard):
        feed(process, gate)
        until(lambda: len(centre.told()) >= 12, 90, "the alerts are told")
        alerts = list(centre.told().values())
        until(lambda: answered(settings, "gate", ["0" * 32])[0] is not None, 60, "gate answers")
        until(lambda: answered(settings, "yard", ["0" * 32])[0] is not None, 60, "yard answers")
        for alert in alerts:
            answer = asyncio.run(ask(settings.kafka, alert.observer.name, observations_of(alert)))
            assert answer is not None and answer.state == FOUND and answer.missing == [], alert.message
            labels = peer_words(alert).encode().split(b".")
            packets = b"".join(data for _, _, data in read_exhibit(answer.exhibit))
            assert alert.threat is None or alert.threat.indicator.url is None or all(each in packets for each in labels)
        whole = run("alerts", "show", alerts[0].event.id, "--packets", "--kafka", centre.address, "--config",
                    centre.config, "--json", state=tmp_path)  # fmt: skip
        assert whole.code == 0, whole.err
        rows = [msgspec.json.decode(line) for line in whole.out.splitlines()]
        assert {id for row in rows for id in row["observations"]} >= set(alerts[0].lenswatch.evidence)
        # The other sensor has not seen it, a third is not there, and what nobody has seen has expired.
        for sensor, state in (("gate", EXPIRED), ("yard", EXPIRED), ("nobody", None)):
            of = ["f" * 32] if sensor == "gate" else observations_of(alerts[0])
            said, seconds = min((answered(settings, sensor, of) for _ in range(3)), key=lambda each: each[1])
            print(f"{sensor}: {said} after {seconds:.2f} s, connecting to Kafka included")
            assert said == state and seconds < 2
    assert worker.end() == 0


def test_a_request_for_expired_evidence_and_for_nobodys_says_so_within_a_second(centre: Centre, tmp_path: Path) -> None:
    """From the question on: a client's connecting is Kafka's time."""
    settings, state = load_settings(centre.config, {}), tmp_path / "gate"
    with collecting(centre, "gate", state) as process:
        feed(process, state)
        until(lambda: answered(settings, "gate", ["0" * 32])[0] is not None, 60, "gate answers")
        idle = min(answered(settings, "nobody", ["0" * 32])[1] for _ in range(3)) - 0.9
        times = [answered(settings, "gate", ["f" * 32]) for _ in range(3)]
        print(f"connecting takes {idle:.2f} s; expired is said after {min(each[1] for each in times):.2f} s")
        assert all(said == EXPIRED for said, _ in times)
        assert min(seconds for _, seconds in times) - idle < 1.0


def test_what_is_no_question_stops_nobody(centre: Centre, tmp_path: Path) -> None:
    settings, state = load_settings(centre.config, {}), tmp_path / "gate"
    with collecting(centre, "gate", state) as process:
        feed(process, state)
        until(lambda: answered(settings, "gate", ["0" * 32])[0] is not None, 60, "gate answers")
        producer = KafkaProducer(bootstrap_servers=centre.address)
        for junk in (b"", b"junk", b"[" * 10_000, bytes(MAX_QUESTION_BYTES + 1), b'{"id": 1}', None):
            producer.send(settings.kafka.evidence_topic, junk, b"key", partition=QUESTIONS)
        producer.flush(30)
        producer.close()
        assert answered(settings, "gate", ["0" * 32])[0] == EXPIRED
        assert process.poll() is None


def test_a_restart_keeps_what_is_on_disk(centre: Centre, tmp_path: Path) -> None:
    settings, state = load_settings(centre.config, {}), tmp_path / "gate"
    with collecting(centre, "gate", state) as process:
        feed(process, state)
        time.sleep(1)
    ids = [
        record_id for segment in list_segments(state / "lenswatch" / "evidence") for record_id in ids_in(segment.path)
    ]
    assert len(ids) > 100
    with collecting(centre, "gate", state):
        until(lambda: answered(settings, "gate", ["0" * 32])[0] is not None, 60, "gate answers")
        answer = asyncio.run(ask(settings.kafka, "gate", ids[:60]))
    assert answer is not None and answer.state == FOUND and answer.missing == []


def ids_in(path: Path) -> list[str]:
    """The observations that a file of the ring is about."""
    data = read_segment(path)
    return [id for record in read_records(data) for entry in record.entries(data) for id in entry.observations]


@pytest.mark.root
@needs_a_wire
@pytest.mark.parametrize("workers", [1, 2])
def test_what_came_over_an_interface_is_evidence(tmp_path: Path, workers: int) -> None:
    with wire(tmp_path) as line:
        command = [str(PROGRAM), "watch", line.near, "--workers", str(workers)]
        # Live, an inventory of its own makes the network's other devices ours too.
        process = subprocess.Popen(
            command, env=environment(tmp_path, {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            until(lambda: line.is_heard, 30, "it listens")
            # Nothing is let in before all of a group are open, which is a little later.
            time.sleep(1)
            line.replay(OFFICE, "--topspeed")
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0, errors.decode()
    alerts = spawn("alerts", "--json", state=tmp_path).alerts
    assert len(alerts) >= 8
    for alert in alerts:
        found = find_packets(tmp_path / "lenswatch" / "evidence", observations_of(alert))
        assert found.packets and found.missing == [], alert.message
        assert all(link_type == 1 for (_, link_type, _, _), _ in found.packets)
        assert has_name(alert, b"".join(data for (_, _, _, data), _ in found.packets)), alert.message


def has_name(alert: Alert, packets: bytes) -> bool:
    """Whether the labels of the name that fired stand there, however they are written."""
    if alert.threat is None or alert.threat.indicator.url is None:
        return True
    return all(label in packets for label in peer_words(alert).encode().split(b"."))
