"""What concerns nobody is passed at a glance, and nobody can tell: what is seen, counted and remembered is the same."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from bench.traffic import camera_frames, flood_frames, hard_frames
from collector.capture.pcap_file import CaptureFile
from collector.dissectors.http import DISSECTOR as HTTP
from collector.errors import CaptureError
from collector.evidence.witness import Witness
from collector.glance import MAX_LEFT_BYTES, Glance, Left, Queue
from collector.observation import Observation, Url
from collector.packets import ACK, SYN, Block
from collector.pipeline import Pipeline
from collector.reading import StreamReader, load_dissectors, stream_candidates
from collector.settings import CollectorSettings
from tests.collector.conftest import ACME, OTHER
from tests.collector.dissectors.messages import (
    GET,
    HELLO,
    alpn,
    answer,
    chrome_extensions,
    client_hello,
    dns,
    handshake,
    question,
    records,
    server_hello,
    shown,
)
from tests.collector.frames import BEGIN_NS, GATEWAY_MAC, Packet, block_of, ethernet, ipv4, ipv6, tcp, udp
from tests.truth.test_devices import captures

OFFICE = Path(__file__).parents[2] / "streams" / "demo" / "office.pcap"
OWN = [Path(__file__).parents[1] / "captures" / name for name in ("protocols.pcap", "web.pcap")]
TIME = b"\x23" + bytes(39) + b"\1\2\3\4\5\6\7\x08"
PLAIN_NAMES = (
    "www.site-1.example",
    "a.b.c.site-2.example",
    "site-3.example",
    "WWW.Site-1.example",
    "a-plain-name.test",
)
NAMES = (
    *PLAIN_NAMES * 4, "localhost", "x.local", "cloud.known.example", "known.example", "device.acme.example",
    "p2p.acme.example", "dns.google", "a.dot.sb", "1.2.0.192.in-addr.arpa", "b\\d.site-4.example", "x.y\xe4.example",
    "192.0.2.7", "", "one.one.one.one", f"{'l' * 60}.{'m' * 60}.{'n' * 60}.{'o' * 60}.example",
    ".".join("abcdefghijklmn"),
)  # fmt: skip
CLIENTS = (
    ("10.20.0.50", "02:aa:bb:00:00:50"), ("10.20.0.51", "02:aa:bb:00:00:51"), ("10.20.0.11", "00:00:5e:00:53:11"),
    ("10.20.0.12", "02:11:22:30:00:12"), ("198.51.100.77", "02:aa:bb:00:00:77"), ("fd20::50", "02:aa:bb:00:00:50"),
)  # fmt: skip
SERVERS = ("198.51.100.80", "198.51.100.9", "10.20.0.1", "8.8.8.8", "10.20.0.50", "224.0.0.251")
AGENTS = (None, "device/1.0", "updater/2", "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0", "", " ")
FIELDS = (b"", b"", b"", b"Content-Length: 2\r\n", b"X: a\r\n b\r\n", b"Transfer-Encoding: x\r\n")
PATHS = ("/", "/files/1?q=2", "/a/fw.dav", "/dns-query", "/?", "/a?b?c", "/%20", "*", "http://www.site-2.example/x")


def concerns(
    dataset: str, name: str | None, direction: str, peer: Callable[[], str], url: Url | None = None,
    agent: str | None = None,
) -> bool:  # fmt: skip
    """Who asks for a known name, a firmware file, an updater, one address, and whatever is said of time inside."""
    if name is not None and name.lower().endswith("known.example"):
        return True
    if url is not None and (url.path or "").endswith(".dav"):
        return True
    if dataset == "lenswatch.ntp":
        return direction == "internal"
    return (agent or "").startswith("updater") or (dataset == "lenswatch.tls" and peer() == "198.51.100.9")


class Rules:
    """Names that end so are known, and paths of firmware files."""

    def __init__(self, end: str) -> None:
        self.end = end

    def is_unclaimed(self, name: str) -> bool:
        return not name.endswith(self.end)

    def are_unclaimed_paths(self, paths: Sequence[str]) -> list[bool]:
        return [not path.endswith(".dav") for path in paths]


UNCLAIMED = Rules("known.example")


class Keeping:
    """Keeps what observations rest on."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def keep(self, observations: Sequence[Observation], packets: Sequence[Any]) -> None:
        self.rows.append(([each.event.id for each in observations], list(packets)))

    def tick(self) -> None:
        pass


