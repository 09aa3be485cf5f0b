"""Wireshark reads a sample of what we do not dissect; whatever becomes of it, the capture goes on and sums close."""

import ipaddress
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from collector.deep import BURST_SECONDS, MAX_UNTOLD, DeepReader, packet_of, service_of
from collector.identify.fingerprint import read_fingerprints
from collector.observation import Announced, Observation
from collector.packets import TCP, UDP
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings, DeepSettings
from collector.views import FlowValues
from tests.collector.dissectors.messages import QUERY
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA,
    SERVER,
    Packet,
    Talk,
    block_of,
    ipv4,
    ipv6,
    spaced,
    tcp,
    udp,
    udp_frame,
)
from tests.collector.wireshark.answering import needs_tshark
from tests.house.tree import ROOT

pytestmark = [
    pytest.mark.system,
    needs_tshark,
]
SECONDS = 20
SIP = (
    b"REGISTER sip:34020000002000000001@3402000000 SIP/2.0\r\nVia: SIP/2.0/UDP 10.20.0.11:5060\r\n"
    b"From: <sip:1@3402>\r\nTo: <sip:1@3402>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
    b"User-Agent: Hikvision/1.0\r\nContent-Length: 0\r\n\r\n"
)
BANNER = b"SSH-2.0-dropbear_2019.78\r\n"


class Clock:
    """Time that goes by when it is told to; and with `real` also by itself."""

    def __init__(self) -> None:
        self.more = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.more


def values_of(number: int = 0, port: int = 5_060, transport: int = UDP) -> FlowValues:
    """A flow from our device 10.20.x.y to a server's port."""
    ours, theirs = bytes((10, 20, number >> 8 & 255, number & 255)), bytes((192, 0, 2, 80))
    addresses = ours.ljust(16, b"\0") + theirs.ljust(16, b"\0")
    return 0, transport, 4, 0, False, [40_000, port], addresses, bytes(12), [True, False], [False, False], 0


def offer(reader: DeepReader, number: int = 0, payload: bytes = SIP, port: int = 5_060) -> None:
    reader.offer(values_of(number, port), 0, payload, 0, BEGIN_NS)


def wait_for(reader: DeepReader, answers: int) -> list[str]:
    """What is said until so many packets are answered."""
    said: list[str] = []
    until = time.monotonic() + SECONDS
    while reader.answered < answers:
        assert time.monotonic() < until, (reader.answered, answers)
        said += [fact.action or "" for _, fact, _, _ in reader.told()]
        time.sleep(0.01)
    return said


def pid_of(reader: DeepReader) -> int:
    assert reader.tshark is not None
    return reader.tshark.pid


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(clock: Clock) -> DeepReader:
    return DeepReader(DeepSettings(enabled=True, cpu_share=1.0, hang_seconds=5.0), clock)


def test_what_a_device_says_in_a_protocol_of_wireshark_s_is_evidence_of_who_it_is() -> None:
    pipeline = Pipeline(CollectorSettings(), read_fingerprints())
    pipeline.strangers = DeepReader(DeepSettings(enabled=True))
    talk = Talk((CAMERA, 40_000, SERVER, 22))
    talk.send(1, b"SSH-2.0-OpenSSH_9.0\r\n")
    talk.send(0, BANNER)
    call = [udp_frame(SIP, (CAMERA, 5_060, SERVER, 5_060)), udp_frame(QUERY, (CAMERA, 40_001, SERVER, 53))]
    found = pipeline.process(block_of(talk.packets + spaced(call, at_ns=talk.at_ns)))
    found += pipeline.finish()
    told = {each.event.action: each for each in found if each.event.dataset == "lenswatch.device"}
    told.pop("identified", None)
    assert set(told) == {"ssh", "sip"} and told["sip"].network.protocol == "sip"
    device = pipeline.inventory.devices["default/00:00:5e:00:53:11"]
    assert device.identity.evidence == [
        "speaks ssh: SSH-2.0-dropbear_2019.78",
        "says Hikvision/1.0 (sip user agent), as devices of Hikvision do",
        "speaks sip: Hikvision/1.0",
    ]
    assert device.identity.confidence == 0.4 and not pipeline.ledger.by_reason("deep")
    [question] = [each for each in found if each.event.dataset == "lenswatch.dns"]
    assert question.dns is not None


