"""The mutation run: captures, broken at random, through the collector; nothing but CaptureError may ever come out.

    python tests/mutants/run.py [--mutants 200000] [--seed 1] [FOLDER…]

Seeds are the office, tiny captures of every link type, capture format and protocol, and the captures of each FOLDER and
of $LENSWATCH_CAPTURES, each cut to its first packets. A mutant is a seed with bits flipped, bytes put in or taken out,
length fields changed, an end cut off, or another seed's end put on. It follows from `--seed` and its number alone. What
escapes is printed with that number and kept in out/. Exit codes: 0 all well, 1 something escaped, or memory grew.
"""

import argparse
import dataclasses
import gzip
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from collector.capture.pcap_file import CaptureFile  # noqa: E402
from collector.errors import CaptureError  # noqa: E402
from collector.identify.fingerprint import Fingerprint, read_fingerprints  # noqa: E402
from collector.ledger import Ledger  # noqa: E402
from collector.links import RAW_LINKS  # noqa: E402
from collector.pipeline import Pipeline  # noqa: E402
from collector.settings import CollectorSettings  # noqa: E402
from tests.captures.tunnels import WRAPPED  # noqa: E402
from tests.collector import frames  # noqa: E402
from tests.collector.dissectors import messages  # noqa: E402

OFFICE = ROOT / "streams" / "demo" / "office.pcap"
OUT = ROOT / "out"
PACKETS_OF_A_SEED, PACKETS_OF_A_WRAP = 50, 12
MAX_SEED_BYTES = 1 << 16
UNKNOWN_LINK = 147
"""LINKTYPE_USER0, which nobody has a meaning for."""
MAX_CHANGES = 6
MAX_CPU_SECONDS = 5.0
# A small table: asking the system for a million rows takes longer than a mutant.
SETTINGS = CollectorSettings(max_flows=1_000)
"""For one mutant; usual is a thousandth of it."""
MAX_GROWTH_BYTES = 64 << 20
WARM_UP_MUTANTS = 200
GLANCED = 4
"""Of so many mutants, one is read as where nobody takes every observation."""
TELLING = (0, 1, 2, 3, 4, 7, 8, 12, 19, 20, 27, 28, 39, 40, 41, 63, 64, 127, 128, 192, 255)
TELLING_WORDS = (0, 1, 5, 8, 19, 20, 40, 255, 256, 512, 1_500, 0x4000, 0x7FFF, 0x8000, 0xC00C, 0xFFFE, 0xFFFF)
TELLING_NUMBERS = (0, 1, 15, 262_144, 262_145, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFF)
PCAP_MAGICS = {
    0xA1B2C3D4: 16,
    0xA1B23C4D: 16,
    0xA1B2CD34: 24,
}
"""Magic → bytes of a record's header."""


class TooLongError(Exception):
    """A mutant that used up its time."""


@dataclasses.dataclass(frozen=True)
class Seed:
    """A capture, and where in it headers begin: of records, and of the packets in them."""

    data: bytes
    marks: tuple[int, ...]


def order_of(data: bytes) -> str | None:
    """The byte order of a pcap file; None when it is none."""
    return next((order for order in "<>" if struct.unpack_from(f"{order}I", data)[0] in PCAP_MAGICS), None)


def read_seed(data: bytes) -> Seed | None:
    """The beginning of a capture, unzipped, as a seed; None for what is no capture."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return None
    if len(data) < 24:
        return None
    order = order_of(data)
    if order is not None:
        header, at, length_at, extra, step = PCAP_MAGICS[struct.unpack_from(f"{order}I", data)[0]], 24, 8, 0, 1
        extra = header
    elif data[:4] == b"\x0a\x0d\x0d\x0a":
        order, header, at, length_at, extra, step = ("<" if data[8] == 0x4D else ">"), 28, 0, 4, 0, 4
    else:
        return None
    marks: list[int] = []
    while at + 16 <= len(data) and at < MAX_SEED_BYTES and len(marks) < 2 * PACKETS_OF_A_SEED:
        length = extra + int(struct.unpack_from(f"{order}I", data, at + length_at)[0])
        if length < 12 or length % step or at + length > len(data):
            break
        marks += [at, at + header]
        at += length
    return Seed(data[:at], tuple(marks or (0,)))


def office_seeds() -> Iterator[Seed]:
    """The office, piece by piece, so that every conversation in it is a seed's."""
    data = OFFICE.read_bytes()
    at, start, count = 24, 24, 0
    while at + 16 <= len(data):
        at += 16 + int(struct.unpack_from("<I", data, at + 8)[0])
        count += 1
        if count == PACKETS_OF_A_SEED or at >= len(data):
            seed = read_seed(data[:24] + data[start:at])
            if seed is not None:
                yield seed
            start, count = at, 0


