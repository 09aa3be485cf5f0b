"""Repeats of one finding → one alert with a rising revision. Plain state, packet time, no clock.

A finding is told at once when it is new, again at a new step of a firmware transaction and when its severity rises, and
at its end when something came in that was not told yet; what comes in between only counts. What is told is always the
strongest that was seen: a look-up gives way to the call that followed it. The order in which the alerts of a window
come in changes neither what is counted nor which steps there are.
"""

import datetime
from collections.abc import Iterator, Sequence

import msgspec

from rules.alert import LEVELS, MAX_RELATED, WINDOW_SECONDS, Alert, AlertDetail, Related, Step
from rules.correlate import CorrelationHit
from rules.match import Hit
from streams.processors.canary import is_canary
from streams.processors.firmware import merge_steps, with_update

MAX_FINDINGS = 100_000
MAX_REMEMBERED = 10_000
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


class FoldState(msgspec.Struct, array_like=True):
    """All that a fold must know to go on: findings by id. `told` is the count that an open finding was told with,
    `sweep_at` the packet time of the next look for windows that are over."""

    open: dict[str, Alert] = {}
    told: dict[str, int] = {}
    remembered: dict[str, Alert] = {}
    sweep_at: float = float("-inf")


class Fold:
    """The findings that are open. `folded` counts the alerts that only counted, `evicted` the findings that were ended
    for want of room.

    A finding that has ended is remembered for a while (`MAX_REMEMBERED` of them): a capture that is read later may hold
    more of it, and its revisions must go on rising.
    """

    def __init__(
        self,
        max_findings: int = MAX_FINDINGS,
        max_remembered: int = MAX_REMEMBERED,
        state: FoldState | None = None,
    ) -> None:
        self.max_findings, self.max_remembered = max_findings, max_remembered
        self.folded = self.evicted = 0
        state = state or FoldState()
        self._open, self._told, self._remembered = state.open, state.told, state.remembered
        self._sweep_at = state.sweep_at
        self._repeats: dict[str, Repeats] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, alert: Alert) -> list[Alert]:
        """The revisions that an alert of one observation makes news; often none."""
        if is_canary(alert):
            # It is over at once; and its time is the wall's, which in a capture closes no window.
            return [alert]
        news = list(self._sweep(alert.timestamp.timestamp()))
        key = alert.event.id
        if key in self._repeats:
            self._settle(key)
        known = self._open.get(key)
        if known is None:
            if len(self._open) >= self.max_findings:
                self.evicted += 1
                news += self._end(next(iter(self._open)))
            known = self._remembered.pop(key, None)
            if known is None:
                alert = with_update(alert)
                self._open[key], self._told[key] = alert, alert.lenswatch.count
                return [*news, alert]
            self._told[key] = known.lenswatch.count
        merged, state = merge(known, alert)
        self._open[key] = merged
        if state is None:
            self.folded += 1
            return news
        self._told[key] = merged.lenswatch.count
        return [*news, merged]

    def known(self, key: str) -> Alert | None:
        """A finding as it stands, whether it is open or remembered."""
        if key in self._repeats:
            self._settle(key)
        return self._open.get(key) or self._remembered.get(key)

    def recall(self, alert: Alert) -> None:
        """Remember a finding that somebody else kept; its next revision is one that cannot have been told."""
        key = alert.event.id
        if key in self._open or key in self._remembered:
            return
        detail = msgspec.structs.replace(alert.lenswatch, revision=alert.lenswatch.revision + 1)
        if len(self._remembered) >= self.max_remembered:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[key] = msgspec.structs.replace(alert, lenswatch=detail)

    def counts(self, hit: Hit | CorrelationHit) -> bool:
        """Whether a hit is no more than one more of an open finding. Then it is counted, and no alert need be made."""
        known = self._open.get(hit.id)
        if known is None or not self._is_quiet(hit.observation.timestamp.timestamp()):
            return False
        detail = known.lenswatch
        if weight(hit.level, hit.activity) > strength(detail):
            return False
        at = hit.observation.timestamp
        if hit.step is not None and hit.observation.file is not None:
            # It may say more of a step that is known.
            return False
        seen = (at, hit.observation.event.id)
        if hit.step is not None and not any(
            step.step == hit.step and (step.at, step.observation) <= seen for step in detail.steps or ()
        ):
            return False
        repeats = self._repeats.get(hit.id)
        if repeats is None:
            repeats = self._repeats[hit.id] = Repeats(at)
        repeats.add(at, hit.observation.event.id, MAX_EVIDENCE - len(detail.evidence))
        repeats.relate(hit, known.related)
        self.folded += 1
        return True

    def _settle(self, key: str) -> None:
        """Put what only counted into an open finding."""
        repeats = self._repeats.pop(key, None)
        if repeats is not None:
            self._open[key] = repeats.put_into(self._open[key])

    def state(self) -> FoldState:
        """All that a fold made of it would need, everything that only counted put in."""
        for key in list(self._repeats):
            self._settle(key)
        return FoldState(self._open, self._told, self._remembered, self._sweep_at)

    def finish(self) -> list[Alert]:
        """No more will come: the last revision of every finding that has counted on since it was told."""
        return [alert for key in list(self._open) for alert in self._end(key)]

    def _sweep(self, now: float) -> Iterator[Alert]:
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        yield from self.windows_over(now)

    def _is_quiet(self, now: float) -> bool:
        """Whether a sweep now would close nothing; one that would not counts as made."""
        if now >= self._sweep_at:
            end = self.next_end()
            if end is not None and now >= end:
                return False
            self._sweep_at = now + SWEEP_SECONDS
        return True

    def windows_over(self, at: float) -> list[Alert]:
        """Close the findings whose window is over by this time (seconds since 1970)."""
        over = [key for key, alert in self._open.items() if at >= window_end(alert)]
        return [news for key in over for news in self._end(key)]

    def next_end(self) -> float | None:
        """When the first window of an open finding will be over; None when nothing is open."""
        return min(map(window_end, self._open.values()), default=None)

    def _end(self, key: str) -> list[Alert]:
        """Close a finding: its last revision, when there is something that was not told yet."""
        self._settle(key)
        alert, told = self._open.pop(key), self._told.pop(key)
        changed = alert.lenswatch.count != told
        if changed:
            alert = revise(alert, alert.lenswatch.last_seen, ENDED)
        if len(self._remembered) >= self.max_remembered:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[key] = alert
        return [alert] if changed else []


