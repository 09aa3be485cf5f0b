"""Text out of bytes that anybody may have sent: bounded and printable, and one element of an XML document or JSON
object.

No XML parser is used: of a discovery message a handful of leaf elements is wanted, and a parser brings entities,
namespaces and external documents with it, all of them the sender's to choose.
"""

import functools
import re
from typing import Any

import msgspec

MAX_TEXT_CHARACTERS = 256
MAX_LIST_ITEMS = 64

_ENTITY = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def read_text(data: bytes) -> str | None:
    """Bytes up to the first NUL as text: UTF-8 where it is, else Latin-1; None when there is nothing but blanks."""
    data = data[: 4 * MAX_TEXT_CHARACTERS].partition(b"\0")[0]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return clean(text)


def clean(text: str | None) -> str | None:
    """Without blanks at its ends, at most MAX_TEXT_CHARACTERS, what cannot be printed as \\xNN; None when empty."""
    text = (text or "").strip()[:MAX_TEXT_CHARACTERS]
    if not text:
        return None
    if text.isascii() and text.isprintable():
        return text
    return "".join([each if each.isprintable() else _escape(ord(each)) for each in text])


def _escape(number: int) -> str:
    """As Python writes it; what turns the direction of writing, and lone surrogates, which no JSON can hold, too."""
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


@functools.cache
def _element(name: str) -> re.Pattern[str]:
    return re.compile(rf"<(?:[A-Za-z_][\w.-]{{0,63}}:)?{name}(?:\s[^<>]*)?>([^<]*)<", re.ASCII)


def read_mac(text: str, name: str) -> str | None:
    """A MAC that stands in an XML element, as we write them: small letters, colons."""
    address = read_element(text, name)
    return address.lower().replace("-", ":") if address else None


def read_element(document: str, name: str) -> str | None:
    """The text of the first element with this local name, whatever its prefix; None when none or empty."""
    return clean(find_element(document, name))


def find_element(document: str, name: str) -> str | None:
    """As `read_element`, but the text as long as it is, and not clean: a list has many words."""
    # Most names are not there, and to know that a plain search is a hundred times cheaper.
    found = _element(name).search(document) if name in document else None
    return _ENTITY.sub(_replace, found[1]) if found is not None else None


def _replace(match: re.Match[str]) -> str:
    if match[3] is not None:
        return _NAMED[match[3]]
    number = int(match[1]) if match[1] is not None else int(match[2], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else match[0]


def read_words(text: str | None) -> list[str] | None:
    """The blank-separated words of a text, at most MAX_LIST_ITEMS, each clean; None when there are none."""
    words = [word for part in (text or "").split()[:MAX_LIST_ITEMS] if (word := clean(part))]
    return words or None


def read_object(data: bytes) -> dict[str, Any] | None:
    """A JSON object, its text UTF-8 or else Latin-1; None when it is anything else, or nested too deep to be read."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("latin-1").encode()
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def text_of(table: Any, *keys: str) -> str | None:
    """The text or number at a path of keys in nested objects, clean; None when there is none."""
    for key in keys:
        if not isinstance(table, dict):
            return None
        table = table.get(key)
    if isinstance(table, str):
        return clean(table)
    return clean(str(table)) if isinstance(table, int) and not isinstance(table, bool) else None
