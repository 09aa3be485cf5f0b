"""A first look at the first payload of a flow: what concerns nobody is told by its name, before anything is made of it.

Where nobody takes every observation, most first payloads of a scan or a flood are plain questions and requests under
names that no fact knows. Of these is done what reading them would have done, and no more: they are counted, names are
remembered, and in place of the flow's reader stands what a reader needs to go on (`Left`) when the next packet comes.
Whatever is not plain is not passed, and is read as ever. What else than its name could make a request concern anybody
(its path, who asks, whom) is asked of the same rules, in the same words.
"""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np

from collector.dissectors import dns, http, ntp, tls
from collector.dissectors.dissector import FROM_CLIENT, Dissector
from collector.encrypted_dns import PATH, RESOLVER_ADDRESSES, RESOLVER_NAMES
from collector.encrypted_dns import PORT as DNS_OVER_TLS_PORT
from collector.flows import Column, of_sides
from collector.identify.evidence import Sign
from collector.identify.inventory import Inventory
from collector.naming import NameMemory
from collector.observation import DATASET_PREFIX, Url
from collector.packets import TCP, Bytes, Ints, Mask, Payloads
from collector.reading import SEQUENCE_SPACE, DatagramReader, StreamReader
from collector.reporting import Concerns, Reporter
from collector.views import OwnNetworks, are_groups, macs_of, packed_addresses, rows_of, text_of


class Unclaimed(Protocol):
    """What the rules in force take nothing of."""

    def is_unclaimed(self, name: str) -> bool:
        """Whether no fact, and nothing that resembles one, is at any name with the last two labels of this one, in
        lower case. Of such a name, `Concerns` answers as if there were none."""
        ...

    def are_unclaimed_paths(self, paths: Sequence[str]) -> list[bool]:
        """Of each path whether `Concerns` answers of a request for it, under a name that is none, as of one for `/`."""
        ...


MAX_LEFT_BYTES: Final = 1_024
"""Of a first segment that is kept until its flow goes on; requests and hellos are shorter, mostly."""
MAX_NAMES: Final = 65_536
"""Of which it is remembered whether they are nobody's: as they stand in messages."""
MAX_HEADS: Final = 16_384
"""Of requests, each of MAX_LEFT_BYTES at most: devices say the same again and again, but for what they ask for."""
OUTBOUND, INTERNAL = "outbound", "internal"
QUESTION, TIME, HELLO, REQUEST = 1, 2, 3, 4
_STREAM_KINDS = np.zeros(256, np.int64)
_STREAM_KINDS[tls.HANDSHAKE] = HELLO
_STREAM_KINDS[list(b"GH")] = REQUEST
DNS, HTTP, NTP, TLS = (DATASET_PREFIX + each for each in ("dns", "http", "ntp", "tls"))
DOT: Final = b"\3dot"
"""The ALPN protocol of DNS over TLS, as it stands in a list."""
ROOT: Final = Url(original="/", path="/")
LEFT_OF, DATASET_OF = operator.itemgetter(0), operator.itemgetter(1)
_PLAIN_ZONE = re.compile(r"[a-z0-9_-]+\.[a-z0-9_-]+").fullmatch
# Its end tells it from an address.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z]").fullmatch


# A struct, for one is made a flow, and nothing is made faster.
class Left(msgspec.Struct, gc=False):
    """What stands in place of a flow's reader after its first payload was passed, and brings a reader to where it would
    be: whose dissector it is, of a stream the segment and the name that it said."""

    dissector: Dissector
    segment: tuple[int, bytes, int] | None = None
    name: tuple[str, str] | None = None

    def bring(self, reader: StreamReader | DatagramReader) -> None:
        """Let a new reader read what was passed; what that says has been dealt with."""
        if isinstance(reader, DatagramReader):
            reader.dissector = self.dissector
        elif self.segment is not None:
            reader.feed(FROM_CLIENT, *self.segment)
        reader.name, reader.noted = self.name, True


Passing = tuple[Left, str, bytes, bytes, tuple[Sign, ...] | None]
"""A first payload that may be passed: what is left of it, its dataset, an end (address and MAC address as in
`Reporter.resolvers`; of a question whom it was sent to, of a request who sent it), both ends as in `NameMemory`, and
what a request's user agent says of who sent it. What is of no use is left empty."""


class Queue(NamedTuple):
    """Packets in their turn: of each as what it may pass, or None; the row of its flow; its time."""

    passing: list[Any]
    rows: list[int]
    times: list[int]


