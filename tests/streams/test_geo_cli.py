"""`lenswatch geo build` says whose the data is, on the screen and beside the files."""

from pathlib import Path

from streams.geo import GeoFiles
from tests.streams.command import run

ROWS = "202.96.128.0,202.96.128.255,4134,Somebody\n192.0.2.0,192.0.2.255,64501,Other\n"


def test_both_files_are_built_and_found_by_who_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS, "utf-8")
    (tmp_path / "c.csv").write_text("202.96.128.0,202.96.128.255,CN\n", "utf-8")
    out = tmp_path / "new" / "geo"
    ran = run(
        "geo", "build", "--asn", tmp_path / "a.csv", "--country", tmp_path / "c.csv", "--out", out, state=tmp_path
    )
    assert ran.code == 0, ran.err
    system, geo = GeoFiles(out / "asn.mmdb", out / "country.mmdb").look_up("202.96.128.1")
    assert system is not None and system.number == 4134 and geo is not None and geo.country_iso_code == "CN"
    said = (out / "ATTRIBUTION.txt").read_text("utf-8")
    assert "a.csv SHA-256 " in said and "c.csv SHA-256 " in said and "for you to know" in said
    assert "asn.mmdb: from a.csv" in ran.out and "ATTRIBUTION.txt: whose the data is" in ran.out


def test_only_known_numbers_get_the_names_of_the_facts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS, "utf-8")
    ran = run("geo", "build", "--known", "--asn", tmp_path / "a.csv", "--out", tmp_path, state=tmp_path)
    assert ran.code == 0, ran.err
    files = GeoFiles(tmp_path / "operators.mmdb", None)
    system, _ = files.look_up("202.96.128.1")
    assert system is not None and system.organization is not None and system.organization.name != "Somebody"
    assert files.look_up("192.0.2.1") == (None, None)
    assert "only those that lenswatch's facts name" in (tmp_path / "ATTRIBUTION.txt").read_text("utf-8")


def test_nothing_asked_for_is_usage_and_a_wrong_file_is_one_line(tmp_path: Path) -> None:
    assert run("geo", "build", "--out", tmp_path, state=tmp_path).code == 2
    assert run("geo", state=tmp_path).code == 2
    (tmp_path / "a.csv").write_text("x,y,z,w\n", "utf-8")
    ran = run("geo", "build", "--asn", tmp_path / "a.csv", "--out", tmp_path, state=tmp_path)
    assert ran.code == 1 and ran.err.count("\n") == 1 and "a.csv: line 1: " in ran.err
    assert not (tmp_path / "asn.mmdb").exists()
