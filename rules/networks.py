"""Addresses → the longest network that holds them.

Nested networks are cut into disjoint runs once, when the index is sealed: a run is a first address and the network
that is the longest one from there on. A lookup bisects the first addresses, so that it costs the same whatever the
prefix lengths are and however deep they nest.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, MutableSequence

# The C library's readers of addresses, and nothing of a socket: several times as fast as any in Python.
from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct
from typing import Any, Final, Generic, TypeVar

Owner = TypeVar("Owner")
_V4_BITS: Final = 32
_V6_BITS: Final = 128
_TOP_BITS: Final = 16
_NUMBER_BITS: Final = 32
_NUMBERS: Final = (1 << _NUMBER_BITS) - 1
_LENGTHS: Final = {str(length): length for length in range(_V6_BITS + 1)}
_halves: Final = Struct(">HH").unpack


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
            return int.from_bytes(inet_pton(AF_INET, text)), 4
        number = int.from_bytes(inet_pton(AF_INET6, text.partition("%")[0]))
    except (OSError, ValueError):
        return 0, 0
    return (number & 0xFFFFFFFF, 4) if number >> 32 == 0xFFFF else (number, 6)


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
                top, rest = _halves(inet_pton(AF_INET, address))
            except (OSError, ValueError):
                return None
        else:
            number, version = read_address(address)
            if not version:
                return None
            runs = runs if version == 4 else self._v6
            top, rest = number >> runs.rest_bits, number & runs.rest_mask
        run = bisect_right(runs.rests, rest, runs.hints[top], runs.hints[top + 1]) - 1
        text = runs.texts[run]
        return None if text is None else (text, runs.owners[runs.owner_ids[run] if runs.owner_ids else 0])


class _Runs(Generic[Owner]):
    """Networks of one IP version: columns, since there may be millions.

    `rests`, `texts` and `owner_ids` are the runs: first address without its first 16 bits, network (None: nobody's),
    and position in `owners` (left out where there is but one).
    `hints` says for each value of an address's first 16 bits where its runs begin. What is left of an IPv4 address fits
    a column of two bytes, which is half the memory to look around in; that of an IPv6 address fits none, and is a list.
    """

    __slots__ = (
        "_added",
        "_bits",
        "_owner_ids",
        "_texts",
        "hints",
        "owner_ids",
        "owners",
        "rest_bits",
        "rest_mask",
        "rests",
        "size",
        "texts",
    )

    def __init__(self, bits: int) -> None:
        self._bits, self.rest_bits = bits, bits - _TOP_BITS
        self.rest_mask = (1 << self.rest_bits) - 1
        self._added: list[int] = []
        self._texts: list[str | None] = []
        self._owner_ids = array("I")
        self.size = 0
        self.owners: list[Owner] = []
        self.rests: MutableSequence[int] = array("H") if bits == _V4_BITS else []
        self.texts: list[str | None] = []
        self.owner_ids = array("I")
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
        starts, numbers = self._cut()
        # The number of nobody, -1, is the last.
        self._texts.append(None)
        self._owner_ids.append(0)
        self.texts = [self._texts[number] for number in numbers]
        many = len(self.owners) > 1
        self.owner_ids = array("I", [self._owner_ids[number] for number in numbers] if many else [])
        self._texts, self._owner_ids = [], array("I")
        mask = self.rest_mask
        self.rests.extend(start & mask for start in starts)
        self.hints = array("I", [0])
        for top in range(1, 1 << _TOP_BITS):
            self.hints.append(bisect_left(starts, top << self.rest_bits, self.hints[-1]))
        self.hints.append(len(starts))

    def _cut(self) -> "tuple[MutableSequence[int], array[int]]":
        """The runs: where each begins, and the number, among those added, of its network (-1: nobody's)."""
        added, self._added = self._added, []
        added.sort()
        # Behind the last address: every network ends before it.
        added.append(1 << self._bits + 8 + _NUMBER_BITS)
        sizes = [1 << self._bits - length for length in range(self._bits + 1)]
        # Where another network begins to be the longest one, and which; the last at one address holds. The first run
        # begins at 0 and is nobody's, so that every address lies in a run.
        starts: MutableSequence[int] = array("I", [0]) if self._bits == _V4_BITS else [0]
        numbers = array("i", [-1])
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
        return starts, numbers

    def pieces(self, most: int) -> Iterator[tuple[Any, ...]]:
        yield "head", self.hints, self.owners, self.size
        for begin in range(0, len(self.rests), most):
            some = slice(begin, begin + most)
            # No network is written as an empty text.
            yield "runs", self.rests[some], "\n".join(text or "" for text in self.texts[some]), self.owner_ids[some]

    def take(self, part: str, *what: Any) -> None:
        if part == "head":
            self.hints, self.owners, self.size = what
            self.rests, self.texts, self.owner_ids = self.rests[:0], [], array("I")
            return
        rests, texts, owner_ids = what
        self.rests.extend(rests)
        self.texts.extend(text or None for text in texts.split("\n"))
        self.owner_ids.extend(owner_ids)
