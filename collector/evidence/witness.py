"""Holds the packets of flows that are still read, in memory, until an observation is made of them: then they are its
evidence.

What is never observed, because it concerns nobody or is not to be watched, is forgotten here and written nowhere.
"""

import itertools
import socket
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

from collector.evidence.segments import Kept
from collector.observation import Observation
from collector.views import FlowValues

MAX_HELD_BYTES: Final = 16 << 20
MAX_NAMED_BYTES: Final = 4 << 20
MAX_KEPT_BYTES: Final = 16_384
"""Of one packet: what names and paths stand in is shorter."""
MAX_FLOW_PACKETS: Final = 32
MAX_TOLD_FIRST, MAX_TOLD_LAST = 10, 4
"""Packets of one observation: the first, in which its head is, and the last, with which it was told."""
ASKED_BEFORE: Final = 2
"""Packets of what was observed of a flow before that go with what its server sends: what it was asked."""
EVICTED_SHARE: Final = 8
COST_BYTES: Final = 200
"""What a packet, or a name, costs besides its bytes."""

NOTHING: list[Kept] = []
NO_NAMES: list[tuple[bytes, str]] = []
FlowKey = tuple[int, int, int, bytes]


class Keeper(Protocol):
    """Who keeps what observations rest on."""

    def keep(self, observations: Sequence[Observation], packets: Sequence[Kept]) -> None:
        """Keep it."""
        ...

    def tick(self) -> None:
        """A block of packets is done."""
        ...


def key_of(values: FlowValues) -> FlowKey:
    """A flow's transport, ports and addresses."""
    return values[1], values[5][0], values[5][1], values[6]


