"""Addresses → the longest network that holds them.

Nested networks are cut into disjoint runs once, when the index is sealed: a run is a first address and the network
that is the longest one from there on. A lookup bisects the first addresses, so that it costs the same whatever the
prefix lengths are and however deep they nest.
"""

import ipaddress
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, MutableSequence
from typing import Any, Final, Generic, TypeVar

Owner = TypeVar("Owner")
_V4_BITS: Final = 32
_V6_BITS: Final = 128
_HINT_BITS: Final = 16
_NUMBER_BITS: Final = 32
_NUMBERS: Final = (1 << _NUMBER_BITS) - 1
_LENGTHS: Final = {str(length): length for length in range(_V6_BITS + 1)}
# A look-up is faster than int() by half, and refuses "01", " 1" and "+1" too.
_OCTETS_1, _OCTETS_2, _OCTETS_3, _OCTETS_4 = (
    {str(octet): octet << shift for octet in range(256)} for shift in (24, 16, 8, 0)
)


def read_network(text: str) -> tuple[int, int, int]:
    """A network or a single address as text: its first address as a number, its length in bits, its IP version. Raises
    ValueError, as for host bits that are set."""
    address, slash, length_text = text.partition("/")
    number, version = read_address(address)
    bits = _V6_BITS if ":" in address else _V4_BITS
    length = _LENGTHS.get(length_text, _V6_BITS + 1) if slash else bits
    if version != (4 if bits == _V4_BITS else 6) or length > bits:
        raise ValueError(f"{text!r} is no network")
    if number & (1 << bits - length) - 1:
        raise ValueError(f"{text!r} has host bits set")
    return number, length, version


def read_address(text: str) -> tuple[int, int]:
    """(number, IP version) of an address as text; an IPv4-mapped one (RFC 4291 section 2.5.5.2) is its IPv4 address.
    (0, 0) for text that is no address."""
    try:
        if ":" not in text:
            a, b, c, d = text.split(".")
            return _OCTETS_1[a] | _OCTETS_2[b] | _OCTETS_3[c] | _OCTETS_4[d], 4
        number = _read_v6(text)
    except (KeyError, ValueError):
        return 0, 0
    return (number & 0xFFFFFFFF, 4) if number >> 32 == 0xFFFF else (number, 6)


def _read_v6(text: str) -> int:
    """The library's parser takes three times as long; RFC 4291 section 2.2. What is rare is left to the library."""
    head, gap, tail = text.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    missing = 8 - len(left) - len(right)
    if (missing < 1 if gap else missing) or "%" in text or "." in text or "" in left or "" in right:
        return int(ipaddress.IPv6Address(text.partition("%")[0]))
    groups = [group.rjust(4, "0") for group in left] + ["0000"] * missing + [group.rjust(4, "0") for group in right]
    octets = bytes.fromhex("".join(groups))
    if len(octets) != 16:
        raise ValueError(text)
    return int.from_bytes(octets, "big")


class NetworkIndex(Generic[Owner]):
    """Networks and their owners. `add` fills it and `seal` must follow before `match` is asked."""

    __slots__ = ("_v4", "_v6")

    def __init__(self) -> None:
        self._v4: _Runs[Owner] = _Runs(_V4_BITS)
        self._v6: _Runs[Owner] = _Runs(_V6_BITS)

    def __len__(self) -> int:
        return self._v4.size + self._v6.size

    def add(self, texts: Iterable[str], owner: Owner) -> None:
        """Takes networks as text. The first owner of the very same network keeps it. Raises ValueError at the first
        that is none; those before it are in."""
        runs, read = {4: self._v4, 6: self._v6}, read_network
        for text in texts:
            first, length, version = read(text)
            runs[version].add(first, length, text, owner)

    def seal(self) -> None:
        """Makes what was added answerable; nothing can be added any more."""
        self._v4.seal()
        self._v6.seal()

    def pieces(self, most: int) -> Iterator[tuple[Any, ...]]:
        """What was sealed, in pieces of at most `most` runs, for an empty index elsewhere to `take` in this order."""
        for version, runs in ((4, self._v4), (6, self._v6)):
            for piece in runs.pieces(most):
                yield version, piece

    def take(self, piece: tuple[Any, ...]) -> None:
        """Take a piece of another index."""
        version, inner = piece
        (self._v4 if version == 4 else self._v6).take(*inner)

    def match(self, address: str) -> tuple[str, Owner] | None:
        """The longest network that holds an address (both as text), and its owner."""
        runs = self._v4
        if ":" not in address:
            # As in read_address, without its call: nearly all addresses are IPv4.
            try:
                a, b, c, d = address.split(".")
                number = _OCTETS_1[a] | _OCTETS_2[b] | _OCTETS_3[c] | _OCTETS_4[d]
            except (KeyError, ValueError):
                return None
            top = number >> _V4_BITS - _HINT_BITS
        else:
            number, version = read_address(address)
            if not version:
                return None
            runs = runs if version == 4 else self._v6
            top = number >> runs.hint_shift
        run = bisect_right(runs.starts, number, runs.hints[top], runs.hints[top + 1]) - 1
        text = runs.texts[run]
        return None if text is None else (text, runs.owners[runs.owner_ids[run] if runs.owner_ids else 0])


