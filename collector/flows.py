"""The flow table: which packets belong together, how many bytes went which way, and which flows are still being read.

Columns, not objects: a flow is a row number. Rows are found by the 64-bit key of a packet through an open-addressed
hash table, all packets of a batch at once. A row that ended is used again in place when its key comes back; the table
is packed when half of its rows have ended, and when it is full the flows that were silent longest end first.

A flow has two sides: side 0 is the numerically lower end (address, then port), side 1 the upper one.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.ingress import Ingresses
from collector.links import LINK_ETHERNET
from collector.packets import ACK, FIN, RST, SYN, TCP, Bytes, Ints, Mask, PacketBatch, Words, pick

MAX_FLOWS = 1_000_000
FIRST_ROWS, PIECE_ROWS, LARGE = 1 << 14, 1 << 16, 1 << 18
EVICTED_SHARE = 8
MAX_RESTARTS_A_BATCH = 256
TCP_IDLE_SECONDS, UDP_IDLE_SECONDS, CLOSED_SECONDS = 600, 120, 10
SWEEP_SECONDS, OPENED_SECONDS, NAMED_SECONDS = 10, 0.5, 3
READ_NOTHING, READ_BOTH = 0, 3
FINISHED = "finished"
NS = 10**9

SERVICE_PORTS = np.zeros(65_536, bool)
SERVICE_PORTS[:1024] = True
SERVICE_PORTS[
    [1883, 1900, 1935, 3478, 3702, 5000, 5353, 5355, 6500, 6600, 7400, 7680, 8000, 8080, 8086, 8443, 8554, 8555, 8666,
     8800, 8883, 9000, 9010, 9020, 10_000, 34_567, 34_569, 37_020, 37_777, 37_810]
] = True  # fmt: skip

COLUMNS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("key", "u8", ()), ("first_ns", "i8", ()), ("last_ns", "i8", ()), ("bytes", "i8", (2,)), ("packets", "i8", (2,)),
    ("flags", "u1", (2,)), ("began", "u1", ()), ("reading", "u1", ()), ("ended", "?", ()), ("opened", "?", ()),
    ("transport", "u1", ()), ("version", "u1", ()), ("vlan", "u2", ()), ("ports", "u2", (2,)),
    ("addresses", "u1", (2, 16)), ("macs", "u1", (2, 6)), ("layer2", "?", ()), ("syn", "u4", (2,)),
    ("protocol", "u1", ()), ("ingress", "u2", ()),
)  # fmt: skip
Column = npt.NDArray[Any]


@dataclasses.dataclass(slots=True)
class Ended:
    """Flows that ended: their columns, a value a flow, what still read them, by place, and why.

    `reason` is idle, closed, evicted, reused or finished.
    """

    columns: dict[str, Column]
    readers: dict[int, Any]
    reason: str

    def __len__(self) -> int:
        return len(self.columns["key"])


class FlowTable:
    """Holds at most `max_flows` flows and those that one batch adds.

    `columns[name]` are arrays by row. `columns["reading"][row]` has bit 1 for side 0 and bit 2 for side 1 while
    what that side sends is of interest. `readers` holds what reads a row; it is moved and dropped with its row.
    `total` counts the flows that ever began, `evicted` those that ended for want of room.
    """

    def __init__(self, max_flows: int = MAX_FLOWS) -> None:
        self.max_flows = max_flows
        self.count = 0
        # All rows at once: the system gives memory only where something is written, and nothing is copied to grow.
        rows = max_flows + FIRST_ROWS
        self.columns: dict[str, Column] = {name: np.zeros((rows, *shape), kind) for name, kind, shape in COLUMNS}
        self.readers: dict[int, Any] = {}
        self.ingresses = Ingresses()
        self.ended: list[Ended] = []
        self.evicted = 0
        self.total = 0
        self._places = np.zeros(rows, np.int32)
        self._dead = 0
        self._replaced: list[int] = []
        self._swept = self._opened_at = 0
        self._build_slots()

    def __len__(self) -> int:
        """Flows that have not ended."""
        return self.count - self._dead

    def fold(self, batch: PacketBatch) -> Ints:
        """Count a batch into the table; gives the row of each packet. Flows that end meanwhile go to `ended`."""
        if not len(batch):
            return np.zeros(0, np.int64)
        self._end_replaced()
        self._make_room(len(batch), int(batch.time_ns[0]))
        rows = self._find(batch.key)
        new = np.flatnonzero(rows < 0)
        if len(new):
            self._add(batch, new, rows)
        if self._dead:
            self._revive(batch, rows)
        columns = self.columns
        marked = np.flatnonzero(batch.flags & (FIN | RST | SYN))
        if len(marked):
            self._restart(batch, rows, marked)
        side = rows * 2 + ~batch.upward
        np.add.at(columns["bytes"].reshape(-1), side, batch.wire)
        np.add.at(columns["packets"].reshape(-1), side, 1)
        columns["last_ns"][rows] = batch.time_ns
        if len(marked):
            flags = columns["flags"].reshape(-1)
            syns = marked[(batch.flags[marked] & SYN) != 0][::-1]
            syns = syns[(flags[side[syns]] & SYN) == 0]
            columns["syn"].reshape(-1)[side[syns]] = batch.sequence[syns]
            np.bitwise_or.at(flags, side[marked], batch.flags[marked].astype(np.uint8))
        return rows

    def advance(self, now_ns: int) -> None:
        """Time went by and no packet came: what is idle ends, as if one had."""
        self._end_replaced()
        self._make_room(0, now_ns)

    def opened(self, now_ns: int, at_once: bool = False) -> Ints:
        """The rows that both sides have spoken on, once their names have been read or NAMED_SECONDS have gone by.

        Each row comes once. Looks at most every OPENED_SECONDS of packet time, unless it must look `at_once`.
        """
        # A clock that was set back must not make us wait until it has caught up.
        if not at_once and 0 <= now_ns - self._opened_at < OPENED_SECONDS * NS:
            return np.zeros(0, np.int64)
        self._opened_at = now_ns
        columns, count = self.columns, self.count
        packets = columns["packets"][:count]
        fresh = ~columns["opened"][:count] & ~columns["ended"][:count] & (packets[:, 0] > 0) & (packets[:, 1] > 0)
        read = columns["reading"][:count] == 0
        fresh &= read | (columns["first_ns"][:count] < now_ns - NAMED_SECONDS * NS)
        rows = np.flatnonzero(fresh)
        columns["opened"][rows] = True
        return rows

    def keep_reading(self, row: int, sides: int) -> None:
        """Only these sides of a row are still of interest: READ_NOTHING, 1 for side 0, 2 for side 1, or READ_BOTH."""
        self.columns["reading"][row] = sides
        if sides == READ_NOTHING:
            self.readers.pop(row, None)

    def first_of(self, rows: Ints) -> Ints:
        """Where in a list of rows each stands for the first time, in the order of the list."""
        every = np.arange(len(rows), dtype=np.int32)
        # Of several values for one place numpy keeps the last: reversed, the first.
        self._places[rows[::-1]] = every[::-1]
        return np.flatnonzero(self._places[rows] == every)

    def finish(self) -> None:
        """End every flow."""
        self._end_replaced()
        self._end(np.flatnonzero(~self.columns["ended"][: self.count]), FINISHED)

    def _end_replaced(self) -> None:
        """Only now, a batch later: their packets of the batch in which they were replaced were still to be read."""
        if self._replaced:
            self._end(np.array(self._replaced), "reused")
            self._replaced = []

    def _make_room(self, packets: int, now_ns: int) -> None:
        """Before a batch: end what is idle, and when the table may overflow, what was silent longest."""
        # At whole multiples of SWEEP_SECONDS, so that where a capture is cut into batches changes nothing.
        sweep = now_ns // (SWEEP_SECONDS * NS)
        if sweep != self._swept:
            self._swept = sweep
            self._end_idle(sweep * SWEEP_SECONDS * NS)
        if self.count + packets > self.max_flows:
            excess = len(self) + min(packets, self.max_flows // EVICTED_SHARE) - self.max_flows
            if excess > 0:
                alive = np.flatnonzero(~self.columns["ended"][: self.count])
                silent = self.columns["last_ns"][alive]
                excess = min(len(alive), max(excess, self.max_flows // EVICTED_SHARE))
                oldest = alive[np.argpartition(silent, excess - 1)[:excess]] if excess < len(alive) else alive
                self.evicted += len(oldest)
                self._end(oldest, "evicted")
            self._pack()
        elif self._dead * 2 > self.count > FIRST_ROWS:
            self._pack()

    def _end_idle(self, now_ns: int) -> None:
        columns, count = self.columns, self.count
        idle = now_ns - columns["last_ns"][:count]
        flags = columns["flags"][:count]
        closed = ((flags[:, 0] & flags[:, 1] & FIN) | ((flags[:, 0] | flags[:, 1]) & RST)) != 0
        allowed = np.where(columns["transport"][:count] == TCP, TCP_IDLE_SECONDS, UDP_IDLE_SECONDS)
        alive = ~columns["ended"][:count]
        done = alive & closed & (idle > CLOSED_SECONDS * NS)
        self._end(np.flatnonzero(done), "closed")
        self._end(np.flatnonzero(alive & ~done & (idle > allowed * NS)), "idle")

    def _end(self, rows: Ints, reason: str) -> None:
        if not len(rows):
            return
        readers: dict[int, Any] = {}
        chosen: Ints | slice = rows
        if reason == FINISHED and len(rows) == self.count:
            # Nothing is written any more where all rows end, and then nothing need be copied.
            readers, chosen = {row: self.readers[row] for row in sorted(self.readers)}, slice(0, self.count)
            self.readers.clear()
        elif self.readers:
            for place, row in enumerate(rows.tolist()):
                if row in self.readers:
                    readers[place] = self.readers.pop(row)
        self.ended.append(Ended({name: column[chosen] for name, column in self.columns.items()}, readers, reason))
        self.columns["ended"][rows] = True
        self.columns["reading"][rows] = 0
        self._dead += len(rows)

    def _pack(self) -> None:
        """Take the ended rows out; the others move together."""
        alive = np.flatnonzero(~self.columns["ended"][: self.count])
        for first, rows in pieces_of(alive):
            for column in self.columns.values():
                column[first : first + len(rows)] = column.take(rows, 0)
        place = np.full(self.count, -1)
        place[alive] = np.arange(len(alive))
        self.readers = {int(place[row]): reader for row, reader in self.readers.items()}
        self.count, self._dead = len(alive), 0
        self._build_slots()

    def _build_slots(self, room: int = 0) -> None:
        rows = self.count + room
        # Each time four times as many, until that would be much.
        size = 1 << max(15, (rows * (6 if rows < LARGE else 3)).bit_length())
        self._mask = np.uint64(size - 1)
        self._slot_key: Words = np.zeros(size, np.uint64)
        self._slot_row: Ints = np.zeros(size, np.int64)
        keys: Words = self.columns["key"][: self.count]
        for _, placed in pieces_of(np.flatnonzero(keys)):
            self._slot_row[self._claim(keys[placed])] = placed

    def _claim(self, keys: Words) -> Ints:
        """A slot for each key that is not in the table; the same one for the same key."""
        slots = (keys & self._mask).view(np.int64)
        claimed, pending = slots.copy(), np.arange(len(keys))
        while len(keys):
            free = np.flatnonzero(self._slot_key[slots] == 0)
            self._slot_key[slots[free]] = keys[free]
            won = self._slot_key[slots] == keys
            claimed[pending[won]] = slots[won]
            lost = ~won
            keys, pending = keys[lost], pending[lost]
            slots = (slots[lost] + 1) & int(self._mask)
        return claimed

    def _find(self, keys: Words) -> Ints:
        """The row of each key, -1 for one that is not there."""
        slots = (keys & self._mask).view(np.int64)
        found = self._slot_key[slots]
        rows: Ints = self._slot_row[slots]
        wrong = np.flatnonzero(found != keys)
        if not len(wrong):
            return rows
        rows[wrong] = -1
        wrong = wrong[found[wrong] != 0]
        probe = slots[wrong]
        while len(wrong):
            probe = (probe + 1) & int(self._mask)
            found = self._slot_key[probe]
            right = found == keys[wrong]
            rows[wrong[right]] = self._slot_row[probe[right]]
            going = ~right & (found != 0)
            wrong, probe = wrong[going], probe[going]
        return rows

    def _add(self, batch: PacketBatch, new: Ints, rows: Ints) -> None:
        """New rows for the packets `new`, whose keys are not in the table."""
        if (self.count + len(new)) * 2 > len(self._slot_key):
            self._build_slots(len(new))
        slots, places = self._claim(batch.key[new]), np.arange(len(new))
        # Of several values for one place numpy keeps the last: reversed, a flow's first packet stands for it.
        self._slot_row[slots[::-1]] = places[::-1]
        first = self._slot_row[slots]
        leads = first == places
        # Rows in the order of their first packets: that of the keys is another one in every process.
        before = self.count
        fresh = (before - 1 + np.cumsum(leads))[first]
        self._slot_row[slots] = rows[new] = fresh
        packets = new[leads]
        self._append(batch.key[packets])
        # A slice, for columns take it in one piece.
        self._begin(batch, slice(before, self.count), packets)

    def _append(self, keys: Words) -> None:
        """Empty rows for these keys at the end, without slots."""
        room = len(self.columns["key"])
        if self.count + len(keys) > room:
            more = max(room, len(keys))
            for name, column in self.columns.items():
                self.columns[name] = np.concatenate((column, np.zeros((more, *column.shape[1:]), column.dtype)))
            self._places = np.zeros(room + more, np.int32)
        self.columns["key"][self.count : self.count + len(keys)] = keys
        self.count += len(keys)

    def _revive(self, batch: PacketBatch, rows: Ints) -> None:
        """A packet of a flow that ended begins the flow anew, in the same row."""
        hits = np.flatnonzero(self.columns["ended"][rows])
        if len(hits):
            again, first = np.unique(rows[hits], return_index=True)
            self._dead -= len(again)
            self._begin(batch, again, hits[first])

    def _restart(self, batch: PacketBatch, rows: Ints, marked: Ints) -> None:
        """A SYN that is no repeat of its flow's begins another flow: its packets from there on get a row of their own.

        A device that lost its power calls again, from the same port, without having closed. At most
        MAX_RESTARTS_A_BATCH, so that a flood cannot make this slow.
        """
        for packet in self._strange_syns(batch, rows, marked):
            row = int(rows[packet])
            if not self._is_another(batch, marked[(marked < packet) & (rows[marked] == row)], row, packet):
                continue
            fresh = self.count
            self._append(batch.key[packet : packet + 1])
            slot = int(batch.key[packet] & self._mask)
            while self._slot_key[slot] != batch.key[packet]:
                slot = (slot + 1) & int(self._mask)
            self._slot_row[slot] = fresh
            later = rows[packet:]
            later[later == row] = fresh
            self._begin(batch, slice(fresh, fresh + 1), np.array([packet]))
            self.columns["key"][row] = 0
            self._replaced.append(row)

    def _is_another(self, batch: PacketBatch, earlier: Ints, row: int, packet: int) -> bool:
        """Whether a SYN differs from the first of its side; where none is known, the other side's may have come first.

        `earlier` are the row's marked packets before it in the batch.
        """
        side, number = int(~batch.upward[packet]), int(batch.sequence[packet])
        if self.columns["flags"][row, side] & SYN:
            return int(self.columns["syn"][row, side]) != number
        own = earlier[(batch.upward[earlier] == batch.upward[packet]) & (batch.flags[earlier] & SYN != 0)]
        if len(own):
            return int(batch.sequence[own[0]]) != number
        seen = int(np.bitwise_or.reduce(batch.flags[earlier])) | int(np.bitwise_or.reduce(self.columns["flags"][row]))
        if not seen:
            return bool(self.columns["first_ns"][row] != batch.time_ns[packet])
        return not seen & SYN or bool(seen & (FIN | RST))

    def _strange_syns(self, batch: PacketBatch, rows: Ints, marked: Ints) -> list[int]:
        """SYNs that may begin another flow, in capture order, at most MAX_RESTARTS_A_BATCH.

        Those that neither begin their row nor repeat its SYN, and the other SYNs of such a row.
        """
        flags, numbers = self.columns["flags"], self.columns["syn"].reshape(-1)
        syns = marked[(batch.flags[marked] & (SYN | ACK)) == SYN]
        side = rows[syns] * 2 + ~batch.upward[syns]
        order = np.argsort(side, kind="stable")
        syns, side = syns[order], side[order]
        sequence, row = batch.sequence[syns], side >> 1
        follows = np.zeros(len(syns), bool)
        follows[1:] = side[1:] == side[:-1]
        known = follows | ((flags.reshape(-1)[side] & SYN) != 0)
        before = np.where(follows, np.roll(sequence, 1), numbers[side])
        began = (self.columns["first_ns"][row] == batch.time_ns[syns]) & (flags[row].max(axis=1) == 0)
        strange = np.flatnonzero(np.where(known, before != sequence, ~began))
        return np.sort(syns[np.isin(row, row[strange])])[:MAX_RESTARTS_A_BATCH].tolist()  # type: ignore[no-any-return]

    def _begin(self, batch: PacketBatch, rows: Ints | slice, packets: Ints) -> None:
        """Set the rows to what the first packet of each flow says."""
        columns, sender = self.columns, 1 - batch.upward[packets].astype(np.int64)
        swap = sender == 1
        self.total += len(packets)
        for name in ("bytes", "packets", "flags", "syn", "ended", "opened", "protocol", "ingress"):
            columns[name][rows] = 0
        columns["first_ns"][rows] = batch.time_ns[packets]
        columns["reading"][rows] = READ_BOTH
        columns["transport"][rows] = batch.transport[packets]
        columns["version"][rows] = batch.version[packets]
        columns["vlan"][rows] = batch.vlan[packets]
        if batch.interface is not None or batch.outer is not None:
            columns["ingress"][rows] = self.ingresses.numbers(batch, packets)
        source, destination = batch.source_port[packets], batch.destination_port[packets]
        columns["ports"][rows, 0] = np.where(swap, destination, source)
        columns["ports"][rows, 1] = np.where(swap, source, destination)
        columns["addresses"][rows] = addresses_of(batch, packets, swap)
        columns["layer2"][rows] = batch.link_type == LINK_ETHERNET
        if batch.macs is not None:
            columns["layer2"][rows] = batch.macs[packets].any(axis=1)
            columns["macs"][rows] = pairs_at(batch.macs.reshape(-1), packets * 12, 6, ~swap)
        elif batch.link_type == LINK_ETHERNET:
            # The receiver's stands first.
            columns["macs"][rows] = pairs_at(batch.data, batch.frame[packets], 6, ~swap)
        columns["began"][rows] = np.where(sender_began(batch, packets), sender, 1 - sender)


def pieces_of(rows: Ints) -> Iterator[tuple[int, Ints]]:
    """Rows, PIECE_ROWS at a time, and which place the first of them has: what is made of all at once is a burden."""
    for first in range(0, len(rows), PIECE_ROWS):
        yield first, rows[first : first + PIECE_ROWS]


def of_sides(column: Column, rows: Ints, sides: Ints) -> Column:
    """What a column with two values a row says of a side of each of some rows."""
    # Where a value is several numbers, an index takes them one at a time.
    return column.reshape(-1, *column.shape[2:]).take(rows * 2 + sides, 0)


def pairs_at(data: Bytes, offsets: Ints, width: int, swap: Mask) -> Bytes:
    """The two values of `width` bytes, one behind the other, at each offset (offsets × 2 × width); the chosen ones the
    other way round."""
    pairs = np.empty((len(offsets), 2), f"V{width}")
    pairs[:, 0] = pick(data, offsets + swap * width, width)
    pairs[:, 1] = pick(data, offsets + ~swap * width, width)
    return pairs.view(np.uint8).reshape(-1, 2, width)


def addresses_of(batch: PacketBatch, packets: Ints, swap: Mask) -> Bytes:
    """Sender's and receiver's address of each packet (packets × 2 × 16), the chosen ones the other way round; an IPv4
    address fills the first four bytes."""
    pairs = np.zeros((len(packets), 2, 16), np.uint8)
    network, four = batch.network[packets], batch.version[packets] == 4
    if four.all():
        pairs[:, :, :4] = pairs_at(batch.data, network + 12, 4, swap)
        return pairs
    six = ~four
    pairs[four, :, :4] = pairs_at(batch.data, network[four] + 12, 4, swap[four])
    pairs[six] = pairs_at(batch.data, network[six] + 8, 16, swap[six])
    return pairs


def sender_began(batch: PacketBatch, packets: Ints) -> Mask:
    """Whether the sender of a flow's first packet began it: by SYN, else by which port is a service's (RFC 6335)."""
    flags, tcp = batch.flags[packets], batch.transport[packets] == TCP
    source, destination = batch.source_port[packets], batch.destination_port[packets]
    by_source, by_destination = SERVICE_PORTS[source], SERVICE_PORTS[destination]
    by_number: Mask = ~tcp | (destination <= source)
    guess = np.where(by_source == by_destination, by_number, by_destination)
    result: Mask = np.where(flags & SYN, (flags & ACK) == 0, guess)
    return result