class Offered:
    """Keeps what is offered to whoever reads what no dissector recognises."""

    def __init__(self) -> None:
        self.packets: list[Any] = []

    def offer(self, *packet: Any) -> None:
        self.packets.append(packet)

    def told(self) -> list[Any]:
        return []

    def missed(self) -> Counter[str]:
        return Counter()

    def finish(self) -> list[Any]:
        return []


class Counting(Glance):
    """Knows how many it has passed, and looks at every single one."""

    least, passed, refused = 1, 0, 0

    def passes(self, queue: Queue, first: int, last: int) -> int:
        passed = super().passes(queue, first, last)
        self.passed += passed
        self.refused += passed < last - first
        return passed


def counting(pipeline: Pipeline) -> Counting:
    """What looks at first payloads for this pipeline from now on."""
    glance = Counting(
        pipeline.report, pipeline.inventory, pipeline.names, pipeline._own, pipeline._numbers, concerns,
        lambda: UNCLAIMED,
    )  # fmt: skip
    pipeline.glance_with(glance)
    return glance


def outcome(blocks: Iterable[Block], lean: bool, touches: Any = None, **more: Any) -> tuple[Any, ...]:
    """Everything that can be told of a run from outside, and how many first payloads were passed."""
    pipeline = Pipeline(CollectorSettings(max_flows=10_000, **more), (ACME, OTHER), concerns, touches)
    if lean:
        counting(pipeline)
    keeper, offered = Keeping(), Offered()
    witness = Witness(keeper)
    pipeline.keep_with(witness)
    pipeline.strangers = offered
    found = [pipeline.process(block) for block in blocks]
    table = pipeline.flows
    rows = {name: column[: table.count].tolist() for name, column in table.columns.items()}
    # Whose turn it is to be given up tells the order.
    read = list(table.readers)
    found.append(pipeline.finish())
    devices = [(each.device, each.identity, each.ends, each.resolver) for each in pipeline.inventory.devices.values()]
    passed = pipeline._glance.passed if isinstance(pipeline._glance, Counting) else 0
    return passed, (
        msgspec.json.encode(found), pipeline.ledger, pipeline.report.foreign, list(pipeline.names._names.items()),
        devices, sorted(pipeline.report.resolvers), keeper.rows, rows, read, offered.packets, witness.held_bytes,
        witness.unheard, pipeline.digests.let_go,
    )  # fmt: skip


def same(blocks: Sequence[Block], **more: Any) -> int:
    """Assert that passing changes nothing; how many were passed."""
    passed, lean = outcome(blocks, lean=True, **more)
    _, whole = outcome(blocks, lean=False, **more)
    for ours, theirs in zip(lean, whole, strict=True):
        assert ours == theirs
    return passed


def cut(packets: Sequence[Packet], size: int) -> list[Block]:
    return [block_of(packets[at : at + size]) for at in range(0, len(packets), size)]


def http_request(name: str, path: str, agent: str | None, more: bytes = b"", method: bytes = b"GET") -> bytes:
    lines = [b"%s %s HTTP/1.1" % (method, path.encode()), b"Host: " + name.encode("latin-1")]
    if agent is not None:
        lines.append(b"User-agent: " + agent.encode())
    return b"\r\n".join([*lines, b"Accept: */*"]) + b"\r\n" + more + b"\r\n"


def hello(name: str, *protocols: bytes) -> bytes:
    extensions = [each for each in chrome_extensions(name.encode("latin-1")) if each[:2] != b"\0\x10"]
    if protocols:
        extensions.append(alpn(*protocols))
    return records(handshake(1, client_hello(extensions=extensions)))


def labelled(name: str) -> bytes:
    return question(name) if all(len(part) < 64 for part in name.split(".")) else question("a.example")


