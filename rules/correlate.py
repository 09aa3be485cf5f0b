"""What fired, counted by packet time: sightings → the correlations that they fulfil. Pure; plain state.

A window is cut into 64 grains of packet time. What is remembered is which value was seen in which grain, so that the
same observation twice, or the same value again, changes nothing, and what is fulfilled depends on the set of
observations and not on their order: a correlation is fulfilled on a day when the grains that end with one of that
day's hold `least` values. What lies further apart than the timespan never counts together, what lies nearer than 63/64
of it always does. What comes in later than `lateness_seconds` behind the newest of its group is let go, and counted.
"""

import datetime
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from collector.observation import Observation
from rules.alert import WINDOW_SECONDS, Alert, CorrelationBasis
from rules.correlation import Correlation
from rules.court import Court
from rules.finding import ID_DIGITS, Finding, fill
from rules.sentence import WORDS
from rules.sighting import Sighting

GRAINS: Final = 64
MIN_LATENESS_SECONDS: Final = 60 * 60
MAX_WINDOWS: Final = 64
MAX_VALUE_LENGTH: Final = 256
MAX_TOLD_VALUES: Final = 20
MAX_EVIDENCE: Final = 10
LATE, EVICTED, WINDOWS_EVICTED = "late", "evicted", "windows_evicted"


class First(msgspec.Struct, array_like=True, gc=False):
    """The first time that a value was seen in a grain (seconds since 1970), and in which observation."""

    at: float
    observation: str


class Window(msgspec.Struct, array_like=True):
    """What one group has been seen to do lately: by grain, by value. `newest`: seconds since 1970."""

    newest: float
    grains: dict[int, dict[str, First]]


class Windows(msgspec.Struct):
    """All windows of one device, by group: what a device's state is made of. At most MAX_WINDOWS."""

    groups: dict[str, Window] = msgspec.field(default_factory=dict)


class Tally(NamedTuple):
    """A fulfilled window: the values in it with the first observation of each, in their order; it ended at `at`, on
    this `day` (since 1970, of its last grain)."""

    values: list[tuple[str, First]]
    at: datetime.datetime
    day: int


class Occurrence:
    """A rule that a correlation names fired. Counting it is the state's part (`count`)."""

    __slots__ = ("_court", "_feed", "_finding", "correlation", "device", "group", "seen")

    def __init__(
        self,
        correlation: Correlation,
        finding: Finding,
        feed: int,
        seen: Sighting,
        group: tuple[str, ...],
        court: Court,
    ) -> None:
        self.correlation, self.seen, self.group, self._court = correlation, seen, group, court
        self.device = seen.observation.device.id if seen.observation.device else ""
        self._finding, self._feed = finding, feed

    def count(self, windows: Windows, counts: Counter[str]) -> tuple[list["CorrelationHit"], bool]:
        """Count it in the device's windows: what it fulfils, and whether the windows have changed; what changes
        nothing fulfils nothing new. So windows are to be kept when their news is, and not before. What is let go is
        added to `counts`, by reason."""
        correlation = self.correlation
        head = correlation.head
        key = "\0".join((head.id, head.version, *self.group))
        at = self.seen.observation.timestamp.timestamp()
        window = windows.groups.get(key)
        if window is None:
            make_room(windows, counts)
            window = windows.groups[key] = Window(at, {})
        if at < window.newest - lateness_seconds(correlation):
            counts[LATE] += 1
            return [], False
        grain = int(at * GRAINS // correlation.timespan_seconds)
        seen, changed = First(at, self.seen.observation.event.id), False
        for value in correlation.values(self._feed, self.seen):
            changed |= add(window, grain, shorten(value), seen)
        if not changed:
            return [], False
        window.newest = max(window.newest, at)
        prune(window, correlation, counts)
        return [self._hit(tally) for tally in fulfilled(window, grain, at, correlation)], True

    def _hit(self, tally: Tally) -> "CorrelationHit":
        return CorrelationHit(self, self._finding, tally, self._court)


class CorrelationHit:
    """A correlation was fulfilled: as `rules.match.Hit`, and like it an alert only when one is asked for."""

    __slots__ = ("_court", "_finding", "_occurrence", "_tally", "id", "seen")

    def __init__(self, occurrence: Occurrence, finding: Finding, tally: Tally, court: Court) -> None:
        self._occurrence, self._finding, self._tally, self._court = occurrence, finding, tally, court
        self.seen = occurrence.seen
        text = "\0".join((occurrence.correlation.head.id, *occurrence.group, str(tally.day)))
        self.id = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:ID_DIGITS]

    @property
    def observation(self) -> Observation:
        """The observation that came in last."""
        return self.seen.observation

    @property
    def device(self) -> str:
        """The id of the device whose finding it is."""
        return self._occurrence.device

    @property
    def waiver(self) -> str | None:
        """None: what a waiver covers was not counted."""
        return None

    @property
    def level(self) -> str:
        """The correlation's level."""
        return self._finding.level

    @property
    def step(self) -> str | None:
        """None: a correlation tells no steps."""
        return None

    @property
    def activity(self) -> str | None:
        """What the last contact is evidence of."""
        return self.seen.contact.activity if self.seen.contact is not None else None

    def alert(self) -> Alert:
        """The alert, revision 1. `first_seen` is when the condition was fulfilled; `lenswatch.correlation.since` when
        what fulfilled it began."""
        correlation, (found, at, _) = self._occurrence.correlation, self._tally
        values = [value for value, _ in found]
        basis = CorrelationBasis(
            type=correlation.kind,
            count=len(values),
            least=correlation.least,
            timespan_seconds=correlation.timespan_seconds,
            since=moment(found[0][1].at),
            group=dict(zip(correlation.group_by, self._occurrence.group, strict=True)),
            rules=[feed.title for feed in correlation.feeds],
            values=values[:MAX_TOLD_VALUES] if correlation.kind == "value_count" else None,
        )
        self._court.verdicts(self.seen)
        alert = self._finding.alert(self.seen, self.id)
        detail = msgspec.structs.replace(
            alert.lenswatch,
            first_seen=at,
            last_seen=at,
            evidence=list(dict.fromkeys(first.observation for _, first in found))[-MAX_EVIDENCE:],
            correlation=basis,
        )
        event = msgspec.structs.replace(alert.event, reason=reason(basis))
        return msgspec.structs.replace(
            alert, timestamp=at, event=event, message=self._message(basis, values), lenswatch=detail
        )

    def _message(self, basis: CorrelationBasis, values: Sequence[str]) -> str:
        told = ", ".join(values[:MAX_TOLD_VALUES]) + (" …" if len(values) > MAX_TOLD_VALUES else "")
        words = {"count": str(basis.count), "values": told, "timespan": in_words(basis.timespan_seconds)}
        template = self._occurrence.correlation.head.message
        return fill(template, lambda word: words[word] if word in words else WORDS[word](self.seen))


