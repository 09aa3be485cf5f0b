"""A first look at the first payload of a flow: what concerns nobody is told by its name, before anything is made of it.

Where nobody takes every observation, most first payloads of a scan or a flood are plain questions and requests under
names that no fact knows. Of these is done what reading them would have done, and no more: they are counted, names are
remembered, and in place of the flow's reader stands what a reader needs to go on (`Left`) when the next packet comes.
Whatever is not plain is not passed, and is read as ever. What else than its name could make a request concern anybody
(its path, who asks, whom) is asked of the same rules, in the same words.
"""

import functools
import re
import socket
from collections.abc import Callable
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
from collector.packets import TCP, Bytes, Ints, Mask
from collector.reading import DatagramReader, StreamReader
from collector.reporting import Concerns, Reporter
from collector.views import FlowValues


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
MAX_TEXTS: Final = 16_384
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
    """What stands in place of a flow's reader after its first payload was passed: `number`, of the protocol, and what
    brings a reader to where it would be. Of a stream the segment and the name that it said; `half`: of the client,
    nothing more is of use."""

    number: int
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


Look = Callable[[FlowValues, int, bytes, int, int], Left | None]
"""Looks at the first payload of a flow, which is of one kind: values of the flow, sequence number, payload, number of
the SYN (both as `StreamReader.feed` has them), time. Gives what is left of a flow that was passed; None: it is read."""


class Glance:
    """Looks at first payloads for a pipeline whose reporter this is. Not for several threads.

    `looks` are by what `kinds_of` says; while there is news of a device, none may be taken. `numbers` are the
    protocols' in the flow table. What a dissector would refuse, and what is none of these plain
    messages, is never passed.
    """

    def __init__(
        self, report: Reporter, inventory: Inventory, names: NameMemory, numbers: dict[str, int], concerns: Concerns,
        unclaimed: Callable[[], Unclaimed],
    ) -> None:  # fmt: skip
        self._report, self._inventory, self._names = report, inventory, names
        self._concerns, self._rules = concerns, unclaimed
        self._unclaimed = unclaimed()
        self._told_zones = inventory.call_zones | {zone_of(name) for name in RESOLVER_NAMES}
        self._nobodys: dict[str | bytes, bool] = {}
        # For one batch at most, which bounds them.
        self._answers: dict[tuple[str, str, str | None], bool] = {}
        self._question = Left(numbers[dns.DISSECTOR.name], dns.DISSECTOR)
        self._time = Left(numbers[ntp.DISSECTOR.name], ntp.DISSECTOR)
        self._hello, self._request = (numbers[each.name] for each in (tls.DISSECTOR, http.DISSECTOR))
        self.looks: dict[int, Look] = {
            QUESTION: self._look_at_question,
            TIME: self._look_at_time,
            HELLO: self._look_at_hello,
            REQUEST: self._look_at_request,
        }

    def begin(self) -> None:
        """Other rules may be in force than when it was last asked."""
        self._answers.clear()
        unclaimed = self._rules()
        if unclaimed is not self._unclaimed:
            self._unclaimed = unclaimed
            self._nobodys.clear()

    def _look_at_question(self, values: FlowValues, sequence: int, payload: bytes, syn: int, at_ns: int) -> Left | None:
        peer, (_, server) = 1 - values[0], ends_of(values)
        resolver = server + (values[7][6 * peer : 6 * peer + 6] if values[4] else b"")
        wire = dns.glance(payload)
        # Of who answers DNS, it is noted that he does: once.
        if wire is None or resolver not in self._report.resolvers:
            return None
        known = self._nobodys.get(wire)
        if known is None:
            text = dns.read_labels(wire)
            known = self._remember(wire, text if _PLAIN_ZONE(text) else None)
        if not known or self._is_asked_for(DNS, direction_of(values), server):
            return None
        self._report.unasked[DNS] += 1
        return self._question

    def _look_at_time(self, values: FlowValues, sequence: int, payload: bytes, syn: int, at_ns: int) -> Left | None:
        client, server = ends_of(values)
        if not ntp.glance(payload) or self._names.name_of(client, server, at_ns) is not None:
            return None
        if self._is_asked_for(NTP, direction_of(values), server):
            return None
        self._report.unasked[NTP] += 1
        return self._time

    def _look_at_hello(self, values: FlowValues, sequence: int, payload: bytes, syn: int, at_ns: int) -> Left | None:
        client, server = ends_of(values)
        name = self._pass_hello(server, values[5][1 - values[0]], payload)
        if name is None:
            return None
        self._names.learn(client, (server,), name, at_ns, "tls_sni")
        return Left(self._hello, tls.DISSECTOR, (sequence, payload, syn), (name, "tls_sni"), True)

    def _look_at_request(self, values: FlowValues, sequence: int, payload: bytes, syn: int, at_ns: int) -> Left | None:
        client, server = ends_of(values)
        name = self._pass_request(values, client, server, payload)
        if name is None:
            return None
        self._names.learn(client, (server,), name, at_ns, "http_host")
        return Left(self._request, http.DISSECTOR, (sequence, payload, syn), (name, "http_host"))

    def _pass_hello(self, server: bytes, port: int, payload: bytes) -> str | None:
        """The name in a ClientHello that concerns nobody."""
        if self._inventory.banners.knows_hellos or port == DNS_OVER_TLS_PORT or server in RESOLVER_ADDRESSES:
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
        if not known or self._is_asked_for(TLS, OUTBOUND, server):
            return None
        self._report.unasked[TLS] += 1
        return name

    def _pass_request(self, values: FlowValues, client: bytes, server: bytes, payload: bytes) -> str | None:
        """The name in an HTTP request that concerns nobody. Who sends it is met, and its user agent noted."""
        asked = http.glance(payload)
        if asked is None or len(asked[0]) > dns.MAX_NAME_BYTES:
            return None
        name, path, agent = asked
        known = self._nobodys.get(name)
        if known is None:
            known = self._remember(name, name if _PLAIN_NAME(name) else None)
        if not known or path == PATH or not self._unclaimed.is_unclaimed_path(path):
            return None
        if self._is_asked_for(HTTP, OUTBOUND, server, agent):
            return None
        if agent is not None:
            began, macs = values[0], values[7]
            mac = (macs[6:] if began else macs[:6]) if values[4] else b""
            sender = self._inventory.device_at(mac, text_of(client))
            self._inventory.note_user_agent(sender, agent)
        self._report.unasked[HTTP] += 1
        return name

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


