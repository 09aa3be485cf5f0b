"""The long tail: a few packets of each protocol that we do not dissect, and what Wireshark reads of their devices.

A tshark runs beside the capture, fed through a pipe. It gets the first packets of flows that no dissector of ours
recognises: a bounded number for each of our devices and each service, and no more than its share of a processor can
read. It is nobody's master: the capture never waits for it. When it dies, hangs, or takes too much memory, it is ended
and started again later; what it did not read is counted by reason:

enough       its device and service have had their share
over_budget  it has used its share of the processor
busy         it has not taken what it has yet
down         it is not running: it died or hung, and waits for its next start
unanswered   it had it when it ended
unreadable   what it said of it cannot be read
forgotten    services whose counts were let go, to make room for others
"""

import contextlib
import os
import queue
import struct
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

from collector.dissectors.dissector import Fact
from collector.errors import LenswatchError
from collector.packets import TCP
from collector.pcapng_writer import PacketWriter
from collector.reporting import Told
from collector.settings import DeepSettings
from collector.views import FlowValues
from collector.wireshark.evidence import TELLING, facts_of
from collector.wireshark.layers import layers_of, protocols_of
from collector.wireshark.tshark import Tshark

RAW_IP = 101
"""LINKTYPE_RAW: an IPv4 or IPv6 packet, by its version."""
MAX_PAYLOAD_BYTES = 4_096
MAX_SERVICES = 65_536
MAX_UNTOLD = 256
"""Packets that tshark has, and has not answered yet."""
MAX_AT_ONCE = 16
"""Answers that are read after one block: a capture that waits for us loses packets."""
MAX_REPEATS = 16_384
FIRST_SECONDS, MAX_WAIT_SECONDS, HEALTHY_SECONDS = 1.0, 300.0, 60.0
LOOK_SECONDS = 0.5
BURST_SECONDS = 3.0
"""Of processor time that may be used before its share of the time has come: a start takes half a second."""
END_SECONDS = 5.0
KINDNESS = 10
MAX_ANSWERED = 20_000
"""Packets after which a new tshark takes over: an old one remembers every conversation."""

_IPV4, _IPV6 = struct.Struct(">BBHHHBBH"), struct.Struct(">IHBB")
_UDP, _TCP = struct.Struct(">HHHH"), struct.Struct(">HHIIBBHHH")
_PUSH = 0x18


