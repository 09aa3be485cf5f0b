"""Which alerts a person asks for: since when, how grave, of which device, of which company."""

import datetime
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from collector.errors import SettingsError
from rules.alert import LEVELS, Alert
from streams.processors.canary import is_canary

AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class AlertFilter(NamedTuple):
    """None asks nothing; a canary is never meant. `device` is part of a device's id, address or model, `company` an id
    or part of a name."""

    since: datetime.datetime | None = None
    severity: str | None = None
    device: str | None = None
    company: str | None = None

    def of(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The alerts that are asked for."""
        return [alert for alert in alerts if self.takes(alert)]

    def takes(self, alert: Alert) -> bool:
        """Whether one is."""
        detail = alert.lenswatch
        if is_canary(alert):
            return False
        if self.since is not None and detail.last_seen < self.since:
            return False
        if self.severity is not None and LEVELS.index(detail.level) < LEVELS.index(self.severity):
            return False
        if self.device is not None and not any(self.device.lower() in text.lower() for text in device_texts(alert)):
            return False
        if self.company is not None:
            entity = detail.entity
            asked = self.company.lower()
            return entity is not None and (asked == entity.id.lower() or asked in entity.name.lower())
        return True


def device_texts(alert: Alert) -> list[str]:
    """By what a person may call the device of an alert."""
    device = alert.device
    model = device.model.name if device is not None and device.model is not None else ""
    named = [device.id, device.manufacturer or "", model] if device is not None else []
    return [*named, alert.source.ip]


def read_since(text: str, now: datetime.datetime) -> datetime.datetime:
    """A day, a time (ISO 8601), or so long ago as 90m, 12h, 7d. Raises SettingsError."""
    ago = AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - datetime.timedelta(seconds=int(ago[1]) * SECONDS[ago[2]])
        at = datetime.datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"--since: {text!r} is no day, time or span such as 2026-11-01, 12h or 7d") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=datetime.UTC)


def read_level(text: str) -> str:
    """A level. Raises SettingsError."""
    if text not in LEVELS:
        raise SettingsError(f"--severity: {text!r} is no level; one of {', '.join(LEVELS)}")
    return text
