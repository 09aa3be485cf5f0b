"""The firmware transaction of a device: check, download, install, new version. One alert, step by step. Pure.

A check or a download by its maker's patterns is a hit of a detection; its alert is the transaction's. What no detection
can tell from one observation is told here, into the same alert: a download of firmware's size by a device that checked
before, that it fell silent and was back, that it says another version. Times are the packets'. The state of a device is
one plain value, which is kept where the windows of its correlations are.
"""

import datetime
from collections import Counter
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Final

import msgspec

from collector.observation import (
    BEGINNINGS,
    DEVICE_DATASET,
    FILE_DATASET,
    FIRMWARE_PUSH,
    FLOW_DATASET,
    Observation,
)
from rules.alert import Alert, Step, Update
from rules.match import Hit

CHECK, DOWNLOAD, INSTALL, NEW_VERSION = "check", "download", "install", "new_version"
STEPS: Final = (CHECK, DOWNLOAD, INSTALL, NEW_VERSION)
STEP_WORDS: Final = {
    CHECK: "the check", DOWNLOAD: "the download", INSTALL: "the restart", NEW_VERSION: "the new version"
}  # fmt: skip
MAKER, INSIDE = "maker", "inside"
MIN_FIRMWARE_BYTES: Final = 2 << 20
"""What a camera is sent in one piece and is no message: of the makers' images, the smallest have some megabytes."""
CHECKED_SECONDS: Final = 24 * 3600.0
"""How long after a check a download belongs to it."""
INSTALL_SECONDS: Final = 24 * 3600.0
VERSION_SECONDS: Final = 7 * 86_400.0
MIN_SILENCE_SECONDS: Final = 20.0
"""Of a device that then begins anew: DHCP DISCOVER (RFC 2131 4.4.1), or WS-Discovery's Hello (1.1, 4.1)."""
LONG_SILENCE_SECONDS: Final = 7_500.0
"""A camera that is there is told of once an hour: who was not for two hours was gone, unless it often is that quiet."""
QUIETER: Final = 2.0
"""A silence that counts by its length alone is so many times longer than any that is usual of the device."""
USUAL_FADES: Final = 0.98
MIN_HEARD: Final = 3
MAX_DEVICES: Final = 100_000
DEVICES_EVICTED: Final = "updates_evicted"
TELLING: Final = frozenset((FLOW_DATASET, DEVICE_DATASET, FILE_DATASET, *BEGINNINGS))
MAKERS_CONTAINERS: Final = ("Hikvision ", "Dahua ")


class Clock(msgspec.Struct, omit_defaults=True):
    """The update clock: when the device last asked for firmware and of whom, when it last was given some (or said that
    it has another version) and by whom."""

    checked_at: datetime.datetime | None = None
    checked_with: str | None = None
    updated_at: datetime.datetime | None = None
    updated_by: str | None = None
    origin: str | None = None


class Transaction(msgspec.Struct, omit_defaults=True):
    """A transaction that may go on. `alert` is its last revision, `seen` when anything of the device was last seen, and
    `before` when before that: what one packet makes known has one time, and is one sight of the device. `peer` is the
    address that the download came from, `sized` whether its size is known."""

    alert: Alert
    begun: datetime.datetime
    seen: datetime.datetime
    downloaded: datetime.datetime | None = None
    installed: datetime.datetime | None = None
    before: datetime.datetime | None = None
    peer: str | None = None
    sized: bool = False

    def see(self, at: datetime.datetime) -> None:
        """Something of the device was seen."""
        if at > self.seen:
            self.before, self.seen = self.seen, at

    def silent_seconds(self, at: datetime.datetime) -> float:
        """How long nothing was seen of it before this time."""
        last = self.seen if self.seen < at else self.before or self.seen
        return (at - last).total_seconds()


class UpdateState(msgspec.Struct, omit_defaults=True):
    """All that is kept of a device's updates. `heard` is when it was last told of as being there, `usual_seconds` the
    longest that it usually is not; the past fades."""

    clock: Clock = msgspec.field(default_factory=Clock)
    version: str | None = None
    version_since: datetime.datetime | None = None
    open: Transaction | None = None
    heard: datetime.datetime | None = None
    heard_count: int = 0
    usual_seconds: float = 0.0

    @property
    def is_pending(self) -> bool:
        """Whether its return is waited for, so that everything that is seen of it counts."""
        return self.open is not None and self.open.downloaded is not None and self.open.installed is None


