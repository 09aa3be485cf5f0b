"""A first look at the first payload of a flow: what concerns nobody is told by its name, before anything is made of it.

Where nobody takes every observation, most first payloads of a scan or a flood are plain questions and requests under
names that no fact knows. Of these is done what reading them would have done, and no more: they are counted, names are
remembered, and in place of the flow's reader stands what a reader needs to go on (`Left`) when the next packet comes.
Whatever is not plain is not passed, and is read as ever. What else than its name could make a request concern anybody
(its path, who asks, whom) is asked of the same rules, in the same words.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec
import numpy as np

from collector.dissectors import dns, http, ntp, tls
from collector.dissectors.dissector import FROM_CLIENT, Dissector
from collector.encrypted_dns import PATH, RESOLVER_ADDRESSES, RESOLVER_NAMES
from collector.encrypted_dns import PORT as DNS_OVER_TLS_PORT
from collector.flows import Column
from collector.identify.inventory import Inventory
from collector.naming import NameMemory
from collector.observation import DATASET_PREFIX, Url
from collector.packets import TCP, Bytes, Ints, Mask, Payloads
from collector.reading import SEQUENCE_SPACE, DatagramReader, StreamReader
from collector.reporting import Concerns, Reporter
from collector.views import OwnNetworks, are_groups, macs_of, packed_addresses, text_of


class Unclaimed(Protocol):
    """What the rules in force take nothing of."""

    def is_unclaimed(self, name: str) -> bool:
        """Whether no fact, and nothing that resembles one, is at any name with the last two labels of this one, in
        lower case. Of such a name, `Concerns` answers as if there were none."""
        ...

    def is_unclaimed_path(self, path: str) -> bool:
        """Whether `Concerns` answers of a request for this path, under a name that is none, as of one for `/`."""
        ...


MAX_LEFT_BYTES: Final = 1_024
"""Of a first segment that is kept until its flow goes on; requests and hellos are shorter, mostly."""
MAX_NAMES: Final = 65_536
"""Of which it is remembered whether they are nobody's: as they stand in messages."""
OUTBOUND, INTERNAL = "outbound", "internal"
QUESTION, TIME, HELLO, REQUEST = 1, 2, 3, 4
_STREAM_KINDS = np.zeros(256, np.int64)
_STREAM_KINDS[tls.HANDSHAKE] = HELLO
_STREAM_KINDS[list(b"GH")] = REQUEST
DNS, HTTP, NTP, TLS = (DATASET_PREFIX + each for each in ("dns", "http", "ntp", "tls"))
DOT: Final = b"\3dot"
"""The ALPN protocol of DNS over TLS, as it stands in a list."""
ROOT: Final = Url(original="/", path="/")
_PLAIN_ZONE = re.compile(r"[a-z0-9_-]+\.[a-z0-9_-]+").fullmatch
# Its end tells it from an address.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z]").fullmatch


# A struct, for one is made a flow, and nothing is made faster.
class Left(msgspec.Struct, gc=False):
    """What stands in place of a flow's reader after its first payload was passed, and brings a reader to where it would
    be: whose dissector it is, of a stream the segment and the name that it said; `half`: of the client, nothing more is
    of use."""

    dissector: Dissector
    segment: tuple[int, bytes, int] | None = None
    name: tuple[str, str] | None = None
    half: bool = False

    def bring(self, reader: StreamReader | DatagramReader) -> None:
        """Let a new reader read what was passed; what that says has been dealt with."""
        if isinstance(reader, DatagramReader):
            reader.dissector = self.dissector
        elif self.segment is not None:
            reader.feed(FROM_CLIENT, *self.segment)
        reader.name, reader.noted = self.name, True


Passing = tuple[Left, str, bytes, bytes, bytes, str | None]
"""A first payload that may be passed: what is left of it, its dataset, the addresses of who sent it and of who was
called, the MAC address of whom a question was asked, else of who sent it (empty where layer 2 is not seen), the user
agent."""

