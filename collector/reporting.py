"""Facts and flows → observations: the one place where an Observation is made."""

import hashlib
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np

from collector.dissectors.dissector import Fact
from collector.encrypted_dns import recognise_encrypted_dns
from collector.evidence.witness import Witness
from collector.flows import Column, Ended, of_sides
from collector.identify.banners import SELF_DATASETS
from collector.identify.evidence import Sign
from collector.identify.inventory import Inventory
from collector.identify.known import KnownDevice
from collector.identify.served import note_path, note_shown
from collector.ingress import Ingresses
from collector.naming import NameMemory
from collector.observation import (
    BEGINNINGS,
    CERTIFICATE_DATASET,
    DATASET_PREFIX,
    FAVICON_DATASET,
    FIRMWARE_PUSH,
    FLOW_DATASET,
    PUSH_DATASET,
    Broken,
    Endpoint,
    Event,
    FlowState,
    Lenswatch,
    Observation,
    Observer,
    Url,
)
from collector.packets import Ints, Mask, alike
from collector.pushes import TFTP, read_pushes
from collector.reading import DatagramReader, StreamReader
from collector.settings import CollectorSettings
from collector.telling import IDENTIFIED, SEEN, concerns_us, is_followed, tell_of
from collector.views import FlowValues, FlowView, OwnNetworks, end_keys, macs_of, packed_addresses, text_of, time_of

NS = 10**9
Place = tuple[int | str, int]
"""Where a fact stood, so that two in one packet are two: its TCP sequence number (or a word), and its ordinal there."""
Concerns = Callable[[str, str | None, str, Callable[[], str], Url | None, str | None], bool]
"""Dataset, name called or asked for, direction, the other side's address, URL, user agent → is it worth observing?"""
Told = tuple[FlowValues, Fact, int, Place]
"""A flow, what was said on it, when (nanoseconds since 1970), and where."""
MAX_RESOLVERS = 10_000
SEEN_COLUMNS = ("key", "macs", "addresses", "version", "layer2", "last_ns", "ingress")
CONTACT_DATASETS = frozenset(
    ("tls", "quic", "http", "file", "rtsp", "ntp", "stun", "dahua_p2p", "ezviz", "dvrip", "dhip", "reolink")
)
"""Those in which a device calls somebody, by a name that it says or that it looked up before."""
SHOWN_DATASETS = frozenset(each.removeprefix(DATASET_PREFIX) for each in (CERTIFICATE_DATASET, FAVICON_DATASET))
CARRIED_BY = {"file": "http", "favicon": "http", "certificate": "tls"}
BROKEN_DATASET = DATASET_PREFIX + "broken"
DEVICE = "device"
"""The dataset of what a device said in a protocol that only Wireshark reads; its action is the protocol."""
BEGINNINGS_READ = {dataset.removeprefix(DATASET_PREFIX): action for dataset, action in BEGINNINGS.items()}
INTERNAL = "internal"
ENCRYPTED_DNS = "encrypted_dns"
"""The dataset of what opens a connection for look-ups that nobody between can read; its action is dot, doh or doq."""


class Strangers(Protocol):
    """Who takes the packets of flows that no dissector recognises, and may say later what they were. Nobody waits."""

    def offer(self, values: FlowValues, direction: int, payload: bytes, sequence: int, at_ns: int) -> None:
        """A packet."""
        ...

    def told(self) -> list[Told]:
        """What was said since the last time."""
        ...

    def missed(self) -> Counter[str]:
        """Packets that nobody looked at since the last time, by reason."""
        ...

    def finish(self) -> list[Told]:
        """The rest; this may take a little."""
        ...


class FlowName:
    """What is known of a flow that has no reader here: the name of its peer, and where that stood."""

    __slots__ = ("name",)

    def __init__(self) -> None:
        self.name: tuple[str, str] | None = None


