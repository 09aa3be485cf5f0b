"""The shipped facts: complete, sourced, careful, and none of the known traps."""

import datetime
import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from collector.identify.fingerprint import SHIPPED as FINGERPRINTS
from collector.identify.fingerprint import Fact, Fingerprint, FingerprintSource, SourceTable, read_fingerprints
from rules.fact import EndpointName, FirmwareFact
from rules.factbook import SHIPPED, Facts, read_facts

LEFT_OUT = Path(__file__).parents[2] / "docs" / "60-facts-left-out.md"
ADDED = {"amcrest", "reolink", "throughtek", "tuya", "tvt", "wyze", "xiaomi"}
# Guesses below a zone that is the maker's own: no fact of theirs, though the zone is one.
GUESSED_BELOW_A_ZONE = {
    "p2p.dahuasecurity.com",
    "p2p.dahuatech.com",
    "update.hikvision.com",
    "firmware.hikvision.com",
    "ota.hikvision.com",
}


@pytest.fixture(scope="module")
def facts() -> Facts:
    return read_facts([SHIPPED])


@pytest.fixture(scope="module")
def fingerprints() -> tuple[Fingerprint, ...]:
    return read_fingerprints()


def names_of(facts: Facts) -> list[tuple[str, EndpointName]]:
    return [(entity, name) for entity, file in facts.endpoints.items() for name in file.endpoint]


def firmware_of(facts: Facts) -> list[tuple[str, FirmwareFact]]:
    return [(entity, fact) for entity, file in facts.endpoints.items() for fact in file.firmware]


def is_below(name: str, zone: str) -> bool:
    return name == zone or name.endswith("." + zone)


def covers(endpoint: EndpointName, name: str) -> bool:
    if endpoint.match == "suffix":
        return is_below(name, endpoint.name)
    if endpoint.match == "exact":
        return name == endpoint.name
    return any(is_below(name, zone) for zone in endpoint.under) and re.fullmatch(endpoint.name, name) is not None


def table_of_the_page() -> dict[str, tuple[int, int, int]]:
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \|$", LEFT_OUT.read_text(encoding="utf-8"), re.M)
    return {what: (int(researched), int(shipped), int(left)) for what, researched, shipped, left in rows}


def test_what_is_shipped_is_what_the_page_counts(facts: Facts, fingerprints: tuple[Fingerprint, ...]) -> None:
    banners = [banner for maker in fingerprints for banner in maker.banners]
    firmware = [fact for _, fact in firmware_of(facts)]
    counted = {
        "programmes": len(facts.programmes),
        "companies with a legal record": len(facts.entities.keys() - ADDED),
        "companies added for their names only": len(facts.entities.keys() & ADDED),
        "listings": sum(len(entity.listings) for entity in facts.entities.values()),
        "endpoint names": len(names_of(facts)),
        "firmware facts": len(firmware),
        "firmware facts that are matched": sum(fact.on_wire for fact in firmware),
        "AS numbers": len(facts.as_numbers),
        "MAC prefixes": sum(len(prefix.macs) for maker in fingerprints for prefix in maker.prefixes),
        "relabelled brands": len(facts.relabels),
        "names that are never matched": sum(len(fact.names) for fact in facts.not_endpoints),
        "facts seen on devices: ports": sum(len(maker.ports) for maker in fingerprints),
        "facts seen on devices: banners": len(banners),
        "facts seen on devices: banners that are matched": sum(banner.matchable for banner in banners),
        "names that only devices call": sum(len(maker.calls) for maker in fingerprints),
    }
    assert counted == {what: shipped for what, (_, shipped, _) in table_of_the_page().items()}


def test_the_page_lets_nothing_disappear() -> None:
    for what, (researched, shipped, left) in table_of_the_page().items():
        assert researched == shipped + left or (researched, left) == (0, 0), what


def sources_of(part: msgspec.Struct) -> tuple[str, ...]:
    found = tuple(getattr(part, "sources", ())) + tuple(getattr(part, "parent_sources", ()))
    found += tuple(getattr(getattr(part, "list_read", None), "sources", ()))
    link = getattr(part, "military_link", None)
    return found if link is None else (*found, link.source)


