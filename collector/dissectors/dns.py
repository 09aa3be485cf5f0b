"""DNS over UDP and TCP, and LLMNR: one message, one fact for each question.

RFC 1035 4 (messages, compression, TCP length prefix), 3596 (AAAA), 2782 (SRV), 3597 (types without a name), 6891
(EDNS: lives in the additional section, which is not read), 9460 (SVCB and HTTPS), 4795 (LLMNR). Registry of types and
response codes: IANA, "Domain Name System (DNS) Parameters".

A message whose header and first question can be read is a fact, even when it ends early (a short capture length, a
sender's mistake): with the answers before the break. Only then is it Malformed.
"""

import re
from collections.abc import Iterator
from struct import Struct

import numpy as np

from collector.dissectors.dissector import Dissector, Fact
from collector.errors import Malformed, Truncated
from collector.observation import Dns, DnsAnswer, DnsQuestion
from collector.packets import Bytes, Ints, big_endian, gather

PORT = 53
MDNS_PORT = 5353
LLMNR_PORT = 5355

MAX_NAME_BYTES = 255
MAX_LABEL_BYTES = 63
MAX_GLANCED_LABELS = 16
MAX_POINTERS = 128
MAX_QUESTIONS = 64
MAX_ANSWERS = 128
MAX_PARAMETERS = 32
MAX_UNKNOWN_PORT_BYTES = 4096
"""A message on another port than 53 is recognised only when it is all there; longer ones are not waited for."""

HEADER_BYTES = 12

TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 11: "WKS", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT",
    17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT",
    39: "DNAME", 41: "OPT", 42: "APL", 43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY",
    49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY",
    61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF", 108: "EUI48", 109: "EUI64",
    249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 253: "MAILB", 254: "MAILA", 255: "ANY", 256: "URI", 257: "CAA",
    258: "AVC", 261: "RESINFO", 32768: "TA", 32769: "DLV",
}  # fmt: skip
RESPONSE_CODES = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE", "DSOTYPENI", "RCODE12", "RCODE13", "RCODE14", "RCODE15",
)  # fmt: skip
SERVICE_PARAMETERS = {
    0: "mandatory",
    1: "alpn",
    2: "no-default-alpn",
    3: "port",
    4: "ipv4hint",
    5: "ech",
    6: "ipv6hint",
}
OPCODES = frozenset((0, 1, 2, 4, 5, 6))

_HEADER = Struct(">HHHHHH")
_RECORD = Struct(">HHIH")
_GROUPS = Struct(">8H")
_ZEROS = re.compile(r"(?<![0-9a-f])0(?::0)+")
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte != 0x5C)
_ESCAPED = [chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in range(256)]
_ESCAPED[0x5C] = "\\\\"


def escape(data: bytes) -> str:
    """Bytes as RFC 1035 5.1 writes them: printable ASCII as it is, a backslash doubled, other bytes as \\ddd."""
    if not data.translate(None, _PLAIN):
        return data.decode("ascii")
    return "".join([_ESCAPED[byte] for byte in data])


def read_name(data: bytes, position: int, known: dict[int, str]) -> tuple[str, int]:
    """A domain name and the position after it (RFC 1035 3.1, 4.1.4); the root is ".".

    A pointer must point before the name or pointer that it stands in, so that no name can loop. `known` holds the names
    already read in this message by their position, and is added to. Truncated, Malformed.
    """
    labels: list[bytes] = []
    start = limit = position
    after = size = jumps = 0
    try:
        while length := data[position]:
            if length < 64:
                end = position + length + 1
                labels.append(data[position + 1 : end])
                position = end
                size += length + 1
                if size >= MAX_NAME_BYTES:
                    raise Malformed(f"the name at {start} is longer than {MAX_NAME_BYTES} bytes")
            elif length >= 0xC0:
                target = (length & 0x3F) << 8 | data[position + 1]
                if not jumps:
                    after = position + 2
                    if not labels and target in known:
                        return known[target], after
                jumps += 1
                if target >= limit or target < HEADER_BYTES or jumps > MAX_POINTERS:
                    raise Malformed(f"the name at {start} points to {target}, which is not an earlier name")
                position = limit = target
            else:
                raise Malformed(f"the name at {start} has a label of type {length >> 6}")
    except IndexError:
        raise Truncated(f"the name at {start} runs past the end") from None
    name = _join(labels)
    known[start] = name
    return name, after or position + 1


def _join(labels: list[bytes]) -> str:
    if not labels:
        return "."
    joined = b".".join(labels)
    if not joined.translate(None, _PLAIN) and joined.count(b".") == len(labels) - 1:
        return joined.decode("ascii")
    return ".".join([escape(label).replace(".", "\\.") for label in labels])