class Reporter:
    """Makes observations, and lets the inventory and the name memory learn from what was read.

    `unasked` counts by dataset what was read and made no observation, because it concerned nobody, or is of traffic
    that is not to be watched; `foreign`, of these, what no side of is in our networks. `news` holds what is newly known
    of devices, until somebody takes it out; `resolvers` who was asked by DNS (address, MAC).
    """

    def __init__(
        self,
        settings: CollectorSettings,
        inventory: Inventory,
        names: NameMemory,
        own: OwnNetworks,
        protocols: tuple[str, ...],
        concerns: Concerns | None,
        ingresses: Ingresses,
        touches: Concerns | None = None,
    ) -> None:
        self._concerns, self._touches, self._pushes = concerns, touches, read_pushes()
        self.foreign = 0
        self.witness: Witness | None = None
        self.resolvers: set[bytes] = set()
        self._discovery = np.zeros(65_536, bool)
        self._discovery[[port for _, port in inventory.discovery_ports]] = True
        self.unasked: Counter[str] = Counter()
        self.news: list[Observation] = []
        self._inventory, self._names, self._own = inventory, names, own
        self._protocols = ("", *protocols)
        self._ingresses, self._observers = ingresses, dict[int, Observer]()
        self._sensor, self._site = settings.sensor, settings.site

    def fact(
        self, view: FlowView, reader: "StreamReader | DatagramReader | FlowName", fact: Fact, at_ns: int, place: Place
    ) -> Observation | None:
        """What a dissector read, as an observation; None when it concerns nobody."""
        dataset, name = fact.dataset, fact.name
        if dataset in CONTACT_DATASETS:
            if name is not None and fact.named_by is not None and not is_address(name):
                reader.name = (name, fact.named_by)
                self._names.learn(view.ends[0], (view.ends[1],), name, at_ns, fact.named_by)
            elif reader.name is None:
                reader.name = self._names.name_of(*view.ends, at_ns)
            self._weigh(view, reader.name, fact)
        elif dataset == "dns" and name is not None and fact.dns is not None:
            if fact.dns.resolved_ip:
                addresses = [packed(address) for address in fact.dns.resolved_ip]
                self._names.learn(view.ends[0], addresses, name, at_ns, "dns_answer")
                if self.witness is not None:
                    # It is evidence of whatever this client will do under this name.
                    self.witness.named.append((view.ends[0], name))
            self._weigh_question(view, name)
        elif dataset in SHOWN_DATASETS and not self._has_shown(view, fact):
            self._let_go(view, DATASET_PREFIX + dataset)
            return None
        if self._inventory.banners.may_tell(fact):
            self._weigh_words(view, fact)
        if self._inventory.news:
            self.tell_news(view.values[-1], at_ns, self.news)
        hidden = recognise_encrypted_dns(fact, view.values[5][1 - view.values[0]], view.ends[1])
        anew = self._begins_anew(view, fact) if dataset in BEGINNINGS_READ else None
        firmware = anew is not None or dataset == "file" or (view.direction == INTERNAL and self._pushes.is_push(fact))
        if anew is None:
            agent = fact.user_agent.original if fact.user_agent is not None else None
            called = name if dataset == "dns" else reader.name[0] if reader.name is not None else None
            whole = DATASET_PREFIX + (dataset if hidden is None else ENCRYPTED_DNS)
            ask = self._is_watched if firmware else self._is_asked_for
            if not ask(view, whole, called, fact.url, agent):
                return None
        if fact.finish is not None:
            fact.finish()
        if dataset == DEVICE:
            view.complete()
            view.network.protocol = fact.action
        observation = self._make(view, dataset, at_ns, place, reader.name)
        observation.dns, observation.tls, observation.url = fact.dns, fact.tls, fact.url
        observation.http, observation.user_agent = fact.http, fact.user_agent
        observation.event.action = fact.action
        if observation.lenswatch is not None:
            observation.lenswatch.tls, observation.lenswatch.announced = fact.offer, fact.announced
            observation.file, observation.lenswatch.file = fact.file, fact.format
        if anew is not None:
            # Before it has an address, a device is known by its MAC alone.
            make_about(anew, observation)
        elif dataset in SHOWN_DATASETS:
            make_about(view.server_device(), observation)
        elif firmware and view.direction == INTERNAL:
            self._mark_push(view, fact, observation)
        if hidden is not None:
            observation.event.dataset, observation.event.action = DATASET_PREFIX + ENCRYPTED_DNS, hidden
        return observation

    def _begins_anew(self, view: FlowView, fact: Fact) -> KnownDevice | None:
        """The camera that says what a device says when it begins anew: it may have been updated. That, and of what is
        watched a file and a push, are told whoever asks, for there are few of them."""
        if fact.backward or BEGINNINGS_READ[fact.dataset] != fact.action:
            return None
        said = fact.announced
        known: KnownDevice | None = view.device
        if fact.dataset == "dhcp":
            known = self._inventory.lease(said.mac, None) if said is not None and said.mac is not None else None
        return known if known is not None and known.is_camera else None

    def _mark_push(self, view: FlowView, fact: Fact, observation: Observation) -> None:
        """Firmware that is given from inside: the device is the one that gets it, whoever began the flow."""
        if not self._pushes.is_push(fact) or observation.lenswatch is None:
            return
        observation.event.dataset, observation.event.action = PUSH_DATASET, FIRMWARE_PUSH
        observation.lenswatch.pushed_by = view.server
        if fact.dataset != TFTP:
            observation.lenswatch.pushed_by = view.client
            make_about(view.server_device(), observation)

    def broken(
        self, view: FlowView, reader: StreamReader | DatagramReader, broken: Broken, at_ns: int, place: Place
    ) -> Observation | None:
        """Bytes that broke their protocol, as an observation; None where they are not to be watched."""
        if not self._is_watched(view, BROKEN_DATASET, reader.name[0] if reader.name is not None else None):
            return None
        observation = self._make(view, "broken", at_ns, place, reader.name)
        if observation.lenswatch is not None:
            observation.lenswatch.broken = broken
        return observation

    def _weigh(self, view: FlowView, name: tuple[str, str] | None, fact: Fact | None = None) -> None:
        if view.direction != "inbound":
            if name is not None and self._inventory.knows_call(name[0]):
                self._inventory.note_call(view.device, name[0])
            if fact is not None and fact.user_agent is not None:
                self._inventory.note_user_agent(view.device, fact.user_agent.original)
            if fact is not None and fact.tls is not None and self._inventory.banners.knows_hellos:
                self._weigh_hello(view, fact)
        if fact is not None and (fact.answered is not None or (fact.url is not None and not fact.backward)):
            server = view.server_device()
            if server is not None:
                note_path(self._inventory.banners, server, fact)

    def _has_shown(self, view: FlowView, fact: Fact) -> bool:
        """Whether a web server of ours shows something of itself that can be read; of others nobody asks."""
        server = view.server_device()
        return server is not None and note_shown(self._inventory.banners, server, fact)

    def _weigh_hello(self, view: FlowView, fact: Fact) -> None:
        if fact.finish is not None:
            fact.finish()
            fact.finish = None
        hello = fact.tls.client if fact.tls is not None else None
        if hello is not None:
            for sign in self._inventory.banners.of_hello(hello.ja3, hello.ja4):
                view.device.add(sign)

    def _weigh_words(self, view: FlowView, fact: Fact) -> None:
        """What a device of ours says of itself: who made it, and what it is."""
        if fact.backward:
            sender = view.server_device()
        else:
            sender = view.device if view.direction in ("outbound", "internal") or fact.dataset == "dhcp" else None
        said = fact.announced
        if said is not None and fact.dataset == "dhcp":
            # What a server answers is about the client that it answers to.
            leased = said.ip if fact.action in ("ACK", "REQUEST") else None
            sender = self._inventory.lease(said.mac, leased) if said.mac else None
        elif sender is not None and said is not None and said.mac is not None and fact.dataset in SELF_DATASETS:
            sender = self._inventory.join(said.mac, said.ip, view.end_of(fact.backward))
        if sender is None:
            return
        for sign in self._inventory.banners.signs(fact):
            sender.add(sign)
        if said is not None and fact.dataset == DEVICE:
            # Which protocols it speaks says who it is to a person, and for or against a camera nothing.
            words = ", ".join(each for each in msgspec.structs.astuple(said) if isinstance(each, str))
            sender.add(Sign(f"speaks {fact.action}: {words}", f"speaks {fact.action}"))
        if said is not None and fact.dataset in SELF_DATASETS:
            sender.tell(said, named=fact.dataset == "dhcp")

    def _weigh_question(self, view: FlowView, name: str) -> None:
        """Who asks for a maker's device names is likely such a device, unless it asks for others: a resolver."""
        end = view.ends[1] + view.server_mac
        if end not in self.resolvers:
            if len(self.resolvers) >= MAX_RESOLVERS:
                self.resolvers.clear()
            self.resolvers.add(end)
            resolver = view.server_device()
            if resolver is not None:
                resolver.serve_names()
        if view.direction != "inbound" and self._inventory.knows_call(name) and not view.device.resolver:
            self._inventory.note_call(view.device, name, asked=True)

    def tell_news(self, ingress: int, at_ns: int, found: list[Observation]) -> None:
        """What is newly known of devices, as observations, where they concern us."""
        known = list(self._inventory.news.values())
        self._inventory.news.clear()
        found += [self._device(each, IDENTIFIED, ingress, at_ns) for each in known if concerns_us(each)]

    def _device(self, known: KnownDevice, action: str, ingress: int, at_ns: int) -> Observation:
        return tell_of(known, action, at_ns, self._sensor, self._site, self._observer(ingress))

    def still_there(self, columns: dict[str, Column], rows: Ints, found: list[Observation]) -> None:
        """Devices of ours that have sent or been sent something on these flows: they are there, whatever they do."""
        part = {name: columns[name][rows] for name in SEEN_COLUMNS}
        own, inverse, devices = self._own_ends(part)
        last_ns = np.zeros(len(devices), np.int64)
        np.maximum.at(last_ns, inverse, part["last_ns"][own >> 1])
        ingress = np.zeros(len(devices), np.int64)
        ingress[inverse] = part["ingress"][own >> 1]
        there: dict[str, tuple[KnownDevice, int, int]] = {}
        for known, at_ns, number in zip(devices, last_ns.tolist(), ingress.tolist(), strict=True):
            if concerns_us(known) and at_ns > there.get(known.device.id, (known, 0, 0))[1]:
                there[known.device.id] = known, at_ns, number
        found += [self._device(known, SEEN, number, at_ns) for known, at_ns, number in there.values()]

    def opened(self, columns: dict[str, Column], rows: Ints, found: list[Observation]) -> None:
        """Flows that both sides have spoken on: evidence of who they are, and observations of cameras' flows."""
        for row, values in zip(rows.tolist(), self._own.values(columns, rows), strict=True):
            before, view = len(found), FlowView(values, self._inventory)
            name = self._names.name_of(*view.ends, int(columns["last_ns"][row]))
            self._weigh(view, name)
            self._weigh_server(view)
            if self._inventory.news:
                self.tell_news(values[-1], int(columns["last_ns"][row]), found)
            if is_followed(view.device) and self._is_asked_for(view, FLOW_DATASET, name[0] if name else None):
                found.append(self._flow(view, columns, row, name, "opened"))
            if self.witness is not None and len(found) > before:
                self.witness.testify(values, found[before:])

    def ended(self, group: Ended, found: list[Observation]) -> None:
        """Flows that ended: observations of cameras' flows with what went each way."""
        columns = group.columns
        rows = np.flatnonzero(self._may_be_cameras(columns))
        for row, values in zip(rows.tolist(), self._own.values(columns, rows), strict=True):
            before, view = len(found), FlowView(values, self._inventory)
            began = values[0]
            if columns["packets"][row, 1 - began]:
                self._weigh_server(view)
            if self._inventory.news:
                self.tell_news(values[-1], int(columns["last_ns"][row]), found)
            if is_followed(view.device):
                name = self._names.name_of(*view.ends, int(columns["last_ns"][row]))
                answered = bool(columns["packets"][row, 0] and columns["packets"][row, 1])
                if self._is_asked_for(view, FLOW_DATASET, name[0] if name else None):
                    found.append(self._flow(view, columns, row, name, "closed" if answered else "attempt"))
            if self.witness is not None and len(found) > before:
                self.witness.testify(values, found[before:])

    def _is_asked_for(
        self, view: FlowView, dataset: str, name: str | None, url: Url | None = None, agent: str | None = None
    ) -> bool:
        """Whether an observation may be made, and concerns anybody."""
        # Most concerns nobody, and then whose it is need not be known.
        if self._concerns is None or self._concerns(dataset, name, view.direction, view.peer_address, url, agent):
            return self._is_watched(view, dataset, name, url, agent)
        self._let_go(view, dataset)
        return False

    def _is_watched(
        self, view: FlowView, dataset: str, name: str | None, url: Url | None = None, agent: str | None = None
    ) -> bool:
        """Whether the traffic is to be watched: a camera's, or of what touches a known endpoint."""
        if self._touches is None or self._is_of_a_camera(view):
            return True
        if view.direction != "external" and self._touches(dataset, name, view.direction, view.peer_address, url, agent):
            return True
        self._let_go(view, dataset)
        return False

    def _let_go(self, view: FlowView, dataset: str) -> None:
        self.unasked[dataset] += 1
        self.foreign += self._touches is not None and view.direction == "external"

    def _is_of_a_camera(self, view: FlowView) -> bool:
        """Whether a side of ours is a camera, one of its kin, or one that somebody named."""
        if view.direction == "external":
            return False
        if is_followed(view.device):
            return True
        if not view.values[8][1 - view.values[0]]:
            return False
        server = view.server_device()
        return server is not None and is_followed(server)

    def _weigh_server(self, view: FlowView) -> None:
        port = view.service
        if port in self._inventory.discovery_ports:
            server = view.server_device()
            if server is not None:
                self._inventory.note_port(server, *port)

    def _own_ends(self, columns: dict[str, Column]) -> tuple[Ints, Ints, list[KnownDevice]]:
        """The ends of ours of some flows (2 × row + side), of each the number of its device, and these devices: asked
        for once an end, not once a flow."""
        ours = np.flatnonzero(self._own.are_own(columns["addresses"], columns["version"]).reshape(-1))
        chosen, inverse = alike(end_keys(columns, ours))
        rows, sides = np.divmod(ours[chosen], 2)
        addresses = packed_addresses(of_sides(columns["addresses"], rows, sides), columns["version"][rows])
        macs = macs_of(columns, rows, sides)
        devices = list(map(self._inventory.device_at, macs, map(text_of, addresses)))
        return ours, inverse, devices

    def _may_be_cameras(self, columns: dict[str, Column]) -> Mask:
        """Which flows have an end of ours that is a camera, or a discovery port."""
        ours, inverse, devices = self._own_ends(columns)
        answers = np.array([is_followed(known) for known in devices], bool)
        ports = self._discovery[columns["ports"]]
        flows: Mask = np.logical_or(ports[:, 0], ports[:, 1])
        flows[ours[answers[inverse]] >> 1] = True
        return flows

    def _flow(
        self, view: FlowView, columns: dict[str, Column], row: int, name: tuple[str, str] | None, state: str
    ) -> Observation:
        at_ns, first_ns = int(columns["last_ns"][row]), int(columns["first_ns"][row])
        # An opened flow is named by its first packet: when we looked is not a property of the flow.
        observation = self._make(view, "flow", first_ns if state == "opened" else at_ns, (state, 0), name)
        if state == "opened":
            observation.timestamp = time_of(at_ns)
        number = int(columns["protocol"][row])
        if number:
            # The view is this observation's alone.
            view.network.protocol = self._protocols[number]
        began = view.values[0]
        for side, end in ((began, observation.source), (1 - began, observation.destination)):
            end.bytes, end.packets = int(columns["bytes"][row, side]), int(columns["packets"][row, side])
        if observation.lenswatch is not None:
            observation.lenswatch.flow = FlowState(state=state, duration_seconds=round((at_ns - first_ns) / NS, 6))
        return observation

    def _observer(self, ingress: int) -> Observer:
        """The `observer` fields of flows with this ingress; the ingresses are few, and bounded."""
        if ingress not in self._observers:
            self._observers[ingress] = self._ingresses.observer(ingress, self._sensor)
        return self._observers[ingress]

    def _make(
        self, view: FlowView, dataset: str, at_ns: int, place: Place, name: tuple[str, str] | None
    ) -> Observation:
        view.complete()
        device, destination = view.device, view.destination
        if name is not None and dataset != "dns":
            destination = Endpoint(ip=destination.ip, port=destination.port, mac=destination.mac, domain=name[0])
        network = view.network
        if network.protocol is None and dataset not in ("flow", "broken"):
            # The network's protocol is whose connection it is.
            network.protocol = CARRIED_BY.get(dataset, dataset)
        text = f"{self._sensor}|{view.flow}|{at_ns}|{place[0]}.{place[1]}|{dataset}"
        return Observation(
            timestamp=time_of(at_ns),
            event=Event(
                kind="event",
                dataset=DATASET_PREFIX + dataset,
                id=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
            ),
            observer=self._observer(view.values[-1]),
            source=view.source,
            destination=destination,
            network=network,
            device=device.device,
            lenswatch=Lenswatch(
                device=device.identity,
                domain_source=name[1] if name is not None and dataset != "dns" else None,
                site=self._site,
            ),
        )


def make_about(known: KnownDevice | None, observation: Observation) -> None:
    """The observation is about this device, whoever began the flow."""
    if known is not None and observation.lenswatch is not None:
        observation.device, observation.lenswatch.device = known.device, known.identity


def packed(address: str) -> bytes:
    """An address as text → its bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def is_address(name: str) -> bool:
    """Whether a host is an IP address and not a name."""
    last = name[-1:]
    if not (last.isdigit() or last == "]" or ":" in name):
        return False
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
