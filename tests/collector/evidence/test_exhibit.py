"""An exhibit is a pcapng of packets in their order, each with what it is evidence of, and no larger than it may be."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.capture.pcap_file import CaptureFile
from collector.errors import LenswatchError
from collector.evidence.exhibit import COMMENT, read_exhibit, write_exhibit
from collector.evidence.segments import Found
from tests.collector.frames import udp_frame

FRAMES = [udp_frame(bytes([number]) * 100) for number in range(20)]
FOUND = Found([((number, 1 + 100 * (number % 2), 900, frame), [f"{number:032x}", "ab" * 16])
               for number, frame in enumerate(FRAMES)], [])  # fmt: skip


def frames_of(data: bytes, folder: Path) -> list[bytes]:
    path = folder / "a.pcapng"
    path.write_bytes(data)
    return [
        block.data[start : start + size].tobytes()
        for block in CaptureFile(str(path)).blocks()
        for start, size in zip(block.start, block.captured, strict=True)
    ]


def test_every_packet_is_there_with_a_line_for_each_observation(tmp_path: Path) -> None:
    data, left = write_exhibit(FOUND)
    assert left == 0 and frames_of(data, tmp_path) == FRAMES
    for _, ids in FOUND.packets:
        assert "\n".join(COMMENT + each for each in ids).encode() in data


def test_what_has_no_room_is_counted_and_the_rest_is_whole(tmp_path: Path) -> None:
    whole, _ = write_exhibit(FOUND)
    for most in range(0, len(whole) + 200, 97):
        data, left = write_exhibit(FOUND, most)
        assert len(data) <= most and left == len(FRAMES) - (len(frames_of(data, tmp_path)) if data else 0)
        assert not data or frames_of(data, tmp_path) == FRAMES[: len(FRAMES) - left]


def test_nothing_is_an_empty_exhibit() -> None:
    assert write_exhibit(Found([], ["x"])) == (b"", 0)


@given(st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, 400), st.binary(max_size=9))))
def test_no_exhibit_raises_anything_but_one_line(junk: bytes | tuple[int, bytes]) -> None:
    whole, _ = write_exhibit(Found(FOUND.packets[:3], []))
    data = junk if isinstance(junk, bytes) else whole[: junk[0]] + junk[1] + whole[junk[0] + len(junk[1]) :]
    try:
        assert len(read_exhibit(data)) <= 3
    except LenswatchError as error:
        assert "\n" not in str(error)


def test_an_exhibit_is_read_back() -> None:
    data, _ = write_exhibit(FOUND)
    assert read_exhibit(data) == [(at_ns, wire, frame) for (at_ns, _, wire, frame), _ in FOUND.packets]
    with pytest.raises(LenswatchError, match="no pcapng"):
        read_exhibit(b"")