def test_each_thing_is_said_once(reader: DeepReader) -> None:
    for _ in range(3):
        offer(reader)
    assert wait_for(reader, 3) == ["sip"]
    assert reader.finish() == []


def test_a_service_s_share_is_bounded_and_what_is_more_is_counted(reader: DeepReader) -> None:
    for _ in range(20):
        offer(reader)
    offer(reader, number=1)
    offer(reader, port=5_061)
    wait_for(reader, 10)
    reader.finish()
    assert reader.missed() == {"enough": 12}
    assert (reader.offered, reader.answered) == (22, 10)


def test_one_that_is_killed_costs_what_it_had_and_another_is_started_later(reader: DeepReader, clock: Clock) -> None:
    offer(reader)
    wait_for(reader, 1)
    first = pid_of(reader)
    os.kill(first, signal.SIGSTOP)
    for number in range(2, 6):
        offer(reader, number)
    os.kill(first, signal.SIGKILL)
    until = time.monotonic() + SECONDS
    while reader.tshark is not None and time.monotonic() < until:
        reader.told()
    assert is_gone(first)
    offer(reader, number=7)
    assert reader.missed() == {"unanswered": 4, "down": 1}
    clock.more += 1.1
    offer(reader, number=8)
    assert wait_for(reader, 2) == ["sip"] and pid_of(reader) != first
    reader.finish()


def test_one_that_dies_again_and_again_is_started_ever_more_rarely(reader: DeepReader, clock: Clock) -> None:
    waits = []
    for _ in range(4):
        offer(reader, number=len(waits))
        os.kill(pid_of(reader), signal.SIGKILL)
        until = time.monotonic() + SECONDS
        while reader.tshark is not None and time.monotonic() < until:
            reader.told()
        began = clock.more
        while reader.tshark is None:
            clock.more += 0.25
            offer(reader, number=100 + int(clock.more * 4))
        waits.append(round(clock.more - began))
    assert waits == [1, 2, 4, 8]
    reader.finish()


def test_one_that_hangs_is_ended_and_never_waited_for(reader: DeepReader, clock: Clock) -> None:
    offer(reader)
    wait_for(reader, 1)
    first = pid_of(reader)
    os.kill(first, signal.SIGSTOP)
    began = time.monotonic()
    for number in range(1, 2_000):
        offer(reader, number, payload=SIP + bytes(4_000))
    reader.told()
    assert time.monotonic() - began < 5
    assert reader.missed() == {"busy": 1_999 - MAX_UNTOLD}
    clock.more += 6
    reader.told()
    assert is_gone(first) and reader.tshark is None
    assert reader.missed() == {"unanswered": MAX_UNTOLD}
    assert reader.offered == reader.answered + MAX_UNTOLD + 1_999 - MAX_UNTOLD


def test_after_a_long_silence_it_is_not_taken_for_hung(reader: DeepReader, clock: Clock) -> None:
    offer(reader)
    wait_for(reader, 1)
    before = pid_of(reader)
    clock.more += 3_600
    offer(reader, number=1)
    reader.told()
    wait_for(reader, 2)
    assert pid_of(reader) == before
    reader.finish()


def test_its_share_of_the_processor_is_not_overstepped(clock: Clock) -> None:
    reader = DeepReader(DeepSettings(enabled=True, cpu_share=0.01, packets=1_000), clock)
    offer(reader)
    wait_for(reader, 1)
    # As if it had worked for as long as it may at once.
    reader._used = BURST_SECONDS + 0.5
    offer(reader)
    assert reader.missed() == {"over_budget": 1}
    clock.more += 120
    offer(reader)
    wait_for(reader, 2)
    reader.finish()


def test_one_that_takes_too_much_memory_ends_itself_and_the_capture_goes_on(clock: Clock) -> None:
    # Settings refuse so little.
    tight = DeepSettings(enabled=True)
    msgspec.structs.force_setattr(tight, "memory_bytes", 48 << 20)
    reader = DeepReader(tight, clock)
    offer(reader)
    until = time.monotonic() + SECONDS
    while reader.tshark is not None and time.monotonic() < until:
        reader.told()
    assert reader.tshark is None and reader.missed() == {"unanswered": 1}