def kinds_of(
    columns: dict[str, Column], rows: Ints, sides: Ints, own: Mask, group: Mask, sizes: Ints, first: Bytes,
    in_place: Mask,
) -> list[int]:  # fmt: skip
    """What the payloads of some packets would be, were they the first of their flows; 0: one that is read.

    `own` and `group` (packets × 2): whether the sides of each packet's flow are ours, or a group's. `first` is the
    first byte of each payload; `in_place`: it stands where a stream begins to which nobody has answered.
    """
    every, began = np.arange(len(rows)), columns["began"][rows]
    peer = 1 - began
    port, inside = columns["ports"][rows, peer], own[every, peer] | group[every, peer]
    kinds = np.select(
        (columns["transport"][rows] != TCP, inside | ~in_place | (sizes > MAX_LEFT_BYTES)),
        (np.where(port == dns.PORT, QUESTION, np.where(port == ntp.PORT, TIME, 0)), 0),
        _STREAM_KINDS[first],
    )
    plain: list[int] = np.where((sides == began) & own[every, began], kinds, 0).tolist()
    return plain


def ends_of(values: FlowValues) -> tuple[bytes, bytes]:
    """The addresses of the side that began the flow and of the one that was called."""
    addresses = values[6]
    lower, upper = (addresses[:4], addresses[16:20]) if values[2] == 4 else (addresses[:16], addresses[16:])
    return (upper, lower) if values[0] else (lower, upper)


def direction_of(values: FlowValues) -> str:
    """Whether a flow that one of ours began stays with us."""
    peer = 1 - values[0]
    return INTERNAL if values[8][peer] or values[9][peer] else OUTBOUND


def zone_of(name: str) -> str:
    """The last two labels of a name, or all of it."""
    last = name.rfind(".")
    return name[name.rfind(".", 0, last) + 1 :] if last > 0 else name


@functools.lru_cache(MAX_TEXTS)
def text_of(address: bytes) -> str:
    """An address's text."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
