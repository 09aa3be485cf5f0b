"""Whose traffic is told of: what `[collector] traffic` comes to. What is not watched never becomes an observation."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from collector.settings import ALL, CAMERAS, CollectorSettings

if TYPE_CHECKING:
    from collector.reporting import Concerns


def nothing(*_: object) -> bool:
    """Where only cameras are watched, what touches a known endpoint: nothing."""
    return False


def watched_by(settings: CollectorSettings, load: "Callable[[], Concerns]") -> "Concerns | None":
    """What says which traffic is watched besides the cameras'; None: all is. `load` is asked for what touches a known
    endpoint only where that counts."""
    if settings.traffic == ALL:
        return None
    return nothing if settings.traffic == CAMERAS else load()
