"""The other engine: our pipeline, but Wireshark reads the protocols that it knows. Slow and thorough, for the lab.

Headers, flows, devices and names are ours as ever, and so are the protocols that Wireshark has no dissector for (the
camera makers' own, WS-Discovery). Every packet goes to tshark; of what it answers the same facts are made (`facts.py`)
as our dissectors make, and told in their place, so that observations and alerts are the same. Our own dissectors read
on, so that a flow is watched for as long as ever, but what they say of Wireshark's protocols is not told. What still
differs is said in docs/16-wireshark.md.
"""

import itertools
import queue
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from collector.dissectors.dissector import Fact
from collector.errors import EngineError, LenswatchError, Malformed
from collector.identify.fingerprint import Fingerprint
from collector.links import LINK_TYPES
from collector.observation import Observation
from collector.packets import SYN, Block, Ints, PacketBatch
from collector.pcapng_writer import PacketWriter
from collector.pipeline import Pipeline, Some
from collector.reading import SEQUENCE_SPACE
from collector.reporting import Concerns
from collector.settings import CollectorSettings
from collector.views import FlowValues
from collector.wireshark.facts import HEADED, READERS
from collector.wireshark.layers import Layer, layers_of, protocols_of
from collector.wireshark.tshark import Tshark

ENGINE = "pyshark"
ANSWER_SECONDS = 60.0
"""Without a word from tshark for so long, it hangs."""
MALFORMED = "_ws.malformed"
PREFERENCES = ("tcp.reassemble_out_of_order:TRUE",)
"""As we do it. Its price: tshark waits for ever for a segment that the capture lost."""
MAX_OF_A_SIDE = {"stun": 48}
"""Messages of a side of a flow that are told; we read no more of them either."""
MAX_PLACES = 1 << 16
"""Packets whose time is remembered for messages that are whole only with a later one."""
NONE = np.zeros(0, np.int64)
NOTHING = Block(np.zeros(0, np.uint8), NONE, NONE, NONE, NONE, 1)


class KnownFlow:
    """What is remembered of a flow, as of a reader's: who began it, its name, and what of it was told."""

    __slots__ = ("began", "broke", "broken", "name", "noted", "protocol", "told", "turned")

    def __init__(self, began: int) -> None:
        self.began = began
        self.broke = self.noted = self.turned = False
        self.broken: str | None = None
        self.name: tuple[str, str] | None = None
        self.protocol: str | None = None
        self.told: dict[tuple[int, str], int] = {}