Asked = tuple[str, str, str | None]
"""Dataset, direction, user agent: of what is asked whether it concerns anybody."""
Head = tuple[tuple[str, str], Asked, tuple[Sign, ...] | None]
"""What a request under a name that is nobody's says behind its first line: the name, as a reader has it, what is asked
of it, and what its user agent says of who sent it."""


class Glance:
    """Looks at first payloads for a pipeline whose reporter this is. Not for several threads.

    Many are looked over at once, and then each passes in its turn, for what another says meanwhile may be of it; while
    there is news of a device, none may. `numbers` are the protocols' in the flow table. What a dissector would refuse,
    and what is none of these plain messages, is never passed. `least` first payloads are looked over together: fewer
    are read sooner.
    """

    least = 16

    def __init__(
        self, report: Reporter, inventory: Inventory, names: NameMemory, own: OwnNetworks, numbers: dict[str, int],
        concerns: Concerns, unclaimed: Callable[[], Unclaimed],
    ) -> None:  # fmt: skip
        self._report, self._inventory, self._names, self._own = report, inventory, names, own
        self._concerns, self._rules = concerns, unclaimed
        self._unclaimed = unclaimed()
        self._told_zones = inventory.call_zones | {zone_of(name) for name in RESOLVER_NAMES}
        self._nobodys: dict[str | bytes, bool] = {}
        self._heads: dict[bytes, Head | None] = {}
        # For one batch at most, which bounds them.
        self._answers: dict[Asked, bool] = {}
        self._question, self._time = Left(dns.DISSECTOR), Left(ntp.DISSECTOR)
        kinds = {QUESTION: dns, TIME: ntp, HELLO: tls, REQUEST: http}
        self._numbers = {kind: numbers[each.DISSECTOR.name] for kind, each in kinds.items()}
        self._looks: dict[int, Callable[[Openings], Iterator[Passing | None]]] = {
            QUESTION: self._questions,
            TIME: self._times,
            HELLO: self._hellos,
            REQUEST: self._requests,
        }

    def begin(self) -> None:
        """Other rules may be in force than when it was last asked."""
        self._answers.clear()
        unclaimed = self._rules()
        if unclaimed is not self._unclaimed:
            self._unclaimed = unclaimed
            self._nobodys.clear()
            self._heads.clear()

    def look_over(self, data: Bytes, columns: dict[str, Column], firsts: Payloads) -> Column:
        """Of each first payload of a flow as what it may pass when it is its turn, or None. The flows' protocols are
        noted at once."""
        found = np.full(len(firsts.rows), None, object)
        kinds, inside = self._kinds_of(data, columns, firsts)
        for kind, look in self._looks.items():
            places = np.flatnonzero(kinds == kind)
            if len(places):
                some = firsts.at(places)
                looked = look(Openings(data, columns, some, inside[places]))
                found[places] = passing = np.fromiter(looked, object, len(places))
                # Also of those that will be read after all: what is plain is of no other protocol.
                columns["protocol"][some.rows[passing.astype(bool)]] = self._numbers[kind]
        return found

    def passes(self, queue: Queue, first: int, last: int) -> int:
        """Pass a part of a queue, all of which may, and do what reading it would have done, but for the counting of
        what nobody asked for; how many passed: the next is to be read, or there is news to be told before it."""
        resolvers, names, news, met = self._report.resolvers, self._names, self._inventory.news, self._inventory.met
        learn, passed = names.learn_one, 0
        for (left, dataset, end, ends, signs), at_ns in zip(
            queue.passing[first:last], queue.times[first:last], strict=True
        ):
            if dataset is DNS:
                # Of who answers DNS, it is noted that he does: once.
                if end not in resolvers:
                    break
            elif left.name is not None:
                learn(ends, left.name[0], at_ns, left.name[1])
                if signs or (signs is not None and end not in met):
                    self._meet(end, signs)
                    if news:
                        passed += 1
                        break
            elif names.name_at(ends, at_ns) is not None:
                break
            passed += 1
        return passed

    def _meet(self, end: bytes, signs: tuple[Sign, ...]) -> None:
        """Who sent a request is met, and what its user agent says of him noted."""
        address, mac = parts_of(end)
        known = self._inventory.device_at(mac, text_of(address))
        for sign in signs:
            known.add(sign)
        self._inventory.met.add(end)

    def _questions(self, openings: "Openings") -> Iterator[Passing | None]:
        nobodys, known, asked = self._nobodys, self._report.resolvers, dict[bytes, Passing | None]()
        zones = dns.glance(*openings.spans)
        for end, stays, zone in zip(openings.ends(of_server=True), openings.inside, zones, strict=True):
            if zone is None or not (nobodys[zone] if zone in nobodys else self._remember_question(zone)):
                yield None
            elif end in asked:
                yield asked[end]
            else:
                concerns = self._is_asked_for((DNS, INTERNAL if stays else OUTBOUND, None), parts_of(end)[0])
                asked[end] = None if concerns else (self._question, DNS, end, b"", None)
                # Of who was never asked the first is read; those that come after it need not be.
                yield asked[end] if end in known else None

    def _remember_question(self, zone: bytes) -> bool:
        text = dns.read_labels(zone)
        return self._remember(zone, text if _PLAIN_ZONE(text) else None)

    def _times(self, openings: "Openings") -> Iterator[Passing | None]:
        looks = ntp.glance(*openings.spans).tolist()
        for ends, stays, is_plain in zip(openings.pairs(), openings.inside, looks, strict=True):
            # Whom a name leads to is read.
            plain = is_plain and ends not in self._names
            if plain and not self._is_asked_for((NTP, INTERNAL if stays else OUTBOUND, None), server_of(ends)):
                yield self._time, NTP, b"", ends, None
            else:
                yield None

    def _hellos(self, openings: "Openings") -> Iterator[Passing | None]:
        for ends, segment in zip(openings.pairs(), openings.segments(), strict=True):
            name = self._name_in_hello(server_of(ends), segment[1])
            if name is None:
                yield None
            else:
                yield Left(tls.DISSECTOR, segment, (name, "tls_sni")), TLS, b"", ends, None

    def _name_in_hello(self, server: bytes, payload: bytes) -> str | None:
        """The name in a ClientHello that concerns nobody."""
        if self._inventory.banners.knows_hellos or server in RESOLVER_ADDRESSES:
            return None
        hello = tls.glance(payload)
        if hello is None or DOT in hello[1]:
            return None
        name = hello[0].decode("latin-1")
        return name if self._is_nobodys(name) and not self._is_asked_for((TLS, OUTBOUND, None), server) else None

    def _requests(self, openings: "Openings") -> Iterator[Passing | None]:
        heads, answers = self._heads, self._answers
        segments = list(openings.segments())
        parts = [payload.partition(b"\r\n") for _, payload, _ in segments]
        paths = http.glance_lines([line for line, _, _ in parts])
        looks = openings.pairs(), openings.ends(), self._unclaimed.are_unclaimed_paths(paths)
        for segment, (_, _, fields), path, ends, end, is_plain in zip(segments, parts, paths, *looks, strict=True):
            # None is what may be remembered, too.
            try:
                said = heads[fields]
            except KeyError:
                said = self._remember_head(fields)
            if (
                said is None
                or not is_plain
                or not path
                or path == PATH
                or (answers.get(said[1], True) and self._is_asked_for(said[1], server_of(ends)))
            ):
                yield None
            else:
                yield Left(http.DISSECTOR, segment, said[0]), HTTP, end, ends, said[2]

    def _remember_head(self, fields: bytes) -> Head | None:
        """What a request says behind its first line; None: it is to be read."""
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        self._heads[fields] = known = self._read_head(fields)
        return known

    def _read_head(self, fields: bytes) -> Head | None:
        said = http.glance_fields(fields)
        if said is None or not self._is_nobodys(said[0]):
            return None
        name, agent = said
        signs = self._inventory.banners.of_agent(agent) if agent is not None else None
        return (name, "http_host"), (HTTP, OUTBOUND, agent), signs

    def _is_nobodys(self, name: str) -> bool:
        if len(name) > dns.MAX_NAME_BYTES:
            return False
        known = self._nobodys.get(name)
        return self._remember(name, name.lower() if _PLAIN_NAME(name) else None) if known is None else known

    def _remember(self, said: str | bytes, name: str | None) -> bool:
        """Whether it is nobody's what is said so; None: it is not plain."""
        if len(self._nobodys) >= MAX_NAMES:
            self._nobodys.clear()
        nobodys = name is not None and zone_of(name) not in self._told_zones and self._unclaimed.is_unclaimed(name)
        self._nobodys[said] = nobodys
        return nobodys

    def _is_asked_for(self, asked: Asked, server: bytes) -> bool:
        """Whether what says no name and no path concerns anybody; an answer for which nobody had to know with whom it
        is, is everybody's until other rules may be in force."""
        known = self._answers.get(asked)
        if known is None:
            peers: list[str] = []

            def peer() -> str:
                peers.append(text_of(server))
                return peers[0]

            dataset, direction, agent = asked
            known = self._concerns(dataset, None, direction, peer, ROOT if dataset is HTTP else None, agent)
            if not peers:
                self._answers[asked] = known
        return known

    def _kinds_of(self, data: Bytes, columns: dict[str, Column], payloads: Payloads) -> tuple[Ints, Mask]:
        """What first payloads are, 0: one that is read; and which are for one of ours, or a group."""
        rows, sides, starts, stops, sequences, syns, _ = payloads
        every, began = np.arange(len(rows)), columns["began"][rows]
        addresses, version = columns["addresses"].take(rows, 0), columns["version"][rows]
        own, group, peer = self._own.are_own(addresses, version), are_groups(addresses, version), 1 - began
        port, inside = of_sides(columns["ports"], rows, peer), own[every, peer] | group[every, peer]
        # Where a server has spoken on a connection it will answer, and then what it was asked is to be read.
        lone = of_sides(columns["packets"], rows, 1 - sides) == 0
        in_place = lone & ((syns < 0) | (sequences == (syns + 1) % SEQUENCE_SPACE))
        kinds = np.select(
            (columns["transport"][rows] != TCP, inside | ~in_place | (stops - starts > MAX_LEFT_BYTES)),
            (np.where(port == dns.PORT, QUESTION, np.where(port == ntp.PORT, TIME, 0)), 0),
            _STREAM_KINDS[data[starts]],
        )
        kinds[(kinds == HELLO) & (port == DNS_OVER_TLS_PORT)] = 0
        return np.where((sides == began) & own[every, began], kinds, 0), inside


