"""The SHA-256 of bodies that pass in the clear, as they pass: nothing of them is stored but their first bytes.

Only bodies that may be firmware are worth it: binary ones, and large ones that are neither pictures, sound nor video.
All is on a budget: how many at once, how long each, and how many bytes an hour of packet time. What is given up, and
what ended before it was whole, is counted by reason; of that no digest is told. Of the icon of a device's web pages
there are two more digests: those by which scanners' public lists know it.
"""

import base64
import hashlib
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Final

import mmh3

from collector.containers import Magic, container_of

MIN_BINARY_BYTES: Final = 16_384
"""No firmware is smaller; binary messages of a few bytes pass all the time."""
MIN_LARGE_BYTES: Final = 1 << 20
HEAD_BYTES: Final = 64
MAX_ICON_BYTES: Final = 131_072
_LINE_BYTES: Final = 57
"""What a line of Base64 holds (RFC 2045 6.8: 76 characters)."""
_MEDIA = ("image/", "audio/", "video/", "multipart/", "font/")
_WORDS = ("text/", "message/")
_WORD_TYPES = frozenset(
    ("application/json", "application/xml", "application/javascript", "application/x-javascript",
     "application/x-www-form-urlencoded", "application/sdp", "application/x-mpegurl", "application/pdf")
)  # fmt: skip
_BINARY_MEDIA = ("application/x-rtsp-tunnelled", "application/dash+xml", "application/vnd.apple.mpegurl")
TOO_MANY, TOO_LARGE, BUDGET, GAP, PARTIAL, UNFINISHED = (
    "too_many", "too_large", "budget", "gap", "partial", "unfinished"
)  # fmt: skip


def may_be_firmware(mime_type: str | None, length: int | None) -> bool:
    """Whether a body of this type (lower case, without parameters) and length (None: not told) is worth a digest."""
    if mime_type is not None:
        if mime_type.startswith(_MEDIA) or mime_type in _BINARY_MEDIA:
            return False
        if mime_type.startswith(_WORDS) or mime_type in _WORD_TYPES or mime_type.endswith(("+xml", "+json")):
            return length is not None and length >= MIN_LARGE_BYTES
    return length is None or length >= MIN_BINARY_BYTES


class Body:
    """A body that is being digested."""

    __slots__ = ("__weakref__", "_digest", "_digests", "head", "mime_type", "size")

    def __init__(self, digests: "Digests", mime_type: str | None) -> None:
        self._digest, self._digests = hashlib.sha256(), digests
        self.mime_type = mime_type
        self.size = 0
        self.head = b""

    def feed(self, data: bytes | bytearray) -> bool:
        """The next bytes; False when they are too many, and the body is given up."""
        size = len(data)
        if not self._digests.spend(self.size + size, size):
            return False
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self._digest.update(data)
        self.size += size
        return True

    def finish(self) -> tuple[str, str | None]:
        """The body is whole: its SHA-256 in hexadecimal, and the format that its first bytes show."""
        self._digests.finished += 1
        return self._digest.hexdigest(), container_of(self.head, self._digests.magics)


class Icon(Body):
    """The icon of a web page: MD5, as rapid7/recog has it, and MurmurHash3 (32 bits, seed 0, signed) over its Base64 in
    lines, as Shodan and those after it have it."""

    __slots__ = ("_md5", "_murmur", "_rest")

    def __init__(self, digests: "Digests", mime_type: str | None) -> None:
        super().__init__(digests, mime_type)
        self._md5, self._murmur = hashlib.md5(usedforsecurity=False), mmh3.mmh3_32()
        self._rest = b""

    def feed(self, data: bytes | bytearray) -> bool:
        """The next bytes; False when they are too many, and the icon is given up."""
        if self.size + len(data) > MAX_ICON_BYTES:
            self._digests.give_up(TOO_LARGE)
            return False
        if not super().feed(data):
            return False
        self._md5.update(data)
        rest = self._rest + data
        whole = len(rest) - len(rest) % _LINE_BYTES
        self._murmur.update(base64.encodebytes(rest[:whole]))
        self._rest = bytes(rest[whole:])
        return True

    def known_by(self) -> tuple[str, int]:
        """Once it is whole: its MD5 in hexadecimal, and its MurmurHash3."""
        self._murmur.update(base64.encodebytes(self._rest))
        self._rest = b""
        return self._md5.hexdigest(), self._murmur.sintdigest()


class Digests:
    """The budget that all flows of a pipeline share. `let_go` counts by reason; `finished` those that were whole."""

    def __init__(self, magics: Sequence[Magic], max_bodies: int, max_body_bytes: int, hourly_bytes: int) -> None:
        self.magics = magics
        self.max_bodies, self.max_body_bytes, self.hourly_bytes = max_bodies, max_body_bytes, hourly_bytes
        self.let_go: Counter[str] = Counter()
        self.begun = self.finished = 0
        self._left = hourly_bytes
        self._open: weakref.WeakSet[Body] = weakref.WeakSet()
        self._given_up = 0

    def begin(self, mime_type: str | None, length: int | None, kind: type[Body] = Body) -> Body | None:
        """A body of this kind begins; None when the budget has no room for it."""
        if (length or 0) > self.max_body_bytes:
            self.let_go[TOO_LARGE] += 1
        elif (length or 0) > self._left:
            self.let_go[BUDGET] += 1
        elif len(self._open) >= self.max_bodies:
            self.let_go[TOO_MANY] += 1
        else:
            self.begun += 1
            body = kind(self, mime_type)
            self._open.add(body)
            return body
        return None

    def spend(self, size: int, count: int) -> bool:
        """Whether a body may grow to this size, by so many bytes."""
        reason = TOO_LARGE if size > self.max_body_bytes else BUDGET if count > self._left else None
        if reason is not None:
            self.give_up(reason)
            return False
        self._left -= count
        return True

    def give_up(self, reason: str) -> None:
        """A body that was begun is not followed any more."""
        self.let_go[reason] += 1
        self._given_up += 1

    def refill(self) -> None:
        """Another hour has begun."""
        self._left = self.hourly_bytes

    def close(self) -> Counter[str]:
        """No more will come: all that was let go, with those that ended, or were left, before they were whole."""
        unfinished = self.begun - self.finished - self._given_up
        return self.let_go + Counter({UNFINISHED: unfinished})