def parts_of(facts: Facts) -> list[msgspec.Struct]:
    entities, programmes = facts.entities.values(), facts.programmes.values()
    return [
        *entities,
        *(
            part
            for entity in entities
            for part in (*entity.listings, *entity.ownership, *entity.proceedings, *entity.unconfirmed)
        ),
        *programmes,
        *(part for programme in programmes for part in (*programme.editions, *programme.reach, *programme.acts)),
        *facts.profiles.values(),
        *facts.scenarios.values(),
        *(name for _, name in names_of(facts)),
        *(fact for _, fact in firmware_of(facts)),
        *facts.relabels,
        *facts.not_endpoints,
        *facts.as_numbers.values(),
    ]


def test_every_fact_has_a_source_and_every_source_a_fact(facts: Facts) -> None:
    assert all(sources_of(part) for part in parts_of(facts))
    assert {source for part in parts_of(facts) for source in sources_of(part)} == facts.sources.keys()


def seen_on_devices(fingerprints: tuple[Fingerprint, ...]) -> list[Fact]:
    """Every fact of the fingerprints."""
    return [
        fact
        for maker in fingerprints
        for fact in (
            *maker.prefixes, *maker.calls, *maker.ports, *maker.banners, *maker.protocols, *maker.models, *maker.brands,
        )
    ]  # fmt: skip


def test_every_fingerprint_source_is_used(fingerprints: tuple[Fingerprint, ...]) -> None:
    used = {source for fact in seen_on_devices(fingerprints) for source in fact.sources}
    assert used == fingerprint_sources().keys()


def fingerprint_sources() -> dict[str, FingerprintSource]:
    return msgspec.toml.decode((FINGERPRINTS / "sources.toml").read_bytes(), type=SourceTable).sources


def test_files_of_unknown_repositories_alone_make_no_fact_of_high_confidence(
    facts: Facts, fingerprints: tuple[Fingerprint, ...]
) -> None:
    kinds = {id: source.kind for id, source in (facts.sources | fingerprint_sources()).items()}
    for part in (*parts_of(facts), *seen_on_devices(fingerprints)):
        if getattr(part, "confidence", None) == "high":
            assert {kinds[source] for source in sources_of(part)} - {"public_file", "background"}, part


def test_background_knowledge_alone_is_called_that(facts: Facts) -> None:
    for part in parts_of(facts):
        if sources_of(part) == ("background",) and hasattr(part, "confidence"):
            assert part.confidence in ("background", "low"), part


def test_no_endpoint_is_a_rejected_name(facts: Facts) -> None:
    rejected = {name for fact in facts.not_endpoints for name in fact.names}
    for name in rejected:
        for entity, endpoint in names_of(facts):
            if name in GUESSED_BELOW_A_ZONE:
                assert endpoint.match == "suffix" or not covers(endpoint, name), (name, entity, endpoint.name)
                assert not (covers(endpoint, name) and endpoint.role == "firmware"), (name, endpoint.name)
            else:
                assert not covers(endpoint, name), (name, entity, endpoint.name)
    assert rejected >= GUESSED_BELOW_A_ZONE


@pytest.mark.parametrize(
    "name",
    [
        *("dahuatec.xyz", "edahua.top", "chiddns.com", "www.chiddns.com", "hikvlsion-update.com", "myhikvision.com"),
        *("hikvision.com.example", "xhik-connect.com", "hik-connect.com.evil.example", "notreolink.com", "uniview.co"),
        *("apieu.hik-connect.com.evil.example", "metrics.dthicloud.com", "a1.tuyaeu.com.example", "supertuya.com"),
        *("reolink.eztech.example", "p2p.easy4ipc.com", "amazonaws.com", "s3.amazonaws.com", "mi.com", "xiaomi.com"),
    ],
)
def test_a_name_that_only_looks_like_a_makers_is_no_endpoint(facts: Facts, name: str) -> None:
    assert [endpoint.name for _, endpoint in names_of(facts) if covers(endpoint, name)] == []


