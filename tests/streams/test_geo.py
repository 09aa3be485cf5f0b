"""MaxMind DB files are asked by their specification, and one that cannot be read is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import maxminddb
import pytest

from collector.errors import LenswatchError, SettingsError
from collector.observation import AutonomousSystem, AutonomousSystemOrganization, Geo
from rules.match import RuleSet
from streams.geo import NO_COUNTRY, NO_NUMBER, OPERATORS, REFUSED, TAKEN, GeoFiles

WriteGeo = Callable[[Path, dict[str, dict[str, Any]]], Path]


def test_number_organization_and_country_are_found(tmp_path: Path, write_geo_file: WriteGeo) -> None:
    organization = {"autonomous_system_number": 64_500, "autonomous_system_organization": "Example Net"}
    asn = write_geo_file(tmp_path / "asn.mmdb", {"192.0.2.0/24": organization})
    country = write_geo_file(tmp_path / "country.mmdb", {"192.0.2.128/25": {"country": {"iso_code": "NL"}}})
    geo = GeoFiles(asn, country)
    known = AutonomousSystem(number=64_500, organization=AutonomousSystemOrganization(name="Example Net"))
    assert geo.missing == ()
    assert geo.look_up("192.0.2.200") == (known, Geo(country_iso_code="NL"))
    assert geo.look_up("192.0.2.1") == (known, None)
    assert geo.look_up("198.51.100.1") == (None, None)


def test_a_number_without_organization_and_a_flat_country_are_understood(
    tmp_path: Path, write_geo_file: WriteGeo
) -> None:
    asn = write_geo_file(tmp_path / "asn.mmdb", {"192.0.2.0/24": {"autonomous_system_number": 64_501}})
    country = write_geo_file(tmp_path / "country.mmdb", {"192.0.2.0/24": {"country_code": "DE"}})
    assert GeoFiles(asn, country).look_up("192.0.2.1") == (AutonomousSystem(number=64_501), Geo(country_iso_code="DE"))


def test_records_of_another_make_say_nothing(tmp_path: Path, write_geo_file: WriteGeo) -> None:
    odd = write_geo_file(tmp_path / "odd.mmdb", {"192.0.2.0/24": {"city": "Utrecht", "country": "NL"}})
    assert GeoFiles(odd, odd).look_up("192.0.2.1") == (None, None)


def test_without_files_there_is_nothing_to_ask() -> None:
    geo = GeoFiles(None, None)
    assert geo.missing == ("asn", "country") and geo.refresh() is None and geo.look_up("192.0.2.1") == (None, None)
    geo.look_up("192.0.2.1")
    assert geo.counts == {NO_NUMBER: 1, NO_COUNTRY: 1}


def test_a_file_of_ipv4_addresses_knows_nothing_of_an_ipv6_address(tmp_path: Path, write_geo_file: WriteGeo) -> None:
    path = write_geo_file(tmp_path / "asn.mmdb", {"192.0.2.0/24": {"autonomous_system_number": 64_501}})
    assert GeoFiles(path, path).look_up("2001:db8::1") == (None, None)


def test_a_file_that_breaks_when_it_is_asked_is_named(tmp_path: Path, write_geo_file: WriteGeo) -> None:
    path = write_geo_file(tmp_path / "asn.mmdb", {"192.0.2.0/24": {"autonomous_system_number": 64_501}})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\xe1\x58autonomous_system_number", b"\xe9\x58autonomous_system_number"))
    with pytest.raises(LenswatchError, match=r"asn\.mmdb: cannot be asked about 192\.0\.2\.1"):
        GeoFiles(path, None).look_up("192.0.2.1")


@pytest.mark.parametrize("content", [None, b"", b"no database at all"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "asn.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"asn\.mmdb: cannot be read as a MaxMind DB file"):
        GeoFiles(path, None)


def test_out_of_the_box_the_numbers_that_the_facts_name_are_known() -> None:
    system, country = GeoFiles(None, None).look_up("202.96.128.86")
    assert system is not None and system.number == 4134 and country is None


def test_the_shipped_file_is_small_says_whose_it_is_and_knows_only_numbers_of_the_facts(rules: RuleSet) -> None:
    assert OPERATORS.stat().st_size < 2 << 20
    said = OPERATORS.with_name("ATTRIBUTION.txt").read_text("utf-8")
    for owner in ("CC-BY-4.0", "DB-IP.com", "routeviews.org", "nro.net", "changes: ", "contains bugs"):
        assert owner in said
    with maxminddb.open_database(OPERATORS) as reader:
        records = {record["autonomous_system_number"]: record for _, record in reader if isinstance(record, dict)}
        assert reader.metadata().build_epoch == 1_781_654_400
    known = rules.facts.as_numbers
    assert records.keys() == known.keys()
    for number, record in records.items():
        assert record["autonomous_system_organization"] == known[number].organization


def test_a_file_that_changes_is_taken_and_one_that_breaks_is_refused(tmp_path: Path, write_geo_file: WriteGeo) -> None:
    path, country = tmp_path / "asn.mmdb", tmp_path / "country.mmdb"
    write_geo_file(path, {"192.0.2.0/24": {"autonomous_system_number": 64_501}})
    write_geo_file(country, {"192.0.2.0/24": {"country_code": "DE"}})
    geo = GeoFiles(path, country)

    def number() -> int | None:
        system, _ = geo.look_up("192.0.2.1")
        return system.number if system else None

    assert geo.refresh() is None and number() == 64_501
    write_geo_file(path, {"192.0.2.0/24": {"autonomous_system_number": 64_502, "more": "so that its size differs"}})
    assert geo.refresh() is None and number() == 64_502
    path.write_bytes(b"half a fi")
    problem = geo.refresh()
    assert problem is not None and "asn.mmdb: cannot be read as a MaxMind DB file" in problem and "is kept" in problem
    assert number() == 64_502 and geo.refresh() is None
    path.unlink()
    assert "asn.mmdb" in (geo.refresh() or "") and number() == 64_502
    assert geo.counts[TAKEN] == 1 and geo.counts[REFUSED] == 2
