"""What is usual for a device, and what is not: the first call to a company, a country or a network (AS), and a day on
which ten times the usual passed. Pure; packet time.

It is learned from a device's flows to outside. All counting is by whole days (UTC, since 1970), so that the order in
which a day's flows come in changes nothing: what is new is new for the whole day on which it was first called.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from collector.observation import CAMERA_KINDS, DEVICE_DATASET, FLOW_DATASET, Novelty, Observation

DAY_SECONDS: Final = 86_400
LEARNING_DAYS: Final = 14
USUAL_DAYS: Final = 14
"""Of so many days before a day, the mean is the usual."""
GROWTH: Final = 10
MIN_GROWN_BYTES: Final = 10_000_000
"""A day below this is nothing, how many times the usual it may be."""
LATE_SECONDS: Final = 3_600
"""Bytes of flows that ended so long before the newest are not counted: a capture that is read again adds nothing."""
MAX_MET: Final = 200
MAX_NEW_A_DAY: Final = 20
OUTSIDE: Final = "outside"
TELLING: Final = frozenset((FLOW_DATASET, DEVICE_DATASET))
"""The datasets that say anything of what is usual."""


class Met(msgspec.Struct, array_like=True):
    """The first and the last day of something."""

    first: int
    last: int


class Habits(msgspec.Struct, omit_defaults=True):
    """What is kept of a device: the day of its first sign (`began`), whom it has `met` ("company dahua", "country CN",
    "AS 64500", "outside"), and the bytes of its last days. `newest`: the end of the last flow that was counted (seconds
    since 1970); `let_go`: what the bounds forgot."""

    began: int | None = None
    met: dict[str, Met] = {}
    days: dict[int, int] = {}
    newest: float = 0.0
    let_go: int = 0


HabitsOf = Callable[[str], Habits | None]


class Baseline:
    """Compares observations with what is usual for their devices, and learns from them. `learning_days` 0: never."""

    def __init__(self, habits_of: HabitsOf, learning_days: int = LEARNING_DAYS) -> None:
        self._habits_of, self.learning_days = habits_of, learning_days

    def compare(self, observation: Observation, company: str | None) -> Observation:
        """The observation, with `lenswatch.baseline` where it is not as usual. `company`: the id of whom it calls."""
        device, more = observation.device, observation.lenswatch
        habits = self._habits_of(device.id) if self.learning_days and device is not None else None
        if habits is None or more is None:
            return observation
        at = observation.timestamp.timestamp()
        day = int(at // DAY_SECONDS)
        habits.began = day if habits.began is None else min(habits.began, day)
        if observation.event.dataset != FLOW_DATASET or more.flow is None:
            return observation
        new = sorted(meet(habits, keys_of(observation, company), day))
        grown = None
        if more.flow.state == "closed":
            sent, got = observation.source.bytes or 0, observation.destination.bytes or 0
            grown = self._grown(habits, count(habits, sent + got, at, more.flow.duration_seconds))
        if day < habits.began + self.learning_days or not (new or grown):
            return observation
        novelty = Novelty(new=new or None)
        if grown is not None:
            novelty.growth, novelty.usual_bytes = grown
        return msgspec.structs.replace(observation, lenswatch=msgspec.structs.replace(more, baseline=novelty))

    def _grown(self, habits: Habits, touched: list[int]) -> tuple[float, int] | None:
        """How many times the usual the worst of some days was, and the usual; None where all were as usual."""
        worst: tuple[float, int] | None = None
        for day in touched:
            known = min(USUAL_DAYS, day - (habits.began or 0))
            if known < min(self.learning_days, USUAL_DAYS):
                continue
            passed = habits.days.get(day, 0)
            usual = sum(habits.days.get(before, 0) for before in range(day - known, day)) // known
            if passed >= MIN_GROWN_BYTES and passed >= GROWTH * usual:
                worst = max(worst or (0.0, 0), (round(passed / max(usual, 1), 1), usual))
        return worst


def concerns(observation: Observation) -> bool:
    """Whether an observation says anything of what is usual: that a camera is there, or whom it reached outside."""
    more = observation.lenswatch
    if observation.device is None or more is None or more.device is None or more.device.type not in CAMERA_KINDS:
        return False
    if observation.event.dataset == DEVICE_DATASET:
        return True
    if observation.event.dataset != FLOW_DATASET or observation.network.direction != "outbound":
        return False
    return more.flow is not None and more.flow.state != "attempt"


def keys_of(observation: Observation, company: str | None) -> Iterator[str]:
    """Whom a call is to, in the words that are remembered."""
    yield OUTSIDE
    theirs = observation.destination
    if company is not None:
        yield f"company {company}"
    if theirs.geo is not None:
        yield f"country {theirs.geo.country_iso_code}"
    if theirs.as_ is not None:
        yield f"AS {theirs.as_.number}"


def meet(habits: Habits, keys: Iterator[str], day: int) -> list[str]:
    """Remember whom a call of this day was to; those that were met first on this day. Of a day's new ones the first
    MAX_NEW_A_DAY are told; past MAX_MET those go that were not met for longest."""
    new = []
    for key in keys:
        met = habits.met.get(key)
        if met is None:
            if len(habits.met) >= MAX_MET:
                del habits.met[min(habits.met, key=lambda each: (habits.met[each].last, each))]
                habits.let_go += 1
            if sum(each.first == day for each in habits.met.values()) >= MAX_NEW_A_DAY:
                habits.met[key] = Met(day - 1, day)
                habits.let_go += 1
                continue
            habits.met[key] = Met(day, day)
        else:
            met.first, met.last = min(met.first, day), max(met.last, day)
        if habits.met[key].first == day:
            new.append(key)
    return new


def count(habits: Habits, passed: int, at: float, seconds: float) -> list[int]:
    """Put the bytes of a flow that ended at `at` into the days that it lasted over, evenly; the days it touched."""
    if at <= habits.newest - LATE_SECONDS:
        return []
    habits.newest = max(habits.newest, at)
    last = int(at // DAY_SECONDS)
    begin = max(at - seconds, float((last - USUAL_DAYS) * DAY_SECONDS))
    touched = list(range(int(begin // DAY_SECONDS), last + 1))
    for day in touched:
        share = (min(at, (day + 1) * DAY_SECONDS) - max(begin, day * DAY_SECONDS)) / (at - begin) if at > begin else 1.0
        habits.days[day] = habits.days.get(day, 0) + round(passed * share)
    for day in [day for day in habits.days if day < max(habits.days) - USUAL_DAYS]:
        del habits.days[day]
    return touched
