"""What the rules say in an alert is the same for many devices: it is kept once, and alerts name it. Plain state.

These are the alert's grounds: the rule, the company, the endpoint, the listings and the verdicts, most of what an alert
is. Nothing in them is of a device, so that a device is forgotten without a look at them. They stand in the same table
as the devices, each under the digest of what it says; written before the first entry that names them, and gone after
the last.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from rules.alert import Alert, Company, EndpointBasis, ListingBasis, RuleReference, Verdict
from streams.processors.entry import GROUNDS, Entry, Packing

MAX_GROUNDS: Final = 1_000
NAME_BYTES: Final = 10


class Grounds(msgspec.Struct, array_like=True):
    """The parts of an alert that are the rules'."""

    rule: RuleReference
    entity: Company | None = None
    endpoint: EndpointBasis | None = None
    listings: list[ListingBasis] | None = None
    duties: list[str] | None = None
    verdicts: list[Verdict] | None = None


class Shelf:
    """The grounds of one partition. `table` holds them, and is only read here. Past the bound an alert keeps its own.

    Who stands on which grounds is told by `use`, so that those that nobody needs can go.
    """

    def __init__(self, number: int, table: Mapping[str, bytes], packing: Packing, most: int = MAX_GROUNDS) -> None:
        self.number, self.most = number, most
        self._table, self._packing = table, packing
        self._prefix = f"{GROUNDS}{number}/"
        self._decoder, self._encoder = msgspec.msgpack.Decoder(Grounds), msgspec.msgpack.Encoder()
        self._users: dict[str, int] = {}
        self._used: dict[str, tuple[str, ...]] = {}
        self._idle: set[str] = set()
        self._fresh: dict[str, bytes] = {}
        self._open: dict[str, Grounds] = {}
        # By the identity of what they are made of, which `_open` keeps: an alert that was put together here is known
        # without a digest.
        self._known: dict[tuple[int, ...], str] = {}
        self._same: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._users)

    def find(self, key: str) -> None:
        """The table has grounds under this key."""
        name = key.removeprefix(self._prefix)
        if not self._users.setdefault(name, 0):
            self._idle.add(name)

    def use(self, key: str, names: Collection[str]) -> None:
        """The entry of this key stands on these grounds, and on no others."""
        before, now = self._used.pop(key, ()), tuple(names)
        if len(self._same) > self.most:
            self._same.clear()
        if now:
            self._used[key] = self._same.setdefault(now, now)
        if now == before:
            return
        for name in now:
            self._users[name] = self._users.get(name, 0) + 1
            self._idle.discard(name)
        for name in before:
            self._users[name] -= 1
            if not self._users[name]:
                self._idle.add(name)

    def lend(self, alert: Alert, names: dict[str, None]) -> Alert:
        """The alert without its grounds, which go to the `names`; as it is, where there is no room for them."""
        detail = alert.lenswatch
        identity = _identity(alert)
        name = self._known.get(identity)
        if name is None:
            grounds = Grounds(
                alert.rule, detail.entity, detail.endpoint, detail.listings, detail.duties, detail.verdicts
            )
            packed = self._encoder.encode(grounds)
            name = hashlib.blake2b(packed, digest_size=NAME_BYTES).hexdigest()
            if name not in self._users:
                if len(self._users) >= self.most:
                    return alert
                self._users[name] = 0
                self._idle.add(name)
                self._fresh[name] = self._packing.pack(Entry(self.number, 0.0, 0.0, None, 0), grounds)
                self._open[name], self._known[identity] = grounds, name
        names[name] = None
        return msgspec.structs.replace(
            alert,
            rule=RuleReference(id=name, name="", version="", ruleset=""),
            lenswatch=msgspec.structs.replace(
                detail, entity=None, endpoint=None, listings=None, duties=None, verdicts=None
            ),
        )

    def join(self, alert: Alert) -> Alert:
        """The whole alert, of one that names its grounds."""
        if alert.rule.name:
            return alert
        found = self._look_up(alert.rule.id)
        detail = msgspec.structs.replace(
            alert.lenswatch, entity=found.entity, endpoint=found.endpoint, listings=found.listings,
            duties=found.duties, verdicts=found.verdicts,
        )  # fmt: skip
        return msgspec.structs.replace(alert, rule=found.rule, lenswatch=detail)

    def _look_up(self, name: str) -> Grounds:
        grounds = self._open.get(name)
        if grounds is None:
            _, body = self._packing.unpack(self._table[self._prefix + name])
            grounds = self._open[name] = self._decoder.decode(body)
            self._known[_identity_of(grounds)] = name
        return grounds

    def changes(self) -> tuple[dict[str, bytes | None], dict[str, bytes | None]]:
        """The grounds to write before the entries that stand on them, and those to delete after the last has gone."""
        gone = [name for name in self._idle if name not in self._fresh]
        for name in self._idle:
            del self._users[name]
            self._fresh.pop(name, None)
            grounds = self._open.pop(name, None)
            if grounds is not None:
                self._known.pop(_identity_of(grounds), None)
        fresh: dict[str, bytes | None] = {self._prefix + name: data for name, data in self._fresh.items()}
        self._idle, self._fresh = set(), {}
        return fresh, {self._prefix + name: None for name in gone}


def _identity(alert: Alert) -> tuple[int, ...]:
    detail = alert.lenswatch
    parts = (alert.rule, detail.entity, detail.endpoint, detail.listings, detail.duties, detail.verdicts)
    return tuple(map(id, parts))


def _identity_of(grounds: Grounds) -> tuple[int, ...]:
    return tuple(id(getattr(grounds, name)) for name in grounds.__struct_fields__)