Opening = tuple[bytes, bytes, bytes, bool, bytes, int, int]
"""A first payload to look at: addresses and MAC address as in `Passing`, whether it stays with us, the payload, its
sequence number and that of the SYN (both as `StreamReader.feed` has them)."""


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
        # For one batch at most, which bounds them.
        self._answers: dict[tuple[str, str, str | None], bool] = {}
        self._question, self._time = Left(dns.DISSECTOR), Left(ntp.DISSECTOR)
        kinds = {QUESTION: dns, TIME: ntp, HELLO: tls, REQUEST: http}
        self._numbers = {kind: numbers[each.DISSECTOR.name] for kind, each in kinds.items()}
        self._looks: dict[int, Callable[[Iterator[Opening]], Iterator[Passing | None]]] = {
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

    def look_over(self, data: Bytes, columns: dict[str, Column], firsts: Payloads) -> dict[int, Passing]:
        """Which first payloads of flows may pass when it is their turn, by the numbers of their packets. The flows'
        protocols are noted at once."""
        found: dict[int, Passing] = {}
        kinds, inside = self._kinds_of(data, columns, firsts)
        for kind, look in self._looks.items():
            places = np.flatnonzero(kinds == kind)
            if len(places):
                some = firsts.at(places)
                openings = openings_of(data, columns, some, inside[places], kind == QUESTION)
                plain = []
                for number, row, passing in zip(some.packets.tolist(), some.rows.tolist(), look(openings), strict=True):
                    if passing is not None:
                        found[number] = passing
                        plain.append(row)
                # Also of those that will be read after all: what is plain is of no other protocol.
                columns["protocol"][plain] = self._numbers[kind]
        return found

    def passes(self, passing: Passing, at_ns: int) -> bool:
        """Pass a first payload in its turn, and do what reading it would have done; False: it is to be read."""
        left, dataset, client, server, mac, agent = passing
        if dataset is DNS:
            # Of who answers DNS, it is noted that he does: once.
            if server + mac not in self._report.resolvers:
                return False
        elif left.name is not None:
            if agent is not None:
                self._inventory.note_user_agent(self._inventory.device_at(mac, text_of(client)), agent)
            self._names.learn(client, (server,), left.name[0], at_ns, left.name[1])
        elif self._names.name_of(client, server, at_ns) is not None:
            return False
        self._report.unasked[dataset] += 1
        return True

    def _questions(self, openings: Iterator[Opening]) -> Iterator[Passing | None]:
        known, asked, glance, nobodys = self._report.resolvers, set[bytes](), dns.glance, self._nobodys
        for client, server, mac, stays, payload, _, _ in openings:
            wire, resolver = glance(payload), server + mac
            is_passed = wire is not None and (nobodys[wire] if wire in nobodys else self._remember_question(wire))
            if is_passed and resolver not in known and resolver not in asked:
                # This one is read, and those that come after it need not be.
                asked.add(resolver)
                is_passed = False
            if is_passed and not self._is_asked_for(DNS, INTERNAL if stays else OUTBOUND, server):
                yield self._question, DNS, client, server, mac, None
            else:
                yield None

    def _remember_question(self, wire: bytes) -> bool:
        text = dns.read_labels(wire)
        return self._remember(wire, text if _PLAIN_ZONE(text) else None)

    def _times(self, openings: Iterator[Opening]) -> Iterator[Passing | None]:
        for client, server, mac, stays, payload, _, _ in openings:
            # Whom a name leads to is read.
            plain = ntp.glance(payload) and (client, server) not in self._names
            if plain and not self._is_asked_for(NTP, INTERNAL if stays else OUTBOUND, server):
                yield self._time, NTP, client, server, mac, None
            else:
                yield None

    def _hellos(self, openings: Iterator[Opening]) -> Iterator[Passing | None]:
        for client, server, mac, _, payload, sequence, syn in openings:
            name = self._name_in_hello(server, payload)
            if name is None:
                yield None
            else:
                left = Left(tls.DISSECTOR, (sequence, payload, syn), (name, "tls_sni"), True)
                yield left, TLS, client, server, mac, None

    def _name_in_hello(self, server: bytes, payload: bytes) -> str | None:
        """The name in a ClientHello that concerns nobody."""
        if self._inventory.banners.knows_hellos or server in RESOLVER_ADDRESSES:
            return None
        hello = tls.glance(payload)
        if hello is None or DOT in hello[1]:
            return None
        name = hello[0].decode("latin-1")
        if len(name) > dns.MAX_NAME_BYTES:
            return None
        known = self._nobodys.get(name)
        if known is None:
            known = self._remember(name, name.lower() if _PLAIN_NAME(name) else None)
        return name if known and not self._is_asked_for(TLS, OUTBOUND, server) else None

    def _requests(self, openings: Iterator[Opening]) -> Iterator[Passing | None]:
        """Who sends a request is met when it passes, and its user agent noted."""
        for client, server, mac, _, payload, sequence, syn in openings:
            asked = http.glance(payload)
            if asked is None or not self._is_nobodys_request(server, *asked):
                yield None
            else:
                name, _, agent = asked
                left = Left(http.DISSECTOR, (sequence, payload, syn), (name, "http_host"))
                yield left, HTTP, client, server, mac, agent

    def _is_nobodys_request(self, server: bytes, name: str, path: str, agent: str | None) -> bool:
        if len(name) > dns.MAX_NAME_BYTES:
            return False
        known = self._nobodys.get(name)
        if known is None:
            known = self._remember(name, name if _PLAIN_NAME(name) else None)
        if not known or path == PATH or not self._unclaimed.is_unclaimed_path(path):
            return False
        return not self._is_asked_for(HTTP, OUTBOUND, server, agent)

    def _remember(self, said: str | bytes, name: str | None) -> bool:
        """Whether it is nobody's what is said so; None: it is not plain."""
        if len(self._nobodys) >= MAX_NAMES:
            self._nobodys.clear()
        nobodys = name is not None and zone_of(name) not in self._told_zones and self._unclaimed.is_unclaimed(name)
        self._nobodys[said] = nobodys
        return nobodys

    def _is_asked_for(self, dataset: str, direction: str, server: bytes, agent: str | None = None) -> bool:
        """Whether what says no name and no path concerns anybody; an answer for which nobody had to know with whom it
        is, is everybody's until other rules may be in force."""
        known = self._answers.get((dataset, direction, agent))
        if known is None:
            peers: list[str] = []

            def peer() -> str:
                peers.append(text_of(server))
                return peers[0]

            known = self._concerns(dataset, None, direction, peer, ROOT if dataset is HTTP else None, agent)
            if not peers:
                self._answers[dataset, direction, agent] = known
        return known

    def _kinds_of(self, data: Bytes, columns: dict[str, Column], payloads: Payloads) -> tuple[Ints, Mask]:
        """What first payloads are, 0: one that is read; and which are for one of ours, or a group."""
        _, rows, sides, starts, stops, sequences, syns, _ = payloads
        every, began = np.arange(len(rows)), columns["began"][rows]
        addresses, version = columns["addresses"][rows], columns["version"][rows]
        own, group, peer = self._own.are_own(addresses, version), are_groups(addresses, version), 1 - began
        port, inside = columns["ports"][rows, peer], own[every, peer] | group[every, peer]
        # Where a server has spoken on a connection it will answer, and then what it was asked is to be read.
        lone = columns["packets"][rows, 1 - sides] == 0
        in_place = lone & ((syns < 0) | (sequences == (syns + 1) % SEQUENCE_SPACE))
        kinds = np.select(
            (columns["transport"][rows] != TCP, inside | ~in_place | (stops - starts > MAX_LEFT_BYTES)),
            (np.where(port == dns.PORT, QUESTION, np.where(port == ntp.PORT, TIME, 0)), 0),
            _STREAM_KINDS[data[starts]],
        )
        kinds[(kinds == HELLO) & (port == DNS_OVER_TLS_PORT)] = 0
        return np.where((sides == began) & own[every, began], kinds, 0), inside


def openings_of(
    data: Bytes, columns: dict[str, Column], payloads: Payloads, inside: Mask, of_server: bool
) -> Iterator[Opening]:
    """What there is to look at; with the MAC address of the server or of the client."""
    rows, client, every, view = payloads.rows, payloads.sides, np.arange(len(payloads.rows)), data.data
    addresses, version, server = columns["addresses"][rows], columns["version"][rows], 1 - client
    spans = zip(payloads.starts.tolist(), payloads.stops.tolist(), strict=True)
    return zip(
        packed_addresses(addresses[every, client], version), packed_addresses(addresses[every, server], version),
        macs_of(columns, rows, server if of_server else client), inside.tolist(),
        [bytes(view[start:stop]) for start, stop in spans], payloads.sequences.tolist(), payloads.syns.tolist(),
        strict=True,
    )  # fmt: skip


def zone_of(name: str) -> str:
    """The last two labels of a name, or all of it."""
    last = name.rfind(".")
    return name[name.rfind(".", 0, last) + 1 :] if last > 0 else name
