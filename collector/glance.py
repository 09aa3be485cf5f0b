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
from typing import Final

from collector.dissectors import dns, http, ntp, tls
from collector.dissectors.dissector import FROM_CLIENT, Dissector
from collector.encrypted_dns import PATH, RESOLVER_ADDRESSES, RESOLVER_NAMES
from collector.encrypted_dns import PORT as DNS_OVER_TLS_PORT
from collector.identify.inventory import Inventory
from collector.naming import NameMemory
from collector.observation import DATASET_PREFIX
from collector.packets import TCP
from collector.reading import SEQUENCE_SPACE, DatagramReader, StreamReader
from collector.reporting import Concerns, Reporter
from collector.views import FlowValues

Unclaimed = Callable[[str], bool]
"""A name in lower case → whether no fact, and nothing that resembles one, is at any name with its last two labels. Of
such a name, `Concerns` answers as if there were none."""
MAX_LEFT_BYTES: Final = 1_024
"""Of a first segment that is kept until its flow goes on; requests and hellos are shorter, mostly."""
MAX_NAMES: Final = 65_536
"""Of which it is remembered whether they are nobody's: as they stand in messages."""
MAX_TEXTS: Final = 16_384
OUTBOUND, INTERNAL = "outbound", "internal"
DNS, HTTP, NTP, TLS = (DATASET_PREFIX + each for each in ("dns", "http", "ntp", "tls"))
_PLAIN_ZONE = re.compile(r"[a-z0-9_-]+\.[a-z0-9_-]+").fullmatch
# Its end tells it from an address.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z]").fullmatch


class Left:
    """What stands in place of a flow's reader after its first payload was passed: `number`, of the protocol, and what
    brings a reader to where it would be. Of a stream the segment and the name that it said; `half`: of the client,
    nothing more is of use."""

    __slots__ = ("_dissector", "_name", "_segment", "half", "number")

    def __init__(
        self, number: int, dissector: Dissector, segment: tuple[int, bytes, int] | None = None,
        name: tuple[str, str] | None = None, half: bool = False,
    ) -> None:  # fmt: skip
        self.number, self._dissector, self._segment = number, dissector, segment
        self._name, self.half = name, half

    def bring(self, reader: StreamReader | DatagramReader) -> None:
        """Let a new reader read what was passed; what that says has been dealt with."""
        if isinstance(reader, DatagramReader):
            reader.dissector = self._dissector
        elif self._segment is not None:
            reader.feed(FROM_CLIENT, *self._segment)
        reader.name, reader.noted = self._name, True