class Openings:
    """First payloads of some flows, to be looked at: a value a payload. `inside`: whether it stays with us."""

    def __init__(self, data: Bytes, columns: dict[str, Column], payloads: Payloads, inside: Mask) -> None:
        self._columns, self._payloads = columns, payloads
        self.spans = data, payloads.starts, payloads.stops
        self.inside: list[bool] = inside.tolist()

    def pairs(self) -> list[bytes]:
        """Both ends as in `NameMemory`: the addresses of who sent it and of who was called."""
        rows, sides = self._payloads.rows, self._payloads.sides
        version, addresses = self._columns["version"][rows], self._columns["addresses"]
        client, server = of_sides(addresses, rows, sides), of_sides(addresses, rows, 1 - sides)
        if (version == 4).all():
            return rows_of(np.concatenate((client[:, :4], server[:, :4]), axis=1), 8)
        return list(map(operator.add, packed_addresses(client, version), packed_addresses(server, version)))

    def ends(self, of_server: bool = False) -> list[bytes]:
        """The address of who sent it, or of who was called, and behind it the MAC address where layer 2 is seen."""
        columns, rows, sides = self._columns, self._payloads.rows, self._payloads.sides ^ of_server
        version, address = columns["version"][rows], of_sides(columns["addresses"], rows, sides)
        if (version == 4).all() and columns["layer2"][rows].all():
            return rows_of(np.concatenate((address[:, :4], of_sides(columns["macs"], rows, sides)), axis=1), 10)
        return list(map(operator.add, packed_addresses(address, version), macs_of(columns, rows, sides)))

    def segments(self) -> Iterator[tuple[int, bytes, int]]:
        """Sequence number, payload, and the number of the SYN, as `StreamReader.feed` has them."""
        data, starts, stops = self.spans
        view = data.data
        payloads = [view[start:stop].tobytes() for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
        return zip(self._payloads.sequences.tolist(), payloads, self._payloads.syns.tolist(), strict=True)


def server_of(ends: bytes) -> bytes:
    """The server's address of both ends (as in `NameMemory`): they are of one family."""
    return ends[len(ends) // 2 :]


def parts_of(end: bytes) -> tuple[bytes, bytes]:
    """An address and the MAC address behind it, which may be missing."""
    at = 4 if len(end) < 16 else 16
    return end[:at], end[at:]


def zone_of(name: str) -> str:
    """The last two labels of a name, or all of it."""
    last = name.rfind(".")
    return name[name.rfind(".", 0, last) + 1 :] if last > 0 else name
