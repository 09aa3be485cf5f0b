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
        network=Network(transport="udp", type="ipv4", community_id="", direction="outbound"),
        device=Device(id=f"{site}/canary/{sensor}"),
        lenswatch=Lenswatch(site=site),
    )


class Canaries:
    """When the next canary of a sensor is due: every so many seconds, the first after one such time; 0: never."""

    def __init__(self, sensor: str, site: str, every_seconds: float, at: float) -> None:
        self.sensor, self.site, self.every_seconds = sensor, site, every_seconds
        self._next = at + every_seconds

    def due(self, at: float) -> list[Observation]:
        """The canary that is due at this time (seconds since 1970), or nothing."""
        if not self.every_seconds or at < self._next:
            return []
        self._next = at + self.every_seconds
        return [make_canary(self.sensor, self.site, datetime.datetime.fromtimestamp(at, datetime.UTC))]
