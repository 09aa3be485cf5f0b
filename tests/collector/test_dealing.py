"""The program that deals packets out, run here as the kernel would: one number a flow, whichever way it goes."""

import struct

import pytest

from collector.dealing import NETWORK, OPERATIONS, assemble, deal_out, line
from tests.captures.tunnels import MIRRORS
from tests.collector.frames import ethernet, ipv4, ipv6, tcp, tcp_frame, udp_frame

NAMES = {number: name for name, number in OPERATIONS.items()}
ENDS = [("10.20.0.11", 40_000, "192.0.2.80", 443), ("fd20::11", 40_000, "2001:db8::80", 443)]


def run(frame: bytes) -> int:
    """The program's answer for an Ethernet frame (linux/filter.h, by hand)."""
    program = deal_out()
    code = [struct.unpack_from("=HBBi", program, at) for at in range(0, len(program), 8)]
    a = x = at = 0
    cells = [0] * 16
    while True:
        operation, yes, no, k = code[at]
        at += 1
        name, unsigned = NAMES[operation], k & 0xFFFF_FFFF
        if name in ("word", "half", "byte", "half at x"):
            size = {"word": 4, "byte": 1}.get(name, 2)
            place = 14 + k - NETWORK + (x if name == "half at x" else 0)
            data = frame[12:14] if k == -0x1000 else frame[place : place + size]
            if len(data) < size and k != -0x1000:
                return 0
            a = int.from_bytes(data, "big")
        elif name in ("answer", "answer number"):
            return a if name == "answer" else unsigned
        elif name in ("if", "if bits"):
            at += yes if (a == unsigned if name == "if" else a & unsigned) else no
        elif name == "go":
            at += unsigned
        elif name == "keep":
            cells[k] = a
        elif name == "to x":
            x = a
        else:
            a = {
                "kept": cells[k % 16], "number": unsigned, "xor x": a ^ x, "and": a & unsigned,
                "shift left": a << (k % 32), "shift right": a >> (k % 32), "times": a * unsigned,
            }[name] & 0xFFFF_FFFF  # fmt: skip


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("build", [tcp_frame, udp_frame])
def test_both_directions_of_a_flow_have_one_number(ends: tuple[str, int, str, int], build: object) -> None:
    there, back = build(b"x", ends), build(b"x", ends, back=True)  # type: ignore[operator]
    assert run(there) == run(back) != 0


def test_flows_spread_over_the_workers() -> None:
    numbers = [run(udp_frame(b"", ("10.20.0.11", 40_000 + each, "192.0.2.80", 443))) for each in range(400)]
    for workers in (2, 3, 4):
        shares = [sum(number % workers == each for number in numbers) for each in range(workers)]
        assert min(shares) > 400 / workers / 2


@pytest.mark.parametrize("name", MIRRORS)
def test_all_that_a_mirror_sends_has_one_number(name: str) -> None:
    inner = [ipv4(tcp(b"", 40_000 + each, 443), 6, f"10.20.0.{each}", "192.0.2.80") for each in range(20)]
    assert len({run(MIRRORS[name][1](each)) for each in inner}) == 1


def test_fragments_of_a_packet_stay_together_and_options_move_the_ports() -> None:
    first = ethernet(ipv4(tcp(b"x" * 8), 6, fragment=0x2000))
    later = ethernet(ipv4(b"x" * 8, 6, fragment=0x0003))
    assert run(first) == run(later)
    assert run(ethernet(ipv4(tcp(b""), 6, options=bytes(12)))) == run(ethernet(ipv4(tcp(b""), 6)))


def test_what_is_no_ip_or_too_short_goes_to_the_first_worker() -> None:
    assert run(ethernet(bytes(28), 0x0806)) == run(ethernet(ipv4(b"", 6))) == run(ethernet(ipv6(b"", 17))) == 0


def test_a_label_is_the_line_behind_it() -> None:
    program = assemble([line("go", "end"), line("number", 7), line("end:"), line("answer")])
    assert struct.unpack_from("=HBBI", program) == (0x05, 0, 0, 1)
