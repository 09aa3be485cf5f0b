"""Values made fit to be handed on. What devices said is sound Unicode of bounded length, and where it is read as it
stands, holds nothing that steers a screen."""

import datetime
import re
from typing import Any, Final

MAX_TEXT: Final = 4_000
MAX_ITEMS: Final = 100
SURROGATE: Final = re.compile("[\ud800-\udfff]")


def sound(text: str, most: int = MAX_TEXT) -> str:
    """The text with U+FFFD for half a surrogate pair, which UTF-8 cannot hold, and no longer than `most` characters."""
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


def visible(text: str, keep: str = "") -> str:
    """The text with what is no printable character as \\xNN or \\uNNNN, but for those in `keep`."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def sound_document(value: Any) -> Any:
    """A document of plain values with every text sound, no list of more than MAX_ITEMS, and nothing that is None."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, list):
        return [sound_document(each) for each in value[:MAX_ITEMS]]
    if isinstance(value, dict):
        return {key: sound_document(each) for key, each in value.items() if each is not None}
    return value


def milliseconds(at: datetime.datetime) -> int:
    """A time in milliseconds since 1970, as CEF and OCSF have it."""
    return round(at.timestamp() * 1000)
