"""What reads a flow: whoever recognises its bytes, then that protocol's dissection, until nothing more is of use."""

import dataclasses
import functools
import importlib
from collections.abc import Sequence

from collector.digests import Digests
from collector.dissectors import DISSECTORS
from collector.dissectors.dissector import (
    FROM_CLIENT,
    FROM_SERVER,
    Conversation,
    Digesting,
    Dissection,
    Dissector,
    Fact,
)
from collector.errors import Malformed
from collector.reassembly import Reassembly

MAX_UNDECIDED_BYTES = 2_048
MAX_UNDECIDED_DATAGRAMS = 4
SEQUENCE_SPACE = 1 << 32
BOTH, NEITHER = (True, True), (False, False)


@functools.cache
def load_dissectors(names: tuple[str, ...] = DISSECTORS) -> tuple[Dissector, ...]:
    """The dissectors of the list, in its order."""
    loaded = []
    for name in names:
        module, _, attribute = name.rpartition(".")
        loaded.append(getattr(importlib.import_module(module), attribute))
    return tuple(loaded)


Candidates = tuple[tuple[Dissector, ...], ...]
"""By the first byte of a flow, who may recognise it, in the order of the list."""


def with_digests(dissectors: Sequence[Dissector], digests: Digests) -> tuple[Dissector, ...]:
    """The dissectors, those that can taking digests on this budget."""
    return tuple(
        each if each.digest is None else dataclasses.replace(each, begin=functools.partial(each.digest, digests))
        for each in dissectors
    )


def stream_candidates(dissectors: tuple[Dissector, ...]) -> Candidates:
    """Those that read TCP, by first byte, so that a new flow asks few of many."""
    return _by_first_byte(tuple(each for each in dissectors if each.begin is not None))


def datagram_candidates(dissectors: tuple[Dissector, ...]) -> Candidates:
    """Those that read UDP, by first byte."""
    return _by_first_byte(tuple(each for each in dissectors if each.read_datagram or each.converse))


# Those that take digests are other ones for each pipeline: what is remembered must be bounded.
@functools.lru_cache(8)
def _by_first_byte(dissectors: tuple[Dissector, ...]) -> Candidates:
    rows: list[list[Dissector]] = [[] for _ in range(256)]
    for each in dissectors:
        for first in range(256) if each.starts is None else set(each.starts):
            rows[first].append(each)
    return tuple(map(tuple, rows))


