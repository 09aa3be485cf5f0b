"""A capture file is read to its last whole packet, whatever it is packed in; then the error says where it ended."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.capture.pcap_file import BUFFER_BYTES, ZIP_CHUNK_BYTES, CaptureFile
from collector.decode import decode
from collector.errors import CaptureError
from collector.ledger import Ledger
from tests.collector.conftest import Captured, ReadCapture, packets_of
from tests.collector.frames import (
    BEGIN_NS,
    ng_interface,
    ng_packet,
    ng_section,
    pcap,
    pcap_header,
    pcap_record,
    spaced,
    zipped,
)

SMALL = spaced([b"first", b"", b"third packet"])
READ_STANDARD_INPUT = """
import sys
from collector.capture.pcap_file import CaptureFile
from collector.errors import CaptureError
try:
    for block in CaptureFile("-").blocks():
        for start, captured in zip(block.start.tolist(), block.captured.tolist()):
            print(block.data[start : start + captured].tobytes().hex(), flush=True)
except CaptureError as error:
    print(error)
"""


def packet_of(number: int, size: int) -> tuple[int, bytes]:
    """A packet whose bytes tell its number, so that a mistake of one byte shows."""
    return BEGIN_NS + number * 1_000, (number.to_bytes(4, "big") * (size // 4 + 1))[:size]


def many_packets(total_bytes: int, size: int) -> list[tuple[int, bytes]]:
    return [packet_of(number, size + number % 97) for number in range(total_bytes // size)]


@pytest.mark.parametrize("size", [1_000, 65_535, 262_000 - 97])
def test_records_that_straddle_the_buffer_are_whole(read_capture: ReadCapture, size: int) -> None:
    packets = many_packets(2 * BUFFER_BYTES + 300_000, size)
    assert read_capture(pcap(packets)) == (packets, None)


def test_a_record_that_ends_right_at_the_buffers_end_is_whole(read_capture: ReadCapture) -> None:
    room = BUFFER_BYTES - len(pcap_header())
    for spare in (0, 1, 15, 16, 17):
        packets = [packet_of(number, 2_000) for number in range(room // 2_016 - 130)]
        while (left := room - sum(16 + len(data) for _, data in packets) - spare) > 2_016:
            packets.append(packet_of(len(packets), min(left - 16, 250_000)))
        packets += [packet_of(len(packets) + more, 500) for more in range(3)]
        assert read_capture(pcap(packets)) == (packets, None)


def test_pcapng_blocks_that_straddle_the_buffer_are_whole(read_capture: ReadCapture) -> None:
    packets = many_packets(BUFFER_BYTES + 300_000, 9_000)
    data = ng_section() + ng_interface() + b"".join(ng_packet(at_ns // 1_000, body) for at_ns, body in packets)
    assert read_capture(data) == (packets, None)


def test_more_empty_records_than_fit_the_buffer_are_read(read_capture: ReadCapture) -> None:
    count = BUFFER_BYTES // 16 + 1_000
    found, error = read_capture(pcap_header() + pcap_record((BEGIN_NS, b"")) * count)
    assert (len(found), error) == (count, None)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 23])
def test_a_cut_in_the_file_header_is_told(read_capture: ReadCapture, cut: int) -> None:
    found, error = read_capture(pcap(SMALL)[:cut])
    assert found == [] and error is not None
    assert (error.offset, error.reason) == (0, f"cut off after {cut} bytes; a file header takes 24")


def test_every_cut_gives_the_whole_packets_and_the_place_of_the_unfinished_record(read_capture: ReadCapture) -> None:
    data = pcap(SMALL)
    edges = [24 + sum(16 + len(body) for _, body in SMALL[:count]) for count in range(len(SMALL) + 1)]
    for cut in range(24, len(data)):
        whole = max(edge for edge in edges if edge <= cut)
        found, error = read_capture(data[:cut])
        assert found == SMALL[: edges.index(whole)]
        assert (error is None) == (whole == cut)
        if error is not None:
            assert error.offset == whole and error.reason.startswith(f"cut off: {cut - whole} bytes")


def test_a_cut_behind_the_first_buffer_has_its_place_in_the_whole_file(read_capture: ReadCapture) -> None:
    packets = many_packets(2 * BUFFER_BYTES, 60_000)
    data = pcap(packets)
    found, error = read_capture(data[:-1])
    assert found == packets[:-1] and error is not None
    assert error.offset == len(data) - 16 - len(packets[-1][1])


def test_an_error_names_the_file_the_byte_and_the_reason_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(SMALL)[:-1])
    with pytest.raises(CaptureError) as caught:
        list(CaptureFile(str(path)).blocks())
    assert str(caught.value) == f"{path}: byte 61: cut off: 27 bytes of an unfinished record are left"


def test_an_empty_file_and_a_foreign_file_are_no_captures(read_capture: ReadCapture) -> None:
    assert "is empty" in str(read_capture(b"")[1])
    assert "neither pcap nor pcapng: it begins with the bytes 25 50 44 46" in str(read_capture(b"%PDF-1.7" * 10)[1])
    assert "is empty" in str(read_capture(zipped(b""))[1])


def test_a_capture_without_packets_is_no_error(read_capture: ReadCapture) -> None:
    assert read_capture(pcap([])) == ([], None)
    assert read_capture(ng_section()) == ([], None)


def test_an_unknown_link_type_is_read_to_its_end_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(SMALL, link_type=147))
    ledger = Ledger()
    assert [len(decode(block, ledger)) for block in CaptureFile(str(path)).blocks()] == [0]
    assert ledger.by_reason("decode") == {"unknown_link_type": 3} and ledger.open_sums() == []


@pytest.mark.parametrize("name", ["missing.pcap", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    assert CaptureFile.opens(str(tmp_path / name)) is False
    with pytest.raises(CaptureError, match=r"cannot be read: (No such file|Is a directory)"):
        list(CaptureFile(str(tmp_path / name)).blocks())


def test_the_position_ends_at_the_files_size(tmp_path: Path) -> None:
    for name, data in (("a.pcap", pcap(SMALL)), ("b.pcap.gz", zipped(pcap(SMALL)))):
        (tmp_path / name).write_bytes(data)
        source = CaptureFile(str(tmp_path / name))
        assert source.size_bytes == len(data)
        assert [block.position for block in source.blocks()][-1] == len(data)


def test_gzip_is_unpacked_whatever_the_name(read_capture: ReadCapture) -> None:
    assert read_capture(zipped(pcap(SMALL))) == (SMALL, None)


def test_several_gzip_members_are_one_capture(read_capture: ReadCapture) -> None:
    data = pcap(SMALL)
    assert read_capture(zipped(data[:10], data[10:30], b"", data[30:])) == (SMALL, None)


def test_gzip_members_that_meet_at_any_byte_of_a_read_are_one_capture(tmp_path: Path) -> None:
    # Bytes that do not shrink, so that the next member's magic lies across two reads of the file.
    head = pcap_header() + pcap_record((BEGIN_NS, b""))
    first = zipped(head)
    second = zipped(pcap_record((BEGIN_NS, b"behind")))
    for spare in range(ZIP_CHUNK_BYTES - len(first) - 3, ZIP_CHUNK_BYTES - len(first) + 2):
        # A gzip header's extra field (RFC 1952 2.3.1.1) pads the first member to any length.
        chunks = [first[:3] + b"\x04" + first[4:10]]
        chunks += [min(spare - 2, 65_535).to_bytes(2, "little"), bytes(min(spare - 2, 65_535)), first[10:]]
        padded = b"".join(chunks)
        filler = b"".join(zipped(b"") for _ in range((spare + len(first) - len(padded)) // len(zipped(b""))))
        path = tmp_path / "a.pcap.gz"
        short = spare + len(first) - len(padded) - len(filler)
        name = b"n" * (short - 1) + b"\0" if short else b""
        padded = padded[:3] + bytes([0x04 | (0x08 if name else 0)]) + padded[4 : -len(first[10:])] + name + first[10:]
        path.write_bytes(padded + filler + second)
        found: Captured = [packet for block in CaptureFile(str(path)).blocks() for packet in packets_of(block)]
        assert found == [(BEGIN_NS, b""), (BEGIN_NS, b"behind")], f"the member begins {spare}"


def test_a_gzip_that_is_cut_off_gives_what_is_whole_and_says_so(read_capture: ReadCapture) -> None:
    packets = many_packets(BUFFER_BYTES + 200_000, 20_000)
    data = zipped(pcap(packets))
    found, error = read_capture(data[:-20])
    assert found == packets[: len(found)] and len(found) > 150
    assert error is not None and "gzip data is cut off" in error.reason


def test_a_gzip_that_is_broken_gives_what_came_before_and_says_so(read_capture: ReadCapture) -> None:
    data = zipped(pcap(SMALL))
    found, error = read_capture(data[:-8] + bytes(8))
    assert found == SMALL and error is not None and "gzip data is broken" in error.reason
    assert error.offset == len(pcap(SMALL))


@pytest.mark.parametrize("data", [b"\x1f\x8b", zipped(pcap(SMALL))[:12], b"\x1f\x8b" + bytes(30)])
def test_a_gzip_of_which_nothing_can_be_unpacked_is_not_called_empty(read_capture: ReadCapture, data: bytes) -> None:
    found, error = read_capture(data)
    assert found == [] and error is not None and "gzip data" in error.reason


def test_a_capture_cut_off_before_it_was_zipped_has_its_unzipped_place(read_capture: ReadCapture) -> None:
    found, error = read_capture(zipped(pcap(SMALL)[:-1]))
    assert found == SMALL[:-1] and error is not None and error.offset == 61


def drip(data: bytes, *sizes: int) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


@pytest.mark.parametrize("sizes", [(), (1, 1, 21, 2, 15, 3), (30, 30)], ids=["at once", "in drops", "in parts"])
@pytest.mark.parametrize("is_zipped", [False, True], ids=["plain", "gzip"])
def test_standard_input_is_read_as_it_comes(is_zipped: bool, sizes: tuple[int, ...]) -> None:
    data = zipped(pcap(SMALL)[:30], pcap(SMALL)[30:]) if is_zipped else pcap(SMALL)
    reader = subprocess.Popen(
        [sys.executable, "-c", READ_STANDARD_INPUT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    )
    assert reader.stdin is not None and reader.stdout is not None
    for part in drip(data, *sizes):
        reader.stdin.write(part)
        reader.stdin.flush()
    reader.stdin.close()
    lines = reader.stdout.read().decode().splitlines()
    reader.stdout.close()
    assert reader.wait(60) == 0 and lines == [body.hex() for _, body in SMALL]


def test_standard_input_that_ends_early_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_STANDARD_INPUT], input=pcap(SMALL)[:-1], capture_output=True, check=True, timeout=60
    )
    lines = done.stdout.decode().splitlines()
    assert lines[:2] == [b"first".hex(), ""]
    assert lines[2] == "standard input: byte 61: cut off: 27 bytes of an unfinished record are left"


def test_a_packet_of_a_live_pipe_comes_before_the_pipe_ends() -> None:
    data = pcap(SMALL)
    reader = subprocess.Popen(
        [sys.executable, "-c", READ_STANDARD_INPUT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdin is not None and reader.stdout is not None
    reader.stdin.write(data[: 24 + 16 + 5])
    reader.stdin.flush()
    assert reader.stdout.readline().strip() == b"first".hex().encode()
    reader.stdin.close()
    reader.stdout.close()
    assert reader.wait(60) == 0