def concerns_updates(observation: Observation) -> bool:
    """Whether an observation may tell anything of an update by itself."""
    dataset = observation.event.dataset
    if dataset not in TELLING or observation.device is None:
        return False
    if dataset == FLOW_DATASET:
        return observation.network.direction == "outbound" and (observation.destination.bytes or 0) > MIN_FIRMWARE_BYTES
    return dataset not in BEGINNINGS or BEGINNINGS[dataset] == observation.event.action


class Updates:
    """The transactions of devices, in `devices`: a dict, or what outlives the process. A state that has changed is
    assigned anew, so that such a mapping notices. `pending` are devices whose every observation is to be shown."""

    def __init__(
        self,
        devices: MutableMapping[str, UpdateState] | None = None,
        max_devices: int = MAX_DEVICES,
        counts: Counter[str] | None = None,
        pending: set[str] | None = None,
    ) -> None:
        self.devices: MutableMapping[str, UpdateState] = {} if devices is None else devices
        self.max_devices = max_devices
        self.counts: Counter[str] = Counter() if counts is None else counts
        self.pending: set[str] = set() if pending is None else pending
        self.pending.update(device for device, state in self.devices.items() if state.is_pending)

    def begun(self, device: str) -> Alert | None:
        """The alert of the transaction that a device is in, as it was last known."""
        known = self._transaction(device)
        return known.alert if known is not None else None

    def claim(self, hit: Hit) -> Alert | None:
        """Let a hit that shows a step be of the transaction to which it belongs: a download of the check before it,
        whatever day and rule each was found by. The transaction's alert as it was last known; None for no such."""
        known, at = self._transaction(hit.device), hit.observation.timestamp
        if known is None or hit.step != DOWNLOAD:
            return None
        begun = known.begun if known.downloaded is None else known.downloaded
        if not _within(begun, at, CHECKED_SECONDS) or known.installed is not None:
            return None
        hit.id = known.alert.event.id
        return known.alert

    def _transaction(self, device: str) -> Transaction | None:
        state = self.devices.get(device)
        return state.open if state is not None else None

    def note(self, hit: Hit, alert: Alert | None) -> None:
        """A hit that shows a step was found; `alert` is its finding as it stands, None where it is not told."""
        device, at, step = hit.device, hit.observation.timestamp, hit.step
        state = self.devices.get(device) or UpdateState()
        contact = hit.seen.contact
        pushed = hit.observation.lenswatch.pushed_by if hit.observation.lenswatch is not None else None
        who = pushed or (contact.name or contact.address if contact is not None else None)
        clock = state.clock
        fetching = (
            clock.updated_at is not None and clock.updated_by == who and _within(clock.updated_at, at, CHECKED_SECONDS)
        )
        if step == CHECK and not fetching and (clock.checked_at is None or at >= clock.checked_at):
            clock.checked_at, clock.checked_with = at, who
        elif step == DOWNLOAD:
            self._updated(clock, at, who, INSIDE if hit.observation.event.action == FIRMWARE_PUSH else MAKER)
        if alert is not None:
            self._open(state, hit, alert, step == DOWNLOAD)
        self._keep(device, state)

    @staticmethod
    def _updated(clock: Clock, at: datetime.datetime, by: str | None, origin: str | None) -> None:
        if clock.updated_at is None or at >= clock.updated_at:
            clock.updated_at, clock.updated_by, clock.origin = at, by, origin

    @staticmethod
    def _open(state: UpdateState, hit: Hit, alert: Alert, downloaded: bool) -> None:
        known, at = state.open, hit.observation.timestamp
        if known is not None and known.alert.event.id == alert.event.id:
            known.alert = alert
            known.see(at)
        elif downloaded or known is None or known.downloaded is None or at > known.begun + _span(VERSION_SECONDS):
            known = state.open = Transaction(alert, at, at)
        else:
            # It looks whether there is more, while what it fetched is still to be installed.
            return
        if downloaded:
            known.downloaded = min(known.downloaded or at, at)
            known.peer = known.peer or hit.observation.destination.ip
            known.sized = known.sized or hit.observation.file is not None

    def follow(self, observation: Observation) -> Alert | None:
        """What an observation of a device adds to its transaction, as an alert of the same id; None for nothing."""
        device = observation.device
        if device is None:
            return None
        state = self.devices.get(device.id)
        dataset, known = observation.event.dataset, state.open if state is not None else None
        if state is None:
            if dataset != DEVICE_DATASET:
                return None
            state = UpdateState()
        at, step = observation.timestamp, None
        if known is not None:
            step = self._install(state, known, observation) or self._download(state, known, observation)
        # What a device says is told when it is there again, so that the version comes after the return.
        steps = [each for each in (step, self._version(state, observation)) if each is not None]
        if known is not None:
            known.see(at)
        if dataset == DEVICE_DATASET:
            _hear(state, at)
        alert = _added(known.alert, observation, steps) if known is not None and steps else None
        if known is not None and any(each.step == NEW_VERSION for each in steps):
            state.open = None
        self._keep(device.id, state)
        return alert

    def told(self, device: str, alert: Alert | None) -> None:
        """An alert of `follow` was put into its finding, which now stands so."""
        state = self.devices.get(device)
        if state is not None and state.open is not None and alert is not None:
            state.open.alert = alert
            self._keep(device, state)

    @staticmethod
    def _install(state: UpdateState, known: Transaction, observation: Observation) -> Step | None:
        at, begun = observation.timestamp, known.downloaded
        if begun is None or known.installed is not None or not _within(begun, at, INSTALL_SECONDS):
            return None
        silent = known.silent_seconds(at)
        began = BEGINNINGS.get(observation.event.dataset)
        anew = began is not None and began == observation.event.action
        long = max(LONG_SILENCE_SECONDS, QUIETER * state.usual_seconds)
        if silent < (MIN_SILENCE_SECONDS if anew else long) or not (anew or state.heard_count >= MIN_HEARD):
            return None
        known.installed = at
        words = f"begins anew ({observation.event.dataset.rpartition('.')[2]} {began})" if anew else "is back"
        return Step(
            step=INSTALL, at=at, detail=f"silent for {silent:.0f} s, then {words}", observation=observation.event.id,
            silent_seconds=silent,
        )  # fmt: skip

    def _download(self, state: UpdateState, known: Transaction, observation: Observation) -> Step | None:
        file, dataset, at = observation.file, observation.event.dataset, observation.timestamp
        if dataset not in (FLOW_DATASET, FILE_DATASET) or observation.event.action in ("upload", FIRMWARE_PUSH):
            return None
        size = file.size if file is not None else observation.destination.bytes or 0
        theirs = observation.destination
        if known.downloaded is not None:
            # The connection that the download came by has ended: that is its size, where nothing nearer is known.
            if known.sized or theirs.ip != known.peer or file is not None or size < MIN_FIRMWARE_BYTES:
                return None
            probable = None
        else:
            container = _container(observation)
            surely = container is not None and container.startswith(MAKERS_CONTAINERS)
            if not _within(known.begun, at, CHECKED_SECONDS) or (size < MIN_FIRMWARE_BYTES and not surely):
                return None
            probable = None if surely else True
            known.downloaded, known.peer = at, theirs.ip
            inside = observation.network.direction == "internal"
            self._updated(state.clock, at, theirs.domain or theirs.ip, INSIDE if inside else MAKER)
        known.sized = True
        how = "in the clear" if file is not None else "by its size, what was fetched being encrypted or not read"
        return Step(
            step=DOWNLOAD, at=at, detail=observation.url.original if observation.url is not None else how,
            observation=observation.event.id, host=theirs.domain or theirs.ip, size_bytes=size, probable=probable,
            origin=INSIDE if observation.network.direction == "internal" else None,
            mime_type=file.mime_type if file is not None else None,
            sha256=file.hash.sha256 if file is not None else None, container=_container(observation),
        )  # fmt: skip

    def _version(self, state: UpdateState, observation: Observation) -> Step | None:
        more = observation.lenswatch
        said = more.device.firmware if more is not None and more.device is not None else None
        at, before = observation.timestamp, state.version
        if observation.event.dataset != DEVICE_DATASET or said is None or said == before:
            return None
        if state.version_since is not None and at < state.version_since:
            return None
        state.version, state.version_since = said, at
        if before is None:
            return None
        known = state.open
        if known is None or not _within(known.begun, at, VERSION_SECONDS):
            self._updated(state.clock, at, None, None)
            return None
        if known.downloaded is None:
            self._updated(state.clock, at, None, None)
        return Step(
            step=NEW_VERSION, at=at, detail=f"{before} before, {said} now", observation=observation.event.id,
            version_before=before, version_after=said,
        )  # fmt: skip

    def _keep(self, device: str, state: UpdateState) -> None:
        if device not in self.devices and len(self.devices) >= self.max_devices:
            first = next(iter(self.devices))
            del self.devices[first]
            self.pending.discard(first)
            self.counts[DEVICES_EVICTED] += 1
        self.devices[device] = state
        if state.is_pending:
            self.pending.add(device)
        else:
            self.pending.discard(device)


