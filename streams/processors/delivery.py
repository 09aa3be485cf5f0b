"""Which revisions of which alerts were delivered, of one partition. Plain values, so that a repeat is no news."""

from collections.abc import Iterable
from typing import Final

import msgspec

from rules.alert import Alert

MAX_DELIVERED: Final = 100_000


class Delivered(msgspec.Struct, array_like=True):
    """The last revision of an alert that was delivered, and the partition that it is of."""

    partition: int
    revision: int


class Deliveries:
    """The alerts of one partition that were delivered. Past the bound those go that were first (`evicted` counts)."""

    def __init__(self, number: int, known: Iterable[tuple[str, int]] = (), max_delivered: int = MAX_DELIVERED) -> None:
        self.number, self.max_delivered = number, max_delivered
        self.evicted = 0
        self._revisions = dict(known)
        self._encoder = msgspec.msgpack.Encoder()

    def __len__(self) -> int:
        return len(self._revisions)

    def is_news(self, alert: Alert) -> bool:
        """Whether this revision was not delivered yet, nor a later one."""
        return alert.lenswatch.revision > self._revisions.get(alert.event.id, 0)

    def delivered(self, alert: Alert) -> dict[str, bytes | None]:
        """Note that it was; the values to write (None deletes)."""
        changed: dict[str, bytes | None] = {}
        self._revisions.pop(alert.event.id, None)
        if len(self._revisions) >= self.max_delivered:
            first = next(iter(self._revisions))
            del self._revisions[first]
            changed[first] = None
            self.evicted += 1
        self._revisions[alert.event.id] = alert.lenswatch.revision
        changed[alert.event.id] = self._encoder.encode(Delivered(self.number, alert.lenswatch.revision))
        return changed


def known_of(table: Iterable[tuple[str, bytes]]) -> dict[int, list[tuple[str, int]]]:
    """The values of a table by partition: alert and revision."""
    known: dict[int, list[tuple[str, int]]] = {}
    decoder = msgspec.msgpack.Decoder(Delivered)
    for key, data in table:
        value = decoder.decode(data)
        known.setdefault(value.partition, []).append((key, value.revision))
    return known
