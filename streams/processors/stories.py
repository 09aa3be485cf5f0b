"""A device's story: what it is, where it was met, which firmware it said it had, and whom it called. Pure.

Told by two sorts of observations: those of the dataset lenswatch.device, and of flows out of our networks that have
ended. All times are the packets'. Whoever keeps stories (a file, a Kafka table) keeps them as they are here.
"""

import datetime
from typing import Final, TypeVar

import msgspec

from collector.observation import CAMERA_KINDS, DEVICE_DATASET, Device, DeviceIdentity, Endpoint, Observation

FLOW_DATASET: Final = "lenswatch.flow"
MAX_CALLED: Final = 100
MAX_VERSIONS: Final = 20
MAX_ADDRESSES: Final = 32


class Version(msgspec.Struct, omit_defaults=True):
    """A firmware that the device said it has, since when."""

    firmware: str
    since: datetime.datetime


class Called(msgspec.Struct, omit_defaults=True):
    """Whom the device called, by name, else by address: how often (`flows`, of these `attempts` that nobody answered),
    and the IP bytes that it sent and was sent. `ip` is the last address."""

    ip: str
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    flows: int = 0
    attempts: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    country: str | None = None
    as_number: int | None = None
    as_name: str | None = None


class Story(msgspec.Struct, omit_defaults=True):
    """All that is kept of a device. `called` is by name or address; `let_go` counts those whom the bound forgot."""

    id: str
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    device: Device
    identity: DeviceIdentity
    site: str | None = None
    addresses: list[str] = []
    hardware: list[str] = []
    firmware: list[Version] = []
    called: dict[str, Called] = {}
    let_go: int = 0

    @property
    def maker(self) -> str | None:
        """The likely maker."""
        return self.device.manufacturer or self.identity.maker


def concerns_story(observation: Observation) -> bool:
    """Whether an observation tells anything of a device's story."""
    dataset = observation.event.dataset
    if dataset == DEVICE_DATASET:
        return observation.device is not None
    if dataset != FLOW_DATASET or observation.network.direction != "outbound" or observation.device is None:
        return False
    more = observation.lenswatch
    if more is None or more.device is None or more.flow is None:
        return False
    return more.flow.state != "opened" and more.device.type in CAMERA_KINDS


def add(story: Story | None, observation: Observation) -> Story:
    """The story with what an observation tells (`concerns_story`); None begins one."""
    device, more, at = observation.device, observation.lenswatch, observation.timestamp
    if device is None or more is None or more.device is None:
        raise ValueError("an observation of no device tells no story")
    if story is None:
        story = Story(device.id, at, at, device, more.device, more.site)
    story.first_seen, story.last_seen = min(story.first_seen, at), max(story.last_seen, at)
    story.site = more.site or story.site
    if observation.event.dataset == DEVICE_DATASET:
        _learn(story, device, more.device, at)
    else:
        _call(story, observation.source, observation.destination, more.flow is not None and more.flow.state, at)
    return story


def _learn(story: Story, device: Device, identity: DeviceIdentity, at: datetime.datetime) -> None:
    """What is known now. A collector that began anew knows less: signs that are known already change nothing."""
    known = set(story.identity.evidence or ()) | set(story.identity.against or ())
    told = set(identity.evidence or ()) | set(identity.against or ())
    less = told < known and identity.confidence <= story.identity.confidence
    if not less:
        story.identity = msgspec.structs.replace(identity, addresses=None, hardware=None)
        story.device = device
    else:
        story.device = _filled(story.device, device)
        story.identity = _filled(story.identity, identity)
    _remember(story.addresses, identity.addresses)
    _remember(story.hardware, identity.hardware)
    firmware = identity.firmware
    last = story.firmware[-1] if story.firmware else None
    if firmware is not None and (last is None or (last.firmware != firmware and at >= last.since)):
        story.firmware.append(Version(firmware, at))
        del story.firmware[:-MAX_VERSIONS]


Said = TypeVar("Said", Device, DeviceIdentity)


def _filled(known: Said, told: Said) -> Said:
    """What is known, with what was not known before."""
    fresh = {
        field: getattr(told, field)
        for field in known.__struct_fields__
        if getattr(known, field) is None and getattr(told, field) is not None and field not in ("addresses", "hardware")
    }
    if isinstance(told, DeviceIdentity) and told.firmware is not None:
        fresh["firmware"] = told.firmware
    return msgspec.structs.replace(known, **fresh)


def _remember(known: list[str], told: list[str] | None) -> None:
    """The newest last, each once."""
    for each in told or ():
        if each in known:
            known.remove(each)
        known.append(each)
    del known[:-MAX_ADDRESSES]


def _call(story: Story, ours: Endpoint, theirs: Endpoint, state: str | bool, at: datetime.datetime) -> None:
    name = theirs.domain or theirs.ip
    called = story.called.get(name)
    if called is None:
        if len(story.called) >= MAX_CALLED:
            oldest = min(story.called, key=lambda each: (story.called[each].last_seen, each))
            del story.called[oldest]
            story.let_go += 1
        called = story.called[name] = Called(theirs.ip, at, at)
    called.first_seen, called.last_seen = min(called.first_seen, at), max(called.last_seen, at)
    called.ip = theirs.ip
    called.flows += 1
    called.attempts += state == "attempt"
    called.bytes_out += ours.bytes or 0
    called.bytes_in += theirs.bytes or 0
    if theirs.geo is not None:
        called.country = theirs.geo.country_iso_code
    if theirs.as_ is not None:
        called.as_number = theirs.as_.number
        called.as_name = theirs.as_.organization.name if theirs.as_.organization is not None else None
    _remember(story.addresses, [ours.ip])