def conversations() -> list[frames.Packet]:
    """Every protocol once, both ways, over TCP and UDP, with a hole and with segments out of order."""
    packets: list[frames.Packet] = []
    for sample in messages.DATAGRAMS:
        ends = (frames.CAMERA, 40_000 + len(packets), frames.SERVER, sample.port)
        packets += frames.spaced([frames.udp_frame(data, ends, direction == 1) for direction, data in sample.parts])
    for number, sample in enumerate(messages.STREAMS):
        ends = ("fd20::11", 41_000 + number, "2001:db8::80", sample.port)
        talk = frames.Talk(ends if number % 2 else (frames.CAMERA, 41_000 + number, frames.SERVER, sample.port))
        for direction, data in sample.parts:
            half = len(data) // 2
            first = talk.sequence[direction]
            talk.send(direction, data[half:], sequence=first + half)
            talk.send(direction, data[:half])
            talk.sequence[direction] = first + len(data)
        talk.send(0, messages.GET, sequence=talk.sequence[0] + 100)
        talk.close()
        packets += talk.packets
    return sorted(packets)


def built_seeds() -> Iterator[Seed]:
    """The conversations in every capture format and link type."""
    packets = conversations()
    bodies = [(at_ns, data[14:]) for at_ns, data in packets]
    family = {6: b"\x1e\0\0\0", 4: b"\x02\0\0\0"}
    kind = {6: b"\x86\xdd", 4: b"\x08\x00"}
    loopback = [(at_ns, family[data[0] >> 4] + data) for at_ns, data in bodies]
    cooked = [(at_ns, bytes(14) + kind[data[0] >> 4] + data) for at_ns, data in bodies]
    cooked_2 = [(at_ns, kind[data[0] >> 4] + bytes(18) + data) for at_ns, data in bodies]
    tags = [b"\x81\x00\x00\x14", b"\x88\xa8\x01\x2c\x81\x00\x00\x14", b"\x91\x00\0\1\x81\x00\0\2\x81\x00\0\3"]
    tagged = [(at_ns, data[:12] + tags[number % 3] + data[12:]) for number, (at_ns, data) in enumerate(packets)]
    options = [(0, b"\x00\x01\x04" + bytes(4)), (44, b"\x00\x00\x01" + bytes(4)), (51, b"\x01" + bytes(10))]
    odd = frames.spaced(
        [
            frames.ethernet(frames.ipv6(frames.udp(messages.QUERY), 17, extensions=options)),
            frames.ethernet(frames.ipv4(frames.udp(messages.QUERY), 17, options=bytes(12))),
            frames.ethernet(frames.ipv4(frames.tcp(messages.HELLO, options=b"\x01" * 12), 6)),
            frames.ethernet(frames.ipv4(frames.udp(messages.QUERY), 17, fragment=0x2000)),
            frames.ethernet(frames.ipv4(b"later", 17, fragment=0x0005)),
            frames.ethernet(frames.ipv4(bytes(8), 1)),
            frames.ethernet(bytes(28), 0x0806),
        ]
    )
    captures = [frames.pcap(each) for each in (packets, tagged, odd, *dissected())]
    captures += [frames.pcap(packets, order, magic) for order in "<>" for magic in PCAP_MAGICS]
    links = (
        (0, loopback),
        (108, loopback),
        (113, cooked),
        (276, cooked_2),
        *((link_type, bodies) for link_type in (*RAW_LINKS, UNKNOWN_LINK)),
    )
    captures += [frames.pcap(each, link_type=link_type) for link_type, each in links]
    some = bodies[:: max(1, len(bodies) // PACKETS_OF_A_WRAP)]
    for link_type, wrap in WRAPPED.values():
        captures.append(frames.pcap([(at_ns, wrap(data)) for at_ns, data in some], link_type=link_type))
    captures += [in_pcapng(packets, bodies, order) for order in "<>"]
    yield from (seed for seed in map(read_seed, captures) if seed is not None)


def dissected() -> Iterator[list[frames.Packet]]:
    """A conversation of every dissector, each a seed of its own, so that none is left out."""
    for sample in (*messages.DATAGRAMS, *messages.CONVERSATIONS):
        ends = (frames.CAMERA, 40_000, frames.SERVER, sample.port)
        yield frames.spaced([frames.udp_frame(data, ends, side == 1) for side, data in sample.parts])
    for sample in messages.STREAMS:
        # Of some only one side is seen, and no beginning.
        ends = (frames.CAMERA, 40_000, frames.SERVER, sample.port)
        yield frames.spaced([frames.tcp_frame(data, ends) for side, data in sample.parts if not side])
        talk = frames.Talk(ends)
        for side, data in sample.parts:
            for at in range(0, len(data), 1_000):
                talk.send(side, data[at : at + 1_000])
        talk.close()
        yield talk.packets


def in_pcapng(packets: Sequence[frames.Packet], bodies: Sequence[frames.Packet], order: str) -> bytes:
    """Two sections with two interfaces each, and every kind of block."""
    options = frames.ng_option(2, b"eth0", order) + frames.ng_option(9, b"\x09", order)
    options += frames.ng_option(14, struct.pack(f"{order}q", 3_600), order)
    start = frames.ng_section(order) + frames.ng_interface(1, order, options=options)
    start += frames.ng_interface(101, order, options=frames.ng_option(9, b"\x94", order)) + frames.ng_block(
        5, b"x", order
    )
    parts = [start]
    for number, ((at_ns, data), (_, body)) in enumerate(zip(packets, bodies, strict=True)):
        if number == len(packets) // 2:
            parts.append(start)
        parts.append(
            frames.ng_packet(at_ns, data, 0, order) if number % 3 else frames.ng_packet(at_ns >> 10, body, 1, order)
        )
        if number % 5 == 0:
            parts += [frames.ng_simple_packet(data, len(data), order), frames.ng_old_packet(at_ns, data, 0, order)]
    return b"".join(parts)


def read_seeds(folders: Sequence[Path]) -> list[Seed]:
    """All seeds, in an order of their own: the same folders give the same mutants."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    found = (read_seed(path.read_bytes()) for path in paths)
    return [*office_seeds(), *built_seeds(), *(seed for seed in found if seed is not None)]


def mutate(seeds: Sequence[Seed], chance: random.Random) -> bytes:
    """A seed with one to MAX_CHANGES changes; most of them in or near a header."""
    seed = chance.choice(seeds)
    data = bytearray(seed.data)
    for _ in range(chance.randint(1, MAX_CHANGES)):
        mark = chance.choice(seed.marks)
        place = mark + chance.randrange(96) if chance.random() < 0.85 else chance.randrange(len(data) + 1)
        chance.choices(CHANGES, WEIGHTS)[0](data, min(place, len(data)), chance)
    if chance.random() < 0.08:
        other = chance.choice(seeds)
        del data[chance.choice(seed.marks) :]
        data += other.data[chance.choice(other.marks) :]
    if chance.random() < 0.08:
        del data[chance.randrange(len(data) + 1) :]
    if chance.random() < 0.01:
        return gzip.compress(bytes(data), 1, mtime=0)[: chance.randrange(1 << 17)]
    return bytes(data)


def flip(data: bytearray, at: int, chance: random.Random) -> None:
    """One bit."""
    if at < len(data):
        data[at] ^= 1 << chance.randrange(8)


def overwrite(data: bytearray, at: int, chance: random.Random) -> None:
    """A field of one, two or four bytes, in either order, by a number that often breaks something."""
    size = chance.choice((1, 1, 2, 2, 4))
    telling = {1: TELLING, 2: TELLING_WORDS, 4: TELLING_NUMBERS}[size]
    data[at : at + size] = chance.choice(telling).to_bytes(size, chance.choice(("big", "little")))


def nudge(data: bytearray, at: int, chance: random.Random) -> None:
    """A number of two bytes, a little more or less: a length that is nearly right."""
    value = int.from_bytes(data[at : at + 2], "big") + chance.choice((-20, -8, -4, -1, 1, 4, 8, 20))
    data[at : at + 2] = (value % 65_536).to_bytes(2, "big")


def put_in(data: bytearray, at: int, chance: random.Random) -> None:
    """Some bytes between two others."""
    data[at:at] = chance.randbytes(chance.choice((1, 1, 2, 4, 16, 300)))


def take_out(data: bytearray, at: int, chance: random.Random) -> None:
    """Some bytes less."""
    del data[at : at + chance.choice((1, 1, 2, 4, 16, 300))]


def scramble(data: bytearray, at: int, chance: random.Random) -> None:
    """Some bytes by any others."""
    stop = min(len(data), at + chance.choice((1, 2, 4, 8, 40)))
    data[at:stop] = chance.randbytes(stop - at)


CHANGES: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    flip, overwrite, nudge, put_in, take_out, scramble,
)  # fmt: skip
WEIGHTS = (6, 6, 3, 1, 1, 3)


def watch(path: Path, fingerprints: tuple[Fingerprint, ...], glance: bool = False) -> None:
    """A capture through the collector and out as JSON. A CaptureError is an answer; AssertionError: a sum is open.
    `glance`: nobody takes every observation, and what concerns nobody is passed; that must change no sum."""
    if not glance:
        through(path, Pipeline(SETTINGS, fingerprints))
        return
    read = through(path, Pipeline(SETTINGS, fingerprints, asks_of_updates))
    passed = through(path, Pipeline(SETTINGS, fingerprints, asks_of_updates, None, lambda: UNCLAIMED))
    assert passed == read, "what is passed at a glance is counted otherwise"


def asks_of_updates(dataset: str, name: str | None, direction: str, *_: object) -> bool:
    """Stands for rules that ask of little."""
    return name is not None and "camera" in name


class Unclaimed:
    """What they ask nothing of."""

    def is_unclaimed(self, name: str) -> bool:
        """Whether they ask nothing of a name."""
        return "camera" not in name

    def are_unclaimed_paths(self, paths: Sequence[str]) -> list[bool]:
        """Of each path whether they ask nothing of it: they ask of none."""
        return [True] * len(paths)


UNCLAIMED = Unclaimed()


def through(path: Path, pipeline: Pipeline) -> Ledger:
    """The sums of a capture that went through a pipeline."""
    encode = msgspec.json.Encoder().encode
    try:
        for block in CaptureFile(str(path)).blocks():
            encode(pipeline.process(block))
    except CaptureError as error:
        assert "\n" not in str(error), "an error of more than one line"
    encode(pipeline.finish())
    sums = pipeline.ledger.open_sums()
    assert not sums, sums
    return pipeline.ledger


def stop(_signal: int, _frame: object) -> None:
    """What the alarm of the time guard does."""
    raise TooLongError(f"not done after {MAX_CPU_SECONDS:g} CPU seconds")


def peak_bytes() -> int:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(mutants: int, seed: int, folders: Sequence[Path], out: Path) -> bool:
    """The mutants 0 to `mutants` of this seed; prints what escapes and keeps it in `out`. True when all is well."""
    seeds = read_seeds(folders)
    # The makers with the fewest prefixes: learning 3,000 of them would be most of a mutant's time.
    fingerprints = tuple(
        sorted(read_fingerprints(), key=lambda each: sum(len(part.macs) for part in each.prefixes))[:3]
    )
    began, before, escapes = time.perf_counter(), 0, 0
    alarm = signal.signal(signal.SIGPROF, stop)
    try:
        # In memory where there is such a folder: writing to a disk would be half of a mutant's time.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(dir=memory) as folder, warnings.catch_warnings():
            # An overflow that numpy only warns of is a wrong number.
            warnings.simplefilter("error")
            path = Path(folder) / "mutant.pcap"
            for number in range(mutants):
                mutant = mutate(seeds, random.Random(f"{seed}/{number}"))
                path.write_bytes(mutant)
                try:
                    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
                    watch(path, fingerprints, number % GLANCED == 0)
                    signal.setitimer(signal.ITIMER_PROF, 0)
                except Exception as error:
                    signal.setitimer(signal.ITIMER_PROF, 0)
                    escapes += 1
                    keep(out / f"mutant-{seed}-{number}.pcap", mutant, error)
                if number == min(WARM_UP_MUTANTS, mutants - 1):
                    before = peak_bytes()
    finally:
        signal.signal(signal.SIGPROF, alarm)
    after, seconds = peak_bytes(), time.perf_counter() - began
    print(f"{mutants} mutants, {escapes} escapes, {seconds:.1f} s, peak RSS {before >> 20} / {after >> 20} MiB")
    if after - before > MAX_GROWTH_BYTES:
        print(f"memory grew by {(after - before) >> 20} MiB; at most {MAX_GROWTH_BYTES >> 20} are usual")
    return not escapes and after - before <= MAX_GROWTH_BYTES


def keep(path: Path, mutant: bytes, error: Exception) -> None:
    """Print what escaped, where it did, and keep the mutant."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "?"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mutant)
    print(f"{path.stem}: {type(error).__name__} at {place}: {str(error)[:200]} (kept as {path})")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="more captures to begin from")
    parser.add_argument("--mutants", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    named = os.environ.get("LENSWATCH_CAPTURES")
    folders = [*options.folders, *([Path(named)] if named else [])]
    for folder in folders:
        if not folder.is_dir():
            print(f"{folder}: no such folder; name one that holds captures", file=sys.stderr)
            return 2
    return 0 if run(options.mutants, options.seed, folders, OUT) else 1


if __name__ == "__main__":
    sys.exit(main())
