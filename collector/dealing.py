"""Which worker gets a packet: a classic BPF program that gives its flow a number, the same for both directions.

The kernel takes the number modulo the workers (PACKET_FANOUT_CBPF, packet(7); the instructions: linux/filter.h). What
has no ports that are the flow's own, as fragments and tunnels, is dealt out by its two addresses, so that all that a
mirror sends stays together; what is no IP goes to the first worker.
"""

import struct

import numpy as np

from collector.tunnels import TUNNEL_PORTS

NETWORK, PROTOCOL = -0x100000, -0x1000
"""Where a program finds the network header, and the ethertype that the kernel knows."""
GOLDEN = 0x9E37_79B1
OPERATIONS = {
    "word": 0x20, "half": 0x28, "byte": 0x30, "half at x": 0x48, "number": 0x00, "keep": 0x02, "kept": 0x60,
    "to x": 0x07, "xor x": 0xAC, "and": 0x54, "shift left": 0x64, "shift right": 0x74, "times": 0x24,
    "go": 0x05, "if": 0x15, "if bits": 0x45, "answer": 0x16, "answer number": 0x06,
}  # fmt: skip

Line = tuple[str, int | str, str | int, str | int]
"""Operation (or a label that ends in a colon), operand, and where to go on: a label, or how many lines to pass."""


def line(operation: str, operand: int | str = 0, yes: str | int = 0, no: str | int = 0) -> Line:
    """A line with what it leaves out."""
    return operation, operand, yes, no


def folded(words: range | tuple[int, ...]) -> list[Line]:
    """The words of the network header at these offsets, each xor the others, kept in cell 0."""
    lines = [line("word", NETWORK + words[0]), line("keep", 0)]
    for at in words[1:]:
        lines += [line("word", NETWORK + at), line("to x"), line("kept", 0), line("xor x"), line("keep", 0)]
    return lines


def has_ports(protocol_at: int) -> list[Line]:
    """Go on only with TCP and UDP."""
    return [line("byte", NETWORK + protocol_at), line("if", 6, 1), line("if", 17, 0, "mix")]


def deal_out() -> bytes:
    """The program, eight bytes an instruction."""
    tunnels = [line("if", port, "mix") for port in np.flatnonzero(TUNNEL_PORTS).tolist()]
    return assemble([
        line("word", PROTOCOL), line("if", 0x0800, "four"), line("if", 0x86DD, "six"), line("answer number", 0),
        line("four:"), *folded((12, 16)), line("half", NETWORK + 6), line("if bits", 0x3FFF, "mix"), *has_ports(9),
        line("byte", NETWORK), line("and", 15), line("shift left", 2), line("to x"), line("go", "ports"),
        line("six:"), *folded(range(8, 40, 4)), *has_ports(6), line("number", 40), line("to x"),
        line("ports:"), line("half at x", NETWORK), line("keep", 1), line("half at x", NETWORK + 2), *tunnels,
        line("to x"), line("kept", 1), line("xor x"), line("to x"), line("kept", 0), line("xor x"), line("keep", 0),
        line("mix:"), line("kept", 0), line("times", GOLDEN), line("shift right", 16), line("answer"),
    ])  # fmt: skip


def assemble(lines: list[Line]) -> bytes:
    """Lines as the kernel's `struct sock_filter`."""
    places: dict[str, int] = {}
    code: list[Line] = []
    for each in lines:
        if each[0].endswith(":"):
            places[each[0][:-1]] = len(code)
        else:
            code.append(each)
    packed = []
    for at, (operation, operand, yes, no) in enumerate(code):
        number, *jumps = (places[to] - at - 1 if isinstance(to, str) else to for to in (operand, yes, no))
        packed.append(struct.pack("=HBBI", OPERATIONS[operation], *jumps, number & 0xFFFF_FFFF))
    return b"".join(packed)