@pytest.mark.parametrize(
    ("name", "entity", "role"),
    [
        ("litedev.hik-connect.com", "hikvision", "p2p"),
        ("apiieu.hik-connect.com", "hikvision", "cloud"),
        ("assets.hikvision.com", "hikvision", "firmware"),
        ("anything.ezvizlife.com", "ezviz", "p2p"),
        ("eucas.ezvizlife.com", "ezviz", "p2p"),
        ("time.ys7.com", "ezviz", "time"),
        ("devlog.ys7.com", "ezviz", "telemetry"),
        ("www.easy4ipcloud.com", "dahua", "p2p"),
        ("openapi-fk.easy4ip.com", "dahua", "cloud"),
        ("openapi.lechange.cn", "imou", "cloud"),
        ("ntp.lorexddns.net", "lorex", "time"),
        ("dh.amcrestsecurity.com", "amcrest", "p2p"),
        ("upgrade.secu100.net", "xiongmai", "firmware"),
        ("logsvr.xmcsrv.net", "xiongmai", "telemetry"),
        ("metrics1.dt.hicloud.com", "huawei", "telemetry"),
        ("p2p7.reolink.com", "reolink", "p2p"),
        ("m1-sg.tuyaeu.com", "tuya", "push"),
        ("de.ott.io.mi.com", "xiaomi", "cloud"),
        ("awsusor0.fds.api.xiaomi.com", "xiaomi", "storage"),
        ("use1-relay-dcipc.i.tplinknbu.com", "tplink-systems", "relay"),
    ],
)
def test_a_known_name_is_the_companys_in_its_role(facts: Facts, name: str, entity: str, role: str) -> None:
    found = [(owner, endpoint) for owner, endpoint in names_of(facts) if covers(endpoint, name)]
    assert {owner for owner, _ in found} == {entity}
    closest = max(found, key=lambda pair: (pair[1].match != "suffix", len(pair[1].name)))
    assert closest[1].role == role


def test_every_name_is_of_a_company_and_nobody_elses(facts: Facts) -> None:
    assert facts.endpoints.keys() <= facts.entities.keys()
    owners = Counter(endpoint.name for _, endpoint in names_of(facts))
    assert max(owners.values()) == 1


def test_companies_alike_by_name_are_no_alias(facts: Facts) -> None:
    known = {
        name.casefold() for entity in facts.entities.values() for name in (entity.name, *entity.aliases, *entity.brands)
    }
    rejected = {company.casefold() for fact in facts.not_endpoints for company in fact.companies}
    assert {"dahua electronics corporation", "reolink eztech digital"} <= rejected
    assert not known & rejected


def test_as_numbers_of_companies_alike_by_name_are_nobodys(facts: Facts) -> None:
    rejected = {number for fact in facts.not_endpoints for number in fact.as_numbers}
    assert {57742, 23632, 206602, 139317, 48877} == rejected
    assert not rejected & facts.as_numbers.keys()


def test_a_camera_maker_operates_no_network_that_is_not_shown(facts: Facts) -> None:
    own = {number.entity for number in facts.as_numbers.values() if number.relation == "operates"} - {None}
    assert own == {"cetc", "sensetime", "xiaomi", "zte"}
    carriers = {number.entity for number in facts.as_numbers.values() if number.relation == "carries"}
    assert {"china-mobile", "china-telecom", "china-unicom"} <= carriers


def fits(facts: Facts, kind: str, text: str, host: str = "") -> list[tuple[str, str | None]]:
    return [
        (entity, fact.step)
        for entity, fact in firmware_of(facts)
        if fact.on_wire and fact.kind == kind and re.search(fact.pattern, text)
        if kind != "path" or any(is_below(host, zone) for zone in fact.hosts)
    ]


@pytest.mark.parametrize(
    ("name", "entity"),
    [
        ("digicap.dav", "hikvision"),
        ("digicap.mav", "hikvision"),
        ("Firmware__V5.7.12_230112_S3000572346.zip", "hikvision"),
        ("Firmware_Europe_V4.30.085D_201224_S3000561585.zip", "hikvision"),
        ("DH_IPC-HX5X3X-Rhea_MultiLang_PN_Stream3_V2.840.0000000.18.R.261012.bin", "dahua"),
        ("General_IPC-HX3XXX-Dalton_MultiLang_PN_Stream3_V2.820.0000000.32.R.250110.bin", "dahua"),
        ("QIPC-B2202.2.0.230111.zip", "uniview"),
        ("IPC_523128M5MP.1092_22111105.RLC-810A.OV05A10.5MP.REOLINK.pak", "reolink"),
        ("Tapo_C200v3_en_1.4.2_Build_250313_Rel.40499n_up_boot-signed_1747894968535.bin", "tplink-systems"),
        ("recording-0007.dav", None),
        ("firmware.bin", None),
        ("update.zip", None),
        ("DH_notes.pdf", None),
    ],
)
def test_a_firmware_file_is_known_by_its_name(facts: Facts, name: str, entity: str | None) -> None:
    expected = [] if entity is None else [(entity, "download")]
    assert fits(facts, "file", name) == expected