class Glance:
    """Looks at first payloads for a pipeline whose reporter this is. Not for several threads.

    `numbers` are the protocols' in the flow table. What a dissector would refuse, and what is none of these plain
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
        self._answers: dict[tuple[str, str], bool] = {}
        self._question = Left(numbers[dns.DISSECTOR.name], dns.DISSECTOR)
        self._time = Left(numbers[ntp.DISSECTOR.name], ntp.DISSECTOR)
        self._hello, self._request = ((numbers[each.name], each) for each in (tls.DISSECTOR, http.DISSECTOR))

    def begin(self) -> None:
        """Other rules may be in force than when it was last asked."""
        self._answers.clear()
        unclaimed = self._rules()
        if unclaimed != self._unclaimed:
            self._unclaimed = unclaimed
            self._nobodys.clear()

    def look(
        self, values: FlowValues, side: int, sequence: int, payload: bytes, syn: int, at_ns: int
    ) -> Left | None:  # fmt: skip
        """What is left of a flow whose first payload, from this side, was passed; None: it is to be read. `sequence`
        and `syn` as `StreamReader.feed` has them."""
        began, own = values[0], values[8]
        # What is new of a device is told with the next message that is read.
        if side != began or not own[began] or self._inventory.news:
            return None
        peer = 1 - began
        size, addresses = (4 if values[2] == 4 else 16), values[6]
        client, server = addresses[:size], addresses[16 : 16 + size]
        if began:
            client, server = server, client
        direction = INTERNAL if own[peer] or values[9][peer] else OUTBOUND
        if values[1] == TCP:
            fits = syn < 0 or sequence == (syn + 1) % SEQUENCE_SPACE
            if direction is not OUTBOUND or not fits or len(payload) > MAX_LEFT_BYTES:
                return None
            half = payload[0] == tls.HANDSHAKE
            if half:
                name, where = self._pass_hello(server, values[5][peer], payload), "tls_sni"
            else:
                name, where = self._pass_request(values, client, server, payload), "http_host"
            if name is None:
                return None
            self._names.learn(client, (server,), name, at_ns, where)
            number, dissector = self._hello if half else self._request
            return Left(number, dissector, (sequence, payload, syn), (name, where), half)
        port = values[5][peer]
        if port == dns.PORT:
            resolver = server + (values[7][6 * peer : 6 * peer + 6] if values[4] else b"")
            return self._question if self._pass_question(resolver, direction, server, payload) else None
        if port != ntp.PORT or not ntp.glance(payload) or self._names.name_of(client, server, at_ns) is not None:
            return None
        if self._is_asked_for(NTP, direction, server):
            return None
        self._report.unasked[NTP] += 1
        return self._time

    def _pass_question(self, resolver: bytes, direction: str, server: bytes, payload: bytes) -> bool:
        wire = dns.glance(payload)
        # Of who answers DNS, it is noted that he does: once.
        if wire is None or resolver not in self._report.resolvers:
            return False
        known = self._nobodys.get(wire)
        if known is None:
            text = dns.read_labels(wire)
            known = self._remember(wire, text if _PLAIN_ZONE(text) else None)
        if not known or self._is_asked_for(DNS, direction, server):
            return False
        self._report.unasked[DNS] += 1
        return True

    def _pass_hello(self, server: bytes, port: int, payload: bytes) -> str | None:
        """The name in a ClientHello that concerns nobody."""
        if self._inventory.banners.knows_hellos or port == DNS_OVER_TLS_PORT or server in RESOLVER_ADDRESSES:
            return None
        hello = tls.glance(payload)
        if hello is None or hello.server_name is None or b"dot" in hello.alpn:
            return None
        name = hello.server_name.decode("latin-1")
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
        name, url, agent = asked
        known = self._nobodys.get(name)
        if known is None:
            known = self._remember(name, name if _PLAIN_NAME(name) else None)
        if not known or url.path == PATH:
            return None
        if self._concerns(HTTP, None, OUTBOUND, lambda: text_of(server), url, agent):
            return None
        if agent is not None:
            began, macs = values[0], values[7]
            mac = (macs[6:] if began else macs[:6]) if values[4] else b""
            self._inventory.note_user_agent(self._inventory.device_at(mac, text_of(client)), agent)
        self._report.unasked[HTTP] += 1
        return name

    def _remember(self, said: str | bytes, name: str | None) -> bool:
        """Whether it is nobody's what is said so; None: it is not plain."""
        if len(self._nobodys) >= MAX_NAMES:
            self._nobodys.clear()
        nobodys = name is not None and zone_of(name) not in self._told_zones and self._unclaimed(name)
        self._nobodys[said] = nobodys
        return nobodys

    def _is_asked_for(self, dataset: str, direction: str, server: bytes) -> bool:
        """Whether what says no name and no URL concerns anybody; an answer for which nobody had to know with whom it
        is, is everybody's until other rules may be in force."""
        known = self._answers.get((dataset, direction))
        if known is None:
            peers: list[str] = []

            def peer() -> str:
                peers.append(text_of(server))
                return peers[0]

            known = self._concerns(dataset, None, direction, peer, None, None)
            if not peers:
                self._answers[dataset, direction] = known
        return known


def zone_of(name: str) -> str:
    """The last two labels of a name, or all of it."""
    last = name.rfind(".")
    return name[name.rfind(".", 0, last) + 1 :] if last > 0 else name


@functools.lru_cache(MAX_TEXTS)
def text_of(address: bytes) -> str:
    """An address's text."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
