"""What an observation rests on is kept with it; what is never observed is kept nowhere, and memory is bounded."""

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from collector.evidence.segments import Kept
from collector.evidence.witness import MAX_FLOW_PACKETS, MAX_NAMED_BYTES, Witness
from collector.identify.fingerprint import Fingerprint
from collector.observation import DEVICE_DATASET, Observation
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from collector.views import FlowValues
from collector.watched import nothing
from tests.collector.dissectors.messages import GET, HELLO, QUERY, RESPONSE
from tests.collector.frames import BEGIN_NS, CAMERA, SERVER, Packet, Talk, block_of, frame, udp, udp_frame
from tests.collector.seen import seen
from tests.collector.test_pipeline import LAPTOP_MAC, look_up


@dataclasses.dataclass
class Keeping:
    """Keeps everything."""

    rows: list[tuple[list[Observation], list[Kept]]] = dataclasses.field(default_factory=list)
    ticks: int = 0

    def keep(self, observations: Sequence[Observation], packets: Sequence[Kept]) -> None:
        self.rows.append((list(observations), list(packets)))

    def tick(self) -> None:
        self.ticks += 1

    def frames_of(self, dataset: str) -> list[list[bytes]]:
        """The frames that each observation of a dataset rests on."""
        return [
            [packet[3] for packet in packets]
            for observations, packets in self.rows
            for each in observations
            if each.event.dataset == f"lenswatch.{dataset}"
        ]


Run = Callable[..., tuple[Keeping, list[Observation]]]


@pytest.fixture
def watch(fingerprints: tuple[Fingerprint, ...]) -> Run:
    """Packets through a pipeline with a witness, in blocks of `size`."""

    def run(packets: Sequence[Packet], size: int = 1_000, concerns: object = None, touches: object = None):  # type: ignore[no-untyped-def]
        keeper = Keeping()
        pipeline = Pipeline(CollectorSettings(), fingerprints, concerns, touches)  # type: ignore[arg-type]
        pipeline.keep_with(Witness(keeper))
        found: list[Observation] = []
        for first in range(0, len(packets), size):
            found += pipeline.process(block_of(packets[first : first + size]))
        return keeper, found + pipeline.finish()

    return run


@pytest.mark.parametrize("size", [1, 2, 1_000])
def test_a_datagram_is_evidence_of_what_it_says(watch: Run, size: int) -> None:
    asked = udp_frame(QUERY)
    keeper, _ = watch([(BEGIN_NS, asked)], size)
    assert keeper.frames_of("dns") == [[asked]] and keeper.ticks


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_a_hello_in_three_segments_rests_on_all_of_them(watch: Run, size: int) -> None:
    talk = Talk()
    for part in (HELLO[:20], HELLO[20:60], HELLO[60:]):
        talk.send(0, part)
    keeper, _ = watch(talk.packets, size)
    assert keeper.frames_of("tls") == [[data for _, data in talk.packets[-3:]]]


def test_an_answer_goes_with_what_was_asked(watch: Run) -> None:
    talk = Talk((CAMERA, 40_000, SERVER, 80))
    talk.send(0, GET)
    talk.send(1, RESPONSE)
    keeper, found = watch(talk.packets)
    asked, answered = talk.packets[-2][1], talk.packets[-1][1]
    rows = keeper.frames_of("http")
    assert rows[0] == [asked]
    assert len(rows) < 2 or rows[1] == [asked, answered]
    assert any(each.event.dataset == "lenswatch.http" for each in found)


def test_a_flow_that_nobody_can_read_rests_on_its_first_packets_and_on_the_answer_that_named_it(watch: Run) -> None:
    named = look_up("p2p.acme.example", [SERVER])
    ends = (CAMERA, 40_100, SERVER, 9_302)
    talk = [(BEGIN_NS + 10**9 + n, udp_frame(b"\xf1\x30" + bytes(30), ends, back=bool(n % 2))) for n in range(4)]
    keeper, found = watch([*named, *talk])
    flows = keeper.frames_of("flow")
    assert any(each.event.dataset == "lenswatch.flow" and each.destination.domain for each in found)
    rows = [each for each in flows if talk[0][1] in each]
    assert rows and all(each == [named[1][1], *(data for _, data in talk)] for each in rows)


def test_what_nobody_asks_for_is_kept_nowhere(watch: Run) -> None:
    keeper, found = watch([(BEGIN_NS, udp_frame(QUERY))], concerns=lambda *_: False)
    assert {each.event.dataset for each in found} <= {DEVICE_DATASET} and keeper.rows == []


def test_what_is_not_watched_is_kept_nowhere(watch: Run) -> None:
    laptop = ("10.20.0.50", 40_000, SERVER, 53)
    packet = BEGIN_NS, frame(udp(QUERY), 17, laptop, back=False, own=LAPTOP_MAC)
    assert watch([packet])[0].rows and watch([packet], touches=nothing)[0].rows == []


def values(number: int) -> FlowValues:
    return (0, 17, 4, 0, True, [number, 53], bytes(32), bytes(12), [True, False], [False, False], 0)


def test_memory_is_bounded_and_the_oldest_flows_go_first() -> None:
    keeper = Keeping()
    witness = Witness(keeper, max_bytes=100_000)
    for number in range(1_000):
        witness.see(values(number), (number, 1, 1_000, bytes(1_000)))
        assert witness.held_bytes <= 100_000
    assert witness.evicted > 900
    witness.testify(values(3), [seen(1)])
    assert keeper.rows == [] and witness.unheard == 1
    witness.testify(values(999), [seen(1)])
    assert [packet[0] for packet in keeper.rows[0][1]] == [999]


def test_of_a_long_flow_its_head_and_its_end_are_held() -> None:
    keeper = Keeping()
    witness = Witness(keeper)
    for number in range(500):
        witness.see(values(1), (number, 1, 9, b"x"))
    held = witness.held_bytes
    witness.see(values(1), (500, 1, 9, b"x"))
    assert witness.held_bytes == held
    witness.testify(values(1), [seen(1)])
    times = [packet[0] for packet in keeper.rows[0][1]]
    assert times[0] == 0 and times[-1] == 500 and len(times) < MAX_FLOW_PACKETS


def test_what_came_after_is_no_evidence_of_what_was_before() -> None:
    keeper = Keeping()
    witness = Witness(keeper)
    for at in (1, 2, 3):
        witness.see(values(1), (at, 1, 9, b"x"))
    witness.testify(values(1), [seen(1)], until_ns=2)
    witness.testify(values(1), [seen(2)], until_ns=2)
    witness.testify(values(1), [seen(3)])
    assert [[packet[0] for packet in packets] for _, packets in keeper.rows] == [[1, 2], [1, 2], [3]]


def test_the_memory_of_who_told_a_name_is_bounded() -> None:
    witness = Witness(Keeping())
    for number in range(5_000):
        witness.named.append((bytes(4), f"n{number}.example"))
        witness.testify(values(1), [], packet=(number, 1, 9, bytes(1_400)))
        assert witness.named == [] and witness._named_bytes <= MAX_NAMED_BYTES
    assert 1_000 < len(witness._names) < 5_000
    # The sum is that of what is there.
    assert witness._named_bytes == sum(size for _, size in witness._names.values())
