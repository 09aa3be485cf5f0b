"""Open data becomes MaxMind DB files, or is refused with file and line."""

import datetime
import gzip
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import maxminddb
import pytest

from collector.errors import LenswatchError
from streams import geobuild
from streams.geobuild import build, choose, fetch, make, read_as_ranges, read_country_ranges, read_package, split

AT = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
ROWS = (
    b'192.0.2.0,192.0.2.127,64501,"One, Ltd."\n192.0.2.130,192.0.2.130,64502,Two\n2001:db8::,2001:db8::ff,64503,Six\n'
)
WriteGeo = Callable[[Path, dict[str, dict[str, Any]]], Path]


def package(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


ABOUT = json.dumps({"name": "@some/asn", "version": "2.3.2026061719", "license": "CC-BY-4.0"}).encode()
PACKAGE = {
    "package/package.json": ABOUT,
    "package/asn-ipv4.csv": ROWS,
    "package/asn-ipv4-num.csv": b"3221225984,3221226111,64501,One\n",
    "package/SOME-LICENSE": b"Give attribution to example.net.",
    "package/README.md": b"> [!CAUTION]\n> The data **has bugs**.\n> Use another.\n\n# Text\n",
}


def records(path: Path) -> dict[str, Any]:
    with maxminddb.open_database(path) as reader:
        return {str(network): record for network, record in reader}


def test_ranges_become_networks_that_a_reader_finds(tmp_path: Path) -> None:
    (tmp_path / "asn.csv").write_bytes(ROWS)
    out = tmp_path / "asn.mmdb"
    whose = make(str(tmp_path / "asn.csv"), out, "x", read_as_ranges, AT)
    assert whose.version.startswith("SHA-256 ") and "which one applies is for you to know" in whose.words("none")
    with maxminddb.open_database(out) as reader:
        first = {"autonomous_system_number": 64_501, "autonomous_system_organization": "One, Ltd."}
        assert reader.get("192.0.2.5") == first and reader.get("192.0.2.127") == first
        assert reader.get("192.0.2.128") is None and reader.get("192.0.2.131") is None
        assert reader.get("192.0.2.130")["autonomous_system_number"] == 64_502  # type: ignore[call-overload,index]
        assert reader.get("2001:db8::7")["autonomous_system_number"] == 64_503  # type: ignore[call-overload,index]
        assert reader.metadata().build_epoch == int(AT.timestamp())


def test_only_what_is_known_is_taken_under_the_name_that_it_is_known_by(tmp_path: Path) -> None:
    ranges = list(read_as_ranges("asn.csv", ROWS, {64_502: "The Two"}))
    assert build(ranges, tmp_path / "x.mmdb", "x", AT, "d") == 1
    assert list(records(tmp_path / "x.mmdb").values()) == [
        {"autonomous_system_number": 64_502, "autonomous_system_organization": "The Two"}
    ]


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        build(list(read_as_ranges("asn.csv", ROWS)), tmp_path / name, "x", AT, "d")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_of_ranges_in_one_another_the_narrower_counts_whatever_their_order(tmp_path: Path) -> None:
    rows = b"192.0.2.0,192.0.2.255,1,Wide\n192.0.2.64,192.0.2.127,2,Narrow\n"
    for order in (rows, b"\n".join(reversed(rows.splitlines()))):
        build(read_as_ranges("asn.csv", order), tmp_path / "x.mmdb", "x", AT, "d")
        with maxminddb.open_database(tmp_path / "x.mmdb") as reader:
            numbers = [reader.get(f"192.0.2.{last}") for last in (1, 70, 200)]
        assert [each["autonomous_system_number"] for each in numbers] == [1, 2, 1]  # type: ignore[call-overload,index]


def test_a_range_is_split_into_the_fewest_networks() -> None:
    assert [str(each) for each in split(0xC0000201, 0xC0000208, 4)] == [
        "192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/30", "192.0.2.8/32",
    ]  # fmt: skip
    assert [str(each) for each in split(0, (1 << 32) - 1, 4)] == ["0.0.0.0/0"]


def test_countries_are_read_as_text_and_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "country.csv.gz"
    path.write_bytes(gzip.compress(b"192.0.2.0,192.0.2.255,NL\n3405803776,3405804031,DE\n"))
    make(str(path), tmp_path / "country.mmdb", "x", read_country_ranges, AT)
    with maxminddb.open_database(tmp_path / "country.mmdb") as reader:
        assert reader.get("192.0.2.9") == {"country": {"iso_code": "NL"}}
        assert reader.get("203.0.113.9") == {"country": {"iso_code": "DE"}}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("192.0.2.0,192.0.2.255,AS1,x", "line 2: 'AS1' is no AS number"),
        ("192.0.2.0,192.0.2.255,4294967296,x", "line 2: '4294967296' is no AS number"),
        ("192.0.2.0,192.0.2.255,1", "line 2: has 3 columns and not 4"),
        ("192.0.2.256,192.0.2.255,1,x", "line 2: '192.0.2.256' does not appear"),
        ("192.0.2.9,192.0.2.1,1,x", "line 2: 192.0.2.9 to 192.0.2.1 is no range"),
        ("192.0.2.9,2001:db8::,1,x", "line 2: 192.0.2.9 to 2001:db8:: is no range"),
    ],
)
def test_a_wrong_line_is_named(row: str, words: str) -> None:
    with pytest.raises(LenswatchError, match=f"^asn.csv: {words}"):
        list(read_as_ranges("asn.csv", f"192.0.2.0,192.0.2.0,1,x\n{row}\n".encode()))


