"""Observations for tests that need many, of which nothing matters but the device, the size and the order."""

import datetime

from collector.observation import Device, Dns, DnsQuestion, Endpoint, Event, Network, Observation, Observer

DAY = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)


def device_id(device: int) -> str:
    return f"site/02:00:00:{device >> 16 & 255:02x}:{device >> 8 & 255:02x}:{device & 255:02x}"


def seen(number: int, device: int | None = 0, name: str = "camera.example") -> Observation:
    """The observation of this number, of a device, or of a bare address."""
    address = f"10.{(device or 0) >> 16 & 255}.{(device or 0) >> 8 & 255}.{(device or 0) & 255}"
    return Observation(
        timestamp=DAY + datetime.timedelta(milliseconds=number),
        event=Event(kind="event", dataset="lenswatch.dns", id=f"{number:016x}"),
        observer=Observer(name="sensor"),
        source=Endpoint(ip=address, port=40_000),
        destination=Endpoint(ip="192.0.2.53", port=53),
        network=Network(transport="udp", type="ipv4", community_id="1:x"),
        device=None if device is None else Device(id=device_id(device)),
        dns=Dns(type="query", question=DnsQuestion(name=name, type="A")),
    )