def read_message(data: bytes, dataset: str = "dns", whole: bool = False) -> list[Fact]:
    """A DNS message without a length prefix → a fact for each question, the first of them with the answers.

    An answer's with the records of its other sections too when the `whole` message is asked for. Truncated or
    Malformed when the header or the first question cannot be read.
    """
    if len(data) < HEADER_BYTES:
        raise Truncated(f"a DNS header has {HEADER_BYTES} bytes, here are {len(data)}")
    identifier, flags, question_count, answer_count, authority_count, additional_count = _HEADER.unpack_from(data)
    response = flags & 0x8000 != 0
    if whole and response:
        answer_count += authority_count + additional_count
    known: dict[int, str] = {}
    questions, position = _read_questions(data, question_count, known)
    answers: list[DnsAnswer] = []
    addresses: list[str] = []
    if answer_count and position:
        _read_answers(data, position, answer_count, known, answers, addresses)
    first = Dns(
        type="answer" if response else "query",
        id=str(identifier),
        question=questions[0] if questions else None,
        response_code=RESPONSE_CODES[flags & 15] if response else None,
        answers=answers or None,
        resolved_ip=addresses or None,
    )
    if not questions:
        return [Fact(dataset, None, None, response, first)]
    facts = [Fact(dataset, questions[0].name, "dns_question", response, first)]
    for question in questions[1:]:
        more = Dns(type=first.type, id=first.id, question=question, response_code=first.response_code)
        facts.append(Fact(dataset, question.name, "dns_question", response, more))
    return facts


def _read_questions(data: bytes, count: int, known: dict[int, str]) -> tuple[list[DnsQuestion], int]:
    """The questions that can be read, the first at least, and where the answers begin: 0 when that is not known."""
    questions: list[DnsQuestion] = []
    position = HEADER_BYTES
    for _ in range(min(count, MAX_QUESTIONS)):
        try:
            name, position = read_name(data, position, known)
            if position + 4 > len(data):
                raise Truncated(f"the question at {position} runs past the end")
        except Malformed:
            if not questions:
                raise
            return questions, 0
        number = data[position] << 8 | data[position + 1]
        questions.append(DnsQuestion(name=name, type=TYPES.get(number) or f"TYPE{number}"))
        position += 4
    return questions, position if count <= MAX_QUESTIONS else 0


def _read_answers(
    data: bytes, position: int, count: int, known: dict[int, str], answers: list[DnsAnswer], addresses: list[str]
) -> None:
    """Appends the answers up to the first that cannot be read."""
    unpack, size = _RECORD.unpack_from, len(data)
    for _ in range(min(count, MAX_ANSWERS)):
        try:
            name, position = read_name(data, position, known)
        except Malformed:
            return
        start = position + 10
        if start > size:
            return
        number, _, ttl, length = unpack(data, position)
        position = start + length
        if position > size:
            return
        if number == 1 and length == 4:
            text = "%d.%d.%d.%d" % tuple(data[start:position])  # noqa: UP031
            addresses.append(text)
        elif number == 28 and length == 16:
            text = read_ipv6(data[start:position])
            addresses.append(text)
        else:
            try:
                text = read_data(data, start, position, number, known, addresses)
            except Malformed:
                text = data[start:position].hex()
        answers.append(DnsAnswer(name=name, type=TYPES.get(number) or f"TYPE{number}", data=text, ttl=ttl))


def read_data(data: bytes, start: int, end: int, number: int, known: dict[int, str], addresses: list[str]) -> str:
    """The data of a record, between `start` and `end` of the message, as a zone file writes it; unknown types as hex.

    Address hints of a service binding are added to `addresses`. Malformed when the data are not what the type says.
    """
    match number:
        case 2 | 5 | 12 | 39:
            text, position = read_name(data, start, known)
        case 15 if end - start > 2:
            name, position = read_name(data, start + 2, known)
            text = f"{_number(data, start)} {name}"
        case 16 | 99:
            text, position = _read_strings(data, start, end), end
        case 33 if end - start > 6:
            name, position = read_name(data, start + 6, known)
            text = f"{_number(data, start)} {_number(data, start + 2)} {_number(data, start + 4)} {name}"
        case 6:
            primary, position = read_name(data, start, known)
            mailbox, position = read_name(data, position, known)
            if position + 20 != end:
                raise Malformed(f"the SOA at {start} has not five numbers")
            numbers = [str(int.from_bytes(data[at : at + 4], "big")) for at in range(position, end, 4)]
            text, position = " ".join([primary, mailbox, *numbers]), end
        case 64 | 65 if end - start > 2:
            name, position = read_name(data, start + 2, known)
            if position <= end:
                text = f"{_number(data, start)} {name}{_read_parameters(data, position, end, addresses)}"
                position = end
        case _:
            return data[start:end].hex()
    if position != end:
        raise Malformed(f"the data of the record at {start} end at {position}, not at {end}")
    return text


