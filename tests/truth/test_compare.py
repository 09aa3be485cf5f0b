"""The comparison itself: it passes where both read the same, and notices what is missing, extra or no longer so."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror, fragment
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from tests.captures.wire import browser_hello, camera_hello
from tests.collector.dissectors import documents as d
from tests.collector.dissectors import messages as m
from tests.collector.dissectors.quic_packets import KNOWN_TO_ALL, crypto, initial
from tests.collector.wireshark.answering import needs_tshark
from tests.truth import compare
from tests.truth.differences import load_differences

pytestmark = [
    pytest.mark.system,
    needs_tshark,
]

OFFICE = Path(__file__).parents[2] / "streams" / "demo" / "office.pcap"
CLIENT, SERVER = "10.0.0.5", "198.51.100.7"
Segment = tuple[int, bytes]


def hello(name: str, big: bool = False) -> bytes:
    return (browser_hello if big else camera_hello)(name, random.Random(name))


def get(path: str, host: str = "cam.example", extra: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode("latin-1")


def frame(layer: Packet) -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src=CLIENT, dst=SERVER) / layer


def segment(number: int, data: bytes, port: int, flags: str = "PA") -> Packet:
    return frame(TCP(sport=40_000, dport=port, seq=number % 2**32, ack=5001, flags=flags) / Raw(data))


def connect(segments: Sequence[Segment], port: int = 80, first: int = 1000, with_syn: bytes = b"") -> list[Packet]:
    """The client's side of a connection, by offset and bytes of each segment. `with_syn` is in the SYN (RFC 7413)."""
    opening = [segment(first, with_syn, port, "S"), segment(first + 1, b"", port, "A")]
    return opening + [segment(first + 1 + offset, data, port) for offset, data in segments]


def cut(data: bytes, *places: int) -> list[Segment]:
    return [(start, data[start:end]) for start, end in zip((0, *places), (*places, len(data)), strict=True)]


def question(*names: str) -> bytes:
    return bytes(DNS(rd=1, qd=[DNSQR(qname=name) for name in names]))


def answer(data: bytes, port: int) -> Packet:
    """The server's first segment."""
    return Ether() / IP(src=SERVER, dst=CLIENT) / TCP(sport=port, dport=40_000, seq=5001, ack=1001) / Raw(data)


def datagram(data: bytes, port: int = 53, source: int = 33_000) -> Packet:
    return frame(UDP(sport=source, dport=port) / Raw(data))


HELLO = hello("one.example", big=True)
FIRST, SECOND, THIRD = cut(HELLO, 700, 1200)
A, B = get("/a"), get("/b")
STRANGE_LABELS = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + b'\5a.b\\"\x04\xff\x00\x01 \7eXaMpLe\0\0\1\0\1'
STRANGE_TARGET = '/\xc3\xa4/\x01\x7f\xff"\\'
HOSTS = ("C.example:80", "c:", "c:99999", "u@c", "[2001:DB8::1]:8")
TWO_MESSAGES = b"".join(len(each).to_bytes(2) + each for each in (question("c.example"), question("d.example")))
BROKEN_QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\0\x40abc"

REFUSED = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: %\r\nContent-Length: 0\r\n\r\n"
CHALLENGED = REFUSED.replace(b"%", b'Digest qop="auth", realm="DS-\\"1\\"", nonce="a"')
NEGOTIATED = REFUSED.replace(b"%", b"Negotiate")
HIDING = m.records(m.handshake(1, m.client_hello(extensions=[*m.chrome_extensions(), m.extension(0xFE0D, bytes(10))])))
QUIC = (
    initial(crypto(200, m.QUIC_HELLO[200:300]) + b"\1" + crypto(0, m.QUIC_HELLO[:200])),
    initial(crypto(300, m.QUIC_HELLO[300:]), packet_number=1),
)