class Witness:
    """Takes packets and, when something was observed, hands on which it rests on. Times are the packets'.

    `named` are (client's address, name) that the packet at work has told, `evicted` the flows that were let go for want
    of room, `unheard` the observations of which no packet was held.
    """

    relays = False

    def __init__(self, keeper: Keeper | None, max_bytes: int = MAX_HELD_BYTES) -> None:
        self.keeper, self._max_bytes = keeper, max_bytes
        # Of each flow the packets that nothing was observed of yet, and those of its last observation.
        self._waiting: dict[FlowKey, list[Kept]] = {}
        self._told: dict[FlowKey, list[Kept]] = {}
        self._names: OrderedDict[tuple[bytes, str], tuple[list[Kept], int]] = OrderedDict()
        self._named_bytes = 0
        self.held_bytes = self.evicted = self.unheard = 0
        self.named: list[tuple[bytes, str]] = []

    def see(self, values: FlowValues, packet: Kept) -> None:
        """A packet of a flow, of which nothing is observed yet."""
        key = key_of(values)
        packets = self._waiting.get(key)
        if packets is None:
            packets = self._waiting[key] = []
        packets.append(packet)
        self.held_bytes += len(packet[3]) + COST_BYTES
        if len(packets) > MAX_FLOW_PACKETS:
            # The head of a message, and what came last; what lies between is its body.
            self.held_bytes -= len(packets.pop(MAX_TOLD_FIRST)[3]) + COST_BYTES
        if self.held_bytes > self._max_bytes:
            self._evict()

    def take_names(self) -> list[tuple[bytes, str]]:
        """The names that the packet at work has told, which are noted with it."""
        if not self.named:
            return NO_NAMES
        named, self.named = self.named, []
        return named

    def _evict(self) -> None:
        """Let the oldest flows go, many at once: taking one at a time off a dict's front means passing all that were
        taken before."""
        while self.held_bytes > self._max_bytes and (self._waiting or self._told):
            flows = max(self._waiting, self._told, key=len)
            for key in list(itertools.islice(flows, max(1, len(flows) // EVICTED_SHARE))):
                self.held_bytes -= size_of(flows.pop(key))
                self.evicted += 1

    def testify(
        self, values: FlowValues, observations: Sequence[Observation], until_ns: int | None = None,
        packet: Kept | None = None,
    ) -> None:  # fmt: skip
        """These observations were made of a flow: of what is held of it up to `until_ns`, and of this packet."""
        key = key_of(values)
        due = self._due(key, until_ns)
        if packet is not None:
            due = [*due, packet] if due else [packet]
            self.held_bytes += len(packet[3]) + COST_BYTES
        before = self._told.get(key, NOTHING)
        packets = before
        if due:
            packets = due
            if len(due) > MAX_TOLD_FIRST + MAX_TOLD_LAST:
                packets = [*due[:MAX_TOLD_FIRST], *due[-MAX_TOLD_LAST:]]
                self.held_bytes -= size_of(due) - size_of(packets)
            if before:
                self.held_bytes -= size_of(before)
            self._told[key] = packets
            if self.held_bytes > self._max_bytes:
                self._evict()
        if self.named:
            self._note_names(packets)
        if observations:
            self._keep(observations, packets, before if due else NOTHING)

    def _due(self, key: FlowKey, until_ns: int | None) -> list[Kept]:
        """Take what waits of a flow up to this time."""
        if key not in self._waiting:
            return NOTHING
        packets = self._waiting.pop(key)
        if until_ns is None or packets[-1][0] <= until_ns:
            return packets
        self._waiting[key] = [each for each in packets if each[0] > until_ns]
        return [each for each in packets if each[0] <= until_ns]

    def _keep(self, observations: Sequence[Observation], packets: list[Kept], before: list[Kept]) -> None:
        """Hand on what observations rest on: the packets, those that told the names by which they call their peers and,
        of what a server sent, those that asked for it."""
        more: list[Kept] = []
        for each in observations:
            name = each.destination.domain
            if name is not None and each.lenswatch is not None and each.lenswatch.domain_source is not None:
                told = self._names.get((packed(each.source.ip), name))
                if told is not None and told[0] is not packets:
                    more += told[0]
            if before and is_answer(each):
                more += before[-ASKED_BEFORE:]
        found = list(dict.fromkeys((*more, *packets))) if more else packets
        if not found:
            self.unheard += len(observations)
        elif self.keeper is not None:
            self.keeper.keep(observations, found)

    def tick(self) -> None:
        """A block of packets is done, or time went by: what was kept of it can soon be found."""
        if self.keeper is not None:
            self.keeper.tick()

    def _note_names(self, packets: list[Kept]) -> None:
        """The packets at work told names, by which other flows of these clients will be called."""
        size = size_of(packets) + COST_BYTES
        for named in self.named if packets else ():
            known = self._names.pop(named, None)
            self._named_bytes += size - (known[1] if known is not None else 0)
            self._names[named] = packets, size
        self.named = []
        while self._named_bytes > MAX_NAMED_BYTES:
            self._named_bytes -= self._names.popitem(last=False)[1][1]


def size_of(packets: Sequence[Kept]) -> int:
    """What packets cost."""
    return sum(len(each[3]) + COST_BYTES for each in packets)


def is_answer(observation: Observation) -> bool:
    """Whether it is what a server sent, which is understood with what it was asked for."""
    return observation.file is not None or (observation.http is not None and observation.http.response is not None)


def packed(address: str) -> bytes:
    """An address's bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class Relay(Witness):
    """Stands in a worker where the Witness stands elsewhere, and keeps the packets for the parent's."""

    relays = True

    def __init__(self) -> None:
        super().__init__(None)
        self.seen: list[tuple[FlowValues, Kept]] = []
        self._count: dict[FlowKey, int] = {}

    def see(self, values: FlowValues, packet: Kept) -> None:
        """A packet of a flow; of one flow, no more at once than are held of it."""
        key = key_of(values)
        count = self._count[key] = self._count.get(key, 0) + 1
        if count <= MAX_FLOW_PACKETS:
            self.seen.append((values, packet))

    def testify(
        self, values: FlowValues, observations: Sequence[Observation], until_ns: int | None = None,
        packet: Kept | None = None,
    ) -> None:  # fmt: skip
        """The parent makes the observations."""
        if packet is not None:
            self.see(values, packet)

    def take(self) -> list[tuple[FlowValues, Kept]]:
        """The packets since the last time."""
        seen, self.seen = self.seen, []
        self._count.clear()
        return seen