def _number(data: bytes, position: int) -> int:
    return data[position] << 8 | data[position + 1]


def read_ipv6(address: bytes) -> str:
    """16 bytes → RFC 5952 text; an IPv4-mapped address ends in dotted form (RFC 5952 5)."""
    if address.startswith(b"\0\0\0\0\0\0\0\0\0\0\xff\xff"):
        return "::ffff:%d.%d.%d.%d" % tuple(address[12:])  # noqa: UP031
    text = "%x:%x:%x:%x:%x:%x:%x:%x" % _GROUPS.unpack(address)  # noqa: UP031
    if ":0" not in text:
        return text
    run = max(_ZEROS.finditer(text), key=_run_length, default=None)
    if run is None:
        return text
    return f"{text[: max(run.start() - 1, 0)]}::{text[run.end() + 1 :]}"


def _run_length(run: re.Match[str]) -> int:
    return run.end() - run.start()


def _read_strings(data: bytes, start: int, end: int) -> str:
    """Character strings (RFC 1035 3.3.14), each in quotes, with a space between."""
    texts = []
    while start < end:
        stop = start + 1 + data[start]
        if stop > end:
            raise Malformed(f"the text at {start} runs past the record")
        texts.append('"' + escape(data[start + 1 : stop]).replace('"', '\\"') + '"')
        start = stop
    return " ".join(texts)


def _read_parameters(data: bytes, position: int, end: int, addresses: list[str]) -> str:
    """Service parameters (RFC 9460 2.1, 2.2), each with a space before it; `ech` without its value, which is long."""
    text = ""
    for _ in range(MAX_PARAMETERS):
        if position == end:
            return text
        if position + 4 > end:
            break
        key, length = _number(data, position), _number(data, position + 2)
        position += 4
        value = data[position : position + length]
        position += length
        if position > end:
            break
        text += " " + SERVICE_PARAMETERS.get(key, f"key{key}")
        if key not in (2, 5) and value:
            text += "=" + _read_parameter(key, value, addresses)
    raise Malformed(f"the service parameters break off at {position}")


def _read_parameter(key: int, value: bytes, addresses: list[str]) -> str:
    size = len(value)
    if key == 1:
        names = []
        at = 0
        while at < size:
            names.append(escape(value[at + 1 : at + 1 + value[at]]).replace(",", "\\,"))
            at += 1 + value[at]
        return ",".join(names)
    if key == 3 and size == 2:
        return str(_number(value, 0))
    if key == 0 and not size % 2:
        keys = [_number(value, at) for at in range(0, size, 2)]
        return ",".join([SERVICE_PARAMETERS.get(number, f"key{number}") for number in keys])
    if key == 4 and not size % 4:
        hints = [".".join(map(str, value[at : at + 4])) for at in range(0, size, 4)]
    elif key == 6 and not size % 16:
        hints = [read_ipv6(value[at : at + 16]) for at in range(0, size, 16)]
    else:
        return escape(value)
    addresses.extend(hints)
    return ",".join(hints)


def is_plausible(data: bytes, start: int = 0) -> bool:
    """Whether a DNS header may begin at `start`, as far as it is there: opcode, reserved bit, questions."""
    head = data[start : start + HEADER_BYTES]
    size = len(head)
    if size > 2 and head[2] >> 3 & 15 not in OPCODES:
        return False
    if size > 3 and head[3] & 0x40:
        return False
    return size < 6 or _number(head, 4) <= MAX_QUESTIONS


def _whole(data: bytes, start: int, end: int) -> bool:
    """Whether a message with one question (class IN, a type that has a name) fills `data` from `start` to `end`."""
    if end - start < HEADER_BYTES + 5 or data[start + 4 : start + 6] != b"\0\1":
        return False
    message = data[start:end]
    known: dict[int, str] = {}
    try:
        _, position = read_name(message, HEADER_BYTES, known)
        if message[position + 2 : position + 4] != b"\0\1" or _number(message, position) not in TYPES:
            return False
        position += 4
        records = sum(_HEADER.unpack_from(message)[3:])
        if records * 11 > len(message) - position:
            return False
        for _ in range(records):
            _, position = read_name(message, position, known)
            if position + 10 > len(message):
                return False
            position += 10 + _number(message, position + 8)
    except Malformed:
        return False
    return position == len(message)


