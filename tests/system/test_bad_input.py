"""Captures that are empty, foreign, cut or lying: what can be read is read, one line says where it ends, and why."""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.observation import Observation
from tests.streams.command import OFFICE, Ran, read_alerts, run, spawn

HEADER, RECORD = 24, 16
OFFICE_BYTES = OFFICE.read_bytes()
LYING_LENGTH = 200


def records(capture: bytes) -> Iterator[tuple[int, int]]:
    """Where each record begins and ends."""
    at = HEADER
    while at < len(capture):
        ends = at + RECORD + int.from_bytes(capture[at + 8 : at + 12], "little")
        yield at, ends
        at = ends


PLACES = list(records(OFFICE_BYTES))
BEGINS, ENDS = PLACES[LYING_LENGTH]


def lying(captured: int) -> bytes:
    """The office with one record in its midst that says it holds so many bytes."""
    return OFFICE_BYTES[: BEGINS + 8] + struct.pack("<I", captured) + OFFICE_BYTES[BEGINS + 12 :]


BAD = {
    "empty": (b"", 0, "the file is empty", 0),
    "foreign": (b"%PDF-1.7 is no capture at all", 0, "neither pcap nor pcapng", 0),
    "cut in its header": (OFFICE_BYTES[:20], 0, "cut off after 20 bytes", 0),
    "cut between records": (OFFICE_BYTES[: BEGINS + 7], BEGINS, "cut off", LYING_LENGTH),
    "cut in a packet": (OFFICE_BYTES[: ENDS - 3], BEGINS, "cut off", LYING_LENGTH),
    "lying about a length": (lying(0x7FFF_FFFF), BEGINS, "", LYING_LENGTH),
    "lying by a negative length": (lying(0xFFFF_FFFF), BEGINS, "", LYING_LENGTH),
}


def seen_in(path: Path) -> list[Observation]:
    return [msgspec.json.decode(line, type=Observation) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> list[Observation]:
    """What is seen in the packets before the bad place."""
    folder = tmp_path_factory.mktemp("prefix")
    (folder / "prefix.pcap").write_bytes(OFFICE_BYTES[:BEGINS])
    ran = run("watch", folder / "prefix.pcap", "--observations", folder / "seen.jsonl", state=folder)
    assert ran.code == 0 and f"packets       {LYING_LENGTH} " in ran.err
    return seen_in(folder / "seen.jsonl")


def watch(folder: Path, *sources: Path) -> Ran:
    out = ("--alerts", folder / "alerts.jsonl", "--observations", folder / "seen.jsonl")
    return run("watch", *sources, *out, state=folder)


@pytest.mark.parametrize("kind", BAD)
def test_readable_packets_are_kept_and_one_line_names_file_and_byte(
    tmp_path: Path, prefix: list[Observation], kind: str
) -> None:
    content, offset, reason, packets = BAD[kind]
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(content)
    ran = watch(tmp_path, bad)
    assert ran.code == 1 and len(ran.complaints) == 1
    assert ran.complaints[0].startswith(f"lenswatch: {bad}: byte {offset}: ") and reason in ran.complaints[0]
    assert f"packets       {packets} " in ran.err and "the ledger is open" not in ran.err
    assert seen_in(tmp_path / "seen.jsonl") == (prefix if packets else [])


@pytest.mark.parametrize("kind", BAD)
def test_the_next_source_is_still_read(tmp_path: Path, kind: str) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(BAD[kind][0])
    ran = watch(tmp_path, bad, OFFICE)
    assert ran.code == 1 and len(ran.complaints) == 1
    assert f"packets       {BAD[kind][3] + len(PLACES)} " in ran.err
    assert len({alert.event.id for alert in read_alerts((tmp_path / "alerts.jsonl").read_text("utf-8"))}) == 12


def test_two_bad_sources_are_two_lines(tmp_path: Path) -> None:
    for name in ("a.pcap", "b.pcap"):
        (tmp_path / name).write_bytes(b"")
    ran = watch(tmp_path, tmp_path / "a.pcap", tmp_path / "b.pcap")
    assert [line.split(": ")[1] for line in ran.complaints] == [str(tmp_path / "a.pcap"), str(tmp_path / "b.pcap")]


def test_a_gzipped_capture_that_is_cut_off_gives_what_was_unzipped(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap.gz"
    bad.write_bytes(gzip.compress(OFFICE_BYTES)[:-2000])
    ran = watch(tmp_path, bad)
    assert ran.code == 1 and len(ran.complaints) == 1 and "gzip data is cut off" in ran.complaints[0]
    assert seen_in(tmp_path / "seen.jsonl")


def test_a_bad_capture_on_standard_input_is_named_so(tmp_path: Path) -> None:
    ran = spawn("watch", "-", state=tmp_path, given=OFFICE_BYTES[:-5])
    assert ran.code == 1
    assert ran.complaints == [
        line for line in ran.err.splitlines() if f"standard input: byte {PLACES[-1][0]}: cut" in line
    ]


def test_packets_that_break_their_protocols_break_nothing_else(tmp_path: Path) -> None:
    """Every byte behind the IP headers of every second packet is turned over."""
    content = bytearray(OFFICE_BYTES)
    for begins, ends in PLACES[::2]:
        place = slice(begins + RECORD + 54, ends)
        content[place] = bytes(byte ^ 0xFF for byte in content[place])
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(content)
    ran = watch(tmp_path, bad)
    assert ran.code == 0 and ran.complaints == [] and "the ledger is open" not in ran.err


def test_a_capture_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap"
    bad.symlink_to("/proc/self/mem")
    ran = watch(tmp_path, bad)
    assert ran.code == 1 and len(ran.complaints) == 1 and "bad.pcap: byte 0: cannot be read" in ran.complaints[0]