SAME: dict[str, tuple[str, int, list[Packet]]] = {
    "segments out of order": ("sni", 1, connect([FIRST, THIRD, SECOND], 443)),
    "the first segment last": ("sni", 1, connect([SECOND, THIRD, FIRST], 443)),
    "overlapping segments": ("sni", 1, connect([(0, HELLO[:800]), (600, HELLO[600:1300]), (1200, HELLO[1200:])], 443)),
    "a longer retransmission": ("sni", 1, connect([(0, HELLO[:400]), (0, HELLO)], 443)),
    "every segment twice": ("sni", 1, connect([FIRST, FIRST, SECOND, SECOND, THIRD, THIRD], 443)),
    "sequence numbers that wrap": ("sni", 1, connect([FIRST, SECOND, THIRD], 443, first=2**32 - 500)),
    "no handshake": ("sni", 1, connect([FIRST, SECOND, THIRD], 443)[2:]),
    "TLS on an odd port": ("sni", 1, connect([FIRST, SECOND, THIRD], 9999)),
    "a hello in the SYN": ("sni", 1, connect([], 443, with_syn=hello("early.example"))),
    "a request that begins in the SYN": ("http", 2, connect([(20, A[20:]), (len(A), B)], with_syn=A[:20])),
    "a port that is used again": ("http", 2, connect([(0, A)]) + connect([(0, B)], first=900_000)),
    "a port that is used again after a close": (
        "http",
        2,
        [*connect([(0, A)]), segment(1001 + len(A), b"", 80, "FA"), *connect([(0, B)], first=900_000)],
    ),
    "hellos from a port that is used again": (
        "sni",
        2,
        connect([(0, hello("x.example"))], 443) + connect([(0, hello("y.example"))], 443, first=9_000),
    ),
    "pipelined requests cut anywhere": ("http", 3, connect(cut(A + B + A, 10, len(A) + 5, len(A + B) + 3))),
    "absolute target": ("http", 1, connect([(0, get("http://B.example:8080/p?q=1"))])),
    "hosts with ports, and such as are none": (
        "http",
        5,
        connect([(0, b"".join(get("/", host) for host in HOSTS))]),
    ),
    "no host, two hosts, an empty host": (
        "http",
        3,
        connect([(0, b"GET /0 HTTP/1.0\r\n\r\n" + get("/2", extra="Host: b\r\n") + get("/1", host=""))]),
    ),
    "bytes that are no ASCII in a target": ("http", 1, connect([(0, get(STRANGE_TARGET, "\xfc.example"))])),
    "a length that is none": ("http", 1, connect([(0, get("/p", extra="Content-Length: x\r\n"))])),
    "questions of a group and of the link": (
        "dns",
        4,
        [
            datagram(question("cam.local"), 5353, 5353),
            datagram(question("a.local", "b.local"), 5353, 5353),
            datagram(question("pc"), 5355),
        ],
    ),
    "questions after a broken one": (
        "dns",
        2,
        [datagram(question("a.example")), datagram(BROKEN_QUESTION), datagram(question("b.example"))],
    ),
    "labels of any bytes, and the root": ("dns", 2, [datagram(STRANGE_LABELS), datagram(question("."), source=4)]),
    "a hello in two QUIC packets": ("sni", 1, [datagram(packet, 443) for packet in QUIC]),
    "a hello in every version of QUIC": (
        "sni",
        18,
        [
            datagram(initial(crypto(0, m.QUIC_HELLO), version, number.to_bytes(8)), 443, 20_000 + number)
            for number, version in enumerate(KNOWN_TO_ALL)
        ],
    ),
    "QUIC on an odd port": ("ja3", 1, [datagram(packet, 4_433) for packet in QUIC]),
    "RTSP with media between its messages": (
        "rtsp",
        3,
        connect([(0, d.RTSP_SETUP + d.RTSP_MEDIA + d.RTSP_PARAMETER + d.RTSP_MEDIA + d.RTSP_SETUP)], 554),
    ),
    "a device that joins": ("dhcp", 2, [datagram(d.DHCP_DISCOVER, 67, 68), datagram(d.DHCP_ACK, 68, 67)]),
    "options in the fields of file and server": ("dhcp", 1, [datagram(d.DHCP_OVERLOADED, 67, 68)]),
    "a name in labels": ("dhcp", 1, [datagram(d.DHCP_FULL_NAME, 67, 68)]),
    "devices that search and announce": (
        "ssdp",
        3,
        [datagram(d.SSDP_NOTIFY, 1900, 1900), datagram(d.SSDP_SEARCH, 1900), datagram(d.SSDP_ANSWER, 33_000, 1900)],
    ),
    "the time": ("ntp", 2, [datagram(d.NTP_ASK, 123), datagram(d.NTP_ANSWER, 33_000, 123)]),
    "a way out": (
        "stun",
        3,
        [datagram(d.STUN_ASK, 3478), datagram(d.STUN_ANSWER, 33_000, 3478), datagram(d.TURN_REFUSED, 33_000, 3478)],
    ),
    "who asks a camera for a stream, and what it answers": (
        "rtsp",
        2,
        [*connect([(0, d.RTSP_DESCRIBE.replace(b"view:secret@", b""))], 554), answer(d.RTSP_REFUSED, 554)],
    ),
    "a challenge, and one without a realm": ("realm", 1, connect([(0, CHALLENGED + NEGOTIATED)])),
    "hellos with and without an encrypted one": (
        "offer",
        2,
        connect([(0, HIDING)], 443) + connect([(0, hello("y.example"))], 443, first=9_000),
    ),
    "a hello over QUIC with its ALPN list": ("offer", 1, [datagram(packet, 443) for packet in QUIC]),
    "what serves": ("server", 1, connect([(0, d.DESCRIPTION_ANSWER)], 80)),
    "DNS over TCP, cut anywhere": (
        "dns",
        2,
        connect(cut(TWO_MESSAGES, 1, 14, 33), 53),
    ),
}  # fmt: skip