class StreamReader:
    """One TCP flow. `protocol` is the dissector's name once it is known.

    `began` is the side that began the flow, as far as its first packet told; it stays as it was. `broken` is set
    when the bytes break their protocol. `turned` (the other side began it), `noted` (the protocol was) and `name` (the
    peer's, and where it stood) are the pipeline's. A Reassembly is made only when a segment is out of order.
    """

    __slots__ = (
        "_candidates", "_dissection", "_heads", "_next", "_open", "_port", "_streams", "began", "broken", "gaps",
        "name", "noted", "protocol", "turned",
    )  # fmt: skip

    def __init__(self, candidates: Candidates, port: int, began: int) -> None:
        self.began = began
        self.turned = self.noted = False
        self.broken: str | None = None
        self.name: tuple[str, str] | None = None
        self.protocol: str | None = None
        self.gaps = 0
        self._candidates = candidates
        self._port = port
        self._dissection: Dissection | None = None
        self._open = [True, True]
        self._next = [-1, -1]
        self._heads: list[bytes] | None = None
        self._streams: list[Reassembly | None] | None = None

    @property
    def holds(self) -> bool:
        """Whether something may lie behind a hole."""
        return self._streams is not None

    @property
    def wants(self) -> Sequence[bool]:
        """By direction, whether more bytes are of use."""
        return self._open if self._dissection is None else self._dissection.wants

    def feed(self, direction: int, sequence: int, payload: bytes, syn: int) -> list[Fact]:
        """A segment; `syn` is the sequence number of this direction's SYN, -1 when it was not seen."""
        if self._streams is None or self._streams[direction] is None:
            expected = self._next[direction]
            if expected < 0:
                # What lies before the SYN cannot be of its connection: a stray SYN must not cut the first bytes off.
                fits = syn >= 0 and (sequence - syn - 1) % SEQUENCE_SPACE < SEQUENCE_SPACE // 2
                expected = (syn + 1) % SEQUENCE_SPACE if fits else sequence
            if sequence == expected:
                self._next[direction] = (sequence + len(payload)) % SEQUENCE_SPACE
                return self._take(direction, payload, 0)
            stream = self._reassemble(direction, expected)
        else:
            stream = self._streams[direction]  # type: ignore[assignment]
        skipped = stream.skipped_bytes
        data = stream.feed(sequence, payload)
        if not data:
            return []
        return self._take(direction, data, stream.skipped_bytes - skipped if stream.gap_before else 0)

    def skips(self, direction: int, sequence: int, size: int) -> bool:
        """Whether a segment is in order and wholly inside a body that means nothing: then it is counted as read."""
        dissection = self._dissection
        if dissection is None or dissection.skip[direction] < size or self._next[direction] != sequence:
            return False
        if self._streams is not None and self._streams[direction] is not None:
            return False
        dissection.skip[direction] -= size
        self._next[direction] = (sequence + size) % SEQUENCE_SPACE
        return True

    def give_up(self) -> None:
        """No more bytes are of use."""
        self._close(FROM_CLIENT)
        self._close(FROM_SERVER)

    def finish(self) -> list[tuple[int, Fact]]:
        """The flow has ended: what still lay behind a hole is read. Direction and fact."""
        found: list[tuple[int, Fact]] = []
        for direction, stream in enumerate(self._streams or ()):
            while stream is not None and self.broken is None and self.wants[direction]:
                skipped = stream.skipped_bytes
                data = stream.flush()
                if not data:
                    break
                found += [(direction, fact) for fact in self._take(direction, data, stream.skipped_bytes - skipped)]
        return found

    def _reassemble(self, direction: int, expected: int) -> Reassembly:
        stream = Reassembly()
        stream.begin((expected - 1) % SEQUENCE_SPACE)
        if self._streams is None:
            self._streams = [None, None]
        self._streams[direction] = stream
        return stream

    def _take(self, direction: int, data: bytes, hole: int) -> list[Fact]:
        if hole:
            self.gaps += 1
            if not self._bridge(direction, hole):
                self._close(direction)
                return []
        if self._dissection is not None:
            return self._dissect(self._dissection, direction, data)
        return self._decide(direction, data) if self._open[direction] else []

    def _dissect(self, dissection: Dissection, direction: int, data: bytes) -> list[Fact]:
        """What the bytes complete; what was read before they broke the protocol is kept."""
        found: list[Fact] = []
        try:
            found.extend(dissection.feed(direction, data))
        except Malformed as error:
            self.broken = str(error)
        return found

    def _bridge(self, direction: int, hole: int) -> bool:
        """A hole does no harm where nothing was read yet, or inside a body that is skipped."""
        if self._dissection is None:
            return self._heads is None or not self._heads[direction]
        if isinstance(self._dissection, Digesting):
            self._dissection.forgo_digest(direction)
        skip = self._dissection.skip
        if hole > skip[direction]:
            return False
        skip[direction] -= hole
        return True

    def _close(self, direction: int) -> None:
        if self._dissection is not None:
            self._dissection.wants[direction] = False
        self._open[direction] = False

    def _decide(self, direction: int, data: bytes) -> list[Fact]:
        """Ask every dissector; the first that recognises the bytes gets them, and those of the other direction."""
        heads = self._heads
        head = data if heads is None else heads[direction] + data
        undecided = False
        for dissector in self._candidates[head[0]] if head else ():
            answer = dissector.recognises(head, self._port, direction)
            if answer and dissector.begin is not None:
                self.protocol = dissector.name
                dissection = self._dissection = dissector.begin()
                self._heads = None
                found = self._dissect(dissection, direction, head)
                if heads is not None and heads[1 - direction] and dissection.wants[1 - direction]:
                    found += self._dissect(dissection, 1 - direction, heads[1 - direction])
                return found
            undecided = undecided or answer is None
        if undecided and len(head) < MAX_UNDECIDED_BYTES:
            if heads is None:
                heads = self._heads = [b"", b""]
            heads[direction] = head
        else:
            self._close(direction)
        return []


class DatagramReader:
    """One UDP flow: which dissector reads its datagrams, and how many were nobody's. See StreamReader for the rest."""

    __slots__ = (
        "_broke", "_candidates", "_conversation", "_port", "began", "broken", "dissector", "misses", "name", "noted",
        "turned",
    )  # fmt: skip

    def __init__(self, candidates: Candidates, port: int, began: int) -> None:
        self.began = began
        self.turned = self.noted = False
        self.broken: str | None = None
        self.name: tuple[str, str] | None = None
        self.dissector: Dissector | None = None
        self._conversation: Conversation | None = None
        self.misses = 0
        self._broke = False
        self._candidates = candidates
        self._port = port

    @property
    def protocol(self) -> str | None:
        """The dissector's name once it is known."""
        return None if self.dissector is None else self.dissector.name

    @property
    def wants(self) -> Sequence[bool]:
        """By direction, whether more datagrams are of use."""
        if self._conversation is not None:
            return self._conversation.wants
        return BOTH if self.dissector is not None or self.misses < MAX_UNDECIDED_DATAGRAMS else NEITHER

    def read(self, direction: int, payload: bytes) -> list[Fact]:
        """What a datagram says. One that breaks the protocol says nothing of the next: only the first is `broken`."""
        self.broken = None
        dissector = self.dissector
        if dissector is None:
            for dissector in self._candidates[payload[0]]:
                if dissector.recognises(payload, self._port, direction):
                    self.dissector = dissector
                    if dissector.converse is not None:
                        self._conversation = dissector.converse()
                    break
            else:
                self.misses += 1
                return []
        try:
            if self._conversation is not None:
                return self._conversation.read(direction, payload)
            assert dissector.read_datagram is not None
            return dissector.read_datagram(payload, direction)
        except Malformed as error:
            if not self._broke:
                self._broke, self.broken = True, str(error)
            return []
