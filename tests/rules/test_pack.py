"""A pack is the same bytes for the same files, and is read whole or not at all."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import pack as packing
from rules.pack import FORMAT, PackError, digest_of, pack, unpack

FILES = {"0/facts/sources.toml": b"a = 1\n", "0/detections/x/y.yml": b"title: x\n", "1/facts/lists/z.txt": b""}


def archive(entries: list[tuple[str, bytes]], comment: bytes | None = None) -> bytes:
    comment = FORMAT + b" " + digest_of(dict(entries)).encode() if comment is None else comment
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.comment = comment
        for name, content in entries:
            made.writestr(name, content)
    return out.getvalue()


def test_what_is_packed_comes_out_and_the_order_of_files_does_not_matter() -> None:
    packed = pack(FILES)
    assert unpack(packed) == FILES
    assert pack(dict(reversed(FILES.items()))) == packed


def test_any_zip_program_can_look_into_a_pack() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(FILES))) as made:
        assert made.testzip() is None and sorted(made.namelist()) == sorted(FILES)


def test_the_digest_is_that_of_names_and_contents_and_of_nothing_else() -> None:
    assert digest_of(FILES) == digest_of(dict(reversed(FILES.items()))) == digest_of(unpack(pack(FILES)))
    moved = {"0/facts/sources.tom": b"l", "0/facts/a": b""}
    assert len({digest_of(FILES), digest_of(moved), digest_of({"0/facts/sources.toml": b"", "0/facts/a": b""})}) == 3


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "0/facts/../../evil", "/etc/passwd", "0/facts//x", "0/facts/./x", "0/other/x.toml", "facts/x.toml",
        "0/facts/a\\b", "C:/facts/x", "0/facts/x\0y", "0/facts/", "0/facts", "x/facts/y", "0/facts/" + "a" * 600,
    ],
)  # fmt: skip
def test_a_name_outside_of_the_pack_is_refused_going_in_and_coming_out(name: str) -> None:
    with pytest.raises(PackError, match="is no place in a pack"):
        pack({name: b""})
    if "\0" not in name:
        with pytest.raises(PackError, match="is no place in a pack"):
            unpack(archive([("0/facts/good.toml", b""), (name, b"")]))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused_also_where_case_makes_no_difference() -> None:
    for twice in ("0/facts/a.toml", "0/facts/A.toml"):
        with pytest.raises(PackError, match="stands twice"):
            unpack(archive([("0/facts/a.toml", b"1"), (twice, b"2")]))


def test_what_is_no_pack_is_refused_in_one_line() -> None:
    whole = pack(FILES)
    for broken in (b"", b"junk", whole[:-30], whole[:40], archive([("0/facts/a", b"")], b"other"), archive([], FORMAT)):
        with pytest.raises(PackError) as caught:
            unpack(broken)
        assert "\n" not in str(caught.value)


def test_a_pack_that_lost_a_file_is_refused() -> None:
    comment = FORMAT + b" " + digest_of(FILES).encode()
    assert unpack(archive(sorted(FILES.items()), comment)) == FILES
    with pytest.raises(PackError, match="its files are not those that it was made of"):
        unpack(archive(sorted(FILES.items())[:2], comment))


def test_every_cut_and_every_changed_byte_is_refused_or_gives_the_same_files() -> None:
    whole = pack(FILES)
    for place in range(len(whole)):
        for broken in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :]):
            try:
                found = unpack(broken)
            except PackError:
                continue
            assert found == FILES


@given(st.binary(max_size=300))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(PackError):
        unpack(junk)


def test_a_bomb_is_read_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = archive([("0/facts/a", bytes(3_000_000)), ("0/facts/b", bytes(3_000_000))])
    assert len(bomb) < 10_000
    monkeypatch.setattr(packing, "MAX_UNPACKED_BYTES", 4_000_000)
    with pytest.raises(PackError, match="0/facts/b: is larger than is read"):
        unpack(bomb)
    monkeypatch.setattr(packing, "MAX_FILE_BYTES", 2_000_000)
    with pytest.raises(PackError, match="0/facts/a: is larger than is read"):
        unpack(bomb)


@pytest.mark.parametrize(("limit", "words"), [("MAX_FILES", "3 files, and 2"), ("MAX_PACK_BYTES", "bytes, and 2 are")])
def test_what_is_too_much_is_refused_going_in_and_coming_out(
    monkeypatch: pytest.MonkeyPatch, limit: str, words: str
) -> None:
    whole = pack(FILES)
    monkeypatch.setattr(packing, limit, 2)
    for refuse in (lambda: pack(FILES), lambda: unpack(whole)):
        with pytest.raises(PackError, match=words):
            refuse()


def test_a_file_that_is_too_large_does_not_go_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_FILE_BYTES", 5)
    with pytest.raises(PackError, match=r"0/facts/sources\.toml: is too large to travel"):
        pack({"0/facts/sources.toml": b"a = 1\n"})


def test_an_entry_with_a_password_or_another_compression_is_refused() -> None:
    whole = bytearray(archive([("0/facts/a.toml", b"x")]))
    encrypted, other = bytearray(whole), bytearray(whole)
    for begin, flags, method in ((whole.index(b"PK\3\4"), 6, 8), (whole.index(b"PK\1\2"), 8, 10)):
        encrypted[begin + flags] |= 1
        other[begin + method] = 99
    for broken in (encrypted, other):
        with pytest.raises(PackError, match="no pack that can be read"):
            unpack(bytes(broken))
