"""Records come back as they were written, up to where a file was cut; hostile bytes find nothing and raise nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import LenswatchError
from collector.evidence.segments import (
    HEADER,
    SUFFIX,
    Kept,
    find_packets,
    forget_device,
    is_id,
    list_segments,
    read_records,
    write_record,
)

PACKETS: list[Kept] = [(10, 1, 60, b"first"), (5, 101, 9_000, b"second" * 100), (20, 1, 0, b"")]


def id_of(number: int) -> str:
    return f"{number:032x}"


def record(number: int, packets: list[Kept] = PACKETS, device: str = "site/camera") -> bytes:
    return write_record([([id_of(number)], [device], packets)])


def segment(folder: Path, *records: bytes, begun: int = 7) -> Path:
    path = folder / f"{begun:020d}-1{SUFFIX}"
    path.write_bytes(HEADER + b"".join(records))
    return path


def test_packets_come_back_in_the_order_of_their_times_with_what_they_are_evidence_of(tmp_path: Path) -> None:
    segment(tmp_path, record(1), record(2, PACKETS[:1]), record(3))
    found = find_packets(tmp_path, [id_of(1), id_of(2), id_of(9), "no id"])
    assert [packet for packet, _ in found.packets] == [PACKETS[1], PACKETS[0], PACKETS[2]]
    assert [ids for _, ids in found.packets] == [[id_of(1)], [id_of(1), id_of(2)], [id_of(1)]]
    assert found.missing == [id_of(9), "no id"]


def test_a_file_that_was_cut_off_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    short = [(1, 1, 9, b"a"), (2, 1, 9, b"b")]
    path = segment(tmp_path, record(1, short), record(2, short))
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = max(0, cut - len(HEADER)) // len(record(1, short))
        found = find_packets(tmp_path, [id_of(1), id_of(2)])
        assert (len(found.missing), len(found.packets)) == (2 - whole, 2 if whole else 0), cut


def test_a_record_whose_bytes_have_changed_is_not_taken_for_evidence(tmp_path: Path) -> None:
    path = segment(tmp_path, record(1), record(2))
    data = bytearray(path.read_bytes())
    data[data.find(b"first")] ^= 1
    path.write_bytes(data)
    found = find_packets(tmp_path, [id_of(1), id_of(2)])
    assert found.missing == [id_of(1)] and len(found.packets) == 3


@given(st.binary(max_size=400), st.integers(0, 400), st.binary(max_size=40))
def test_no_bytes_raise(junk: bytes, at: int, patch: bytes) -> None:
    whole = HEADER + record(1) + record(2)
    for data in (junk, HEADER + junk, whole[:at] + patch + whole[at + len(patch) :]):
        for each in read_records(data):
            each.entries(data)


def test_what_a_packet_holds_cannot_pretend_to_be_a_record(tmp_path: Path) -> None:
    forged = record(2, [(1, 1, 6, b"forged")])
    segment(tmp_path, record(1, [(1, 1, len(forged), forged)]), record(3))
    found = find_packets(tmp_path, [id_of(2)])
    assert found.packets == [] and found.missing == [id_of(2)]


def test_what_is_older_than_it_may_be_is_not_shown(tmp_path: Path) -> None:
    segment(tmp_path, record(1), begun=100)
    segment(tmp_path, record(2), begun=200)
    assert find_packets(tmp_path, [id_of(1), id_of(2)], since_ns=150).missing == [id_of(1)]


def test_only_files_of_the_ring_are_looked_at(tmp_path: Path) -> None:
    segment(tmp_path, record(1))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / f"x-1{SUFFIX}").write_bytes(record(2))
    assert [each.begun_ns for each in list_segments(tmp_path)] == [7]
    assert list_segments(tmp_path / "nowhere") == []
    assert find_packets(tmp_path / "nowhere", [id_of(1)]).missing == [id_of(1)]


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / f"{5:020d}-1{SUFFIX}"
    path.mkdir()
    with pytest.raises(LenswatchError, match="the evidence cannot be read: Is a directory"):
        find_packets(tmp_path, [id_of(1)])


def test_a_device_that_is_forgotten_is_overwritten_and_the_others_stay(tmp_path: Path) -> None:
    path = segment(tmp_path, record(1, device="a"), record(2, [(1, 1, 4, b"keep")], device="b"), record(3, device="a"))
    size = path.stat().st_size
    assert forget_device(tmp_path, "a") == 2 * len(PACKETS) and forget_device(tmp_path, "a") == 0
    data = path.read_bytes()
    assert len(data) == size and b"second" not in data and b"keep" in data
    assert find_packets(tmp_path, [id_of(1), id_of(2), id_of(3)]).missing == [id_of(1), id_of(3)]


def test_of_one_record_only_the_device_that_is_forgotten_goes(tmp_path: Path) -> None:
    entries = [([id_of(number)], [device], PACKETS[:1]) for number, device in enumerate("aba")]
    path = segment(tmp_path, write_record(entries), record(9))
    size = path.stat().st_size
    assert forget_device(tmp_path, "a") == 2 and path.stat().st_size == size
    assert find_packets(tmp_path, [id_of(number) for number in (0, 1, 2, 9)]).missing == [id_of(0), id_of(2)]


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "é", "ABCDEF" + "0" * 26])
def test_what_is_no_id_is_not_looked_for(text: str) -> None:
    assert not is_id(text) and is_id("0123456789abcdef" * 2)
