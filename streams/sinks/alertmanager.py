"""Findings to Prometheus Alertmanager (POST /api/v2/alerts), which routes, groups, silences and tells.

An alert there is its labels, so those name what stays: rule, severity, company, device. Counts and times are
annotations. It is told again every minute while it lasts, for Alertmanager keeps nothing over a restart and ends by
itself what it is not told again.
"""

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from yarl import URL

from rules.alert import WINDOW_SECONDS, Alert
from streams.dispatch.connect import WebServer
from streams.dispatch.tables import read_table
from streams.processors.canary import is_canary
from streams.sinks.sink import Sink

MAX_BATCH: Final = 100
MAX_LABEL: Final = 200
MAX_ANNOTATION: Final = 2_000
HELD_REPEATS: Final = 4
CANARY_SECONDS: Final = 60.0


class AlertmanagerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind alertmanager: Prometheus Alertmanager."""

    url: str
    """Its address without /api; its own host may be private."""
    allow: tuple[str, ...] = ()
    """Further host names and networks that may be reached though they are private."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    link: str | None = None
    """Where the whole alert can be seen, with {id}."""
    repeat_seconds: float = 60.0
    """How often what lasts is told again."""
    hold_seconds: float = 300.0
    """For how long a finding of a capture that is long over is held, so that somebody hears of it."""
    timeout_seconds: float = 10.0
    """How long an answer is waited for."""

    def __post_init__(self) -> None:
        for name in ("repeat_seconds", "hold_seconds", "timeout_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is not above 0")


class Alertmanager(Sink):
    """Pushes findings, a hundred at a time."""

    kind, table = "alertmanager", AlertmanagerTable
    max_batch, lanes = MAX_BATCH, 1

    def __init__(self, name: str, table: AlertmanagerTable, clock: Callable[[], float] = time.time) -> None:
        self.name, self._table, self._clock = name, table, clock
        self.repeat_seconds = table.repeat_seconds
        own = (URL(table.url).host or "",)
        self._server = WebServer(table.url, (*own, *table.allow), table.cafile, table.timeout_seconds, plain=True)
        self.address = self._server.shown
        base = self._server.url
        self._push, self._ready = base / "api/v2/alerts", base / "-/ready"

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(AlertmanagerTable, table))

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`. Of several revisions of a finding in one batch only the last says anything."""
        now = self._clock()
        last = {alert.event.id: alert for alert in alerts}
        lasting = [(alert, self.lasts_until(alert, now) or now) for alert in last.values()]
        return await self._send(lasting, now)

    async def _send(self, lasting: Sequence[tuple[Alert, float]], now: float) -> str:
        held = now + HELD_REPEATS * self._table.repeat_seconds
        rows = [as_posted(alert, min(until, held), self._table.link) for alert, until in lasting]
        if not rows:
            return "nothing to send"
        return await self._server.post(msgspec.json.encode(rows), {"Content-Type": "application/json"}, self._push)

    def lasts_until(self, alert: Alert, at: float) -> float | None:
        """See `Sink.lasts_until`: to the end of the finding's window, and long enough to be heard of."""
        if is_canary(alert):
            return at + CANARY_SECONDS
        held = at + self._table.hold_seconds
        if alert.lenswatch.state == "ended":
            return held
        window = alert.lenswatch.first_seen.timestamp() // WINDOW_SECONDS
        return max((window + 1) * WINDOW_SECONDS, held)

    async def repeat(self, lasting: Sequence[tuple[Alert, float]], at: float) -> None:
        """See `Sink.repeat`. What is over is told once more, with its end, which resolves it."""
        await self._send(lasting, at)

    async def probe(self) -> None:
        """See `Sink.probe`."""
        await self._server.probe("GET", self._ready)

    async def close(self) -> None:
        """See `Taker.close`."""
        await self._server.close()


def as_posted(alert: Alert, until: float, link: str | None) -> dict[str, Any]:
    """An alert as Alertmanager's API v2 takes it: firing until `until`."""
    began = min(alert.lenswatch.first_seen, time_of(until))
    posted: dict[str, Any] = {
        "labels": {key: value[:MAX_LABEL] for key, value in labels_of(alert).items() if value},
        "annotations": {key: value[:MAX_ANNOTATION] for key, value in annotations_of(alert).items() if value},
        "startsAt": began.isoformat(),
        "endsAt": time_of(until).isoformat(),
    }
    if link is not None:
        posted["generatorURL"] = link.replace("{id}", alert.event.id)
    return posted


def time_of(seconds: float) -> datetime.datetime:
    """Seconds since 1970 as a time."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def labels_of(alert: Alert) -> dict[str, str]:
    """What an alert is, for routing and silences; the same for all revisions and days of it."""
    detail = alert.lenswatch
    company = detail.entity
    programmes = sorted({each.programme for each in detail.listings or ()})
    return {
        "alertname": alert.rule.name,
        "rule": alert.rule.id,
        "severity": detail.level,
        "company": company.id if company is not None else "",
        "listed": str(company.listed).lower() if company is not None else "",
        "programmes": ",".join(programmes),
        "role": detail.role or "",
        "site": detail.site or "",
        "sensor": alert.observer.name,
        "device": alert.device.id if alert.device is not None else alert.source.ip,
        "canary": "true" if is_canary(alert) else "",
    }


def annotations_of(alert: Alert) -> dict[str, str]:
    """What a person wants to read of it."""
    detail = alert.lenswatch
    citations = "; ".join(dict.fromkeys(each.citation for each in detail.listings or ()))
    return {
        "summary": alert.message,
        "description": alert.event.reason,
        "citations": citations,
        "activity": detail.activity or "",
        "source": alert.source.ip,
        "destination": alert.destination.domain or alert.destination.ip,
        "alert_id": alert.event.id,
        "revision": str(detail.revision),
        "count": str(detail.count),
        "first_seen": detail.first_seen.isoformat(),
        "last_seen": detail.last_seen.isoformat(),
    }
