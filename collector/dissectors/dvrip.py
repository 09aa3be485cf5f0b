"""DVRIP, also called Sofia: how Xiongmai's recorders and cameras are found, logged in to, configured and updated.

No public specification in words: the form is that of OpenIPC/python-dvr (dvrip.py, DeviceManager.py) and of
KostasEreksonas/DVRIP_analysis (dvripWireshark.lua), both from real devices. A header of 20 bytes, little-endian: 0xff,
version, two bytes, session, sequence, two bytes, message id, length; then JSON with a line feed or NUL at its end, or
media. TCP port 34567, UDP port 34569 for the search. Passwords and user names in it are not kept.
"""

from collections.abc import Iterator
from struct import Struct

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from collector.texts import read_object, text_of

TCP_PORT, SEARCH_PORT = 34_567, 34_569
MAX_DOCUMENT_BYTES = 1 << 16
MAX_MEDIA_BYTES = 16_384
"""Of media that are passed by in the hope of another document; then the rest is video."""
MESSAGES = {
    1000: "login", 1001: "login answer", 1002: "logout", 1006: "keep alive", 1007: "keep alive answer",
    1020: "information", 1021: "information answer", 1040: "set configuration", 1041: "set configuration answer",
    1042: "get configuration", 1043: "get configuration answer", 1360: "abilities", 1361: "abilities answer",
    1410: "play", 1412: "media", 1413: "monitor", 1414: "monitor answer", 1450: "machine operation",
    1500: "alarm guard", 1504: "alarm", 1520: "upgrade", 1521: "upgrade answer", 1522: "upgrade data",
    1525: "upgrade", 1526: "upgrade information", 1530: "search", 1531: "search answer",
}  # fmt: skip
"""Message id → word. An answer has its question's id and one; ids that stand here for nobody are said as numbers."""
_HEADER = Struct("<BBHIIBBHI")
_FIRST_ID, _LAST_ID = 990, 5_000


def _plausible(data: bytes, start: int = 0) -> bool:
    """Whether a header may begin at `start`: its first byte, version, two zero bytes, and a message id of the range."""
    if len(data) < start + _HEADER.size:
        return False
    first, version, zero, _, _, _, _, kind, size = _HEADER.unpack_from(data, start)
    return first == 0xFF and version <= 1 and not zero and _FIRST_ID <= kind < _LAST_ID and size <= 1 << 24


def recognises_datagram(first: bytes, port: int, direction: int) -> bool:
    """A header whose length is the datagram's."""
    return _plausible(first) and int.from_bytes(first[16:20], "little") == len(first) - _HEADER.size


def recognises_stream(first: bytes, port: int, direction: int) -> bool | None:
    """A header, and JSON or nothing behind it; None while it is not whole and may become one."""
    if len(first) > _HEADER.size or (len(first) == _HEADER.size and not any(first[16:20])):
        return _plausible(first) and (not any(first[16:20]) or first[_HEADER.size] == ord("{"))
    fits = b"\xff".startswith(first[:1]) and first[1:2] <= b"\1" and not any(first[2:4])
    return None if fits else False


def read_document(kind: int, data: bytes, direction: int) -> Fact:
    """A message's JSON, or the nothing that some have. Malformed when it is no object."""
    word = MESSAGES.get(kind) or f"message {kind}"
    body = data.rstrip(b"\0\r\n")
    if not body:
        return Fact("dvrip", backward=direction == FROM_SERVER, action=word)
    document = read_object(body)
    if document is None:
        raise Malformed(f"the DVRIP message {kind} holds no JSON object")
    subject = text_of(document, "Name")
    common, system = document.get("NetWork.NetCommon"), document.get("SystemInfo")
    said = Announced(
        type=text_of(document, "DeviceType ") or text_of(document, "DeviceType") or text_of(common, "DeviceType"),
        name=text_of(common, "HostName"),
        model=text_of(system, "HardWare"),
        serial_number=text_of(common, "SN") or text_of(system, "SerialNo"),
        firmware=text_of(system, "SoftWareVersion") or text_of(common, "Version"),
        mac=(text_of(common, "MAC") or "").lower() or None,
        ip=read_address(text_of(common, "HostIP")),
        services=[subject] if subject else None,
    )
    return Fact(
        "dvrip",
        backward=direction == FROM_SERVER,
        action=word,
        announced=said if said != Announced() else None,
    )


def read_address(text: str | None) -> str | None:
    """An address as devices write it: "0x0A01A8C0" is 192.168.1.10; dotted as it is."""
    if text is None or not text.lower().startswith("0x"):
        return text
    try:
        return ".".join(map(str, int(text, 16).to_bytes(4, "little")))
    except (ValueError, OverflowError):
        return None


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """One message. Truncated or Malformed when its header or JSON is not whole."""
    if len(payload) < _HEADER.size:
        raise Truncated(f"a DVRIP header has {_HEADER.size} bytes, here are {len(payload)}")
    kind = int.from_bytes(payload[14:16], "little")
    return [read_document(kind, payload[_HEADER.size :], direction)]


class DvripDissection:
    """One connection, for as long as documents come more often than media."""

    __slots__ = ("_held", "_media", "skip", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._held = [b"", b""]
        self._media = [0, 0]

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields a fact for each document that they complete."""
        data = self._held[direction] + data
        self._held[direction] = b""
        position = 0
        while position < len(data) and self.wants[direction]:
            step = min(self.skip[direction], len(data) - position)
            self.skip[direction] -= step
            position += step
            start = position + _HEADER.size
            if start > len(data):
                break
            if not _plausible(data, position):
                raise Malformed("no DVRIP message begins where the one before it ends")
            kind, size = int.from_bytes(data[position + 14 : position + 16], "little"), _length_of(data, position)
            if size and start == len(data):
                break
            if size and data[start] != ord("{"):
                self._pass_by(direction, size)
                position = start
                continue
            if size > MAX_DOCUMENT_BYTES:
                raise Malformed(f"a DVRIP document of {size} bytes is longer than {MAX_DOCUMENT_BYTES}")
            if start + size > len(data):
                break
            yield read_document(kind, data[start : start + size], direction)
            position = start + size
        if self.wants[direction]:
            self._held[direction] = data[position:]

    def _pass_by(self, direction: int, size: int) -> None:
        self.skip[direction] = size
        self._media[direction] += size + _HEADER.size
        if self._media[direction] > MAX_MEDIA_BYTES:
            self.wants[direction] = False


def _length_of(data: bytes, start: int) -> int:
    return int.from_bytes(data[start + 16 : start + 20], "little")


DISSECTOR = Dissector(name="dvrip", recognises=recognises_datagram, read_datagram=read_datagram, starts=b"\xff")
OVER_TCP = Dissector(name="dvrip", recognises=recognises_stream, begin=DvripDissection, starts=b"\xff")
