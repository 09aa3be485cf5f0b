"""What a fact must hold beyond its type."""

import dataclasses
import datetime

import msgspec
import pytest

from rules.fact import (
    Act,
    AssumedListing,
    AssumedReach,
    AssumedShare,
    Edition,
    EndpointName,
    Entity,
    FirmwareFact,
    Listing,
    ListRead,
    NetworkAddress,
    NetworkFile,
    NotTheCompany,
    Profile,
    Programme,
    Reach,
    Relabel,
    Scenario,
    Share,
    Unconfirmed,
)
from rules.factcheck import Known, edition_faults, faults, is_host_name, missing_activities, reference_faults

NAME = EndpointName(name="cam.example.com", match="suffix", role="cloud", confidence="high", sources=("book",))
FIRMWARE = FirmwareFact(kind="file", pattern=r"^a\.bin$", step="download", confidence="high", sources=("book",))
LISTING = Listing(programme="US-X", status="listed", citation="1 FR 1", sources=("book",), confidence="high")
ENTITY = Entity(id="acme", name="Acme", kind="company", sources=("book",), confidence="high")
KNOWN = Known(sources={"book"}, programmes={"US-X"}, entities={"acme"})


def keys(fact: msgspec.Struct) -> list[str]:
    return [key for key, _ in faults(fact)]


@pytest.mark.parametrize(
    "name",
    ["example.com", "a.b.c.example.com", "xn--bcher-kva.example", "_dns.example.com", "1-2.example.co", "a.xn--p1ai"],
)
def test_a_name_in_its_one_form_is_taken(name: str) -> None:
    assert is_host_name(name)
    assert keys(msgspec.structs.replace(NAME, name=name)) == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Example.com",
            "example.com.",
            "example",
            "",
            ".example.com",
            "a..b",
            "bücher.example",
            "https://example.com/",
        ),
        *(
            "*.example.com",
            "-a.example.com",
            "a-.example.com",
            "example.com:80",
            "192.0.2.1",
            "a b.example",
            "a\n.example",
        ),
        *("a" * 64 + ".example", ".".join(["abcdefgh"] * 29)),
    ],
)
def test_a_name_in_another_form_is_refused(name: str) -> None:
    assert not is_host_name(name)
    assert keys(msgspec.structs.replace(NAME, name=name)) == ["name"]


def test_a_fact_without_a_source_is_refused() -> None:
    assert keys(msgspec.structs.replace(NAME, sources=())) == ["sources"]
    assert keys(msgspec.structs.replace(LISTING, sources=())) == ["sources"]


def test_a_regex_needs_a_domain_at_or_below_which_it_is_asked() -> None:
    regex = msgspec.structs.replace(NAME, match="regex", name=r"^a\d\.example\.com$")
    assert keys(regex) == ["under"]
    assert keys(msgspec.structs.replace(regex, under=("example.com",))) == []
    assert keys(msgspec.structs.replace(regex, under=("Example.com",))) == ["under[0]"]


def test_a_regex_that_does_not_compile_is_refused() -> None:
    assert keys(msgspec.structs.replace(NAME, match="regex", name="a(b", under=("example.com",))) == ["name"]


def test_only_a_regex_has_under() -> None:
    assert keys(msgspec.structs.replace(NAME, under=("example.com",))) == ["under"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"pattern": "a(b"}, "pattern"),
        ({"kind": "host", "pattern": "Firmware.example.com"}, "pattern"),
        ({"kind": "path", "pattern": "^/fw/"}, "hosts"),
        ({"kind": "path", "pattern": "^/fw/", "hosts": ("example",)}, "hosts[0]"),
        ({"kind": "api"}, "on_wire"),
        ({"step": None}, "step"),
        ({"on_wire": False, "step": None}, "note"),
    ],
)
def test_a_firmware_fact_that_could_not_be_matched_is_refused(change: dict[str, object], key: str) -> None:
    assert keys(FIRMWARE) == []
    assert keys(msgspec.structs.replace(FIRMWARE, **change)) == [key]


def test_a_firmware_fact_that_is_not_matched_may_be_prose() -> None:
    prose = msgspec.structs.replace(FIRMWARE, pattern="a(b", on_wire=False, step=None, note="LAN side")
    assert keys(prose) == []


def test_a_listing_does_not_end_before_it_begins() -> None:
    since, until = datetime.date(2025, 1, 7), datetime.date(2024, 1, 31)
    assert keys(msgspec.structs.replace(LISTING, since=since, until=until)) == ["until"]
    assert keys(msgspec.structs.replace(LISTING, since=until, until=since)) == []
    assert keys(msgspec.structs.replace(LISTING, since=since, until=since)) == []