def spoken(chance: random.Random) -> tuple[int, bytes, list[bytes]]:
    """The port of a service, what it is asked first, and what comes after."""
    name, kind = chance.choice(NAMES), chance.choice(("dns", "ntp", "http", "tls"))
    if kind == "dns":
        flags, more = chance.choice((0x0100, 0x0100, 0x0120, 0x0000, 0x8180, 0x2800, 0x0140)), chance.random() < 0.5
        asked = dns([labelled(name)], additional=[b"\0\0\x29\x10\0\0\0\0\0\0\0"] if more else (), flags=flags)
        back = dns([labelled(name)], [answer(b"\xc0\x0c", 1, bytes((198, 51, 100, 80)))], flags=0x8180)
        return 53, asked, [back, asked]
    if kind == "ntp":
        return 123, TIME, [b"\x24" + TIME[1:], TIME]
    if kind == "http":
        path, agent, more = chance.choice(PATHS), chance.choice(AGENTS), chance.choice(FIELDS)
        asked = http_request(
            name, path, agent, more, chance.choice((b"GET", b"GET", b"GET", b"HEAD", b"POST", b"CONNECT"))
        )
        back = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok"
        return 80, asked, [back, http_request(name, "/2", None)]
    asked = hello(name, *chance.choice(((), (b"h2",), (b"dot",))))
    back = [records(handshake(2, server_hello())), shown(b"\x30\x03\2\1\1"), b"\x17\3\3\0\1x"]
    return chance.choice((443, 443, 853)), asked, back


def flow(chance: random.Random) -> list[bytes]:
    """The frames of one flow, whose first payload may be one that is passed."""
    service, asked, back = spoken(chance)
    client, hardware = chance.choice(CLIENTS)
    server = "2001:db8::80" if ":" in client else chance.choice(SERVERS)
    if chance.random() < 0.15:
        at = chance.randrange(len(asked))
        asked = asked[:at] + bytes((asked[at] ^ 1 << chance.randrange(8),)) + asked[at + 1 :]
    payloads = [(0, asked), *((int(chance.random() < 0.8), data) for data in back[: chance.randrange(len(back) + 1)])]
    if chance.random() < 0.1:
        payloads = [(1 - side, data) for side, data in payloads]
    ends = ((client, chance.randrange(20_000, 60_000)), (server, service))
    stream, frames, number = service not in (53, 123), list[bytes](), [1_000, 5_000]

    def say(side: int, payload: bytes, flags: int = ACK) -> None:
        (source, port), (target, called) = ends[side], ends[1 - side]
        body = tcp(payload, port, called, number[side], flags) if stream else udp(payload, port, called)
        packet = (ipv6 if ":" in client else ipv4)(body, 6 if stream else 17, source, target)
        below = (GATEWAY_MAC, hardware) if side else (hardware, GATEWAY_MAC)
        frames.append(ethernet(packet, source=below[0], target=below[1]))
        number[side] += len(payload) + (flags & SYN != 0)

    opened = chance.choice((0, 0, 0, 1, 1, 2, 3))
    if stream and opened:
        say(0, b"", SYN)
        if opened == 2:
            say(1, b"", SYN | ACK)
        number[0] += 5 if opened == 3 else 0
    for side, payload in payloads:
        say(side, payload)
        if stream and chance.random() < 0.1:
            number[side] -= len(payload)
    return frames


@settings(max_examples=120)
@given(
    st.integers(0, 1 << 32), st.sampled_from((1, 3, 7, 1_000)),
    st.sampled_from((None, lambda *_: False, lambda *_: True)), st.sampled_from((4, 100_000, 100_000)),
    st.sampled_from((4, 100_000, 100_000)),
)  # fmt: skip
def test_passing_changes_nothing_that_anybody_can_see(
    seed: int, size: int, touches: Any, readers: int, devices: int
) -> None:
    chance = random.Random(seed)
    talks = [flow(chance) for _ in range(30)]
    order = [number for number, talk in enumerate(talks) for _ in talk]
    chance.shuffle(order)
    left = [iter(talk) for talk in talks]
    packets = [(BEGIN_NS + at * 250_000_000, next(left[number])) for at, number in enumerate(order)]
    same(cut(packets, size), touches=touches, max_readers=readers, max_devices=devices)


def all_captures() -> Iterator[Path]:
    """Those of the project, and the others' that are at hand."""
    yield from (OFFICE, *OWN)
    yield from (path for path, _ in captures())


