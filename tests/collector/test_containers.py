"""What a file is by its first bytes, and what a table of magics must say."""

from pathlib import Path

import pytest

from collector.containers import container_of, read_containers
from collector.errors import LenswatchError

ENTRY = '[sources.a]\ntitle = "A"\nkind = "primary_text"\n[[container]]\nname = "x"\nbytes = "{}"\nsources = [{}]\n'


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (bytes.fromhex("e99af7b6"), "Hikvision digicap (header under XOR)"),
        (b"SWKH\0\0", "Hikvision digicap"),
        (b"DH\x03\x04\x14", "Dahua zip (DH)"),
        (b"PK\x03\x04\x14", "zip"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"hsqs\1", "squashfs"),
        (b"\x27\x05\x19\x56", "uImage"),
        (b"PK", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_a_file_is_what_it_begins_with(first: bytes, name: str | None) -> None:
    assert container_of(first, read_containers()) == name


def test_the_header_of_a_digicap_is_its_name_under_the_first_bytes_of_the_key() -> None:
    key = bytes.fromhex("bacdbcfe")
    encoded = bytes(a ^ b for a, b in zip(b"SWKH", key, strict=True))
    assert container_of(encoded, read_containers()) == "Hikvision digicap (header under XOR)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ENTRY.format("4448", '"b"'), "names no source"),
        (ENTRY.format("4448", ""), "names no source"),
        (ENTRY.format("", '"a"'), "has no bytes"),
        (ENTRY.format("zz", '"a"'), "non-hexadecimal"),
        (ENTRY.format("44", '"a"') + "odd = 1\n", "odd"),
    ],
)
def test_an_entry_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "containers.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(LenswatchError, match=f"containers.toml: .*{says}.*; mend the entry"):
        read_containers(path)