def test_a_removed_listing_says_until_when() -> None:
    assert keys(msgspec.structs.replace(LISTING, status="removed")) == ["until"]


def test_a_parent_is_a_fact_too() -> None:
    assert keys(msgspec.structs.replace(ENTITY, parent="acme")) == ["parent_sources"]


def test_a_network_has_no_host_bits() -> None:
    network = NetworkAddress(network="192.0.2.0/24", role="relay", confidence="low", sources=("book",))
    assert keys(network) == []
    assert keys(msgspec.structs.replace(network, network="2001:db8::/32")) == []
    assert keys(msgspec.structs.replace(network, network="192.0.2.1/24")) == ["network"]
    assert keys(msgspec.structs.replace(network, network="example.com")) == ["network"]


@pytest.mark.parametrize("number", ["AS64496", "0", "4294967296", "-1", "", "٤"])
def test_an_as_number_is_a_number(number: str) -> None:
    file = NetworkFile(operator="A", relation="carries", sources=("book",), confidence="low", numbers={number: "A"})
    assert keys(file) == [f"numbers.{number}"]


def test_a_name_that_is_never_matched_is_in_its_one_form_too() -> None:
    fact = NotTheCompany(looks_like="acme", reason="alike", sources=("book",), names=("ok.example", "No.example"))
    assert keys(fact) == ["names[1]"]


def test_ids_that_lead_nowhere_are_named() -> None:
    found = {
        key
        for fact in (
            msgspec.structs.replace(NAME, sources=("book", "lost")),
            msgspec.structs.replace(LISTING, programme="US-Y"),
            msgspec.structs.replace(ENTITY, parent="nobody", parent_sources=("lost",), not_found_on=("US-X", "US-Z")),
            Relabel(brand="B", makers=("acme", "nobody"), relation="relabel", confidence="low", sources=("book",)),
            NotTheCompany(looks_like="nobody", reason="alike", sources=("book",)),
        )
        for key, _ in reference_faults(fact, KNOWN)
    }
    assert found == {"sources", "programme", "parent", "parent_sources", "not_found_on[1]", "makers[1]", "looks_like"}


def test_ids_that_exist_are_no_fault() -> None:
    entity = msgspec.structs.replace(ENTITY, parent="acme", parent_sources=("book",), not_found_on=("US-X",))
    assert [fault for fact in (NAME, LISTING, entity) for fault in reference_faults(fact, KNOWN)] == []


def test_a_role_without_an_activity_is_missed() -> None:
    assert "storage" in missing_activities(["website"])
    assert "firmware_download" in missing_activities(["website"])


ACT = Act(outcome="review", says="Look at {company}.", citation="1 FR 1", sources=("book",), confidence="high")
PROGRAMME = Programme(
    id="US-X", name="X", authority="A", jurisdiction="US", kind="list", what_it_prohibits="x", sources=("book",),
    confidence="high", acts=(ACT,),
)  # fmt: skip


@pytest.mark.parametrize(
    "narrow",
    [
        {"activities": ("ddns",)},
        {"profiles": ("us-private",)},
        {"use_classes": ("other",)},
        {"companies": ("acme",)},
        {"statuses": ("category",)},
        {"relations": ("hosts",)},
        {"since": datetime.date(2020, 1, 1)},
        {"until": datetime.date(2020, 1, 1)},
        {"known_since": datetime.date(2020, 1, 1)},
    ],
)
def test_the_last_row_of_a_programme_is_for_everybody(narrow: dict[str, object]) -> None:
    assert keys(PROGRAMME) == []
    particular = msgspec.structs.replace(ACT, **narrow)
    assert keys(msgspec.structs.replace(PROGRAMME, acts=(particular, ACT))) == []
    assert keys(msgspec.structs.replace(PROGRAMME, acts=(ACT, particular))) == [f"acts[1].{next(iter(narrow))}"]


@pytest.mark.parametrize("says", ["Look at {firm}.", "A { alone.", "{0}"])
def test_a_sentence_has_no_other_brace_than_the_company(says: str) -> None:
    assert keys(msgspec.structs.replace(ACT, says=says)) == ["says"]