def _hear(state: UpdateState, at: datetime.datetime) -> None:
    """The device is there. A silence after a download is none that is usual."""
    if state.heard is not None and at <= state.heard:
        return
    if state.heard is not None and not state.is_pending:
        state.usual_seconds = max((at - state.heard).total_seconds(), state.usual_seconds * USUAL_FADES)
    state.heard, state.heard_count = at, min(state.heard_count + 1, MIN_HEARD)


def _span(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)


def _within(begun: datetime.datetime, at: datetime.datetime, seconds: float) -> bool:
    return begun <= at <= begun + _span(seconds)


def _container(observation: Observation) -> str | None:
    more = observation.lenswatch
    return more.file.container if more is not None and more.file is not None else None


def _added(alert: Alert, observation: Observation, steps: list[Step]) -> Alert:
    """An alert of the same finding that tells these steps and no more."""
    at, before = observation.timestamp, alert.lenswatch.update
    message = alert.message.removesuffix(f" {before.says}") if before is not None else alert.message
    detail = msgspec.structs.replace(
        alert.lenswatch, revision=1, state="new", count=1, first_seen=at, last_seen=at,
        evidence=[observation.event.id], steps=steps, update=None,
    )  # fmt: skip
    return msgspec.structs.replace(alert, timestamp=at, message=message, lenswatch=detail)