def window_end(alert: Alert) -> float:
    """When a finding's window is over, with a minute for what comes late."""
    window = alert.lenswatch.first_seen.timestamp() // WINDOW_SECONDS
    return (window + 1) * WINDOW_SECONDS + SWEEP_SECONDS


class Repeats:
    """What only counted since a finding was last put together."""

    __slots__ = ("count", "evidence", "first", "hosts", "ips", "last")

    def __init__(self, at: datetime.datetime) -> None:
        self.count, self.first, self.last = 0, at, at
        self.evidence: list[str] = []
        self.ips: list[str] = []
        self.hosts: list[str] = []

    def add(self, at: datetime.datetime, observation: str, room: int) -> None:
        """One more, at this time; the observation is evidence while there is room."""
        self.count += 1
        self.first, self.last = min(self.first, at), max(self.last, at)
        if len(self.evidence) < room:
            self.evidence.append(observation)

    def relate(self, hit: Hit | CorrelationHit, related: Related) -> None:
        """Addresses and the name of a hit that its finding does not name yet, while there is room."""
        if len(related.ip) + len(self.ips) < MAX_RELATED:
            observation = hit.observation
            dns = observation.dns
            resolved = dns.resolved_ip if dns is not None and dns.resolved_ip else ()
            for address in (observation.source.ip, observation.destination.ip, *resolved):
                if address not in related.ip and address not in self.ips:
                    self.ips.append(address)
        name, hosts = hit.seen.name, related.hosts or ()
        if name is not None and name not in self.hosts and name not in hosts:
            self.hosts = [*self.hosts, name][: MAX_RELATED - len(hosts)]

    def put_into(self, alert: Alert) -> Alert:
        """The finding with all of it counted in."""
        before = alert.lenswatch
        detail = msgspec.structs.replace(
            before,
            count=before.count + self.count,
            first_seen=min(before.first_seen, self.first),
            last_seen=max(before.last_seen, self.last),
            evidence=list(dict.fromkeys((*before.evidence, *self.evidence))),
        )
        related = alert.related
        if self.ips or self.hosts:
            hosts = [*(related.hosts or ()), *self.hosts]
            related = Related(ip=[*related.ip, *self.ips][:MAX_RELATED], hosts=hosts or None)
        return msgspec.structs.replace(alert, lenswatch=detail, related=related)


def merge(known: Alert, alert: Alert) -> tuple[Alert, str | None]:
    """A finding with one more alert of it counted in, and the news that this is, if any."""
    before, now = known.lenswatch, alert.lenswatch
    steps = merge_steps((*(before.steps or ()), *(now.steps or ())))
    fresh_step = news_of_steps(before.steps or (), steps)
    leading = alert if strength(now) > strength(before) else known
    detail = msgspec.structs.replace(
        leading.lenswatch,
        revision=before.revision,
        state=before.state,
        count=before.count + now.count,
        first_seen=min(before.first_seen, now.first_seen),
        last_seen=max(before.last_seen, now.last_seen),
        evidence=[*before.evidence, *(each for each in now.evidence if each not in before.evidence)][:MAX_EVIDENCE],
        steps=steps or None,
        update=before.update,
    )
    related = Related(
        ip=list(dict.fromkeys((*known.related.ip, *alert.related.ip)))[:MAX_RELATED],
        hosts=list(dict.fromkeys((*(known.related.hosts or ()), *(alert.related.hosts or ()))))[:MAX_RELATED] or None,
    )
    # The sentence that ends in what was seen of an update is the known alert's; another's is its own.
    if leading is not known and before.update is not None:
        detail = msgspec.structs.replace(detail, update=now.update)
    merged = with_update(msgspec.structs.replace(leading, timestamp=known.timestamp, lenswatch=detail, related=related))
    raised = LEVELS.index(now.level) > LEVELS.index(before.level)
    if not raised and not fresh_step:
        return merged, None
    state = SEVERITY if raised else STEP
    return revise(merged, alert.timestamp, state), state


def news_of_steps(before: Sequence[Step], steps: Sequence[Step]) -> bool:
    """Whether there is a new step, or a file is known now that was not."""
    known = {step.step: step.sha256 for step in before}
    return any(step.step not in known or (known[step.step] is None and step.sha256) for step in steps)


def strength(detail: AlertDetail) -> tuple[int, int]:
    """How much a sighting says, for choosing which leads: its level, then its activity."""
    return weight(detail.level, detail.activity)


def weight(level: str, activity: str | None) -> tuple[int, int]:
    """A level and an activity, as they compare."""
    return LEVELS.index(level), ACTIVITY_STRENGTH.get(activity or "", 0)


def revise(alert: Alert, at: datetime.datetime, state: str) -> Alert:
    """The next revision of an alert, with its news."""
    detail = msgspec.structs.replace(alert.lenswatch, revision=alert.lenswatch.revision + 1, state=state)
    return msgspec.structs.replace(alert, timestamp=at, lenswatch=detail)