def test_days_of_acts_shares_and_withdrawals_are_in_order_and_days() -> None:
    first, before = datetime.date(2020, 1, 2), datetime.date(2020, 1, 1)
    assert keys(msgspec.structs.replace(ACT, since=first, until=before)) == ["until"]
    assert keys(msgspec.structs.replace(LISTING, since=first, withdrawn=before)) == ["withdrawn"]
    assert keys(msgspec.structs.replace(LISTING, since=first, withdrawn=first)) == []
    assert keys(Share(by="a", sources=("book",), confidence="high", until="2022/2023")) == ["until"]


def test_a_scenario_that_changes_nothing_is_refused() -> None:
    scenario = Scenario(id="s", name="S", sources=("book",), confidence="high")
    assert keys(scenario) == [""]
    assert keys(msgspec.structs.replace(scenario, waivers_ended=("*",))) == []


def test_ids_in_the_law_that_lead_nowhere_are_named() -> None:
    known = dataclasses.replace(KNOWN, profiles={"us-private"})
    facts = {
        "profiles": msgspec.structs.replace(ACT, profiles=("us-private", "us_private")),
        "companies": msgspec.structs.replace(ACT, companies=("acme", "akme")),
        "programmes[1]": Profile(
            id="p", name="P", programmes=("US-X", "US-Y"), sources=("book",), confidence="high"
        ),
        "programme": AssumedReach(programme="US-Y", test="control"),
        "entity": AssumedShare(entity="akme", by="acme", percent=50.0),
        "list_read.sources": msgspec.structs.replace(PROGRAMME, list_read=ListRead(as_of="2026", sources=("lost",))),
    }  # fmt: skip
    for key, fact in facts.items():
        assert [found for found, _ in reference_faults(fact, known)] == [key]
    for fact in (
        AssumedListing(entity="acme", programme="US-Y"),
        Unconfirmed(programme="US-Y", reason="r", sources=("book",)),
        Reach(test="listed_on", citation="c", sources=("book",), confidence="high", programme="US-Y"),
        Reach(test="listed_on", citation="c", sources=("book",), confidence="high"),
    ):
        assert [found for found, _ in reference_faults(fact, known)] == ["programme"]


def test_a_list_that_was_read_names_its_source() -> None:
    assert keys(msgspec.structs.replace(PROGRAMME, list_read=ListRead(as_of="2026", sources=()))) == [
        "list_read.sources"
    ]


@pytest.mark.parametrize("as_of", ["", "soon", "2026-13", "last June"])
def test_a_list_that_was_read_says_its_day_month_or_year(as_of: str) -> None:
    read = ListRead(as_of=as_of, sources=("book",))
    assert keys(msgspec.structs.replace(PROGRAMME, list_read=read)) == ["list_read.as_of"]


EDITIONS = tuple(
    Edition(date=datetime.date.fromisoformat(day), sources=("book",), withdrawn=withdrawn)
    for day, withdrawn in (("2024-01-31", False), ("2025-01-07", False), ("2025-02-13", True))
)


@pytest.mark.parametrize(
    ("editions", "more", "wrong"),
    [
        (["2024-01-31", "2025-01-07"], {}, {}),
        (["2025-01-07"], {}, {}),
        (["2024-01-31"], {}, {"until": "newest edition of US-X, 2025-01-07, is not among its editions"}),
        (["2024-01-31"], {"until": datetime.date(2025, 1, 6)}, {}),
        (["2024-01-31"], {"status": "removed", "until": datetime.date(2025, 1, 6)}, {}),
        ([], {}, {"editions": "is missing; name those of US-X in which the company stands: 2024-01-31, 2025-01-07"}),
        ([], {"status": "derived"}, {}),
        (["2025-01-07", "2025-02-13"], {}, {"editions": "2025-02-13 is no edition of US-X that applied"}),
        (["2025-02-13"], {"withdrawn": datetime.date(2025, 2, 13)}, {}),
    ],
)
def test_a_row_is_not_left_open_where_a_newer_edition_does_not_name_the_company(
    editions: list[str], more: dict[str, object], wrong: dict[str, str]
) -> None:
    days = tuple(map(datetime.date.fromisoformat, editions))
    listing = msgspec.structs.replace(LISTING, editions=days, **more)
    found = dict(edition_faults(listing, msgspec.structs.replace(PROGRAMME, editions=EDITIONS)))
    assert found.keys() == wrong.keys() and all(words in found[key] for key, words in wrong.items()), found


def test_a_list_without_editions_of_its_own_asks_for_none() -> None:
    gone = msgspec.structs.replace(PROGRAMME, editions=EDITIONS[2:])
    assert not [*edition_faults(LISTING, PROGRAMME), *edition_faults(LISTING, gone)]