def reason(basis: CorrelationBasis) -> str:
    """Which numbers fulfilled the correlation."""
    what = {"event_count": "observations", "value_count": "values", "temporal": "rules"}[basis.type]
    return (
        f"{basis.count} {what} within {in_words(basis.timespan_seconds)}, at least {basis.least} asked for "
        f"({basis.type} over {'; '.join(basis.rules)}), since {basis.since.isoformat()}"
    )


def lateness_seconds(correlation: Correlation) -> float:
    """How far behind the newest of its group an observation still counts."""
    return max(float(correlation.timespan_seconds), MIN_LATENESS_SECONDS)


def max_entries(correlation: Correlation) -> int:
    """How much one group remembers: enough that its condition can be fulfilled several times over."""
    return max(8 * correlation.least, 4 * GRAINS)


def make_room(windows: Windows, counts: Counter[str]) -> None:
    """Let the group go that has been still the longest, where there are too many."""
    while len(windows.groups) >= MAX_WINDOWS:
        del windows.groups[min(windows.groups, key=lambda key: (windows.groups[key].newest, key))]
        counts[WINDOWS_EVICTED] += 1


def shorten(value: str) -> str:
    """A value of bounded length: what is longer is told by its beginning and a digest."""
    if len(value) <= MAX_VALUE_LENGTH:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:ID_DIGITS]
    return f"{value[: MAX_VALUE_LENGTH - len(digest) - 1]}…{digest}"


def add(window: Window, grain: int, value: str, seen: First) -> bool:
    """Remember a value in its grain, as it was first seen in it; whether that is news."""
    values = window.grains.setdefault(grain, {})
    known = values.get(value)
    if known is not None and (known.at, known.observation) <= (seen.at, seen.observation):
        return False
    values[value] = seen
    return True


def prune(window: Window, correlation: Correlation, counts: Counter[str]) -> None:
    """Forget what no window can need any more, and the oldest grains of what is too much, which is counted."""
    timespan = correlation.timespan_seconds
    oldest = int((window.newest - lateness_seconds(correlation)) * GRAINS // timespan) - GRAINS
    for grain in [grain for grain in window.grains if grain <= oldest]:
        del window.grains[grain]
    excess = sum(map(len, window.grains.values())) - max_entries(correlation)
    while excess > 0:
        grain = min(window.grains)
        values = window.grains[grain]
        gone = sorted(values, key=lambda value: (values[value].at, value))[:excess]
        for value in gone:
            del values[value]
        if not values:
            del window.grains[grain]
        excess -= len(gone)
        counts[EVICTED] += len(gone)


def fulfilled(window: Window, grain: int, at: float, correlation: Correlation) -> list[Tally]:
    """The windows that hold a grain and fulfil the condition, one for each day on which one ends, the first of it."""
    found: dict[int, Tally] = {}
    for end in sorted(each for each in window.grains if grain <= each < grain + GRAINS):
        # By the grain's beginning: which observation of a grain came in last is no property of the window.
        day = end * correlation.timespan_seconds // (GRAINS * WINDOW_SECONDS)
        if day in found:
            continue
        firsts: dict[str, First] = {}
        for each in sorted(each for each in window.grains if end - GRAINS < each <= end):
            for value, first in window.grains[each].items():
                firsts.setdefault(value, first)
        if len(firsts) >= correlation.least:
            in_order = sorted(firsts.items(), key=lambda pair: (pair[1].at, pair[0]))
            ended = max(first.at for first in window.grains[end].values())
            found[day] = Tally(in_order, moment(max(ended, at) if end == grain else ended), day)
    return list(found.values())


def moment(seconds: float) -> datetime.datetime:
    """Seconds since 1970 as a time."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def in_words(seconds: int) -> str:
    """A timespan for a sentence: 24 hours, 90 minutes."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            number = seconds // length
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