@pytest.mark.parametrize("networks", [CollectorSettings().networks, ("0.0.0.0/0", "::/0")])
def test_captures_of_all_sorts_say_the_same(networks: tuple[str, ...]) -> None:
    for path in all_captures():

        def blocks(path: Path = path) -> Iterator[Block]:
            try:
                yield from CaptureFile(str(path)).blocks()
            except CaptureError:
                return

        assert outcome(blocks(), True, networks=networks)[1] == outcome(blocks(), False, networks=networks)[1], path


@pytest.mark.parametrize(
    ("mix", "share"), [(hard_frames, 0.2), (flood_frames, 0.8), (camera_frames, 0.0)], ids=["hard", "flood", "camera"]
)
def test_a_flood_is_passed_and_tells_the_same(mix: Callable[[int], Iterator[bytes]], share: float) -> None:
    packets = [(BEGIN_NS + at * 2_000, data) for at, data in enumerate(mix(3_000))]
    for size in (700, 3_000):
        assert same(cut(packets, size)) >= share * len(packets)
    same(cut(packets, 700), max_readers=300, max_names=200, max_devices=100)


def one(
    payload: bytes, port: int, client: str = "10.20.0.50", stream: bool = False, server: str = "198.51.100.80",
    hardware: str = "02:aa:bb:00:00:50", at: int = 0,
) -> Packet:  # fmt: skip
    body = tcp(payload, 40_000, port, 7) if stream else udp(payload, 40_000, port)
    return BEGIN_NS + at, ethernet(ipv4(body, 6 if stream else 17, client, server), source=hardware)


ASKED = http_request("www.site-1.example", "/a?b", "device/1.0")


@pytest.mark.parametrize(
    ("payload", "port", "stream"),
    [(dns([question("www.site-1.example")]), 53, False), (TIME, 123, False), (ASKED, 80, True), (HELLO, 443, True)],
    ids=["dns", "ntp", "http", "tls"],
)
def test_what_is_plain_and_nobodys_is_passed(payload: bytes, port: int, stream: bool) -> None:
    before = (BEGIN_NS, one(payload, port, "10.20.0.52", stream)[1])
    assert same([block_of([before]), block_of([one(payload, port, stream=stream)])]) >= 1


@pytest.mark.parametrize(
    "payload",
    [
        http_request("cloud.known.example", "/", None), http_request("www.site-1.example", "/a.dav", None),
        http_request("www.site-1.example", "/", "updater/1"), http_request("www.site-1.example", "/dns-query", None),
        http_request("dns.google", "/", None), http_request("device.acme.example", "/", None),
        http_request("192.0.2.7", "/", None), http_request("www.site-1.example", "/", None, b"Content-Length: 1\r\n"),
        ASKED + b"x", ASKED[:-1], b"\r\n" + ASKED, GET, http_request("www.site-1.example", "/", "x" * MAX_LEFT_BYTES),
    ],
)  # fmt: skip
def test_what_concerns_somebody_or_is_not_plain_is_read(payload: bytes) -> None:
    assert same([block_of([one(payload, 80, stream=True)])]) == 0


def test_what_comes_from_or_goes_where_we_are_not_is_read() -> None:
    assert same([block_of([one(ASKED, 80, "198.51.100.7", stream=True)])]) == 0


def test_an_answer_that_rests_on_with_whom_it_is_is_asked_for_anew() -> None:
    hellos = [one(HELLO, 443, stream=True, server=f"198.51.100.{n}") for n in (8, 9, 10)]
    assert same([block_of(hellos)]) == 2


def test_news_of_a_device_is_told_with_the_very_next_message() -> None:
    known = one(hello("cloud.known.example"), 443, "10.20.0.11", True, hardware="00:00:5e:00:53:11")
    assert same([block_of([known, one(HELLO, 443, stream=True, at=5_000)])], touches=lambda *_: True) == 0


def test_a_few_first_payloads_are_read_sooner_than_they_are_looked_over() -> None:
    for count in (Glance.least - 1, Glance.least):
        pipeline = Pipeline(CollectorSettings(), (), concerns, None, lambda: UNCLAIMED)
        pipeline.process(block_of([one(ASKED, 80, f"10.20.1.{n}", stream=True) for n in range(count)]))
        passed = [isinstance(each, Left) for each in pipeline.flows.readers.values()]
        assert passed == [count == Glance.least] * count


