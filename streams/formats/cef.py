"""An alert in ArcSight's Common Event Format, CEF:0 ("Implementing ArcSight Common Event Format", version 26).

Header fields escape the pipe and the backslash, values the equals sign, the backslash and line breaks. Keys are
those of the extension dictionary, and values no longer than it allows. What the dictionary has no key for stands in its
custom fields, each with its label.
"""

from collections.abc import Iterator
from typing import Final

from rules.alert import LISTED_STATUSES, Alert
from streams.formats.plain import milliseconds, sound, visible

NAME: Final = "lenswatch"
# 0 to 3 is low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high.
SEVERITIES: Final = {"informational": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
DIRECTIONS: Final = {"inbound": 0, "outbound": 1}
IN_HEADER: Final = str.maketrans({"\\": "\\\\", "|": "\\|"})
IN_VALUE: Final = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})
MAX_HEADER: Final = 128
MAX_VALUE: Final = 4_000
ESSENTIAL: Final = frozenset(("rt", "externalId", "cn1", "cn1Label", "msg"))
# The extension dictionary's lengths, in characters.
LENGTHS: Final = {
    "app": 31, "cat": 1023, "deviceInboundInterface": 128, "dhost": 1023, "dvchost": 100, "externalId": 40,
    "fileHash": 255, "fileType": 1023, "flexString1": 1023, "flexString2": 1023, "msg": 1023, "proto": 31,
    "reason": 1023, "shost": 1023,
} | {f"cs{number}": 4000 for number in range(1, 7)}  # fmt: skip
LABELS: Final = {
    "c6a2": "Source IPv6 Address",
    "c6a3": "Destination IPv6 Address",
    "cn1": "Revision",
    "cn2": "Risk Score",
    "cs1": "Company",
    "cs2": "Programmes",
    "cs3": "Citations",
    "cs4": "Outcome",
    "cs5": "Device",
    "cs6": "Called",
    "flexString1": "Site",
    "flexString2": "Role",
}
Value = str | int | None


def versions(alert: Alert, version: str) -> Iterator[str]:
    """The alert as a line, whole, and then shorter and shorter. `version` is lenswatch's own."""
    for most in (MAX_VALUE, 400, 100, 40):
        yield write_cef(alert, version, most)
    yield write_cef(alert, version, 40, ESSENTIAL)


def write_cef(alert: Alert, version: str, most: int = MAX_VALUE, keys: frozenset[str] = frozenset()) -> str:
    """The alert as one line, without a line break at its end. No text is longer than `most` characters; of the
    extension only `keys`, where some are named."""
    names = (NAME, NAME, version, alert.rule.id, alert.rule.name)
    header = "|".join(in_header(name) for name in names)
    values = ((key, in_value(key, value, most)) for key, value in labelled(alert) if not keys or key in keys)
    pairs = " ".join(f"{key}={value}" for key, value in values if value)
    return f"CEF:0|{header}|{SEVERITIES.get(alert.lenswatch.level, 5)}|{pairs}"


def in_header(text: str) -> str:
    """A text as a field of the header, which has no word for a line break."""
    return sound(visible(text), MAX_HEADER).translate(IN_HEADER)


def in_value(key: str, value: Value, most: int) -> str:
    """A value of the extension; "" for none. Blanks at its ends would be taken for the space between two pairs."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return sound(visible(value, keep="\n\r").strip(), min(most, LENGTHS.get(key, 1023))).translate(IN_VALUE)


def labelled(alert: Alert) -> Iterator[tuple[str, Value]]:
    """The pairs of the extension; a custom field has its label behind it."""
    for pairs in (of_event(alert), of_ends(alert), of_finding(alert)):
        for key, value in pairs.items():
            yield key, value
            if key in LABELS and value not in (None, ""):
                yield f"{key}Label", LABELS[key]


def of_event(alert: Alert) -> dict[str, Value]:
    """What happened, when, and who saw it."""
    detail, ingress = alert.lenswatch, alert.observer.ingress
    interface = ingress.interface if ingress is not None else None
    return {
        "rt": milliseconds(alert.timestamp),
        "start": milliseconds(detail.first_seen),
        "end": milliseconds(detail.last_seen),
        "cnt": detail.count,
        "externalId": alert.event.id,
        "cn1": detail.revision,
        "cn2": alert.event.risk_score,
        "cat": detail.activity,
        "msg": alert.message,
        "reason": alert.event.reason,
        "dvchost": alert.observer.name,
        "deviceInboundInterface": interface.name if interface is not None else None,
        "flexString1": detail.site,
    }


def of_ends(alert: Alert) -> dict[str, Value]:
    """Who spoke with whom. `src` and `dst` hold IPv4 addresses only; `in` and `out` are seen from the source."""
    source, destination, network = alert.source, alert.destination, alert.network
    return {
        "c6a2" if ":" in source.ip else "src": source.ip,
        "spt": source.port,
        "smac": source.mac,
        "shost": source.domain,
        "c6a3" if ":" in destination.ip else "dst": destination.ip,
        "dpt": destination.port,
        "dmac": destination.mac,
        "dhost": destination.domain,
        "proto": network.transport,
        "app": network.protocol,
        "deviceDirection": DIRECTIONS.get(network.direction or ""),
        "out": source.bytes,
        "in": destination.bytes,
    }


def of_finding(alert: Alert) -> dict[str, Value]:
    """Which device and company, what was called, and what lists say."""
    detail, threat = alert.lenswatch, alert.threat
    own = [each for each in detail.listings or () if each.status in LISTED_STATUSES]
    file = next((step for step in reversed(detail.steps or ()) if step.sha256 is not None), None)
    called = None
    if threat is not None:
        called = threat.indicator.url.domain if threat.indicator.url is not None else threat.indicator.ip
    return {
        "cs1": detail.entity.name if detail.entity is not None else None,
        "cs2": ", ".join(dict.fromkeys(each.programme for each in own)),
        "cs3": "; ".join(dict.fromkeys(each.citation for each in own)),
        "cs4": detail.outcome,
        "cs5": alert.device.id if alert.device is not None else None,
        "cs6": called,
        "flexString2": detail.role,
        "fileHash": file.sha256 if file is not None else None,
        "fileType": file.mime_type if file is not None else None,
        "fsize": file.size_bytes if file is not None else None,
    }