def test_a_country_that_is_none_and_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(LenswatchError, match="line 1: 'Netherlands' is no country's code"):
        list(read_country_ranges("c.csv", b"192.0.2.0,192.0.2.255,Netherlands\n"))
    with pytest.raises(LenswatchError, match=r"c\.csv: byte 1 is not UTF-8"):
        list(read_country_ranges("c.csv", b"1\xff"))


def test_a_package_says_whose_it_is_of_which_day_and_what_it_warns_of(tmp_path: Path) -> None:
    path = tmp_path / "some.tgz"
    path.write_bytes(package(PACKAGE))
    whose = make(str(path), tmp_path / "asn.mmdb", "x", read_as_ranges, AT)
    words = whose.words("none")
    for part in ("@some/asn 2.3.2026061719", "licence: CC-BY-4.0", "changes: none", "to example.net.", "has bugs"):
        assert part in words
    with maxminddb.open_database(tmp_path / "asn.mmdb") as reader:
        assert reader.metadata().build_epoch == datetime.datetime(2026, 6, 17, tzinfo=datetime.UTC).timestamp()


def test_of_a_package_each_range_is_taken_once_and_a_database_before_a_table() -> None:
    data = read_package("x", package(PACKAGE))
    assert [name for name, _ in choose("x", data)] == ["asn-ipv4.csv"]
    both = {"p/a-ipv4.mmdb": b"4", "p/a-ipv6.mmdb": b"6", "p/a.mmdb": b"46", "p/a.csv": b""}
    assert choose("x", read_package("x", package(both))) == [("a.mmdb", b"46")]
    with pytest.raises(LenswatchError, match=r"x: holds no \.csv and no \.mmdb"):
        choose("x", read_package("x", package({"p/README.md": b"x"})))


def test_a_member_with_a_way_out_of_the_package_is_data_by_its_last_name_only() -> None:
    data = read_package("x", package({"../../../etc/asn.csv": ROWS, "/asn6.csv": ROWS}))
    assert sorted(data.files) == ["asn.csv", "asn6.csv"]


def test_what_is_no_package_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in (b"junk", package(PACKAGE)[:200], gzip.compress(b"junk" * 300)):
        with pytest.raises(LenswatchError, match=r"^x: "):
            choose("x", read_package("x", broken))
    monkeypatch.setattr(geobuild, "MAX_MEMBER_BYTES", 10)
    with pytest.raises(LenswatchError, match="x: holds more than is read"):
        read_package("x", package(PACKAGE))


def test_a_database_is_taken_over_byte_for_byte_and_what_is_none_is_refused(
    tmp_path: Path, write_geo_file: WriteGeo
) -> None:
    source = write_geo_file(tmp_path / "source.mmdb", {"192.0.2.0/24": {"country_code": "DE"}})
    make(str(source), tmp_path / "country.mmdb", "x", read_country_ranges, AT)
    assert (tmp_path / "country.mmdb").read_bytes() == source.read_bytes()
    source.write_bytes(b"no database")
    with pytest.raises(LenswatchError, match=r"source\.mmdb: cannot be read as a MaxMind DB file"):
        make(str(source), tmp_path / "country.mmdb", "x", read_country_ranges, AT)
    assert (tmp_path / "country.mmdb").stat().st_size > 11


def test_nothing_of_what_was_asked_for_is_said_and_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "asn.csv").write_bytes(ROWS)
    with pytest.raises(LenswatchError, match="holds nothing of what was asked for"):
        make(str(tmp_path / "asn.csv"), tmp_path / "x.mmdb", "x", lambda name, text: read_as_ranges(name, text, {}), AT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asn.csv"]


def script(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm of our own: no test asks the network."""
    (folder / "bin").mkdir()
    npm = folder / "bin" / "npm"
    npm.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_a_package_is_fetched_by_the_npm_client_and_no_script_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept.tgz").write_bytes(package(PACKAGE))
    script(tmp_path, f'echo "$@" > {tmp_path}/asked; cp {tmp_path}/kept.tgz "$6"/some-asn.tgz', monkeypatch)
    assert fetch("@some/asn").attribution.name == "@some/asn"
    asked = (tmp_path / "asked").read_text("utf-8")
    assert asked.startswith("pack @some/asn --ignore-scripts --silent --pack-destination ")


def test_an_npm_that_fails_or_is_not_there_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "echo 'npm error 404 no such package' >&2; exit 1", monkeypatch)
    with pytest.raises(LenswatchError, match="@some/asn: npm cannot fetch it: npm error 404 no such package"):
        fetch("@some/asn")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LenswatchError, match="@some/asn: npm is not installed; install it, or name a file"):
        fetch("@some/asn")


@pytest.mark.parametrize("source", ["none.csv", "a b", "--evil", "https://example.net/x", "../x", "@a/b/c", "x.tgz"])
def test_what_is_neither_a_file_nor_a_package_is_never_given_to_npm(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, f"touch {tmp_path}/asked", monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LenswatchError, match="no such file, and no name of an npm package"):
        fetch(source)
    assert not (tmp_path / "asked").exists()
