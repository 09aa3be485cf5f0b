"""One partition of the observations: what is known of its devices, and what a record of it changes. Pure.

The state of a device is one value of a plain mapping (a Kafka table, or a dictionary): its open findings and, in the
same value, which records are counted in them. So a record that is read again after a crash finds either both or none
of what it had changed, and changes nothing twice. What changed is asked for, and packed, as seldom as it is written.

Time comes in with the records: the packets' in the observations, and the clock's in ticks, records that hold nothing
but a time. They are read in the order of the partition like any other, so that reading again does the same again; so is
the word that a device is to be forgotten.
"""

import datetime
import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from collector.observation import Observation
from rules.alert import Alert
from rules.correlate import Windows
from rules.match import RuleSet
from streams.processors import dedupe, liveness
from streams.processors.baseline import LEARNING_DAYS, Baseline, Habits
from streams.processors.correlate import Correlate
from streams.processors.detect import Memory, concerning, judge
from streams.processors.entry import DEVICE, GROUNDS, SENSOR, Entry, Head, Packing
from streams.processors.firmware import Updates, UpdateState
from streams.processors.fold import Fold, FoldState
from streams.processors.grounds import Shelf

MAX_DEVICES: Final = 200_000
MAX_DEVICE_FINDINGS: Final = 200
MAX_DEVICE_REMEMBERED: Final = 20
MAX_LIVE: Final = 1_000
MAX_PARTITION_ORIGINS: Final = 1_000
READ_AT_ONCE: Final = 200
FORGET_SECONDS: Final = 3 * 86_400.0
FORGET_HABITS_SECONDS: Final = 90 * 86_400.0


class Body(msgspec.Struct, array_like=True):
    """The findings of a device, the windows of its correlations, and what is known of its updates and of what is usual
    for it. `marks` says which records are counted in all of it."""

    marks: dict[str, list[int]] = {}
    fold: FoldState | None = None
    windows: Windows | None = None
    update: UpdateState | None = None
    habits: Habits | None = None


class Batch(NamedTuple):
    """The observations of one record, where they are from, and the record's own time (seconds since 1970). They are
    looked at once, in order."""

    sensor: str
    boot_id: str
    seq: int
    at: float
    observations: Iterable[Observation]


class Outcome(NamedTuple):
    """What a record came to: the news, in order, and how many hits there were; `waived` by the waiver's id."""

    news: list[Alert]
    matched: int = 0
    told: int = 0
    waived: Mapping[str, int] = {}
    duplicate: bool = False


class Device:
    """A device's entry, unpacked."""

    __slots__ = ("_habits", "entry", "marks", "memory", "name", "windows")

    def __init__(
        self, name: str, entry: Entry, body: Body, let_go: Counter[str], pending: set[str], learning_days: int
    ) -> None:
        self.entry, self.name, self.marks = entry, name, body.marks
        habits = body.habits or Habits()
        self.windows, self._habits = body.windows or Windows(), habits
        fold = Fold(MAX_DEVICE_FINDINGS, MAX_DEVICE_REMEMBERED, body.fold)
        updates = Updates({} if body.update is None else {name: body.update}, counts=let_go, pending=pending)
        # Not of self: a circle would keep what was put away until somebody collects it.
        baseline = Baseline(lambda _: habits, learning_days)
        self.memory = Memory(fold, Correlate({name: self.windows}, counts=let_go), updates, baseline)

    @property
    def update(self) -> UpdateState | None:
        """What is known of the device's updates."""
        return self.memory.updates.devices.get(self.name)

    @property
    def habits(self) -> Habits | None:
        """What is usual for the device; None where nothing was learned."""
        return self._habits if self._habits.began is not None else None

    @property
    def forget_seconds(self) -> float:
        """After how long a device of which nothing is heard is forgotten."""
        return FORGET_SECONDS if self.habits is None else FORGET_HABITS_SECONDS

    @property
    def fold(self) -> Fold:
        """The device's findings."""
        return self.memory.fold


