"""The packets of an alert, from where they are kept: the ring of this machine, or the sensor's by way of Kafka."""

import asyncio
import os
import time
from typing import NamedTuple

from collector.errors import LenswatchError
from collector.evidence.exchange import EXPIRED, FOUND, MAX_ASKED
from collector.evidence.exhibit import write_exhibit
from collector.evidence.segments import find_packets
from rules.alert import Alert
from streams.evidence.asking import ask
from streams.settings import Settings, state_folder


class Fetched(NamedTuple):
    """A pcapng, the ids of observations of which nothing is kept, and how many packets had no room."""

    exhibit: bytes
    missing: list[str]
    left: int


def observations_of(alert: Alert) -> list[str]:
    """The ids of the observations that an alert rests on."""
    steps = [step.observation for step in alert.lenswatch.steps or ()]
    return list(dict.fromkeys((*alert.lenswatch.evidence, *steps)))[:MAX_ASKED]


def fetch(alert: Alert, settings: Settings, by_kafka: bool) -> Fetched:
    """The packets of an alert. Raises LenswatchError where there are none, with the reason."""
    return fetch_remote(alert, settings) if by_kafka else fetch_here(alert, settings)


def fetch_here(alert: Alert, settings: Settings) -> Fetched:
    """From the ring of this machine. Raises LenswatchError."""
    ours, short = settings.evidence, alert.event.id[:8]
    folder = ours.place(os.environ, state_folder(settings.store))
    found = find_packets(folder, observations_of(alert), ours.since_ns(time.time()))
    if found.packets:
        exhibit, left = write_exhibit(found)
        return Fetched(exhibit, found.missing, left)
    if not ours.keep:
        raise LenswatchError(f"{short}: no packets are kept: [evidence] keep is false")
    bound = f"at most {ours.max_bytes >> 20:,} MiB for {ours.max_age_seconds / 86_400:g} days"
    raise LenswatchError(f"{short}: its packets have expired, or were never kept in {folder} ({bound})")


def fetch_remote(alert: Alert, settings: Settings) -> Fetched:
    """From the sensor that saw it. Raises LenswatchError."""
    sensor, short = alert.observer.name, alert.event.id[:8]
    answer = asyncio.run(ask(settings.kafka, sensor, observations_of(alert)))
    if answer is None:
        raise LenswatchError(
            f"{short}: sensor {sensor} does not answer on {settings.kafka.evidence_topic}: is it running, with "
            "[evidence] keep = true?"
        )
    if answer.state == EXPIRED:
        raise LenswatchError(f"{short}: its packets have expired: sensor {sensor} does not keep them any more")
    if answer.state != FOUND or not answer.exhibit:
        raise LenswatchError(f"{short}: sensor {sensor} cannot read its packets; its log says why")
    return Fetched(answer.exhibit, answer.missing, answer.left)
