"""MaxMind DB files are asked by their specification, and one that cannot be read is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.errors import LenswatchError, SettingsError
from collector.observation import AutonomousSystem, AutonomousSystemOrganization, Geo
from streams.geo import GeoFiles

WriteGeo = Callable[[Path, dict[str, dict[str, Any]]], Path]


def test_number_organization_and_country_are_found(tmp_path: Path, write_geo_file: WriteGeo) -> None:
    organization = {"autonomous_system_number": 64_500, "autonomous_system_organization": "Example Net"}
    asn = write_geo_file(tmp_path / "asn.mmdb", {"192.0.2.0/24": organization})
    country = write_geo_file(tmp_path / "country.mmdb", {"192.0.2.128/25": {"country": {"iso_code": "NL"}}})
    geo = GeoFiles(asn, country)
    known = AutonomousSystem(number=64_500, organization=AutonomousSystemOrganization(name="Example Net"))
    assert geo.present
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
    assert not geo.present and geo.look_up("192.0.2.1") == (None, None)


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