class Partition:
    """The devices of one partition. `table` holds their entries, and is only read here.

    `seen` says when devices and `sensors` were last seen (packet time), by their keys; `updated` when devices were last
    updated (packet time; None never, as far as was seen). `evicted` counts devices that were forgotten for want of
    room, `refused` findings that were ended for it, and `let_go` what correlations did not count, by reason. `shelf`
    has what the rules say in the findings.
    """

    def __init__(
        self,
        number: int,
        table: Mapping[str, bytes],
        heads: Iterable[tuple[str, Head]] = (),
        settle_seconds: float = 30.0,
        max_devices: int = MAX_DEVICES,
        learning_days: int = LEARNING_DAYS,
    ) -> None:
        self.number, self.settle_seconds, self.max_devices = number, settle_seconds, max_devices
        self.learning_days = learning_days
        self.seen: dict[str, float] = {}
        self.sensors: set[str] = set()
        self.evicted = self.refused = 0
        self.let_go: Counter[str] = Counter()
        self._table = table
        self._written: dict[str, float] = {}
        self._due: dict[str, float] = {}
        # None of `_due` is before: most are put off again and again, and need not be looked at for that.
        self._first_due = math.inf
        self._open: dict[str, int] = {}
        self._live: dict[str, Device] = {}
        self._changed: dict[str, Device] = {}
        self._packed: dict[str, bytes | None] = {}
        # Devices whose every observation may tell of an update; those with an open finding, until they are looked at.
        self._pending: set[str] = set()
        self.updated: dict[str, float | None] = {}
        self._unread: list[str] = []
        self._origins: dict[str, list[int]] = {}
        self._at = 0.0
        self._packing, self._body = Packing(), msgspec.msgpack.Decoder(Body)
        self.shelf = Shelf(number, table, self._packing)
        for key, head in heads:
            if key.startswith(GROUNDS):
                self.shelf.find(key)
                continue
            self.shelf.use(key, head.names)
            self.seen[key] = self._written[key] = head.seen
            if key.startswith(DEVICE):
                self._unread.append(key)
            else:
                self.sensors.add(key)
            if head.due is not None:
                self._put_off(key, head.due)
            if head.open:
                self._open[key] = head.open
                self._pending.add(key.removeprefix(DEVICE))

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def open_findings(self) -> int:
        """Findings that have not ended."""
        return sum(self._open.values())

    @property
    def unwritten(self) -> int:
        """Entries that `changes` would have to write, but for the grounds'."""
        return len(self._changed) + len(self._packed)

    def take(self, batch: Batch, rules: RuleSet, on: datetime.date | None = None) -> Outcome:
        """The news of a record's observations. A record that was counted already changes nothing."""
        self._at = max(self._at, batch.at)
        origin = dedupe.origin_of(batch.sensor, batch.boot_id)
        duplicate = dedupe.is_counted(self._origins, origin, batch.seq)
        dedupe.count(self._origins, origin, batch.seq, MAX_PARTITION_ORIGINS)
        touched: dict[str, Device | None] = {}

        def memory_of(device_id: str) -> Memory | None:
            key = DEVICE + device_id
            if key not in touched:
                device = self._device(key)
                touched[key] = None if dedupe.is_counted(device.marks, origin, batch.seq) else device
            known = touched[key]
            return known.memory if known is not None else None

        newest: dict[str, datetime.datetime] = {}
        found = concerning(noting(batch.observations, newest), rules, self._pending)
        judged = judge(found, rules, memory_of, on, self._pending)
        due = self._note_seen(batch, newest)
        changed = set()
        for key, device in touched.items():
            if device is not None:
                dedupe.count(device.marks, origin, batch.seq)
                self._change(key, device, batch.at)
                changed.add(key)
        for key in due:
            if key not in changed:
                self._change(key, self._device(key), batch.at)
                changed.add(key)
        self._evict(changed)
        return Outcome(judged.news, judged.matched, judged.told, judged.waived, duplicate)

    def tick(self, at: float) -> Outcome:
        """The news that the time itself brings: findings whose window is over and on which nothing was counted for a
        while. Devices that nothing was heard of for days are forgotten."""
        self._at = max(self._at, at)
        news: list[Alert] = []
        for key in [key for key, due in self._due.items() if due <= at]:
            device = self._device(key)
            if at < device.entry.touched + self.settle_seconds:
                continue
            news += device.fold.windows_over(at)
            if device.fold.next_end() is None and at >= device.entry.touched + device.forget_seconds:
                self._forget(key)
            else:
                self._change(key, device, device.entry.touched)
        return Outcome(news)

    def forget(self, device_id: str) -> bool:
        """Nothing is known of this device any more, as if it had never been seen; whether anything was."""
        known = DEVICE + device_id in self.seen
        if known:
            self._forget(DEVICE + device_id)
        return known

    def changes(self) -> dict[str, bytes | None]:
        """The entries to write for all that was taken since this was asked last; None deletes."""
        self._packed.update({key: self._pack(key, device) for key, device in self._changed.items()})
        fresh, gone = self.shelf.changes(self._at)
        changes = fresh | self._packed | gone
        self._changed, self._packed = {}, {}
        return changes

    def read_updates(self, most: int = READ_AT_ONCE) -> None:
        """Read on in the entries of a table that was taken over, for when devices were updated: a few at a time, since
        a record must not wait for it."""
        for _ in range(min(most, len(self._unread))):
            key = self._unread.pop()
            data = self._table.get(key)
            if data is not None and key not in self.updated:
                _, body = self._packing.unpack(data)
                self._note_update(key, self._body.decode(body).update if body else None)

    def _note_update(self, key: str, update: UpdateState | None) -> None:
        if update is not None:
            at = update.clock.updated_at
            self.updated[key] = at.timestamp() if at is not None else None

    def is_due(self, at: float) -> bool:
        """Whether a tick at this time would find anything to do."""
        if self._first_due <= at:
            self._first_due = min(self._due.values(), default=math.inf)
        return self._first_due <= at

    def _put_off(self, key: str, due: float) -> None:
        self._due[key] = due
        self._first_due = min(self._first_due, due)

    def silent(self, before: float) -> int:
        """How many devices were not seen since then."""
        everybody = sum(last < before for last in self.seen.values())
        return everybody - sum(self.seen[key] < before for key in self.sensors)

    def _note_seen(self, batch: Batch, newest: Mapping[str, datetime.datetime]) -> list[str]:
        """Note who was seen; who is to be written for it. A clock that runs ahead is held at the record's own time."""
        times = {DEVICE + who: last.timestamp() for who, last in newest.items()}
        if times:
            sensor = f"{SENSOR}{self.number}/{batch.sensor}"
            times[sensor] = max(times.values())
            self.sensors.add(sensor)
        due = []
        for key, time in times.items():
            held = min(time, batch.at)
            if liveness.note_seen(self.seen, key, held) or held >= self._written[key] + liveness.STEP_SECONDS:
                self._written[key] = held
                due.append(key)
        return due

    def _device(self, key: str) -> Device:
        device = self._live.pop(key, None) or self._changed.get(key)
        if device is None:
            data = self._packed[key] if key in self._packed else self._table.get(key)
            entry, body = Entry(self.number, float("-inf"), 0.0, None, 0), Body()
            if data is not None:
                entry, packed = self._packing.unpack(data)
                body = self._open_body(packed)
            device = Device(key.removeprefix(DEVICE), entry, body, self.let_go, self._pending, self.learning_days)
        if len(self._live) >= MAX_LIVE:
            del self._live[next(iter(self._live))]
        self._live[key] = device
        return device

    def _change(self, key: str, device: Device, at: float) -> None:
        """Note that a device is to be written; what many others were changed after is packed at once."""
        self.refused += device.fold.evicted
        device.fold.evicted = 0
        entry = device.entry
        entry.touched = max(entry.touched, at)
        entry.seen = max(entry.seen, self.seen.get(key, entry.seen))
        self._note_update(key, device.update)
        if device.update is None or not device.update.is_pending:
            self._pending.discard(device.name)
        end = device.fold.next_end()
        wait = device.forget_seconds if end is None else self.settle_seconds
        entry.due = max(entry.touched + wait, end or 0.0)
        self._put_off(key, entry.due)
        entry.open = len(device.fold)
        if entry.open:
            self._open[key] = entry.open
        else:
            self._open.pop(key, None)
        self._changed.pop(key, None)
        self._changed[key] = device
        if len(self._changed) > MAX_LIVE:
            oldest = next(iter(self._changed))
            self._packed[oldest] = self._pack(oldest, self._changed.pop(oldest))

    def _pack(self, key: str, device: Device) -> bytes:
        state, names, update = device.fold.state(), dict[str, None](), device.update
        for alerts in (state.open, state.remembered):
            for finding, alert in alerts.items():
                alerts[finding] = self.shelf.share(alert)
        if update is not None and update.open is not None:
            update.open.alert = self.shelf.share(update.open.alert)
        body = Body(
            device.marks,
            state if state.open or state.remembered else None,
            device.windows if device.windows.groups else None,
            device.update,
            device.habits,
        )
        body = each_alert(body, lambda alert: self.shelf.lend(alert, names))
        device.entry.grounds = list(names)
        self.shelf.use(key, names)
        return self._packing.pack(device.entry, body)

    def _open_body(self, data: bytes) -> Body:
        if not data:
            return Body()
        return each_alert(self._body.decode(data), self.shelf.join)

    def _forget(self, key: str) -> None:
        for memory in (
            self.seen, self._written, self._due, self._open, self._live, self._changed, self.updated,
        ):  # fmt: skip
            memory.pop(key, None)
        self._pending.discard(key.removeprefix(DEVICE))
        self.sensors.discard(key)
        self.shelf.use(key, ())
        self._packed[key] = None

    def _evict(self, changed: Collection[str]) -> None:
        """Past the bound those go that were known first, unless the record itself is about them."""
        excess = len(self.seen) - self.max_devices
        if excess > 0:
            gone = list(itertools.islice((key for key in self.seen if key not in changed), excess))
            for key in gone:
                self._forget(key)
            self.evicted += len(gone)


def noting(found: Iterable[Observation], newest: dict[str, datetime.datetime]) -> Iterator[Observation]:
    """The observations, each noted: when a device was seen last."""
    for observation in found:
        device = observation.device
        if device is not None:
            at, last = observation.timestamp, newest.get(device.id)
            if last is None or at > last:
                newest[device.id] = at
        yield observation


def each_alert(body: Body, do: Callable[[Alert], Alert | None]) -> Body:
    """The body, with something done to each alert in it; one of which nothing is left goes."""
    fold, update = body.fold, body.update
    if fold is not None:
        opened, remembered = (
            {key: found for key, each in some.items() if (found := do(each)) is not None}
            for some in (fold.open, fold.remembered)
        )
        told = {key: count for key, count in fold.told.items() if key in opened}
        fold = FoldState(opened, told, remembered, fold.sweep_at)
    if update is not None and update.open is not None:
        begun = do(update.open.alert)
        update = msgspec.structs.replace(
            update, open=None if begun is None else msgspec.structs.replace(update.open, alert=begun)
        )
    return Body(body.marks, fold, body.windows, update, body.habits)