def test_the_time_is_read_where_a_name_led_and_nobody_looks_first() -> None:
    back = dns([question("t.example")], [answer(b"\xc0\x0c", 1, bytes((198, 51, 100, 80)))], flags=0x8180)
    named = ethernet(ipv4(udp(back, 53, 40_000), 17, "10.20.0.1", "10.20.0.50"), target="02:aa:bb:00:00:50")
    times = [
        (BEGIN_NS + n, ethernet(ipv4(udp(TIME, 41_000 + n, 123), 17, "10.20.0.50", "198.51.100.80"))) for n in range(40)
    ]
    blocks = [block_of([(BEGIN_NS, named)]), block_of(times)]
    pipeline = Pipeline(CollectorSettings(), (), concerns)
    glance = counting(pipeline)
    for block in blocks:
        pipeline.process(block)
    assert (glance.passed, glance.refused, pipeline.ledger.unasked["lenswatch.ntp"]) == (0, 0, 40)
    # In one block the name comes after all have been looked at.
    assert same([block_of([(BEGIN_NS, named), *times])]) == 0


def test_of_a_stream_is_left_what_its_reader_needs() -> None:
    left = Left(HTTP, (7, ASKED, -1), ("www.site-1.example", "http_host"))
    reader = StreamReader(stream_candidates(load_dissectors()), 80, 0)
    left.bring(reader)
    assert (reader.protocol, reader.noted, reader.name) == ("http", True, ("www.site-1.example", "http_host"))
    facts = reader.feed(1, 9, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", -1)
    assert facts[0].answered == Url(original="/a?b", domain="www.site-1.example", path="/a", query="b")


def test_other_rules_are_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Glance, "least", 1)
    rules = [UNCLAIMED]
    pipeline = Pipeline(CollectorSettings(), (), lambda _, name, *more: bool(name), None, lambda: rules[0])
    asked = [one(http_request("www.site-1.example", "/", None), 80, f"10.20.0.{n}", True) for n in (7, 8)]
    assert pipeline.process(block_of(asked[:1])) == []
    rules[0] = Rules("site-1.example")
    assert [each.event.dataset for each in pipeline.process(block_of(asked[1:]))] == ["lenswatch.http"]


def test_names_and_heads_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.glance.MAX_NAMES", 4)
    monkeypatch.setattr("collector.glance.MAX_HEADS", 3)
    packets = [
        (
            BEGIN_NS,
            ethernet(
                ipv4(tcp(http_request(f"h.site-{n}.example", "/", None), n, 80, 7), 6, "10.20.0.50", "198.51.100.80")
            ),
        )
        for n in range(1, 40)
    ]
    pipeline = Pipeline(CollectorSettings(), (), concerns, None, lambda: UNCLAIMED)
    pipeline.process(block_of(packets))
    assert pipeline._glance is not None
    assert len(pipeline._glance._nobodys) <= 4 and len(pipeline._glance._heads) <= 3
    assert pipeline.ledger.unasked == {"lenswatch.http": 39}


def test_who_was_forgotten_because_of_what_was_passed_is_met_anew() -> None:
    said = http_request("cloud.known.example", "/", AGENTS[3])
    passed = one(ASKED, 80, "10.20.0.8", True, hardware="02:aa:bb:00:00:51")
    more = tcp(http_request("cloud.known.example", "/2", None), 40_000, 80, 7 + len(said))
    again = ethernet(ipv4(more, 6, "10.20.0.7", "198.51.100.80"), source="02:aa:bb:00:00:50")
    packets = [one(said, 80, "10.20.0.7", True), passed, (BEGIN_NS, again)]
    assert same([block_of(packets)], max_devices=1) == 1


def test_where_another_takes_what_was_read_none_is_passed() -> None:
    pipeline = Pipeline(CollectorSettings(), (), concerns, None, lambda: UNCLAIMED)
    pipeline.report_to(pipeline.report)
    pipeline.process(block_of([one(ASKED, 80, stream=True)]))
    assert not any(isinstance(each, Left) for each in pipeline.flows.readers.values())
