"""What the rules say in an alert is the same for many devices: it is kept once, and alerts name it. Plain state.

These are the alert's grounds: the rule, the company, the endpoint, the listings and the verdicts, most of what an alert
is. Nothing in them is of a device, so that a device is forgotten without a look at them. They stand in the same table
as the devices, each under the digest of what it says; written before the first entry that names them, and gone a while
after the last.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from rules.alert import Alert, Company, EndpointBasis, ListingBasis, RuleReference, Verdict
from streams.processors.entry import GROUNDS, Entry, Packing

MAX_GROUNDS: Final = 1_000
NAME_BYTES: Final = 10
# Longer than a worker can hold what it believes to be its partition, while another has it: what that one writes late
# may still stand on them.
IDLE_SECONDS: Final = 3_600.0


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

    Who stands on which grounds is told by `use`, so that those that nobody needs can go. `missed` counts the alerts
    that named grounds which are not there.
    """

    def __init__(self, number: int, table: Mapping[str, bytes], packing: Packing, most: int = MAX_GROUNDS) -> None:
        self.number, self.most, self.missed = number, most, 0
        self._table, self._packing = table, packing
        self._prefix = f"{GROUNDS}{number}/"
        self._decoder, self._encoder = msgspec.msgpack.Decoder(Grounds), msgspec.msgpack.Encoder()
        self._users: dict[str, int] = {}
        self._used: dict[str, tuple[str, ...]] = {}
        self._idle: dict[str, float | None] = {}
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
            self._idle[name] = None

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
            self._idle.pop(name, None)
        for name in before:
            self._users[name] -= 1
            if not self._users[name]:
                self._idle[name] = None

    def share(self, alert: Alert) -> Alert:
        """The same alert, on grounds that it shares with others; on its own, where there is no room for them."""
        identity, detail = _identity(alert), alert.lenswatch
        if identity in self._known:
            return alert
        grounds = Grounds(alert.rule, detail.entity, detail.endpoint, detail.listings, detail.duties, detail.verdicts)
        packed = self._encoder.encode(grounds)
        name = hashlib.blake2b(packed, digest_size=NAME_BYTES).hexdigest()
        if name in self._users:
            found = self._look_up(name)
            return alert if found is None else _whole(alert, found)
        if len(self._users) < self.most:
            self._users[name], self._idle[name] = 0, None
            self._fresh[name] = self._packing.pack(Entry(self.number, 0.0, 0.0, None, 0), grounds)
            self._open[name], self._known[identity] = grounds, name
        return alert

    def lend(self, alert: Alert, names: dict[str, None]) -> Alert:
        """An alert that was shared, without its grounds, which go to the `names`; as it is, where it is on its own."""
        name = self._known.get(_identity(alert))
        if name is None:
            return alert
        names[name] = None
        return msgspec.structs.replace(
            alert,
            rule=RuleReference(id=name, name="", version="", ruleset=""),
            lenswatch=msgspec.structs.replace(
                alert.lenswatch, entity=None, endpoint=None, listings=None, duties=None, verdicts=None
            ),
        )

    def join(self, alert: Alert) -> Alert | None:
        """The whole alert, of one that names its grounds; None where they are nowhere, which is counted (`missed`)."""
        if alert.rule.version:
            return alert
        found = self._look_up(alert.rule.id)
        if found is None:
            self.missed += 1
            return None
        return _whole(alert, found)

    def _look_up(self, name: str) -> Grounds | None:
        grounds = self._open.get(name)
        if grounds is None:
            data = self._table.get(self._prefix + name)
            if data is None:
                return None
            grounds = self._open[name] = self._decoder.decode(self._packing.unpack(data)[1])
            self._known[_identity_of(grounds)] = name
        return grounds

    def changes(self, at: float) -> tuple[dict[str, bytes | None], dict[str, bytes | None]]:
        """The grounds to write before the entries that stand on them, and those to delete after these: nobody has stood
        on them for a while. `at`: the time of the last record."""
        fresh: dict[str, bytes | None] = {self._prefix + name: data for name, data in self._fresh.items()}
        self._fresh = {}
        gone: dict[str, bytes | None] = {}
        for name, since in list(self._idle.items()):
            if since is None:
                self._idle[name] = at
            elif at >= since + IDLE_SECONDS:
                gone[self._prefix + name] = None
                del self._idle[name], self._users[name]
                grounds = self._open.pop(name, None)
                if grounds is not None:
                    self._known.pop(_identity_of(grounds), None)
        return fresh, gone


def _whole(alert: Alert, grounds: Grounds) -> Alert:
    detail = msgspec.structs.replace(
        alert.lenswatch, entity=grounds.entity, endpoint=grounds.endpoint, listings=grounds.listings,
        duties=grounds.duties, verdicts=grounds.verdicts,
    )  # fmt: skip
    return msgspec.structs.replace(alert, rule=grounds.rule, lenswatch=detail)


def _identity(alert: Alert) -> tuple[int, ...]:
    detail = alert.lenswatch
    parts = (alert.rule, detail.entity, detail.endpoint, detail.listings, detail.duties, detail.verdicts)
    return tuple(map(id, parts))


def _identity_of(grounds: Grounds) -> tuple[int, ...]:
    return tuple(id(getattr(grounds, name)) for name in grounds.__struct_fields__)
