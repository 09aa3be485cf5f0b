"""Alerts in a few lines, for people in a chat, a mailbox or a ticket."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from rules.alert import LEVELS, Alert
from streams.processors.canary import is_canary

MAX_TOLD: Final = 5
MAX_LINE: Final = 400
MAX_TITLE: Final = 120


class Message(NamedTuple):
    """A message: its level is that of the gravest alert in it; `key` is the finding's id where it tells of one only."""

    title: str
    body: str
    level: str
    key: str | None
    is_end: bool


def message_of(alerts: Sequence[Alert], link: str | None) -> Message:
    """One message for several alerts: the gravest are told, the others counted. `link` is an address with {id}."""
    ordered = sorted(alerts, key=rank, reverse=True)
    first = ordered[0]
    parts = ["\n".join(lines_of(alert, link)) for alert in ordered[:MAX_TOLD]]
    others = ordered[MAX_TOLD:]
    if others:
        counts = Counter(alert.lenswatch.level for alert in others)
        told = ", ".join(f"{counts[level]} {level}" for level in reversed(LEVELS) if counts[level])
        parts.append(f"and {len(others)} more ({told}): lenswatch alerts --unseen")
    title = line(f"{first.lenswatch.level}: {first.rule.name}", MAX_TITLE)
    if len(ordered) > 1:
        title = f"{title}, and {len(ordered) - 1} more"
    key = first.event.id if len(ordered) == 1 else None
    is_end = all(alert.lenswatch.state == "ended" for alert in ordered)
    return Message(f"lenswatch: {title}", "\n\n".join(parts), first.lenswatch.level, key, is_end)


def rank(alert: Alert) -> int:
    """How grave an alert is: 0, informational, to 4, critical."""
    return LEVELS.index(alert.lenswatch.level)


def lines_of(alert: Alert, link: str | None) -> list[str]:
    """An alert: its sentence, what it means for us, where the whole is, and its id with the revision."""
    detail, identifier = alert.lenswatch, alert.event.id
    state = "" if detail.state == "new" or is_canary(alert) else f" ({detail.state})"
    where = link.replace("{id}", identifier) if link else f"lenswatch alerts show {identifier}"
    return [
        line(f"{detail.level}{state}: {alert.message}"),
        *filter(None, [verdict_line(alert)]),
        where,
        f"id {identifier}-{detail.revision}",
    ]


def verdict_line(alert: Alert) -> str:
    """What it means for us: the strongest verdict that is not waived; nothing where no profile says who we are."""
    detail = alert.lenswatch
    for verdict in detail.verdicts or ():
        if verdict.outcome == detail.outcome and verdict.profile is not None and verdict.waiver is None:
            outcome = verdict.outcome.replace("_", " ")
            return line(f"For {verdict.profile}: {outcome}, {verdict.programme_name}: {verdict.says}")
    return ""


def line(text: str, most: int = MAX_LINE) -> str:
    """A text in one line that steers nothing: what devices say stands in it, and a chat calls everybody at an @all."""
    flat = "".join(each if each.isprintable() else " " for each in " ".join(text.split())).replace("@", "(at)")
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
