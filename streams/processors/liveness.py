"""When a sensor or device was last seen, in packet time. Plain mappings; the greatest time wins, so that neither order
nor a repeat changes anything."""

from collections.abc import Mapping, MutableMapping

# A last time is kept for good only when it moved by so much: a write a record for each device would be all the cost.
STEP_SECONDS = 900.0


def note_seen(seen: MutableMapping[str, float], who: str, at: float) -> bool:
    """Note that somebody was seen; True when it was the first time."""
    before = seen.get(who)
    if before is None or at > before:
        seen[who] = at
    return before is None


def silent(seen: Mapping[str, float], at: float, after_seconds: float) -> list[str]:
    """Who was seen once, and not for so long."""
    return [who for who, last in seen.items() if at - last > after_seconds]
