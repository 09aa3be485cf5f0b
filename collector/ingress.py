"""Where flows came in: the interface, and the mirror or tunnel that brought their packets; a number a flow.

A flow keeps the number of what brought its first packet. The table holds MAX_INGRESSES; what comes when it is full is
told without its ingress, and counted. Nothing is ever taken out: flows that live hold its numbers.
"""

import ipaddress

import numpy as np

from collector.observation import Ingress, Interface, Observer
from collector.packets import Ints, PacketBatch, gather
from collector.tunnels import TUNNELS

MAX_INGRESSES = 4_096
UNKNOWN = 0

Key = tuple[str | None, int, int, bytes]
"""Interface, tunnel, its id, the address that sent it."""


class Ingresses:
    """Numbers and what they stand for. `overflow` counts flows whose ingress found no room."""

    def __init__(self, max_ingresses: int = MAX_INGRESSES) -> None:
        self.max_ingresses, self.overflow = max_ingresses, 0
        self._numbers: dict[Key, int] = {(None, 0, 0, b""): UNKNOWN}
        self._keys: list[Key] = [(None, 0, 0, b"")]

    def __len__(self) -> int:
        return len(self._keys)

    def numbers(self, batch: PacketBatch, packets: Ints) -> Ints:
        """The number of what brought each of these packets."""
        found = np.zeros(len(packets), np.int64)
        if batch.interface is not None:
            found[:] = self._number((batch.interface, 0, 0, b""), len(packets))
        if batch.outer is None or batch.tunnel is None or batch.tag is None:
            return found
        tunnelled = np.flatnonzero(batch.outer[packets] >= 0)
        chosen = packets[tunnelled]
        heads = gather(batch.data, batch.outer[chosen], 24)
        kinds, tags = batch.tunnel[chosen].tolist(), batch.tag[chosen].tolist()
        for place, head, kind, tag in zip(tunnelled.tolist(), heads, kinds, tags, strict=True):
            raw = head.tobytes()
            found[place] = self._number((batch.interface, kind, tag, raw[12:16] if raw[0] >> 4 == 4 else raw[8:24]), 1)
        return found

    def key(self, number: int) -> Key:
        """What a number stands for, in a form that another process understands."""
        return self._keys[number]

    def number(self, key: Key) -> int:
        """The number of what another process told of."""
        return self._number(key, 1)

    def _number(self, key: Key, flows: int) -> int:
        known = self._numbers.get(key)
        if known is not None:
            return known
        if len(self._keys) >= self.max_ingresses:
            self.overflow += flows
            return UNKNOWN
        self._keys.append(key)
        self._numbers[key] = len(self._keys) - 1
        return len(self._keys) - 1

    def observer(self, number: int, sensor: str) -> Observer:
        """The `observer` fields of a flow that came in here: a mirror is named by its kind and sender, and its id."""
        interface, kind, tag, sender = self._keys[number]
        if number == UNKNOWN:
            return Observer(name=sensor)
        alias = f"{TUNNELS[kind]} {ipaddress.ip_address(sender)}" if kind else None
        where = Interface(name=interface, alias=alias, id=str(tag) if kind and tag else None)
        return Observer(name=sensor, ingress=Ingress(interface=where))