def merge_steps(steps: Iterable[Step]) -> list[Step]:
    """Each step once, as it was first seen, with what later sightings of it know besides, in order of time. A check
    after the download is no step towards it: the device looks whether there is more."""
    first: dict[str, Step] = {}
    for step in sorted(steps, key=lambda step: (step.at, step.observation)):
        known = first.get(step.step)
        first[step.step] = step if known is None else _filled(known, step)
    if CHECK in first and DOWNLOAD in first and first[CHECK].at > first[DOWNLOAD].at:
        del first[CHECK]
    return list(first.values())


def _filled(known: Step, later: Step) -> Step:
    """A step with what was not known of it. Of two files the first stays; a file says more than a connection's size."""
    if later.sha256 is not None and known.sha256 is None:
        known = msgspec.structs.replace(known, size_bytes=later.size_bytes)
    if known.probable and not later.probable:
        known = msgspec.structs.replace(known, probable=None)
    fresh = {
        name: getattr(later, name)
        for name in ("host", "size_bytes", "mime_type", "sha256", "container")
        if getattr(known, name) is None and getattr(later, name) is not None
    }
    return msgspec.structs.replace(known, **fresh) if fresh else known


def with_update(alert: Alert) -> Alert:
    """An alert that tells steps, with what they come to, and from the download on in its sentence too."""
    detail = alert.lenswatch
    steps, before = detail.steps or [], detail.update
    if not steps:
        return alert
    update = update_of(steps)
    message = alert.message.removesuffix(f" {before.says}") if before is not None else alert.message
    if any(step.step != CHECK for step in steps):
        message = f"{message} {update.says}"
    return msgspec.structs.replace(alert, message=message, lenswatch=msgspec.structs.replace(detail, update=update))


def update_of(steps: Sequence[Step]) -> Update:
    """What steps come to, and what was not seen."""
    by_name = {step.step: step for step in steps}
    download, version = by_name.get(DOWNLOAD), by_name.get(NEW_VERSION)
    giver = download or by_name.get(CHECK) or steps[0]
    inside = giver.origin == INSIDE
    wanted = [step for step in STEPS if not (inside and step == CHECK)]
    missing = [STEP_WORDS[step] for step in wanted if step not in by_name]
    if download is not None and download.sha256 is None:
        missing.append("the file itself")
    origin, by = (INSIDE if inside else MAKER), giver.host or giver.detail
    return Update(
        origin=origin,
        by=by,
        not_seen=missing,
        says=_sentence(by_name, inside, by, missing),
        version_before=version.version_before if version is not None else None,
        version_after=version.version_after if version is not None else None,
    )


def _sentence(by_name: dict[str, Step], inside: bool, by: str, missing: list[str]) -> str:
    said = []
    download, install, version = (by_name.get(name) for name in (DOWNLOAD, INSTALL, NEW_VERSION))
    if download is not None:
        size = f"{download.size_bytes:,} bytes " if download.size_bytes else ""
        what = f"{download.container} " if download.container else ""
        digest = f" (SHA-256 {download.sha256})" if download.sha256 else ""
        given = f"was given {size}{what}from inside, by {by}" if inside else f"fetched {size}{what}from {by}"
        probably = "probably " if download.probable else ""
        said.append(f"it {probably}{given}{digest}")
    if install is not None:
        said.append(f"was silent for {install.silent_seconds or 0:.0f} s and came back")
    if version is not None:
        said.append(f"says {version.version_after} now, {version.version_before} before")
    not_seen = f"Not seen: {', '.join(missing)}." if missing else "All of it was seen."
    return f"Update: {', '.join(said)}. {not_seen}" if said else not_seen