@pytest.mark.parametrize(
    ("host", "target", "expected"),
    [
        ("materialfile.dahuasecurity.com", "/uploads/soft/20261012/DH_x.bin", [("dahua", "download")]),
        ("mirror.example", "/uploads/soft/20261012/DH_x.bin", []),
        ("upgrade.secu100.net", "/list", [("xiongmai", "check")]),
        ("pub-cfg.secu100.net", "/list", []),
        ("upgrade.secu100.net", "/listing", []),
        ("download.tplinkcloud.com", "/firmware/Tapo_C200v3_en.bin", [("tplink-systems", "download")]),
        ("router.example", "/firmware/new.bin", []),
        ("images.tuyaus.com", "/smart/firmware/upgrade/x/y.bin", [("tuya", "download")]),
        ("www.hikvision.com", "/us-en/support/download/firmware/", [("hikvision", "check")]),
        ("www.hikvisioneurope.com", "/uk/portal/a/digicap.dav", [("hikvision", "download")]),
        ("nvr.example", "/playback/0007.dav", []),
        (
            "devices-apis.reolink.com",
            "/v1.0/devices/roms/latests/?uid=9527&build=23&board=x&mode=full",
            [("reolink", "check")],
        ),
    ],
)
def test_a_firmware_path_counts_at_its_host_only(
    facts: Facts, host: str, target: str, expected: list[tuple[str, str | None]]
) -> None:
    assert fits(facts, "path", target, host) == expected


def test_a_firmware_host_is_an_endpoint_of_the_same_company_with_that_role(facts: Facts) -> None:
    for entity, fact in firmware_of(facts):
        if fact.kind == "host" and fact.on_wire:
            roles = {name.role for owner, name in names_of(facts) if owner == entity and covers(name, fact.pattern)}
            assert "firmware" in roles, fact.pattern


def test_no_user_agent_is_called_an_updater(facts: Facts) -> None:
    assert [fact.pattern for _, fact in firmware_of(facts) if fact.kind == "useragent" and fact.on_wire] == []


def test_a_link_to_the_pla_is_said_only_where_the_words_say_it(facts: Facts) -> None:
    links = {id: entity.military_link for id, entity in facts.entities.items() if entity.military_link is not None}
    assert {id for id, link in links.items() if "pla" in link.grounds} == {
        *("cetc", "hikvision", "tencent", "tplink-technologies", "yitu")
    }
    for id, link in links.items():
        assert ("pla" in link.grounds) == ("PLA" in link.claim), id
        assert link.citation, id
    assert links["dahua"].grounds == ("sasac", "miit")


def test_a_company_on_the_1260h_list_is_not_thereby_linked_to_the_pla(facts: Facts) -> None:
    listed = {
        id
        for id, entity in facts.entities.items()
        if any(listing.programme == "US-DOD-1260H" and listing.status == "listed" for listing in entity.listings)
    }
    links = {id: facts.entities[id].military_link for id in listed}
    assert len([id for id, link in links.items() if link is None or "pla" not in link.grounds]) > len(listed) / 2


def test_the_withdrawn_list_names_nobody(facts: Facts) -> None:
    editions = {edition.date: edition.withdrawn for edition in facts.programmes["US-DOD-1260H"].editions}
    assert editions[datetime.date(2026, 2, 13)]
    for entity in facts.entities.values():
        for listing in entity.listings:
            assert all(not editions[edition] for edition in listing.editions), entity.id


def test_a_removed_listing_stays_right_for_its_days(facts: Facts) -> None:
    removed = [listing for listing in facts.entities["megvii"].listings if listing.status == "removed"]
    assert [(listing.since, listing.until) for listing in removed] == [
        (datetime.date(2024, 1, 31), datetime.date(2025, 1, 7))
    ]


def test_the_share_in_ezviz_is_dated(facts: Facts) -> None:
    shares = {share.as_of: share.percent for share in facts.entities["ezviz"].ownership}
    assert shares == {"2022-12-27": 60.0, "2022-12-28": 48.0}


def test_hikvision_is_not_on_the_sdn_list(facts: Facts) -> None:
    statuses = {listing.programme: listing.status for listing in facts.entities["hikvision"].listings}
    assert statuses["US-OFAC-SDN"] == "not_listed"


def test_the_52nd_institute_gets_no_listing_from_its_family(facts: Facts) -> None:
    assert facts.entities["cetc-52"].listings == ()
    assert "US-DOD-1260H" in facts.entities["cetc-52"].not_found_on
    assert "US-BIS-EL" not in facts.entities["cetc-52"].not_found_on