def recognises_datagram(first: bytes, port: int, direction: int) -> bool:
    """On port 53 a sane header; elsewhere only a whole message with one question and nothing after it.

    The ports of multicast DNS and LLMNR are theirs: what is asked there is asked of the neighbours, not of a server.
    """
    if not is_plausible(first) or len(first) < HEADER_BYTES or port in (MDNS_PORT, LLMNR_PORT):
        return False
    return port == PORT or _whole(first, 0, len(first))


def glance(data: Bytes, starts: Ints, stops: Ints) -> list[bytes | None]:
    """Of plain questions over UDP to port 53 the last two labels of the name, in lower case and with their lengths
    before them; None for anything that needs a closer look, as a name of more than MAX_GLANCED_LABELS. Where it is not
    None, the message is read without fault.

    The messages stand in `data` from `starts` to `stops`; behind the last of them it goes on for SLACK_BYTES.
    """
    headers = gather(data, starts, HEADER_BYTES)
    counts = big_endian(headers, 4, 4)
    # A query: RD, AD and CD as they come, and one question.
    plain = (headers[:, 2] <= 1) & (headers[:, 3] & 0xCF == 0) & (counts == 1 << 16)
    # Of the label that is looked at, and of the last and the one before it, where they begin; 0: there is none.
    going = np.flatnonzero(plain & (starts + HEADER_BYTES < stops))
    at = starts[going] + HEADER_BYTES
    last = before = np.zeros(len(going), np.int64)
    first, end = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    for _ in range(MAX_GLANCED_LABELS + 1):
        if not len(going):
            break
        lengths = data[at]
        over = np.flatnonzero((lengths == 0) & (before > 0) & (at + 5 <= stops[going]))
        first[going[over]], end[going[over]] = before[over], at[over]
        following = at + lengths + 1
        bounds = np.minimum(stops[going], starts[going] + HEADER_BYTES + MAX_NAME_BYTES)
        on = np.flatnonzero((lengths > 0) & (lengths <= MAX_LABEL_BYTES) & (following < bounds))
        going, before, last, at = going[on], last[on], at[on], following[on]
    view = data.data
    spans = zip(first.tolist(), end.tolist(), strict=True)
    return [view[start:stop].tobytes().lower() if stop else None for start, stop in spans]


def read_labels(wire: bytes) -> str:
    """What `glance` answers as text; bytes that are not ASCII as Latin-1."""
    end = wire[0] + 1
    return f"{wire[1:end].decode('latin-1')}.{wire[end + 1 :].decode('latin-1')}"


def recognises_stream(first: bytes, port: int, direction: int) -> bool | None:
    """As `recognises_datagram`, behind the length prefix of RFC 1035 4.2.2; None while the bytes are too few to say."""
    if not is_plausible(first, 2):
        return False
    if len(first) < 2:
        return None
    size = _number(first, 0)
    if size < HEADER_BYTES:
        return False
    if port == PORT:
        return True if len(first) >= 2 + HEADER_BYTES else None
    if size > MAX_UNKNOWN_PORT_BYTES or first[6:8] not in (b"\0\1", b"\0", b""):
        return False
    return _whole(first, 2, 2 + size) if len(first) >= 2 + size else None


def recognises_llmnr(first: bytes, port: int, direction: int) -> bool:
    """Port 5355 and a sane header; the operation code must be zero (RFC 4795 2.1.1)."""
    return port == LLMNR_PORT and len(first) >= HEADER_BYTES and not first[2] & 0x78 and is_plausible(first)


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """A DNS message over UDP; `backward` is true for answers, whichever side the flow took for its server."""
    return read_message(payload)


def read_llmnr(payload: bytes, direction: int) -> list[Fact]:
    """An LLMNR message; answers come back to the asker's port, as in DNS."""
    return read_message(payload, "llmnr")


class DnsDissection:
    """DNS over TCP: messages with a length prefix of two bytes, in both directions."""

    __slots__ = ("_held", "skip", "wants")

    def __init__(self) -> None:
        self.wants = [True, True]
        self.skip = [0, 0]
        self._held = [bytearray(), bytearray()]

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes of one direction; yields the facts of each message that they complete."""
        held = self._held[direction]
        held += data
        position, end = 0, len(held)
        while end - position >= 2:
            stop = position + 2 + (held[position] << 8 | held[position + 1])
            if stop > end:
                break
            message = bytes(held[position + 2 : stop])
            position = stop
            yield from read_message(message)
        del held[:position]


DISSECTOR = Dissector(name="dns", recognises=recognises_datagram, read_datagram=read_datagram)
OVER_TCP = Dissector(name="dns", recognises=recognises_stream, begin=DnsDissection)
LLMNR = Dissector(name="llmnr", recognises=recognises_llmnr, read_datagram=read_llmnr)
