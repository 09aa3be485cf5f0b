"""Packets in, observations out: decode → flows → the few packets that are still read → dissectors → observations.

No socket, no file, no clock: a source hands blocks in, observations come out, and time is the packets'.
"""

import itertools

import numpy as np

from collector.decode import decode
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.flows import EVICTED_SHARE, READ_BOTH, READ_NOTHING, FlowTable
from collector.identify.fingerprint import Fingerprint
from collector.identify.inventory import Inventory
from collector.ledger import Ledger
from collector.naming import NameMemory
from collector.observation import Broken, Observation
from collector.packets import SYN, TCP, Block, Ints, PacketBatch
from collector.reading import DatagramReader, StreamReader, load_dissectors
from collector.reporting import Reporter
from collector.settings import CollectorSettings
from collector.views import FlowValues, FlowView, OwnNetworks

ASKED_DATASETS = ("dns", "llmnr")
MAX_REASON_CHARACTERS = 200

Reader = StreamReader | DatagramReader


class Pipeline:
    """One sensor's eyes. Not for several threads."""

    def __init__(self, settings: CollectorSettings, fingerprints: tuple[Fingerprint, ...]) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self.flows = FlowTable(settings.max_flows)
        self.names = NameMemory(settings.max_names)
        self.inventory = Inventory(settings.site, fingerprints, settings.max_devices)
        dissectors = load_dissectors()
        self._streams = tuple(each for each in dissectors if each.begin is not None)
        self._datagrams = tuple(each for each in dissectors if each.read_datagram is not None)
        self._numbers = {each.name: number for number, each in enumerate(dissectors, 1)}
        self._own = OwnNetworks(settings.networks)
        self._viewed: list[Reader] = []
        self._report = Reporter(settings, self.inventory, self.names, self._own, tuple(self._numbers))

    def process(self, block: Block) -> list[Observation]:
        """The observations that a block completes, in the order of their packets."""
        batch = decode(block, self.ledger)
        rows = self.flows.fold(batch)
        if not len(batch):
            return []
        found: list[Observation] = []
        self._finish_ended(found)
        self._read(batch, rows, found)
        self._forget_views()
        opened = self.flows.opened(int(batch.time_ns[-1]))
        if len(opened):
            self._report.opened(self.flows.columns, opened, found)
        self._count(found)
        return found

    def finish(self) -> list[Observation]:
        """The capture is over: every flow ends."""
        self.flows.finish()
        found: list[Observation] = []
        self._finish_ended(found)
        self._count(found)
        for stage, count in (("flows", self.flows.evicted), ("names", self.names.evicted),
                             ("devices", self.inventory.evicted)):  # fmt: skip
            self.ledger.drop(stage, "evicted", count)
        return found

    def _forget_views(self) -> None:
        for reader in self._viewed:
            reader.view = None
        self._viewed.clear()

    def _count(self, found: list[Observation]) -> None:
        self.ledger.flows = self.flows.total
        for observation in found:
            self.ledger.observations[observation.event.dataset] += 1

    def _read(self, batch: PacketBatch, rows: Ints, found: list[Observation]) -> None:
        """The packets of flows that are still read, one by one, in capture order."""
        columns, readers = self.flows.columns, self.flows.readers
        reading = columns["reading"]
        packets = np.flatnonzero(reading[rows])
        if not len(packets):
            return
        sides = 1 - batch.upward[packets].astype(np.int64)
        wanted = (reading[rows[packets]] >> sides) & 1 & (batch.payload_end[packets] > batch.payload[packets])
        chosen = np.flatnonzero(wanted)
        packets, sides = packets[chosen], sides[chosen]
        at = rows[packets]
        syns = np.where(columns["flags"][at, sides] & SYN, columns["syn"][at, sides].astype(np.int64), -1)
        data = batch.data.data
        for row, side, start, stop, sequence, syn, at_ns, values in zip(
            at.tolist(), sides.tolist(), batch.payload[packets].tolist(), batch.payload_end[packets].tolist(),
            batch.sequence[packets].tolist(), syns.tolist(), batch.time_ns[packets].tolist(),
            self._own.values(columns, at), strict=True,
        ):  # fmt: skip
            reader = readers.get(row)
            if reader is None:
                if not reading[row]:
                    continue
                reader = self._new_reader(row, values)
            direction = side ^ reader.began
            if not reader.wants(direction):
                continue
            if isinstance(reader, DatagramReader):
                self._read_datagram(reader, values, direction, bytes(data[start:stop]), at_ns, found)
            elif reader.skips(direction, sequence, stop - start):
                continue
            else:
                self._read_segment(reader, values, direction, sequence, bytes(data[start:stop]), syn, at_ns, found)
            self._settle(row, reader)

    def _new_reader(self, row: int, values: FlowValues) -> Reader:
        """A reader for a row; when there are too many, the oldest is given up and its flow no longer read."""
        readers = self.flows.readers
        if len(readers) >= self.settings.max_readers:
            oldest = list(itertools.islice(readers, max(1, self.settings.max_readers // EVICTED_SHARE)))
            for given_up in oldest:
                self.flows.keep_reading(given_up, READ_NOTHING)
            self.ledger.drop("reading", "too_many_readers", len(oldest))
        began = values[0]
        port = values[5][1 - began]
        reader: Reader
        if values[1] == TCP:
            reader = StreamReader(self._streams, port, began)
        else:
            reader = DatagramReader(self._datagrams, port, began)
        readers[row] = reader
        return reader

    def _settle(self, row: int, reader: Reader) -> None:
        """After a packet: remember the protocol, and stop reading what is of no more use."""
        if reader.protocol is not None and not reader.noted:
            reader.noted = True
            self.flows.columns["protocol"][row] = self._numbers[reader.protocol]
        wanted = (reader.wants(FROM_CLIENT) << reader.began) | (reader.wants(FROM_SERVER) << (1 - reader.began))
        if wanted != READ_BOTH:
            self.flows.keep_reading(row, wanted)

    def _read_segment(
        self, reader: StreamReader, values: FlowValues, direction: int, sequence: int, payload: bytes, syn: int,
        at_ns: int, found: list[Observation],
    ) -> None:  # fmt: skip
        for ordinal, fact in enumerate(reader.feed(direction, sequence, payload, syn)):
            self._tell(reader, values, direction, fact, at_ns, f"{sequence}.{ordinal}", found)
        if reader.broken is not None:
            self._break(reader, values, at_ns, str(sequence), found)

    def _read_datagram(
        self, reader: DatagramReader, values: FlowValues, direction: int, payload: bytes, at_ns: int,
        found: list[Observation],
    ) -> None:  # fmt: skip
        for ordinal, fact in enumerate(reader.read(direction, payload)):
            self._tell(reader, values, direction, fact, at_ns, str(ordinal), found)
        if reader.broken is not None:
            self._break(reader, values, at_ns, "0", found)

    def _tell(
        self, reader: Reader, values: FlowValues, direction: int, fact: Fact, at_ns: int, place: str,
        found: list[Observation],
    ) -> None:  # fmt: skip
        """A fact becomes an observation; it may show that the other side began the flow."""
        if fact.dataset in ASKED_DATASETS:
            turned = fact.backward != (direction == FROM_SERVER)
        else:
            turned = fact.backward and (fact.tls is not None or fact.url is not None)
        if turned and not reader.turned:
            reader.turned, reader.view = True, None
        found.append(self._report.fact(self._view(reader, values), reader, fact, at_ns, place))

    def _view(self, reader: Reader, values: FlowValues) -> FlowView:
        """The flow in words, kept for this batch only: kept for good, it would be most of what a flow costs."""
        view = reader.view
        if view is None:
            began = reader.began ^ reader.turned
            view = reader.view = FlowView((began, *values[1:]), self.inventory)
            self._viewed.append(reader)
        return view

    def _break(self, reader: Reader, values: FlowValues, at_ns: int, place: str, found: list[Observation]) -> None:
        """A broken flow is one observation, and is then left alone."""
        broken = Broken(protocol=reader.protocol or "unknown", reason=str(reader.broken)[:MAX_REASON_CHARACTERS])
        found.append(self._report.broken(self._view(reader, values), reader, broken, at_ns, place))
        reader.give_up()

    def _finish_ended(self, found: list[Observation]) -> None:
        """Flows that ended: read what still lay behind a hole, then say what camera flows came to."""
        ended, self.flows.ended = self.flows.ended, []
        for group in ended:
            for place, reader in group.readers.items():
                if isinstance(reader, StreamReader):
                    self._finish_stream(reader, group.columns, place, found)
            self._report.ended(group, found)
        self._forget_views()

    def _finish_stream(
        self, reader: StreamReader, columns: dict[str, Ints], place: int, found: list[Observation]
    ) -> None:
        at_ns, facts = int(columns["last_ns"][place]), reader.finish()
        if facts or reader.broken is not None:
            values = self._own.values(columns, np.array([place]))[0]
            for ordinal, (direction, fact) in enumerate(facts):
                self._tell(reader, values, direction, fact, at_ns, f"end.{ordinal}", found)
            if reader.broken is not None:
                self._break(reader, values, at_ns, "end", found)
        self.ledger.drop("reading", "gap", reader.gaps)
