"""Repeats of one finding → one alert with a rising revision. Plain state, packet time, no clock.

A finding is told at once when it is new, again at a new step of a firmware transaction and when its severity rises, and
at its end; what comes in between only counts. What is told is always the strongest that was seen: a look-up gives way
to the call that followed it.
"""

import datetime
from collections.abc import Iterator

import msgspec

from rules.alert import LEVELS, Alert, AlertDetail, Related
from rules.finding import MAX_RELATED, WINDOW_SECONDS

MAX_FINDINGS = 100_000
MAX_EVIDENCE = 10
SWEEP_SECONDS = 60
ACTIVITY_STRENGTH = {
    activity: strength
    for strength, activity in enumerate(
        ("device_present", "name_lookup", "time_sync", "ddns", "new_device", "cloud_relay", "media_relay",
         "telemetry_upload", "paid_service", "update_check", "update_received")
    )
}  # fmt: skip
NEW, STEP, SEVERITY, ENDED = "new", "step", "severity", "ended"


class Fold:
    """The findings that are open. `folded` counts the alerts that only counted, `evicted` those ended for want of room."""

    def __init__(self, max_findings: int = MAX_FINDINGS) -> None:
        self.max_findings = max_findings
        self.folded = self.evicted = 0
        self._open: dict[str, Alert] = {}
        self._told: dict[str, int] = {}
        self._sweep_at = float("-inf")

    def __len__(self) -> int:
        return len(self._open)

    def add(self, alert: Alert) -> list[Alert]:
        """The revisions that an alert of one observation makes news; often none."""
        news = list(self._sweep(alert.timestamp.timestamp()))
        known = self._open.get(alert.event.id)
        if known is None:
            if len(self._open) >= self.max_findings:
                self.evicted += 1
                news.append(self._end(next(iter(self._open))))
            self._open[alert.event.id] = alert
            self._told[alert.event.id] = alert.lenswatch.count
            return [*news, alert]
        merged, state = merge(known, alert)
        self._open[alert.event.id] = merged
        if state is None:
            self.folded += 1
            return news
        self._told[alert.event.id] = merged.lenswatch.count
        return [*news, merged]

    def finish(self) -> list[Alert]:
        """No more will come: the last revision of every finding that has counted on since it was told."""
        return [alert for alert in map(self._end, list(self._open)) if alert.lenswatch.state == ENDED]

    def _sweep(self, now: float) -> Iterator[Alert]:
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        for key, alert in list(self._open.items()):
            window = alert.lenswatch.first_seen.timestamp() // WINDOW_SECONDS
            if now >= (window + 1) * WINDOW_SECONDS + SWEEP_SECONDS:
                ended = self._end(key)
                if ended.lenswatch.state == ENDED:
                    yield ended

    def _end(self, key: str) -> Alert:
        """Close a finding; its state is `ended` when there is something that was not told yet."""
        alert, told = self._open.pop(key), self._told.pop(key)
        return alert if alert.lenswatch.count == told else revise(alert, alert.lenswatch.last_seen, ENDED)


def merge(known: Alert, alert: Alert) -> tuple[Alert, str | None]:
    """A finding with one more alert of it counted in, and the news that this is, if any."""
    before, now = known.lenswatch, alert.lenswatch
    steps = merge_steps(before, now)
    fresh_step = len(steps) > len(before.steps or [])
    raised = LEVELS.index(now.level) > LEVELS.index(before.level)
    stronger = raised or fresh_step or strength(now) > strength(before)
    leading = alert if stronger else known
    detail = msgspec.structs.replace(
        leading.lenswatch,
        revision=before.revision,
        state=before.state,
        level=now.level if raised else before.level,
        count=before.count + now.count,
        first_seen=min(before.first_seen, now.first_seen),
        last_seen=max(before.last_seen, now.last_seen),
        evidence=[*before.evidence, *(each for each in now.evidence if each not in before.evidence)][:MAX_EVIDENCE],
        steps=steps or None,
    )
    related = Related(
        ip=list(dict.fromkeys((*known.related.ip, *alert.related.ip)))[:MAX_RELATED],
        hosts=list(dict.fromkeys((*(known.related.hosts or ()), *(alert.related.hosts or ()))))[:MAX_RELATED] or None,
    )
    merged = msgspec.structs.replace(leading, timestamp=known.timestamp, lenswatch=detail, related=related)
    if not raised and not fresh_step:
        return merged, None
    state = SEVERITY if raised else STEP
    return revise(merged, alert.timestamp, state), state


def merge_steps(before: AlertDetail, now: AlertDetail) -> list:  # type: ignore[type-arg]
    """The steps of both, each once as it was first seen, in order of time."""
    steps = {
        step.step: step for step in reversed(sorted((*(before.steps or ()), *(now.steps or ())), key=lambda s: s.at))
    }
    return sorted(steps.values(), key=lambda step: step.at)


def strength(detail: AlertDetail) -> int:
    """How much an activity says, for choosing which sighting leads."""
    return ACTIVITY_STRENGTH.get(detail.activity or "", 0)


def revise(alert: Alert, at: datetime.datetime, state: str) -> Alert:
    """The next revision of an alert, with its news."""
    detail = msgspec.structs.replace(alert.lenswatch, revision=alert.lenswatch.revision + 1, state=state)
    return msgspec.structs.replace(alert, timestamp=at, lenswatch=detail)
