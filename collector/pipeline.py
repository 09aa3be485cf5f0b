"""Packets in, observations out: decode → flows → the few packets that are still read → dissectors → observations.

No socket, no file, no clock: a source hands blocks in, observations come out, and time is the packets'.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from collector.containers import read_containers
from collector.decode import decode
from collector.digests import Digests
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.evidence.segments import Kept
from collector.evidence.witness import MAX_KEPT_BYTES, NO_NAMES, Witness
from collector.flows import EVICTED_SHARE, NS, READ_BOTH, READ_NOTHING, SWEEP_SECONDS, Column, FlowTable, of_sides
from collector.glance import DATASET_OF, LEFT_OF, Glance, Left, Queue, Unclaimed
from collector.identify.fingerprint import Fingerprint
from collector.identify.inventory import Inventory
from collector.ledger import Ledger
from collector.naming import NameMemory
from collector.observation import Broken, Observation
from collector.packets import SYN, TCP, Block, Ints, PacketBatch, Payloads
from collector.reading import (
    SEQUENCE_SPACE,
    DatagramReader,
    StreamReader,
    datagram_candidates,
    load_dissectors,
    stream_candidates,
    with_digests,
)
from collector.reporting import Concerns, FlowName, Place, Reporter, Strangers, Told
from collector.settings import CollectorSettings
from collector.views import FlowValues, FlowView, OwnNetworks

ASKED_DATASETS = ("dns", "llmnr")
MAX_REASON_CHARACTERS = 200
READ_AT_ONCE = 1 << 10
LOOK_ROUND_NS = 3_600 * NS

Reader = StreamReader | DatagramReader
Seen = tuple[int, FlowValues, bool, int, int, list[tuple[bytes, str]]]
"""A packet that is to be kept, or held: its place among those at work, its flow, whether it completed anything, which
observations were made of it, and which names it told."""

LinedUp = tuple[int, int, FlowValues, int, int, int, int, int]
"""Of a packet that is read: its flow's row, the side, the flow, and as `Payloads` has them, where the payload starts
and stops, its sequence number and that of the SYN, its time."""


class Some(NamedTuple):
    """Packets at work, a value a packet: the row of its flow, its number in the batch, the side of its flow."""

    rows: Ints
    packets: Ints
    sides: Ints

    def at(self, places: Ints) -> "Some":
        """Those at these places."""
        return Some(self.rows[places], self.packets[places], self.sides[places])


class Pipeline:
    """One sensor's eyes. Not for several threads.

    `concerns`: where nobody takes every observation, says which are worth making (`reporting.Concerns`). `touches`:
    says what touches a known endpoint; then nothing is told of but that and cameras' traffic. None: all is.
    `unclaimed`: of which names nobody takes anything; with `concerns`, what says them is passed at a glance.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        fingerprints: tuple[Fingerprint, ...],
        concerns: Concerns | None = None,
        touches: Concerns | None = None,
        unclaimed: Callable[[], Unclaimed] | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self.flows = FlowTable(settings.max_flows)
        self.names = NameMemory(settings.max_names)
        self.inventory = Inventory(settings.site, fingerprints, settings.max_devices)
        self.inventory.watch(settings.watched)
        self.digests = Digests(
            read_containers(), settings.max_digests, settings.max_digest_bytes, settings.digest_hourly_bytes
        )
        dissectors = with_digests(load_dissectors(), self.digests)
        self._streams, self._datagrams = stream_candidates(dissectors), datagram_candidates(dissectors)
        self._numbers = {name: number for number, name in enumerate(dict.fromkeys(each.name for each in dissectors), 1)}
        self._hello = self._numbers["tls"]
        self._own = OwnNetworks(settings.networks)
        self._viewed: tuple[int, FlowView] | None = None
        self._last_ns = self._hour = 0
        self.report = Reporter(
            settings, self.inventory, self.names, self._own, tuple(self._numbers), concerns, self.flows.ingresses,
            touches,
        )  # fmt: skip
        self._report: Any = self.report
        self._glance: Glance | None = None
        if concerns is not None and unclaimed is not None:
            whom = self.report, self.inventory, self.names, self._own, self._numbers
            self.glance_with(Glance(*whom, concerns, unclaimed))
        self.strangers: Strangers | None = None
        self.witness: Witness | None = None
        self._part: Block | None = None

    def keep_with(self, witness: Witness | None) -> None:
        """Let another hold the packets of flows that are read, and keep what observations rest on."""
        self.witness = self.report.witness = witness

    def glance_with(self, glance: Glance | None) -> None:
        """Let first payloads be passed that concern nobody; None: let all be read."""
        self._glance = glance

    def report_to(self, report: Any) -> None:
        """Let another take what was read, as a Reporter does; all of it."""
        self._report = report
        self.glance_with(None)

    def process(self, block: Block) -> list[Observation]:
        """The observations that a block completes, in the order of their packets."""
        found: list[Observation] = []
        for reason, count in block.lost:
            self.ledger.drop("capture", reason, count)
        for part in block.spans(SWEEP_SECONDS * NS):
            self._part = part
            batch = decode(part, self.ledger)
            if len(batch):
                self._look_round(int(batch.time_ns[0]), found)
            rows = self.flows.fold(batch)
            if len(batch):
                self._finish_ended(found)
                self._read(batch, rows, found)
                self._viewed = None
                self._last_ns = int(batch.time_ns[-1])
                self._say_opened(found)
            # The source takes its bytes back.
            self._part = None
        if block.at_ns is not None and block.at_ns > self._last_ns:
            self._last_ns = block.at_ns
            self.flows.advance(block.at_ns)
            self._finish_ended(found)
            self._say_opened(found)
        if self.strangers is not None:
            self._tell_strangers(self.strangers.told(), found)
        self._count(found)
        if self.witness is not None:
            self.witness.tick()
        return found

    def _look_round(self, now_ns: int, found: list[Observation]) -> None:
        """Once an hour of packet time, say which cameras are there: one that holds a single flow says nothing else."""
        hour = now_ns // LOOK_ROUND_NS
        if hour != self._hour:
            flows, since_ns = self.flows, self._hour * LOOK_ROUND_NS
            columns = flows.columns
            rows = np.flatnonzero(~columns["ended"][: flows.count] & (columns["last_ns"][: flows.count] >= since_ns))
            if self._hour and len(rows):
                self._report.still_there(columns, rows, found)
            self._hour = hour
            self.digests.refill()

    def _tell_strangers(self, told: list[Told], found: list[Observation]) -> None:
        """What somebody else read of flows that nobody here recognises."""
        for values, fact, at_ns, place in told:
            observation = self._report.fact(FlowView(values, self.inventory), FlowName(), fact, at_ns, place)
            if observation is not None:
                found.append(observation)
                if self.witness is not None:
                    self.witness.testify(values, [observation])
        if self.strangers is not None:
            for reason, count in self.strangers.missed().items():
                self.ledger.drop("deep", reason, count)

    def _say_opened(self, found: list[Observation], at_once: bool = False) -> None:
        opened = self.flows.opened(self._last_ns, at_once)
        if len(opened):
            self._report.opened(self.flows.columns, opened, found)

    def finish(self) -> list[Observation]:
        """The capture is over: every flow ends."""
        found: list[Observation] = []
        if self.strangers is not None:
            self._tell_strangers(self.strangers.finish(), found)
        self._say_opened(found, at_once=True)
        # What most flows are read by has nothing more to say.
        self.flows.readers = {row: each for row, each in self.flows.readers.items() if each.__class__ is not Left}
        self.flows.finish()
        self._finish_ended(found)
        self._count(found)
        for stage, count in (("flows", self.flows.evicted), ("names", self.names.evicted),
                             ("devices", self.inventory.evicted)):  # fmt: skip
            self.ledger.drop(stage, "evicted", count)
        self.ledger.drop("flows", "ingress_not_named", self.flows.ingresses.overflow)
        self.ledger.drop("networks", "between_addresses_that_are_none_of_ours", self.report.foreign)
        for reason, count in self.digests.close().items():
            self.ledger.drop("digests", reason, count)
        if self.witness is not None:
            self.witness.tick()
        return found

    def _count(self, found: list[Observation]) -> None:
        self.ledger.flows, self.ledger.unasked = self.flows.total, self._report.unasked
        for observation in found:
            self.ledger.observations[observation.event.dataset] += 1

    def _read(self, batch: PacketBatch, rows: Ints, found: list[Observation]) -> None:
        """The packets of flows that are still read, one by one, in capture order."""
        if self._glance is not None:
            self._glance.begin()
        reading = self.flows.columns["reading"]
        side = (~batch.upward).view(np.uint8)
        packets = np.flatnonzero((reading[rows] >> side) & (batch.payload_end > batch.payload))
        sides = side.astype(np.int64)
        passing = self._look_over(batch, rows[packets], packets, sides[packets])
        # A flow that has said what it is says no more: looked at piece by piece, its other packets are never touched.
        for first in range(0, len(packets), READ_AT_ONCE):
            some = packets[first : first + READ_AT_ONCE]
            may_pass = passing[first : first + READ_AT_ONCE]
            if first:
                going_on = (reading[rows[some]] >> sides[some]) & 1 != 0
                some, may_pass = some[going_on], may_pass[going_on]
            if len(some):
                self._read_packets(batch, Some(rows[some], some, sides[some]), found, may_pass)

    def _look_over(self, batch: PacketBatch, rows: Ints, packets: Ints, sides: Ints) -> Column:
        """Of each packet as what it may pass when it is its turn, or None."""
        passing = np.full(len(packets), None, object)
        if self._glance is None or len(packets) < self._glance.least:
            return passing
        firsts = self.flows.first_of(rows)
        read = map(self.flows.readers.__contains__, rows[firsts].tolist())
        firsts = firsts[~np.fromiter(read, bool, len(firsts))]
        if len(firsts) >= self._glance.least:
            payloads = self._payloads(batch, Some(rows[firsts], packets[firsts], sides[firsts]))
            passing[firsts] = self._glance.look_over(batch.data, self.flows.columns, payloads)
        return passing

    def _read_packets(self, batch: PacketBatch, some: Some, found: list[Observation], may_pass: Column) -> None:
        """Those that may pass do, unless by now they are to be read too."""
        data, seen = batch.data.data, list[Seen]()
        passing, late = may_pass.astype(bool), dict[int, LinedUp]()
        lined_up = self._line_up(batch, some, np.flatnonzero(~passing))
        queue = Queue(may_pass.tolist(), some.rows.tolist(), batch.time_ns[some.packets].tolist())
        done, at_once = 0, len(passing)
        for place, packet in (*lined_up, (len(passing), None)):
            while done < place:
                tried = min(place - done, at_once)
                passed = self._pass(queue, done, tried, seen, found)
                # Where one did not pass, others will not: not many are tried in vain.
                at_once = min(at_once * 2, READ_AT_ONCE) if passed == tried else 1
                done += passed
                if not passed:
                    late = late or dict(self._line_up(batch, some, done + np.flatnonzero(passing[done:])))
                    self._read_packet(done, late[done], data, seen, found)
                    passing[done] = False
                    done += 1
            if packet is not None:
                self._read_packet(place, packet, data, seen, found)
                done += 1
        if passing.any():
            self.report.unasked.update(map(DATASET_OF, may_pass[passing].tolist()))
            # Of who says hello, nothing more is of use.
            hellos = np.flatnonzero(passing & (self.flows.columns["protocol"][some.rows] == self._hello))
            self.flows.columns["reading"][some.rows[hellos]] &= (1 << 1 - some.sides[hellos]).astype(np.uint8)
        if self.witness is not None and seen:
            self._bear_witness(self.witness, batch, some.packets, seen, found)

    def _pass(self, queue: Queue, first: int, count: int, seen: list[Seen], found: list[Observation]) -> int:
        """Pass `count` packets from the `first` on, or as many as may; how many that were."""
        readers, max_readers, news = self.flows.readers, self.settings.max_readers, self.inventory.news
        # What is new of a device is told with the next message that is read.
        if self._glance is None or news:
            return 0
        passed = self._glance.passes(queue, first, first + min(count, max(max_readers - len(readers), 1)))
        if not passed:
            return 0
        if len(readers) >= max_readers:
            self._give_some_up()
        # As if there had been a view of this flow: of another's, what was met before is not known.
        self._viewed = None
        last = first + passed
        readers.update(zip(queue.rows[first:last], map(LEFT_OF, queue.passing[first:last]), strict=True))
        if news:
            before, place = len(found), last - 1
            values = self._own.values(self.flows.columns, np.array([queue.rows[place]]))[0]
            self.report.tell_news(values[-1], queue.times[place], found)
            if self.witness is not None and len(found) > before:
                seen.append((place, values, True, before, len(found), NO_NAMES))
        return passed

    def _read_packet(
        self, place: int, lined_up: LinedUp, data: memoryview, seen: list[Seen], found: list[Observation]
    ) -> None:
        row, side, values, start, stop, sequence, syn, at_ns = lined_up
        readers, strangers, witness, before = self.flows.readers, self.strangers, self.witness, len(found)
        reader = readers.get(row)
        if reader is None:
            if not self.flows.columns["reading"][row]:
                return
            if len(readers) >= self.settings.max_readers:
                self._give_some_up()
            reader = readers[row] = self._new_reader(values)
        elif reader.__class__ is Left:
            reader = readers[row] = self._go_on(reader, values)
        direction = side ^ reader.began
        if not reader.wants[direction]:
            return
        if isinstance(reader, DatagramReader):
            spoke = self._read_datagram(row, reader, values, direction, bytes(data[start:stop]), at_ns, found)
        elif reader.skips(direction, sequence, stop - start):
            return
        else:
            payload = bytes(data[start:stop])
            spoke = self._read_segment(row, reader, values, direction, sequence, payload, syn, at_ns, found)
        # What a packet that was understood said to nobody's concern needs no proof.
        if witness is not None and (not spoke or len(found) > before or witness.named or witness.relays):
            seen.append((place, values, spoke, before, len(found), witness.take_names()))
        self._settle(row, reader)
        if strangers is not None and reader.protocol is None:
            strangers.offer(values, direction, bytes(data[start:stop]), sequence, at_ns)

    def _payloads(self, batch: PacketBatch, some: Some) -> Payloads:
        columns, (rows, packets, sides) = self.flows.columns, some
        flags, syns = of_sides(columns["flags"], rows, sides), of_sides(columns["syn"], rows, sides).astype(np.int64)
        syns = np.where(flags & SYN, syns, -1)
        # A SYN takes a number of its own, so that data it carries (RFC 7413) begin one later.
        sequences = (batch.sequence[packets] + ((batch.flags[packets] & SYN) != 0)) % SEQUENCE_SPACE
        return Payloads(
            rows, sides, batch.payload[packets], batch.payload_end[packets], sequences, syns, batch.time_ns[packets]
        )

    def _line_up(self, batch: PacketBatch, some: Some, places: Ints) -> Iterable[tuple[int, LinedUp]]:
        """What is needed to read some packets, each with its place."""
        if not len(places):
            return ()
        rows, sides, starts, stops, sequences, syns, times = self._payloads(batch, some.at(places))
        distinct, flows = np.unique(rows, return_inverse=True)
        values = self._own.values(self.flows.columns, distinct)
        lined_up = zip(
            rows.tolist(), sides.tolist(), map(values.__getitem__, flows.tolist()), starts.tolist(), stops.tolist(),
            sequences.tolist(), syns.tolist(), times.tolist(), strict=True,
        )  # fmt: skip
        return zip(places.tolist(), lined_up, strict=True)

    def _bear_witness(
        self, witness: Witness, batch: PacketBatch, packets: Ints, seen: list[Seen], found: list[Observation]
    ) -> None:
        """What was noted of some packets, all at once: the same few lines for many packets are fast."""
        chosen = packets[[each[0] for each in seen]]
        kept = self._packets(batch.payload[chosen], batch.time_ns[chosen])
        for packet, (_, values, spoke, first, last, names) in zip(kept, seen, strict=True):
            if spoke:
                witness.named = names
                witness.testify(values, found[first:last], packet[0], packet)
            else:
                witness.see(values, packet)

    def _packets(self, payloads: Ints, times: Ints) -> list[Kept]:
        """The packets of this part whose payloads begin at these offsets, as they came in."""
        part = self._part
        assert part is not None
        numbers = np.searchsorted(part.start, payloads, "right") - 1
        starts, captured = part.start[numbers], np.minimum(part.captured[numbers], MAX_KEPT_BYTES)
        columns = times.tolist(), part.wire[numbers].tolist(), starts.tolist(), (starts + captured).tolist()
        data, link_type = part.data.data, part.link_type
        return [(at_ns, link_type, wire, bytes(data[start:stop])) for at_ns, wire, start, stop in
                zip(*columns, strict=True)]  # fmt: skip

    def _give_some_up(self) -> None:
        """There are too many readers: the oldest are given up, and their flows no longer read."""
        readers = self.flows.readers
        oldest = list(itertools.islice(readers, max(1, self.settings.max_readers // EVICTED_SHARE)))
        self.flows.columns["reading"][oldest] = READ_NOTHING
        for given_up in oldest:
            del readers[given_up]
        self.ledger.drop("reading", "too_many_readers", len(oldest))

    def _new_reader(self, values: FlowValues) -> Reader:
        began = values[0]
        port = values[5][1 - began]
        if values[1] == TCP:
            return StreamReader(self._streams, port, began)
        return DatagramReader(self._datagrams, port, began)

    def _go_on(self, left: Left, values: FlowValues) -> Reader:
        """A reader for a flow whose first payload was passed."""
        reader = self._new_reader(values)
        left.bring(reader)
        return reader

    def _settle(self, row: int, reader: Reader) -> None:
        """After a packet: remember the protocol, and stop reading what is of no more use."""
        wants = reader.wants
        if reader.noted and not reader.turned and wants[FROM_CLIENT] and wants[FROM_SERVER]:
            return
        if reader.protocol is not None and not reader.noted:
            reader.noted = True
            self.flows.columns["protocol"][row] = self._numbers[reader.protocol]
        if reader.turned:
            self.flows.columns["began"][row] = 1 - reader.began
        wanted = (wants[FROM_CLIENT] << reader.began) | (wants[FROM_SERVER] << (1 - reader.began))
        if wanted != READ_BOTH:
            self.flows.keep_reading(row, wanted)

    def _read_segment(
        self, row: int, reader: StreamReader, values: FlowValues, direction: int, sequence: int, payload: bytes,
        syn: int, at_ns: int, found: list[Observation],
    ) -> bool:  # fmt: skip
        """Whether it completed anything."""
        facts = reader.feed(direction, sequence, payload, syn)
        for ordinal, fact in enumerate(facts):
            self._tell(row, reader, values, direction, fact, at_ns, (sequence, ordinal), found)
        if reader.broken is not None:
            self._break(row, reader, values, at_ns, (sequence, 0), found)
            reader.give_up()
            return True
        return bool(facts)

    def _read_datagram(
        self, row: int, reader: DatagramReader, values: FlowValues, direction: int, payload: bytes, at_ns: int,
        found: list[Observation],
    ) -> bool:  # fmt: skip
        """Whether it said anything."""
        facts = reader.read(direction, payload)
        for ordinal, fact in enumerate(facts):
            self._tell(row, reader, values, direction, fact, at_ns, (0, ordinal), found)
        if reader.broken is not None:
            self._break(row, reader, values, at_ns, (0, 0), found)
            return True
        return bool(facts)

    def _tell(
        self, row: int, reader: Reader, values: FlowValues, direction: int, fact: Fact, at_ns: int, place: Place,
        found: list[Observation],
    ) -> None:  # fmt: skip
        """A fact becomes an observation; it may show that the other side began the flow."""
        if fact.dataset in ASKED_DATASETS:
            turned = fact.backward != (direction == FROM_SERVER)
        else:
            turned = fact.backward and fact.file is None and (fact.tls is not None or fact.url is not None)
        if turned and not reader.turned:
            reader.turned, self._viewed = True, None
        if reader.turned and fact.dataset not in ASKED_DATASETS:
            # Dissectors tell the sides by the direction; who asks in DNS is told by the message.
            fact.backward = not fact.backward
        observation = self._report.fact(self._view(row, reader, values), reader, fact, at_ns, place)
        if self._report.news:
            found += self._report.news
            self._report.news = []
        if observation is not None:
            found.append(observation)

    def _view(self, row: int, reader: Reader, values: FlowValues) -> FlowView:
        """The flow in words; only the last is kept: kept with its flow, it would be most of what a flow costs."""
        if self._viewed is not None and self._viewed[0] == row:
            return self._viewed[1]
        view = FlowView((reader.began ^ reader.turned, *values[1:]), self.inventory)
        self._viewed = row, view
        return view

    def _break(
        self, row: int, reader: Reader, values: FlowValues, at_ns: int, place: Place, found: list[Observation]
    ) -> None:
        """A broken flow is one observation; a stream is then left alone."""
        broken = Broken(protocol=reader.protocol or "unknown", reason=(reader.broken or "")[:MAX_REASON_CHARACTERS])
        observation = self._report.broken(self._view(row, reader, values), reader, broken, at_ns, place)
        if observation is not None:
            found.append(observation)

    def _finish_ended(self, found: list[Observation]) -> None:
        """Flows that ended: read what still lay behind a hole, then say what camera flows came to."""
        ended, self.flows.ended = self.flows.ended, []
        for group in ended:
            for place, reader in group.readers.items():
                if isinstance(reader, StreamReader) and reader.holds:
                    self._finish_stream(reader, group.columns, place, found)
            self._report.ended(group, found)
        self._viewed = None

    def _finish_stream(
        self, reader: StreamReader, columns: dict[str, Ints], place: int, found: list[Observation]
    ) -> None:
        row = -1 - place
        at_ns, facts = int(columns["last_ns"][place]), reader.finish()
        if facts or reader.broken is not None:
            before, values = len(found), self._own.values(columns, np.array([place]))[0]
            for ordinal, (direction, fact) in enumerate(facts):
                self._tell(row, reader, values, direction, fact, at_ns, ("end", ordinal), found)
            if reader.broken is not None:
                self._break(row, reader, values, at_ns, ("end", 0), found)
            if self.witness is not None:
                self.witness.testify(values, found[before:])
        self.ledger.drop("reading", "gap", reader.gaps)
