"""Observations of many cameras, the same at each run, and what one process makes of them."""

import datetime
import random
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from collector.observation import Observation
from rules.alert import Alert
from rules.check import read_example
from rules.match import RuleSet
from streams.processors.correlate import Correlate
from streams.processors.detect import Memory, judge
from streams.processors.firmware import Updates
from streams.processors.fold import Fold

BEGIN = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)
CAMERA: dict[str, Any] = {
    "@timestamp": BEGIN.isoformat(),
    "event.dataset": "lenswatch.tls",
    "observer.name": "test",
    "source": {"ip": "10.0.0.11", "port": 40000},
    "destination": {"ip": "192.0.2.82", "port": 443},
    "network.direction": "outbound",
    "device.id": "site/a",
    "lenswatch.device": {"type": "camera", "confidence": 0.9},
    "lenswatch.site": "site",
}
SERVER = "materialfile.dahuasecurity.com"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"destination.domain": "www.example.org"},
    "cloud": {"destination.domain": "www.easy4ipcloud.com"},
    "maker": {"destination.domain": "dev.hik-connect.com"},
    "lookup": {"event.dataset": "lenswatch.dns", "dns": {"type": "query", "question": {"name": SERVER, "type": "A"}}},
    "check": {
        "event.dataset": "lenswatch.http", "destination.domain": SERVER,
        "url": {"original": "/cloudupgrade/check?model=IPC", "domain": SERVER, "path": "/cloudupgrade/check?model=IPC"},
    },
    "download": {
        "event.dataset": "lenswatch.http", "destination.domain": SERVER,
        "url": {"original": "/uploads/DH_IPC.bin", "domain": SERVER, "path": "/uploads/DH_IPC.bin"},
    },
    "other maker": {"destination.domain": "pub-cfg.secu100.net"},
    "third maker": {"destination.domain": "a1.tuyacn.com"},
    "refusal": {
        "event.dataset": "lenswatch.http", "destination.domain": SERVER,
        "http": {"response": {"status_code": 404}, "version": "1.1"},
    },
}  # fmt: skip
LOOKALIKES = ("dahuatec.xyz", "edahua.top", "www.hikvlsion-update.com", "dahuatec.top", "hikvlsion.net")
KINDS |= {name: {"destination.domain": name} for name in LOOKALIKES}
WEIGHTS = {"plain": 8, "cloud": 3, "maker": 1, "lookup": 2, "check": 1, "download": 1}
# Enough of everything that correlations count, for all that are shipped to be fulfilled.
TALLIED = WEIGHTS | {"other maker": 1, "third maker": 1, "refusal": 2} | dict.fromkeys(LOOKALIKES, 1)


def make_load(count: int, devices: int, seed: int = 1, kinds: Mapping[str, int] = WEIGHTS) -> list[Observation]:
    """So many observations of so many cameras, in the order of time; `kinds` with their weights."""
    chance = random.Random(seed)
    samples = {kind: read_example(CAMERA, change) for kind, change in KINDS.items()}
    chosen = chance.choices(list(kinds), list(kinds.values()), k=count)
    replace = msgspec.structs.replace
    made = []
    for number, kind in enumerate(chosen):
        sample, camera = samples[kind], chance.randrange(devices)
        made.append(
            replace(
                sample,
                timestamp=BEGIN + datetime.timedelta(milliseconds=10 * number),
                event=replace(sample.event, id=f"{seed:x}{number:012x}"),
                source=replace(sample.source, ip=f"10.1.{camera >> 8}.{camera & 255}"),
                device=replace(sample.device, id=f"site/{camera}") if sample.device else None,
            )
        )
    return made


def expected(observations: Iterable[Observation], rules: RuleSet) -> dict[str, Alert]:
    """The last revision of each alert, as the embedded shape tells it."""
    memory = Memory(Fold(), Correlate(), Updates())
    told = [*judge(observations, rules, lambda _: memory).news, *memory.fold.finish()]
    return {alert.event.id: alert for alert in told}


def substance(alerts: dict[str, Alert]) -> dict[str, Alert]:
    """Alerts without what depends on when they were told: where observations pause, a finding of a day that is long
    over ends, and goes on under a later revision."""
    replace = msgspec.structs.replace
    return {
        key: replace(alert, timestamp=BEGIN, lenswatch=replace(alert.lenswatch, revision=0, state=""))
        for key, alert in alerts.items()
    }
