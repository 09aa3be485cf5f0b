"""Packets folded into a flow table, and what it then says of every flow, in plain values."""

import dataclasses
import ipaddress
import itertools
from collections.abc import Sequence

from collector.decode import decode
from collector.flows import SWEEP_SECONDS, Ended, FlowTable
from collector.ledger import Ledger
from tests.collector.frames import NS, Packet, block_of

End = tuple[str, int]


@dataclasses.dataclass
class Flow:
    """What is known of a flow: by end its bytes and packets, who began, first and last packet, why it ended."""

    began: End
    bytes: dict[End, int]
    packets: dict[End, int]
    first_ns: int
    last_ns: int
    reason: str = ""


def fold(table: FlowTable, packets: Sequence[Packet], cuts: Sequence[int] = ()) -> None:
    """The packets into the table, cut into blocks at these places."""
    edges = [0, *sorted(cuts), len(packets)]
    for first, last in itertools.pairwise(edges):
        for part in block_of(packets[first:last]).spans(SWEEP_SECONDS * NS):
            table.fold(decode(part, Ledger()))


def flows_of(group: Ended) -> list[Flow]:
    columns, flows = group.columns, []
    for row in range(len(group)):
        size = 4 if columns["version"][row] == 4 else 16
        ends = [
            (
                str(ipaddress.ip_address(columns["addresses"][row, side, :size].tobytes())),
                int(columns["ports"][row, side]),
            )
            for side in (0, 1)
        ]
        counts = [
            {end: int(columns[name][row, side]) for side, end in enumerate(ends)} for name in ("bytes", "packets")
        ]
        times = int(columns["first_ns"][row]), int(columns["last_ns"][row])
        flows.append(Flow(ends[int(columns["began"][row])], *counts, *times, group.reason))
    return flows


def all_flows(packets: Sequence[Packet], cuts: Sequence[int] = (), max_flows: int = 10_000) -> list[Flow]:
    """Every flow of these packets, in the order of their first packets."""
    table = FlowTable(max_flows)
    fold(table, packets, cuts)
    table.finish()
    assert len(table) == 0
    flows = [flow for group in table.ended for flow in flows_of(group)]
    assert table.total == len(flows)
    return sorted(flows, key=lambda flow: (flow.first_ns, flow.last_ns, sorted(flow.bytes)))
