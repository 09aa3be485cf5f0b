"""An alert as a syslog message (RFC 5424), and messages on a stream, each after its length (RFC 6587, 3.4.1; RFC 5425).

A body of JSON is written in ASCII, so that it needs no byte order mark (RFC 5424, 6.4), which readers of JSON do not
take. A body of CEF has none either: its readers look for `CEF:` at the first place, and take UTF-8.
"""

import datetime
import json
import re
from typing import Any, Final

from rules.alert import Alert
from streams.formats.plain import sound, visible
from streams.processors.canary import is_canary

# RFC 5424, table 1: those that a program of its own may use.
FACILITIES: Final = {
    "user": 1, "daemon": 3, "auth": 4, "syslog": 5, "authpriv": 10, "audit": 13, "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip
# Table 2.
SEVERITIES: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "informational": 6}
NOTICE: Final = 5
NAME: Final = "lenswatch"
NIL: Final = "-"
MAX_HOST, MAX_MESSAGE_ID, MAX_VALUE = 255, 32, 1_000
UNPRINTABLE: Final = re.compile(r"[^!-~]")
IN_VALUE: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "]": "\\]"})


def write_message(alert: Alert, body: str, facility: int, enterprise: int, version: str) -> bytes:
    """The message, without its frame. `enterprise` is the private enterprise number behind our structured data."""
    priority = 8 * facility + SEVERITIES.get(alert.lenswatch.level, NOTICE)
    news = "canary" if is_canary(alert) else f"alert.{alert.lenswatch.state}"
    at = alert.timestamp.astimezone(datetime.UTC)
    head = (
        f"<{priority}>1 {at:%Y-%m-%dT%H:%M:%S.%fZ} {word(alert.observer.name, MAX_HOST)} {NAME} {NIL} "
        f"{word(news, MAX_MESSAGE_ID)}"
    )
    data = element("origin", {"software": NAME, "swVersion": version})
    data += element(f"{NAME}@{enterprise}", parameters(alert))
    return f"{head} {data} {body}".encode()


def frame(message: bytes) -> bytes:
    """A message as it stands on a stream."""
    return b"%d %b" % (len(message), message)


def parameters(alert: Alert) -> dict[str, str]:
    """What a relay routes by, without reading the body."""
    detail = alert.lenswatch
    company = detail.entity
    return {
        "id": alert.event.id,
        "revision": str(detail.revision),
        "rule": alert.rule.id,
        "level": detail.level,
        "device": alert.device.id if alert.device is not None else alert.source.ip,
        "company": company.id if company is not None else "",
        "listed": str(company.listed).lower() if company is not None else "",
        "activity": detail.activity or "",
        "outcome": detail.outcome or "",
        "site": detail.site or "",
    }


def word(text: str, most: int) -> str:
    """A text as a field of the head: printable ASCII without blanks."""
    return UNPRINTABLE.sub("_", text)[:most] or NIL


def element(name: str, values: dict[str, str]) -> str:
    """A structured data element (6.3); what is empty is left out."""
    shown = {key: visible(sound(value, MAX_VALUE)).translate(IN_VALUE) for key, value in values.items() if value}
    return "[" + " ".join([name, *(f'{key}="{value}"' for key, value in shown.items())]) + "]"


def write_json(document: dict[str, Any]) -> str:
    """A document as one line of ASCII; half a surrogate pair stays what it is, escaped."""
    return json.dumps(document, separators=(",", ":"))
