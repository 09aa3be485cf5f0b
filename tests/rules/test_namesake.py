"""Who is who: each trap of look-alike names is a case here."""

import datetime

import pytest

from rules.lists.reader import Entry
from rules.match import RuleSet
from rules.namesake import Candidate, Namesakes, core_of, words_of


@pytest.fixture(scope="module")
def namesakes(shipped: RuleSet) -> Namesakes:
    return Namesakes(shipped.facts.entities.values())


def entry(name: str, programme: str = "US-BIS-EL", on: str = "EL", **more: object) -> Entry:
    return Entry(programmes=(programme,) if programme else (), list_name=on, name=name, place="", citation="", **more)  # type: ignore[arg-type]


def accepted(found: list[Candidate]) -> set[str]:
    return {each.entity for each in found if each.accepted}


@pytest.mark.parametrize(
    ("name", "company"),
    [
        ("HANGZHOU HIKVISION DIGITAL TECHNOLOGY COMPANY LIMITED", "hikvision"),
        ("Hangzhou Hikvision Digital Technology Co., Ltd. (Hikvision)", "hikvision"),
        ("Zhejiang Dahua Technology Co.,Ltd", "dahua"),
        ("Dahua Technology", "dahua"),
        ("ZTE Corporation", "zte"),
        ("ZTE CORP.", "zte"),
        ("NetPosa Technologies Limited", "netposa"),
        ("Sensetime Group Limited", "sensetime"),
        ("SenseTime Group, Inc.", "sensetime"),
        ("SenseTime", "sensetime"),
        ("Xiamen Meiya Pico Information Co. Ltd.", "meiya-pico"),
        ("SDIC Intelligence (Xiamen) Information Co., Ltd.", "meiya-pico"),
        ("TP-LINK TECHNOLOGIES CO., LTD.", "tplink-technologies"),
        ("TP-Link Systems Inc.", "tplink-systems"),
        ("China Electronics Technology Group Corporation", "cetc"),
    ],
)
def test_a_company_is_known_by_its_whole_name_however_the_legal_form_is_written(
    namesakes: Namesakes, name: str, company: str
) -> None:
    assert accepted(namesakes.candidates(entry(name))) == {company}


@pytest.mark.parametrize(
    ("name", "company"),
    [
        ("DAHUA ELECTRONICS CORPORATION", "dahua"),
        ("DAHUA CO., LTD.", "dahua"),
        ("China Electronics Technology Group Corporation 14th Research Institute", "cetc"),
        ("Beijing SenseTime Technology Development Co., Ltd.", "sensetime"),
        ("Huawei Technologies Chile S.A.", "huawei"),
        ("Hikvision Uruguay S.A.", "hikvision"),
        ("Hangzhou Hikvison Digital Technology Co., Ltd.", "hikvision"),
    ],
)
def test_a_part_a_single_word_or_a_near_name_is_refused_with_its_reason(
    namesakes: Namesakes, name: str, company: str
) -> None:
    found = namesakes.candidates(entry(name))
    assert accepted(found) == set()
    [told] = [each for each in found if each.entity == company]
    assert name in told.reason and told.by in ("part", "one_word", "near")


@pytest.mark.parametrize("name", ["REOLINK EZTECH DIGITAL", "AZTEC TRADING", "CECILIA SHIPPING", "DAHUANG GROUP"])
def test_letters_within_a_word_are_no_name(namesakes: Namesakes, name: str) -> None:
    found = namesakes.candidates(entry(name))
    assert accepted(found) == set() and not {each.entity for each in found} & {"zte", "cec", "dahua"}


def test_an_institute_of_another_number_is_another_institute(namesakes: Namesakes) -> None:
    for number in ("14th", "15th", "32nd", "54th"):
        assert "cetc-52" not in accepted(namesakes.candidates(entry(f"CETC {number} Research Institute")))
    assert accepted(namesakes.candidates(entry("CETC 52nd Research Institute"))) == {"cetc-52"}


def test_an_identifier_goes_before_any_name(namesakes: Namesakes) -> None:
    for value in ("91330000733796106P", "CNE100000PM8", "9133 0000 7337 96106p"):
        [found] = namesakes.candidates(entry("Whatever It Is Called Now", identifiers=(value,)))
        assert found.accepted and found.entity == "hikvision" and found.by == "identifier"
    [found] = namesakes.candidates(entry("Renamed", "US-NS-CMIC", "CMIC", number="30936"))
    assert found.accepted and found.entity == "cetc"
    assert namesakes.candidates(entry("Renamed", number="30936")) == [], "another list's number is another number"


def test_a_short_number_alone_identifies_nobody(namesakes: Namesakes) -> None:
    assert accepted(namesakes.candidates(entry("A Ship", identifiers=("2162198",)))) == set()


def test_one_word_is_enough_where_the_facts_have_the_company_on_that_list_from_that_day(namesakes: Namesakes) -> None:
    assert accepted(namesakes.candidates(entry("Hikvision", since=datetime.date(2019, 10, 9)))) == {"hikvision"}
    assert accepted(namesakes.candidates(entry("Hikvision", since=datetime.date(2019, 10, 10)))) == set()
    assert accepted(namesakes.candidates(entry("Hikvision", "US-OFAC-SDN", since=datetime.date(2019, 10, 9)))) == set()


def test_the_same_name_in_another_country_is_refused(namesakes: Namesakes) -> None:
    name = "Zhejiang Dahua Technology Co., Ltd."
    [found] = namesakes.candidates(entry(name, countries=("US",)))
    assert not found.accepted and "it is in US, not in CN" in found.reason
    assert accepted(namesakes.candidates(entry(name, countries=("HK",)))) == {"dahua"}


def test_a_list_that_is_no_programme_takes_nobody(namesakes: Namesakes) -> None:
    [found] = namesakes.candidates(entry("Zhejiang Dahua Technology Co., Ltd.", "", "DPL"))
    assert not found.accepted and "DPL is no programme here" in found.reason


def test_a_name_that_is_two_companies_is_neither(shipped: RuleSet) -> None:
    namesakes = Namesakes(shipped.facts.entities.values())
    found = namesakes.candidates(entry("TP-Link", "US-TX-PROHIBITED", "TX"))
    assert accepted(found) == set() and {each.entity for each in found} >= {"tplink-technologies", "tplink-systems"}


def test_a_person_is_compared_by_identifier_only(namesakes: Namesakes) -> None:
    assert namesakes.candidates(entry("Dahua Technology", person=True)) == []


def test_width_case_and_punctuation_do_not_matter() -> None:
    assert words_of("Ｈangzhou HIKVISION—Digital, Co.Ltd") == ("hangzhou", "hikvision", "digital", "co", "ltd")
    assert core_of("A B Company Limited") == core_of("A. B. Co., Ltd.") or core_of("A B Co., Ltd.") == "a b"