def test_the_two_tp_links_are_two_companies(facts: Facts) -> None:
    on_1260h = {
        id: any(listing.programme == "US-DOD-1260H" for listing in facts.entities[id].listings)
        for id in ("tplink-technologies", "tplink-systems")
    }
    assert on_1260h == {"tplink-technologies": True, "tplink-systems": False}
    assert "tplink-technologies" not in facts.endpoints


def test_one_company_may_be_listed_under_several_names(facts: Facts) -> None:
    names = {listing.name_on_list for listing in facts.entities["meiya-pico"].listings} - {None}
    assert names == {"Xiamen Meiya Pico Information Co. Ltd.", "SDIC Intelligence (Xiamen) Information Co., Ltd."}


def test_where_nobody_looked_nothing_is_said(facts: Facts) -> None:
    for id in ADDED:
        entity = facts.entities[id]
        assert (entity.listings, entity.not_found_on) == ((), ()), id
        assert "No programme was researched" in (entity.note or ""), id


def test_a_maker_on_no_list_has_no_listing(facts: Facts) -> None:
    xiongmai = facts.entities["xiongmai"]
    assert xiongmai.listings == ()
    assert {"US-DOD-1260H", "US-NS-CMIC", "US-MCCAIN-889", "US-FCC"} == set(xiongmai.not_found_on)


def test_a_programme_is_not_both_listed_and_not_found(facts: Facts) -> None:
    for entity in facts.entities.values():
        named = {listing.programme for listing in entity.listings if listing.status in ("listed", "removed")}
        assert not named & set(entity.not_found_on), entity.id


def test_listings_have_the_statuses_that_were_researched(facts: Facts) -> None:
    assert Counter(listing.status for entity in facts.entities.values() for listing in entity.listings) == {
        "listed": 83,
        "additional_restriction": 5,
        "derived": 5,
        "category": 3,
        "listed_unit": 3,
        "in_scope_by_rule": 2,
        "named_in_statement": 2,
        "not_listed": 1,
        "removed": 1,
    }


def test_a_listing_in_force_has_a_first_day_and_a_citation(facts: Facts) -> None:
    for entity in facts.entities.values():
        for listing in entity.listings:
            assert listing.citation, entity.id
            assert listing.since is not None or listing.status == "not_listed", entity.id


def test_no_copied_table_of_opensanctions_goes_without_its_licence(facts: Facts) -> None:
    for id, source in facts.sources.items():
        if source.url and "opensanctions/opensanctions" in source.url and source.url.endswith(".csv"):
            assert source.licence and "NC" in source.licence, id


def test_every_programme_says_what_it_means_for_a_camera_and_whom_it_reaches(facts: Facts) -> None:
    for id, programme in facts.programmes.items():
        assert programme.acts, id
        named = any(
            listing.programme == id and listing.status != "not_listed"
            for entity in facts.entities.values()
            for listing in entity.listings
        )
        assert named or programme.reach, id


def test_every_programme_concerns_somebody_or_only_its_own_house(facts: Facts) -> None:
    concerned = {programme for profile in facts.profiles.values() for programme in profile.programmes}
    assert facts.programmes.keys() - concerned == {"EU-EP-2021"}


def test_the_profiles_are_those_that_were_researched_and_the_federal_agency(facts: Facts) -> None:
    assert len(facts.profiles) == 20
    assert {"us-federal-agency", "us-private", "uk-sensitive", "tw-agency", "what-if-sdn"} <= facts.profiles.keys()


def test_what_is_uncertain_is_off_or_held_at_review_with_its_reason(facts: Facts) -> None:
    off = [(id, reach.note) for id, programme in facts.programmes.items() for reach in programme.reach if reach.off]
    assert [id for id, _ in off] == ["US-BIS-EL"] and all(note and "confirm" in note for _, note in off)
    updates = [act for act in facts.programmes["US-FCC"].acts if "update_received" in act.activities]
    assert [act.outcome for act in updates if not act.statuses] == ["review"]


def test_an_official_finding_of_the_1260h_list_says_its_edition(facts: Facts) -> None:
    editions = {edition.date for edition in facts.programmes["US-DOD-1260H"].editions if not edition.withdrawn}
    for id, entity in facts.entities.items():
        link = entity.military_link
        if link is not None and "1260H" in link.citation:
            assert link.edition in editions, id


def test_a_listing_is_published_on_its_first_day_or_later(facts: Facts) -> None:
    for id, entity in facts.entities.items():
        for listing in entity.listings:
            if listing.published is not None and listing.since is not None:
                assert listing.since <= listing.published, id
