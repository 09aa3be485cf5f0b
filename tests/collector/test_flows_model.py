"""The flow table beside a plain dict, on random packets, cut into blocks at random places."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from collector.flows import CLOSED_SECONDS, SERVICE_PORTS, SWEEP_SECONDS, TCP_IDLE_SECONDS, UDP_IDLE_SECONDS
from collector.packets import ACK, FIN, RST, SYN, TCP
from tests.collector.folded import End, Flow, all_flows
from tests.collector.frames import BEGIN_NS, CAMERA, NS, PSH_ACK, SERVER, tcp_frame, udp_frame

ENDS = (CAMERA, 40_000, SERVER, 443)


@dataclasses.dataclass
class Kept:
    """A flow of the model, with what decides its end."""

    flow: Flow
    transport: int
    flags: dict[End, int]
    syn: dict[End, int]


class Model:
    """The table as its documentation has it, packet by packet, over a dict."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, frozenset[End]], Kept] = {}
        self.ended: list[Flow] = []
        self.swept = 0

    def take(
        self, at_ns: int, ends: tuple[str, int, str, int], back: bool, flags: int | None, number: int, size: int
    ) -> None:
        source, target = (ends[2:], ends[:2]) if back else (ends[:2], ends[2:])
        if at_ns // (SWEEP_SECONDS * NS) != self.swept:
            self.swept = at_ns // (SWEEP_SECONDS * NS)
            self.sweep(self.swept * SWEEP_SECONDS * NS)
        key = (17 if flags is None else TCP, frozenset((source, target)))
        kept = self.known.get(key)
        if (
            kept is not None
            and flags is not None
            and flags & (SYN | ACK) == SYN
            and self.is_another(kept, source, number)
        ):
            self.end(key, "reused")
            kept = None
        if kept is None:
            began = source if self.sender_began(source, target, flags) else target
            flow = Flow(began, {source: 0, target: 0}, {source: 0, target: 0}, at_ns, at_ns)
            kept = self.known[key] = Kept(flow, key[0], {source: 0, target: 0}, {})
        kept.flow.bytes[source] += size
        kept.flow.packets[source] += 1
        kept.flow.last_ns = at_ns
        if flags is not None:
            kept.flags[source] |= flags
            if flags & SYN:
                kept.syn.setdefault(source, number)

    def is_another(self, kept: Kept, source: End, number: int) -> bool:
        """A SYN that is no repeat of its side's; where none is known, unless the other side's answer came first."""
        if source in kept.syn:
            return kept.syn[source] != number
        seen = 0
        for flags in kept.flags.values():
            seen |= flags
        return not seen & SYN or bool(seen & (FIN | RST))

    def sender_began(self, source: End, target: End, flags: int | None) -> bool:
        if flags is not None and flags & SYN:
            return not flags & ACK
        if SERVICE_PORTS[source[1]] != SERVICE_PORTS[target[1]]:
            return bool(SERVICE_PORTS[target[1]])
        return flags is None or target[1] <= source[1]

    def sweep(self, now_ns: int) -> None:
        for key, kept in list(self.known.items()):
            idle = now_ns - kept.flow.last_ns
            values = list(kept.flags.values())
            if ((values[0] & values[1] & FIN) or (values[0] | values[1]) & RST) and idle > CLOSED_SECONDS * NS:
                self.end(key, "closed")
            elif idle > (TCP_IDLE_SECONDS if kept.transport == TCP else UDP_IDLE_SECONDS) * NS:
                self.end(key, "idle")

    def end(self, key: tuple[int, frozenset[End]], reason: str) -> None:
        flow = self.known.pop(key).flow
        flow.reason = reason
        self.ended.append(flow)

    def finish(self) -> list[Flow]:
        for key in list(self.known):
            self.end(key, "finished")
        return sorted(self.ended, key=lambda flow: (flow.first_ns, flow.last_ns, sorted(flow.bytes)))


ALL_ENDS = (
    ENDS, ("10.20.0.12", 40_000, SERVER, 443), (CAMERA, 50_000, SERVER, 40_000), (CAMERA, 123, SERVER, 123),
    ("fd20::1", 40_000, "2001:db8::2", 443), ("fd20::2", 8_000, "2001:db8::2", 8_000),
)  # fmt: skip
GAPS_NS = (1_000_000, 700_000_000, 3 * NS, 9 * NS, 11 * NS, 61 * NS, 130 * NS, 700 * NS)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, tuple[str, int, str, int], bool, int | None, int, int]]:
    """Packets of few flows: SYNs, ends and data in any order, with pauses over every timeout."""
    at_ns, packets = BEGIN_NS, []
    for _ in range(draw(st.integers(1, 40))):
        at_ns += draw(st.sampled_from(GAPS_NS))
        flags = draw(st.sampled_from([None, SYN, SYN, SYN | ACK, ACK, FIN | ACK, FIN | ACK, RST, PSH_ACK]))
        packets.append(
            (
                at_ns, draw(st.sampled_from(ALL_ENDS)), draw(st.booleans()), flags,
                draw(st.sampled_from([1, 2, 3_000_000_000])), draw(st.integers(0, 20)),
            )
        )  # fmt: skip
    return packets


@given(packets=streams(), data=st.data())
def test_the_table_says_what_a_plain_dict_says_wherever_the_capture_is_cut(
    packets: list[tuple[int, tuple[str, int, str, int], bool, int | None, int, int]], data: st.DataObject
) -> None:
    model, frames = Model(), []
    for at_ns, ends, back, flags, number, size in packets:
        body = b"x" * size
        if flags is None:
            frames.append((at_ns, udp_frame(body, ends, back)))
        else:
            frames.append((at_ns, tcp_frame(body, ends, number, flags, back)))
        model.take(at_ns, ends, back, flags, number, len(frames[-1][1]) - 14)
    expected = model.finish()
    cuts = data.draw(st.lists(st.integers(0, len(frames)), max_size=6))
    for places in ((), cuts, range(len(frames))):
        assert all_flows(frames, places) == expected
