"""What is known of a device → an observation of the dataset lenswatch.device, where the device concerns us."""

import hashlib

import msgspec

from collector.identify.inventory import NOWHERE
from collector.identify.known import KnownDevice
from collector.observation import (
    DEVICE_DATASET,
    Endpoint,
    Event,
    Lenswatch,
    Network,
    Observation,
    Observer,
)
from collector.views import time_of

IDENTIFIED, SEEN = "identified", "seen"
NO_ADDRESS = NOWHERE[0]
MAX_TOLD_ADDRESSES = 16


def concerns_us(known: KnownDevice) -> bool:
    """Whether a device is told of: cameras and their kin, and what was taken for one. Of others, nothing is said."""
    known.told = known.told or known.is_camera
    return known.told


def tell_of(known: KnownDevice, action: str, at_ns: int, sensor: str, site: str, observer: Observer) -> Observation:
    """The device with all that makes its identity. The id is of the time and the content: the same news is the same."""
    addresses = list(dict.fromkeys(address for _, address in known.ends if address not in NOWHERE))[
        -MAX_TOLD_ADDRESSES:
    ]
    identity = msgspec.structs.replace(
        known.identity, addresses=addresses or None, hardware=list(known.hardware) or None
    )
    # People know a device by its IPv4 address, where it has one.
    address = next((each for each in reversed(addresses) if ":" not in each), (addresses or [NO_ADDRESS])[-1])
    here = Endpoint(ip=address, mac=known.hardware[0] if known.hardware else None)
    content = (
        known.device.id, identity.type, identity.confidence, identity.maker, identity.evidence, identity.against,
        known.model, known.serial_number, known.firmware, known.name, addresses, known.hardware,
    )  # fmt: skip
    text = f"{sensor}|{at_ns}|{action}|{content}".encode("utf-8", "surrogatepass")
    return Observation(
        timestamp=time_of(at_ns),
        event=Event(
            kind="event",
            dataset=DEVICE_DATASET,
            id=hashlib.blake2b(text, digest_size=16).hexdigest(),
            action=action,
        ),
        observer=observer,
        source=here,
        destination=here,
        network=Network(transport="", type="ipv6" if ":" in address else "ipv4", community_id="", direction="internal"),
        device=known.device,
        lenswatch=Lenswatch(device=identity, site=site),
    )