def test_an_answer_that_cannot_be_read_is_counted_and_the_next_one_is_read(reader: DeepReader) -> None:
    offer(reader)
    offer(reader, number=1, payload=SIP.replace(b"Hikvision", b"other"))
    assert reader.tshark is not None
    answers = reader.tshark.answers
    first, second = answers.get(timeout=SECONDS), answers.get(timeout=SECONDS)
    assert first is not None
    answers.put(first[first.find(b'<proto name="sip"') :])
    answers.put(second)
    said = [fact.announced for _, fact, _, _ in reader.told()]
    assert said == [Announced(software="other/1.0")]
    assert (reader.answered, reader.missed()) == (1, {"unreadable": 1})
    reader.finish()


def test_without_tshark_everything_is_down(reader: DeepReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    offer(reader)
    offer(reader, number=1)
    assert reader.missed() == {"down": 2} and reader.told() == [] and reader.finish() == []


def test_the_services_that_are_remembered_are_bounded(reader: DeepReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.deep.MAX_SERVICES", 10)
    monkeypatch.setattr(reader, "_again_at", float("inf"))
    for number in range(25):
        offer(reader, number)
    assert reader.missed() == {"down": 25, "forgotten": 15} and len(reader._services) == 10


def flood(seconds: float) -> list[Packet]:
    """Datagrams of no protocol, of ever new devices and ports."""
    frames = [
        udp_frame(b"\xf7" * 900, (f"10.21.{number >> 8 & 255}.{number & 255}", 1_024 + number % 60_000, SERVER, 9_999))
        for number in range(20_000)
    ]
    return spaced(frames, step_ns=int(seconds * 10**9) // len(frames))


def test_a_flood_of_strangers_costs_its_share_and_the_capture_says_what_was_not_looked_at() -> None:
    def read(pipeline: Pipeline) -> tuple[list[Observation], float]:
        began = time.process_time()
        blocks = [block_of(packets[first : first + 500]) for first in range(0, len(packets), 500)]
        found = [each for block in blocks for each in pipeline.process(block)]
        return found + pipeline.finish(), time.process_time() - began

    packets = flood(10)
    plain, deep = (Pipeline(CollectorSettings(), ()) for _ in range(2))
    reader = DeepReader(DeepSettings(enabled=True))
    deep.strangers = reader
    _, alone = read(plain)
    _, beside = read(deep)
    assert deep.ledger.packets_in == plain.ledger.packets_in == len(packets)
    assert reader.offered == len(packets) == reader.answered + sum(deep.ledger.by_reason("deep").values())
    assert reader.tshark is None and beside < alone + 3


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("transport", [TCP, UDP])
@pytest.mark.parametrize("side", [0, 1])
def test_a_packet_is_made_again_as_it_was(version: int, transport: int, side: int) -> None:
    ends = (CAMERA, SERVER) if version == 4 else ("2001:db8::1", "2001:db8::2")
    talk = {4: ipv4, 6: ipv6}[version]
    port = (40_000, 5_060)
    number = 17 if transport == UDP else 6
    body = udp(SIP, port[side], port[1 - side]) if transport == UDP else tcp(SIP, port[side], port[1 - side], 77, 0x18)
    frame = talk(body, number, ends[side], ends[1 - side])
    packed = [ipaddress.ip_address(end).packed.ljust(16, b"\0") for end in ends]
    values = (0, transport, version, 0, False, [*port], b"".join(packed), bytes(12), [True, False], [False, False], 0)
    made = packet_of(values, side, SIP, 77)
    assert len(made) == len(frame) and made[-len(SIP) :] == SIP
    addresses = slice(12, 20) if version == 4 else slice(8, 40)
    assert made[addresses] == frame[addresses] and made[0] == frame[0]
    head = 20 if version == 4 else 40
    assert made[head : head + 4] == frame[head : head + 4]


def test_a_share_is_our_device_s_whoever_began() -> None:
    values = values_of(5)
    turned = (1, *values[1:5], [40_000, 5_060], *values[6:])
    assert service_of(values) == (values[6][:16], UDP, 5_060)
    assert service_of(turned) == (values[6][:16], UDP, 40_000)


def test_off_it_costs_not_even_an_import() -> None:
    office = ROOT / "streams" / "demo" / "office.pcap"
    code = f"""
import sys
sys.argv = ["lenswatch", "watch", {str(office)!r}]
from streams.cli import run_command
try:
    run_command()
finally:
    print(sorted(each for each in sys.modules if each.split(".")[0] in ("pyshark", "lxml") or "wireshark" in each))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