class _Runs(Generic[Owner]):
    """Networks of one IP version: columns, since there may be millions.

    `starts`, `texts` and `owner_ids` are the runs: first address, network (None: nobody's), and position in `owners`
    (left out where there is but one).
    `hints` says for each value of an address's first 16 bits where its runs begin. IPv4 addresses fit a column of four
    bytes; IPv6 addresses fit none, and are a list.
    """

    __slots__ = (
        "_added",
        "_bits",
        "_owner_ids",
        "_texts",
        "hint_shift",
        "hints",
        "owner_ids",
        "owners",
        "size",
        "starts",
        "texts",
    )

    def __init__(self, bits: int) -> None:
        self._bits, self.hint_shift = bits, bits - _HINT_BITS
        self._added: list[int] = []
        self._texts: list[str | None] = []
        self._owner_ids = array("I")
        self.size = 0
        self.owners: list[Owner] = []
        # The first run begins at 0 and is nobody's, so that every address lies in a run.
        self.starts: MutableSequence[int] = array("I", [0]) if bits == _V4_BITS else [0]
        self.texts: list[str | None] = [None]
        self.owner_ids = array("I", [0])
        self.hints = array("I")

    def add(self, first: int, length: int, text: str, owner: Owner) -> None:
        # A list's networks come one after the other with one owner: the last owner is nearly always this one.
        if not self.owners or self.owners[-1] is not owner:
            self.owners.append(owner)
        # One number that sorts as the network does, and the first of the same before the others.
        self._added.append((first << 8 | length) << _NUMBER_BITS | self.size)
        self._texts.append(text)
        self._owner_ids.append(len(self.owners) - 1)
        self.size += 1

    def seal(self) -> None:
        numbers = self._cut()
        # The number of nobody, -1, is the last.
        self._texts.append(None)
        self._owner_ids.append(0)
        self.texts = [self._texts[number] for number in numbers]
        many = len(self.owners) > 1
        self.owner_ids = array("I", [self._owner_ids[number] for number in numbers] if many else [])
        self._texts, self._owner_ids = [], array("I")
        self.hints = array("I")
        for run, start in enumerate(self.starts):
            if (missing := (start >> self.hint_shift) + 1 - len(self.hints)) > 0:
                self.hints.extend(array("I", [run]) * missing)
        self.hints.extend(array("I", [len(self.starts)]) * ((1 << _HINT_BITS) + 1 - len(self.hints)))

    def _cut(self) -> "array[int]":
        """Fills `starts`; the number, among those added, of the network that each run belongs to (-1: nobody's)."""
        added, self._added = self._added, []
        added.sort()
        # Behind the last address: every network ends before it.
        added.append(1 << self._bits + 8 + _NUMBER_BITS)
        sizes = [1 << self._bits - length for length in range(self._bits + 1)]
        # Where another network begins to be the longest one, and which; the last at one address holds.
        starts, numbers = self.starts, array("i", [-1])
        # The networks around an address, innermost last, and where each ends.
        around, ends = [-1], [(1 << self._bits) + 1]
        last, end = -1, ends[0]
        for key in added:
            network = key >> _NUMBER_BITS
            if network == last:
                continue
            last, first = network, network >> 8
            while end <= first:
                around.pop()
                start = ends.pop()
                end, number = ends[-1], around[-1]
                if start == starts[-1]:
                    numbers[-1] = number
                elif start >> self._bits == 0:
                    starts.append(start)
                    numbers.append(number)
            if first >> self._bits:
                break
            number = key & _NUMBERS
            if first == starts[-1]:
                numbers[-1] = number
            else:
                starts.append(first)
                numbers.append(number)
            end = first + sizes[network & 255]
            around.append(number)
            ends.append(end)
        return numbers

    def pieces(self, most: int) -> Iterator[tuple[Any, ...]]:
        yield "head", self.hints, self.owners, self.size
        for begin in range(0, len(self.starts), most):
            some = slice(begin, begin + most)
            # No network is written as an empty text.
            yield "runs", self.starts[some], "\n".join(text or "" for text in self.texts[some]), self.owner_ids[some]

    def take(self, part: str, *what: Any) -> None:
        if part == "head":
            self.hints, self.owners, self.size = what
            self.starts, self.texts, self.owner_ids = self.starts[:0], [], array("I")
            return
        starts, texts, owner_ids = what
        self.starts.extend(starts)
        self.texts.extend(text or None for text in texts.split("\n"))
        self.owner_ids.extend(owner_ids)