class DeepReader:
    """Takes packets and gives what they said; see `reporting.Strangers`. Nothing runs before the first packet."""

    def __init__(self, settings: DeepSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self._clock = settings, clock
        self.offered = self.answered = 0
        self._missed: Counter[str] = Counter()
        self._services: OrderedDict[tuple[bytes, int, int], int] = OrderedDict()
        self._repeats: OrderedDict[tuple[bytes, str, str], None] = OrderedDict()
        self.tshark: Tshark | None = None
        self._began = self._looked_at = clock()
        self._used = self._cpu = 0.0
        self._started_at = self._again_at = 0.0
        self._wait = FIRST_SECONDS
        self._heard_at = 0.0
        self._answered_by_this = 0
        self._left = b""
        self._untold: deque[tuple[FlowValues, int, int, int]] = deque()
        self._writer = PacketWriter()

    def offer(self, values: FlowValues, direction: int, payload: bytes, sequence: int, at_ns: int) -> None:
        """A packet of a flow that nobody recognises; never waits."""
        self.offered += 1
        reason = self._why_not(values)
        if reason is not None:
            self._missed[reason] += 1
            return
        packet = packet_of(values, direction ^ values[0], payload[:MAX_PAYLOAD_BYTES], sequence)
        if not self._untold:
            self._heard_at = self._clock()
        self._left += self._writer.packet(RAW_IP, at_ns, packet, len(packet))
        self._untold.append((values, direction, sequence, at_ns))
        self._push()

    def _why_not(self, values: FlowValues) -> str | None:
        service = service_of(values)
        count = self._services.pop(service, 0)
        self._services[service] = min(count + 1, self.settings.packets + 1)
        if len(self._services) > MAX_SERVICES:
            self._services.popitem(last=False)
            self._missed["forgotten"] += 1
        if count >= self.settings.packets:
            return "enough"
        self._look()
        if self._used > self._allowed():
            return "over_budget"
        if self.tshark is None and not self._start():
            return "down"
        return "busy" if len(self._untold) >= MAX_UNTOLD else None

    def _allowed(self) -> float:
        return BURST_SECONDS + self.settings.cpu_share * (self._clock() - self._began)

    def _look(self) -> None:
        """Now and then: how much it has used, and whether it hangs."""
        now = self._clock()
        if self.tshark is None or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        before, self._cpu = self._cpu, self.tshark.cpu_seconds()
        self._used += max(self._cpu - before, 0.0)
        if self._untold and now - self._heard_at > self.settings.hang_seconds:
            self._end()

    def _start(self) -> bool:
        """Start one, unless it is too early; whether one runs."""
        now = self._clock()
        if now < self._again_at:
            return False
        try:
            self.tshark = Tshark(memory_bytes=self.settings.memory_bytes)
        except LenswatchError:
            self._put_off(now)
            return False
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.tshark.pid, KINDNESS)
        self._writer, self._left, self._cpu = PacketWriter(), b"", 0.0
        self._started_at = self._heard_at = now
        self._answered_by_this = 0
        return True

    def _put_off(self, now: float) -> None:
        self._again_at = now + self._wait
        self._wait = min(2 * self._wait, MAX_WAIT_SECONDS)

    def _end(self, in_peace: bool = False) -> None:
        """End this one; what it had is unanswered."""
        if self.tshark is None:
            return
        self._used += max(self.tshark.cpu_seconds() - self._cpu, 0.0)
        self.tshark.close()
        self.tshark, self._left = None, b""
        if self._untold:
            self._missed["unanswered"] += len(self._untold)
            self._untold.clear()
        now = self._clock()
        if in_peace or now - self._started_at > HEALTHY_SECONDS:
            self._wait = FIRST_SECONDS
        if not in_peace:
            self._put_off(now)

    def _push(self) -> None:
        """Give it what it takes."""
        while self._left and self.tshark is not None:
            taken = self.tshark.send(self._left, 0)
            if taken < 0:
                self._end()
            elif taken == 0:
                return
            self._left = self._left[max(taken, 0) :]

    def told(self) -> list[Told]:
        """What it said since the last time."""
        self._push()
        self._look()
        found: list[Told] = []
        for _ in range(MAX_AT_ONCE):
            if self.tshark is None:
                break
            try:
                answer = self.tshark.answers.get_nowait()
            except queue.Empty:
                break
            if answer is None or not self._untold:
                self._end()
                break
            self._take(answer, found)
        return found

    def _take(self, answer: bytes, found: list[Told]) -> None:
        self._answered_by_this += 1
        self._heard_at = self._clock()
        values, direction, sequence, at_ns = self._untold.popleft()
        began, facts = time.thread_time(), list[Fact]()
        # Two parsers that are not ours read here what a third made of anybody's bytes: whatever they raise is theirs.
        try:
            if not TELLING.keys().isdisjoint(protocols_of(answer)):
                facts = facts_of(layers_of(answer), direction)
            self.answered += 1
        except Exception:
            self._missed["unreadable"] += 1
        self._used += time.thread_time() - began
        for ordinal, fact in enumerate(facts):
            if self._is_news(values, direction, fact):
                found.append((values, fact, at_ns, (sequence, ordinal)))
        if self._answered_by_this >= MAX_ANSWERED and not self._untold:
            self._end(in_peace=True)

    def _is_news(self, values: FlowValues, direction: int, fact: Fact) -> bool:
        """Whether this end has not said this before, as far as we remember."""
        side = direction ^ values[0]
        said = values[6][16 * side : 16 * side + 16], fact.action or "", repr(fact.announced)
        if said in self._repeats:
            return False
        self._repeats[said] = None
        if len(self._repeats) > MAX_REPEATS:
            self._repeats.popitem(last=False)
        return True

    def missed(self) -> Counter[str]:
        """What it did not read since the last time, by reason."""
        missed, self._missed = self._missed, Counter()
        return missed

    def finish(self) -> list[Told]:
        """The capture is over: what it still has, as far as it is quick; then it is ended."""
        found: list[Told] = []
        until = self._clock() + END_SECONDS
        while self._untold and self.tshark is not None and self._clock() < until:
            before = self.answered
            found += self.told()
            if self.answered == before:
                time.sleep(0.01)
        self._end(in_peace=True)
        return found


def service_of(values: FlowValues) -> tuple[bytes, int, int]:
    """Whose share a packet is of: our device's (else the asking one's) address, transport and port that was called."""
    began, own = values[0], values[8]
    side = began if own[began] or not own[1 - began] else 1 - began
    return values[6][16 * side : 16 * side + 16], values[1], values[5][1 - began]


def packet_of(values: FlowValues, side: int, payload: bytes, sequence: int) -> bytes:
    """An IP packet of the flow, sent by `side`, as it was but for what does not matter: no checksum, no option."""
    transport, version, ports, addresses = values[1], values[2], values[5], values[6]
    source, target = ports[side], ports[1 - side]
    size = 4 if version == 4 else 16
    ends = addresses[16 * side :][:size], addresses[16 * (1 - side) :][:size]
    if transport == TCP:
        body = _TCP.pack(source, target, sequence & 0xFFFF_FFFF, 0, 5 << 4, _PUSH, 0xFFFF, 0, 0) + payload
    else:
        body = _UDP.pack(source, target, len(payload) + _UDP.size, 0) + payload
    if version == 4:
        head = _IPV4.pack(0x45, 0, 20 + len(body), 0, 0, 64, transport, 0)
    else:
        head = _IPV6.pack(6 << 28, len(body), transport, 64)
    return b"".join((head, *ends, body))
