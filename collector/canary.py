"""The canary: an observation that no packet made, marked as such, to prove the way from here to the last sink."""

import datetime
import hashlib
from typing import Final

from collector.observation import Device, Endpoint, Event, Lenswatch, Network, Observation, Observer

DATASET: Final = "lenswatch.canary"
# Addresses of documentation (RFC 5737), and a name that never resolves (RFC 2606): nothing of it can be taken for real.
FROM, TO, ZONE = "192.0.2.1", "192.0.2.2", "canary.invalid"


def make_canary(sensor: str, site: str, at: datetime.datetime) -> Observation:
    """The canary of this sensor at this time. Each is a finding of its own: its name holds the time."""
    name = f"t{int(at.timestamp())}.{ZONE}"
    identifier = hashlib.sha256("\0".join(("canary", sensor, site, name)).encode()).hexdigest()[:32]
    return Observation(
        timestamp=at,
        event=Event(kind="event", dataset=DATASET, id=identifier),
        observer=Observer(name=sensor),
        source=Endpoint(ip=FROM),
        destination=Endpoint(ip=TO, domain=name),
        network=Network(transport="udp", type="ipv4", direction="outbound"),
        device=Device(id=f"{site}/canary/{sensor}"),
        lenswatch=Lenswatch(site=site),
    )