def write(folder: Path, name: str, packets: Sequence[Packet]) -> Path:
    for number, packet in enumerate(packets):
        packet.time = 1_700_000_000 + number / 100
    path = folder / f"{name}.pcap"
    wrpcap(str(path), packets)
    return path


@pytest.fixture
def no_differences(tmp_path: Path) -> Path:
    path = tmp_path / "differences.toml"
    path.write_text("", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "captures"
    path.mkdir()
    return path


def run(folder: Path, differences: Path, *options: str) -> int:
    return compare.main([str(folder), "--differences", str(differences), "--jobs", "1", *options])


def test_the_office_is_read_as_tshark_reads_it(
    folder: Path, no_differences: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(OFFICE, folder)
    assert run(folder, no_differences) == 0
    told = capsys.readouterr().out
    assert told.count("recall 1.0000") == told.count("precision 1.0000") == len(compare.KINDS)
    assert told.endswith("1 captures; differences: 0 explained, 0 not explained, 0 no longer so\n")


@pytest.mark.parametrize("name", SAME)
def test_both_read_the_same(tmp_path: Path, name: str) -> None:
    kind, count, packets = SAME[name]
    compared = compare.compare(write(tmp_path, "made", packets))
    assert compared.differs() == {}
    assert compared.tshark.names[kind].total() == count
    assert not compared.tshark.apart


@pytest.mark.parametrize(("change", "word"), [(-1, "1 missing, 0 extra, of 2"), (1, "0 missing, 1 extra, of 2")])
def test_a_missing_and_an_extra_name_fail(
    folder: Path, no_differences: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    change: int, word: str,
) -> None:  # fmt: skip
    def misread(path: Path) -> compare.Reading:
        reading = compare.Reading()
        reading.names["dns"].update({"dns a.example": 1, "dns b.example": 1 + change})
        return reading

    monkeypatch.setattr(compare, "read_with_lenswatch", misread)
    write(folder, "made", [datagram(question("a.example")), datagram(question("b.example"))])
    assert run(folder, no_differences, "--verbose") == 1
    told = capsys.readouterr().out
    assert f"made.pcap: DNS question names: {word}: not explained" in told
    assert f"    {'+' if change > 0 else '-'} 1 dns b.example\n" in told


def test_a_capture_that_only_tshark_reads_to_its_end_fails(
    folder: Path, no_differences: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopping(path: Path) -> compare.Reading:
        reading = compare.read_with_tshark(path)
        reading.problem = "a packet of 9 bytes"
        return reading

    monkeypatch.setattr(compare, "read_with_lenswatch", stopping)
    write(folder, "made", [datagram(question("a.example"))])
    assert run(folder, no_differences) == 1
    assert "made.pcap: not explained: lenswatch stops, and tshark does not: a packet of 9 " in capsys.readouterr().out


def explain(path: Path, capture: Path, wrong: str, extra: int) -> Path:
    digest = compare.compare(capture).digest
    reason = 'reason = "tshark takes port 80 for HTTP."'
    path.write_text(
        f'[captures.{digest}]\nabout = "TLS on port 80"\n'
        + "".join(
            f'[captures.{digest}.{kind}]\nwrong = "{wrong}"\nextra = {extra}\n{reason}\n'
            for kind in ("sni", "ja3", "offer")
        ),
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(("wrong", "extra", "code", "word"), [
    ("tshark", 1, 0, "3 explained, 0 not explained, 0 no longer so"),
    ("lenswatch", 1, 1, "precision 0.0000 (0 of 1): lower than 0.995"),
    ("tshark", 2, 1, "0 explained, 0 not explained, 3 no longer so"),
])  # fmt: skip
def test_a_difference_is_explained_by_who_is_wrong_and_how_often(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, extra: int, code: int, word: str
) -> None:
    capture = write(folder, "made", connect([(0, hello("port.example"))], 80))
    assert run(folder, explain(tmp_path / "list.toml", capture, wrong, extra)) == code
    assert word in capsys.readouterr().out


def test_an_explanation_that_is_needed_no_longer_fails(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = write(folder, "made", connect([(0, hello("port.example"))], 443))
    assert run(folder, explain(tmp_path / "list.toml", capture, "tshark", 1)) == 1
    assert "made.pcap: server names: 0 missing, 0 extra, of 1: no longer so" in capsys.readouterr().out


def test_what_lenswatch_does_not_read_is_counted_apart(
    folder: Path, no_differences: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = UDP(sport=33_000, dport=53) / Raw(question("quoted.example"))
    quoted = UDPerror(sport=33_000, dport=53) / Raw(question("quoted.example"))
    write(folder, "made", [
        frame(GRE() / IP(src="10.1.0.1", dst="10.1.0.2") / asked),
        frame(ICMP(type=3, code=3) / IPerror(src=SERVER, dst=CLIENT) / quoted),
        datagram(question("plain.example")),
        *connect([(0, b"GET /old\r\n\r\n")]),
    ])  # fmt: skip
    assert run(folder, no_differences) == 0
    told = capsys.readouterr().out
    assert "DNS question names: recall 1.0000 (2 of 2)" in told
    assert "not lenswatch's to read, DNS question names: quoted in ICMP 1" in told
    assert "not lenswatch's to read, HTTP requests: not HTTP/1 1" in told


def test_a_limit_of_lenswatch_is_not_hidden(folder: Path, no_differences: Path) -> None:
    whole = IP(src=CLIENT, dst=SERVER) / UDP(sport=33_000, dport=53) / Raw(question("x" * 60 + ".example"))
    write(folder, "made", [Ether() / part for part in fragment(whole, fragsize=40)])
    assert run(folder, no_differences) == 1


def test_a_capture_that_cannot_be_read_stops_nothing(
    folder: Path, no_differences: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "junk.pcap").write_bytes(b"no capture at all, but some text")
    shutil.copy(OFFICE, folder)
    assert run(folder, no_differences, "--verbose") == 0
    told = capsys.readouterr().out
    assert "junk.pcap: tshark stops: " in told and "junk.pcap: lenswatch stops: neither pcap nor pcapng" in told


@pytest.mark.parametrize(("options", "word"), [
    (["--file", "gone.pcap"], "no capture gone.pcap in it"),
    (["--differences", "{tmp}/bad.toml"], "bad.toml: Object contains unknown field `reasons`"),
    (["--differences", "{tmp}/gone.toml"], "gone.toml: No such file or directory"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], word: str
) -> None:
    shutil.copy(OFFICE, folder)
    (tmp_path / "bad.toml").write_text("[captures.ab]\nabout = 'x'\nreasons = 'y'\n", encoding="utf-8")
    assert compare.main([str(folder), *(option.format(tmp=tmp_path) for option in options)]) == 2
    told = capsys.readouterr().err
    assert word in told and told.count("\n") == 1


def test_a_folder_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([str(tmp_path / "gone")]) == 2
    assert "gone: not a folder" in capsys.readouterr().err


def test_every_explanation_has_a_digest_a_description_a_count_and_a_sentence() -> None:
    for digest, explained in load_differences(compare.DIFFERENCES).items():
        entries = [entry for kind in compare.KINDS if (entry := getattr(explained, kind)) is not None]
        assert len(digest) == 64 and int(digest, 16) and explained.about and entries
        assert all(entry.missing + entry.extra > 0 and entry.reason.endswith(".") for entry in entries)