class WiresharkPipeline(Pipeline):
    """A Pipeline, and in its place. `process` raises EngineError when tshark has ended or hangs."""

    def __init__(
        self,
        settings: CollectorSettings,
        fingerprints: tuple[Fingerprint, ...],
        concerns: Concerns | None = None,
        touches: Concerns | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        super().__init__(settings, fingerprints, concerns, touches)
        self._answer_seconds = answer_seconds
        self._writer = PacketWriter()
        self.tshark: Tshark | None = None
        self._known: OrderedDict[tuple[int, int], KnownFlow] = OrderedDict()
        self._block, self._answers = NOTHING, dict[int, bytes]()
        self._frames = 0
        self._places: dict[int, tuple[int, int]] = {}

    def process(self, block: Block) -> list[Observation]:
        """See Pipeline.process."""
        self._block, self._answers = block, self._dissect(block)
        found = super().process(block)
        if block.link_type in LINK_TYPES:
            self._frames += len(block.start)
        # What Wireshark put together of fragments ends in a packet that is nobody's flow to us.
        self.ledger.drop(ENGINE, "no_flow", len(self._answers))
        return found

    def finish(self) -> list[Observation]:
        """See Pipeline.finish."""
        if self.tshark is not None:
            self.tshark.close()
        return super().finish()

    def _dissect(self, block: Block) -> dict[int, bytes]:
        """What tshark says of those packets of a block that have a protocol of interest, by their numbers there."""
        count = len(block.start)
        if not count or block.link_type not in LINK_TYPES:
            return {}
        if self.tshark is None:
            self.tshark = start(PREFERENCES)
        data, packet, link_type = block.data.data, self._writer.packet, block.link_type
        columns = (block.start.tolist(), block.captured.tolist(), block.wire.tolist(), block.time_ns.tolist())
        left = memoryview(
            b"".join(
                [
                    packet(link_type, at_ns, bytes(data[start : start + size]), wire)
                    for start, size, wire, at_ns in zip(*columns, strict=True)
                ]
            )
        )
        while left:
            taken = self.tshark.send(left, self._answer_seconds)
            if taken <= 0:
                raise self._lost(ended=taken < 0)
            left = left[taken:]
        answers = {}
        for number in range(count):
            try:
                answer = self.tshark.answers.get(timeout=self._answer_seconds)
            except queue.Empty:
                raise self._lost(ended=False) from None
            if answer is None:
                raise self._lost(ended=True)
            if not READERS.keys().isdisjoint(protocols_of(answer)):
                answers[number] = answer
        return answers

    def _lost(self, ended: bool) -> EngineError:
        assert self.tshark is not None
        if ended:
            return EngineError(ENGINE, f"{self.tshark.why()}; what was read by then is told")
        self.tshark.close()
        return EngineError(ENGINE, f"tshark has not answered for {self._answer_seconds:g} s, and was stopped")

    def _read(self, batch: PacketBatch, rows: Ints, found: list[Observation]) -> None:
        """What we read ourselves and what tshark read, in capture order."""
        reading, sides = self.flows.columns["reading"], (~batch.upward).view(np.uint8).astype(np.int64)
        has_payload = batch.payload_end > batch.payload
        own, packets = np.flatnonzero((reading[rows] >> sides) & has_payload), np.flatnonzero(has_payload)
        numbers = np.searchsorted(self._block.start, batch.payload[packets], "right") - 1
        sequences = (batch.sequence + ((batch.flags & SYN) != 0)) % SEQUENCE_SPACE
        before = 0
        self._remember(numbers + self._frames + 1, batch.time_ns[packets], sequences[packets])
        answered = [each for each in zip(packets.tolist(), numbers.tolist(), strict=True) if each[1] in self._answers]
        for packet, number in [*answered, (len(batch), None)]:
            until = int(np.searchsorted(own, packet, "right"))
            some = own[before:until]
            some = some[(reading[rows[some]] >> sides[some]) & 1 != 0]
            if len(some):
                self._read_packets(batch, Some(rows[some], some, sides[some]), found, np.full(len(some), None))
            before = until
            if number is not None:
                self._viewed = None
                row, at_ns, place = int(rows[packet]), int(batch.time_ns[packet]), int(sequences[packet])
                flow, values = self._flow(row)
                answer, direction = self._answers.pop(number), int(sides[packet]) ^ flow.began
                told = len(found)
                self._tell_packet(row, flow, values, direction, answer, at_ns, place, found)
                self._viewed = None
                if self.witness is not None and (len(found) > told or self.witness.named):
                    chosen = np.array([packet])
                    (kept,) = self._packets(batch.payload[chosen], batch.time_ns[chosen])
                    self.witness.testify(values, found[told:], at_ns, kept)

    def _remember(self, frames: Ints, times: Ints, sequences: Ints) -> None:
        """When packets came and where they stand in their streams, by Wireshark's numbers of them."""
        places = zip(times.tolist(), sequences.tolist(), strict=True)
        self._places.update(zip(frames.tolist(), places, strict=True))
        for frame in list(itertools.islice(self._places, max(len(self._places) - MAX_PLACES, 0))):
            del self._places[frame]

    def _place(self, layer: Layer, layers: Sequence[Layer], at_ns: int, sequence: int) -> tuple[int, int]:
        """When a message was told: with the segment that completes its head, of those that Wireshark put together."""
        segments = [field for each in layers for field in each.fields("tcp.segment")]
        if segments and layer.name in HEADED:
            end = layer.head()[1]
            for field in segments:
                if int(field.pos) + int(field.size) >= end:
                    return self._places.get(int(field.show), (at_ns, sequence))
        return at_ns, sequence

    def _tell(self, row: int, reader: Any, *told: Any) -> None:
        """See Pipeline._tell; of Wireshark's protocols only what Wireshark read."""
        if isinstance(reader, KnownFlow) or reader.protocol not in READERS:
            super()._tell(row, reader, *told)

    def _break(self, row: int, reader: Any, *told: Any) -> None:
        """See Pipeline._break."""
        if isinstance(reader, KnownFlow) or reader.protocol not in READERS:
            super()._break(row, reader, *told)

    def _flow(self, row: int) -> tuple[KnownFlow, FlowValues]:
        """A row's flow; those that were silent longest are forgotten first."""
        columns = self.flows.columns
        values = self._own.values(columns, np.array([row]))[0]
        key = int(columns["key"][row]), int(columns["first_ns"][row])
        flow = self._known.pop(key, None) or KnownFlow(values[0])
        self._known[key] = flow
        if len(self._known) > self.settings.max_readers:
            self._known.popitem(last=False)
            self.ledger.drop("reading", "too_many_readers")
        return flow, values

    def _tell_packet(
        self, row: int, flow: Any, values: FlowValues, direction: int, answer: bytes, at_ns: int, sequence: int,
        found: list[Observation],
    ) -> None:  # fmt: skip
        """The facts of one packet, and whether it broke its protocol."""
        facts: list[tuple[Layer, Fact]] = []
        problem, last, before = None, None, ""
        layers = layers_of(answer)
        for layer in layers:
            reader = READERS.get(layer.name)
            if reader is not None:
                last = layer.name
                try:
                    facts.extend((layer, fact) for fact in reader(layer, direction))
                except Malformed as error:
                    problem = str(error)
            elif layer.name == MALFORMED and before in READERS:
                problem = "malformed, as Wireshark says"
            before = layer.name
        ordinals: Counter[int] = Counter()
        for layer, fact in facts:
            protocol, (then_ns, place) = layer.name, self._place(layer, layers, at_ns, sequence)
            ordinal = ordinals[place]
            ordinals[place] += 1
            told = flow.told[direction, protocol] = flow.told.get((direction, protocol), 0) + 1
            if told <= MAX_OF_A_SIDE.get(protocol, told):
                flow.protocol = flow.protocol or protocol
                self._tell(row, flow, values, direction, fact, then_ns, (place, ordinal), found)
        if problem is not None and not flow.broke:
            flow.broke, flow.protocol, flow.broken = True, flow.protocol or last, problem
            self._break(row, flow, values, at_ns, (sequence, 0), found)
        self._note(row, flow)

    def _note(self, row: int, flow: KnownFlow) -> None:
        columns = self.flows.columns
        if flow.protocol is not None and not flow.noted:
            flow.noted = True
            columns["protocol"][row] = self._numbers[flow.protocol]
        if flow.turned:
            columns["began"][row] = 1 - flow.began


def start(preferences: tuple[str, ...]) -> Tshark:
    """A tshark. Raises EngineError where there is none."""
    try:
        return Tshark(preferences)
    except LenswatchError as error:
        raise EngineError(ENGINE, str(error)) from error
